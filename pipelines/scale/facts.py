"""The facts of a corpus that its bill follows from: how much text, how many documents and pages.

Of a corpus on paper they are told; of a corpus.yaml the sources are listed, which opens no file but
for its first bytes. What text a stored byte gives is the inventory's expectation
(`workspace/inventory.py`), and documents are text over the mean size that the unit costs name: an
expectation of sizes, whose error is larger than that of any unit cost. Crawls are told by their
`max_pages`, an upper bound.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.config import CorpusConfig
    from pipelines.workspace.inventory import Listed

MEAN_DOCUMENT_BYTES: Final = 4_000
"""Of text; what the files of `benchmarks/scale_inputs.py` have, and about what web pages have."""
MEAN_TOKEN_BYTES: Final = 4.0
"""Of text; 3.9 to 4.4 for English with vocabularies of 100,000 and more, fewer in other scripts."""
_PDF_PAGE_BYTES: Final = 60_000  # of a file, in the mean of the PDFs of the evaluation sets


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusFacts:
    """How large a corpus is; everything else of a bill follows."""

    text_bytes: float
    """UTF-8 bytes of all documents, extracted."""
    documents: float
    html_pages: float = 0.0
    """Of the documents: those that are extracted from HTML."""
    crawled_pages: float = 0.0
    """Of those: fetched by tokenmill itself."""
    pdf_pages: float = 0.0
    """Pages read from their text layer."""
    ocr_pages: float = 0.0
    """Pages read by OCR on cores."""
    model_pages: float = 0.0
    """Pages read by a vision-language model on a GPU."""
    model_tokens: float = 0.0
    """Tokens that a model writes on a GPU."""
    bytes_per_token: float = MEAN_TOKEN_BYTES
    id_bytes: int = 4
    """Of a token in a shard: 2 where the vocabulary has less than 65,500."""
    epochs: float = 1.0
    """Tokens that the mixtures write together, over those of the corpus."""
    mixtures: int = 1
    part_bytes: float = 256 * 2**20
    """Expected text of a part."""
    shard_tokens: float = 64e6
    """Of a shard, at most, unless a part has more."""
    is_on_paper: bool = False
    """Whether the sizes were told, and no file was listed."""

    def __post_init__(self) -> None:
        """Refuses a corpus that cannot be."""
        if self.text_bytes <= 0 or self.documents <= 0:
            raise ValueError(
                f"found {self.text_bytes:g} bytes of text in {self.documents:g} documents; "
                "allowed: more than 0 of both; state the size of the corpus"
            )
        if self.html_pages > self.documents or self.crawled_pages > self.documents:
            raise ValueError(
                f"found {max(self.html_pages, self.crawled_pages):g} pages among "
                f"{self.documents:g} documents; allowed: at most as many; correct one of them"
            )

    @property
    def num_parts(self) -> float:
        """Parts of all sources."""
        return max(1.0, self.text_bytes / self.part_bytes)

    @property
    def tokens(self) -> float:
        """In all documents."""
        return self.text_bytes / self.bytes_per_token

    @property
    def written_tokens(self) -> float:
        """In all shards."""
        return self.tokens * self.epochs

    @property
    def num_shards(self) -> float:
        """Of all mixtures: whole parts, as many as fit, and at least one (`mix/plan.py`)."""
        a_part = self.written_tokens / max(1, self.mixtures) / self.num_parts
        if not a_part or not self.mixtures:
            return 0.0
        return self.mixtures * self.num_parts / max(1, self.shard_tokens // a_part)

    def times(self, factor: float) -> "CorpusFacts":
        """The same corpus, so many times as large."""
        counts = ("text_bytes", "documents", "html_pages", "crawled_pages", "pdf_pages")
        more = (*counts, "ocr_pages", "model_pages", "model_tokens")
        return replace(self, **{name: getattr(self, name) * factor for name in more})


def facts_of(
    config: "CorpusConfig", document_bytes: float = MEAN_DOCUMENT_BYTES, epochs: float = 1.0
) -> CorpusFacts:
    """The facts of a corpus whose sources are listed now.

    Args:
        config: The corpus.
        document_bytes: Text of a document, in the mean.
        epochs: Of `CorpusFacts`.

    Raises:
        ValueError: A source cannot be listed, or none holds anything.
    """
    from pipelines.extract.sources import list_source

    crawled = sum(one.crawl.max_pages for one in config.sources if one.crawl is not None)
    listed = [
        item
        for source in config.sources
        if source.crawl is None
        for item in list_source(source, config.part_bytes)
    ]
    pages = [item for item in listed if item.format in ("pdf", "image")]
    text = [item for item in listed if item.format not in ("pdf", "image")]
    text_bytes = sum(item.expected_text_bytes for item in text) + crawled * document_bytes
    html = _expected(text, ("html", "warc")) / document_bytes + crawled
    num_pages = sum(max(1.0, item.bytes / _PDF_PAGE_BYTES) for item in pages)
    text_bytes += num_pages * _PAGE_TEXT_BYTES
    if not text_bytes:
        raise ValueError(
            "sources: found nothing in them; an estimate needs files or a crawl; check their paths"
        )
    reads = config.extract.pdf.ocr
    of_images = float(sum(item.format == "image" for item in pages))
    return CorpusFacts(
        text_bytes=text_bytes,
        documents=max(1.0, text_bytes / document_bytes, html),
        html_pages=html,
        crawled_pages=float(crawled),
        pdf_pages=num_pages - of_images,
        ocr_pages=of_images if reads not in ("none", "vl") else 0.0,
        model_pages=num_pages if reads == "vl" else 0.0,
        epochs=epochs,
        mixtures=len(config.mixtures),
        part_bytes=float(config.part_bytes),
        shard_tokens=float(config.shard_tokens),
    )


_PAGE_TEXT_BYTES: Final = 2_500  # of a page of a PDF


def _expected(listed: "Sequence[Listed]", formats: tuple[str, ...]) -> float:
    return sum(item.expected_text_bytes for item in listed if item.format in formats)

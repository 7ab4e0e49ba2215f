"""corpus.yaml: what goes in, how it is read and labelled, and which mixtures come out.

The file holds decisions about data. Where and how a run happens (workspace, runner, processes) are
flags of the command line and never change a result.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from mixtures.errors import MixtureError, listed, nearest
from mixtures.strict_yaml import read_yaml
from pipelines.complaints import complaints
from pipelines.extract.code_files import CodeConfig
from pipelines.extract.pdf.vl_settings import VlConfig
from pipelines.models.settings import ModelConfig
from pipelines.quantities import Bytes, Seconds, Share, Tokens
from pipelines.synthesize.settings import SynthesizeConfig

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_YAML: Final = (".yaml", ".yml")
_TOKENIZER_FILES: Final = (".json", ".tiktoken")
_HUB_NAME: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?", re.ASCII)
_OBJECT: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", re.ASCII)
_MIN_CONTACT_CHARS: Final = 3


class ConfigError(ValueError):
    """A mistake in corpus.yaml; the text names file, key, what was found and what is allowed."""


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a name is lower-case letters, digits, '-', '_' and '.': it names folders")
    return name


def _check_contact(text: str) -> str:
    if len(text.strip()) < _MIN_CONTACT_CHARS:
        raise ValueError("an e-mail address or URL at which a site can complain")
    return text


def _check_ocr_name(name: str) -> str:
    if name not in ("rapidocr", "vl", "none") and not _OBJECT.fullmatch(name):
        raise ValueError(
            "OCR is done by rapidocr, vl (a model), none, or module:object, which names an "
            "OcrEngine (see pipelines/extract/pdf/ocr.py)"
        )
    return name


Name = Annotated[str, AfterValidator(_check_name)]
OcrName = Annotated[str, AfterValidator(_check_ocr_name)]
Level = Literal["bytes", "text", "url", "near", "boilerplate", "repeats"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CrawlConfig(_Settings):
    """What a crawl may fetch, and how politely."""

    seeds: tuple[str, ...] = Field(min_length=1)
    """Addresses to start from: pages, or sitemaps (`.xml`, `.xml.gz`)."""
    contact: Annotated[str, AfterValidator(_check_contact)]
    """E-mail or URL of whoever crawls; stands in the user agent, so that a site can complain."""
    hosts: tuple[str, ...] = ()
    """Hosts that may be fetched, `*.example.org` for all below one; default: those of the seeds."""
    include: tuple[str, ...] = ()
    """Only pages whose address without its scheme matches one of these globs, such as
    `example.org/docs/**`; `*` stays within a path segment, `**` does not."""
    exclude: tuple[str, ...] = ()
    """No page whose address without its scheme matches one of these globs."""
    languages: tuple[str, ...] = ()
    """BCP 47 tags (`de`, `pt-BR`) or codes of the 119 languages (`deu_Latn`): pages that declare
    another language are not kept, and links that announce another one are not followed."""
    block_lists: tuple[str, ...] = ()
    """Files of hosts, URLs or `||domain^` filters that are never asked for, relative to
    corpus.yaml; they may change while a crawl goes on."""
    obey_ai_policy: bool = True
    """Whether what sites say against the training of models is obeyed: noai, ai.txt,
    tdm-reservation, Content-Signal, Content-Usage."""
    allow_private: tuple[str, ...] = ()
    """Hosts, by name, that may have a private or loopback address; all others are refused."""
    sitemaps: bool = True
    """Whether sitemaps that robots.txt names are followed."""
    delay: Seconds = 1.0
    """Least pause between two requests to a host; a longer crawl-delay of its robots.txt is kept,
    and a busy host gets longer pauses for a while."""
    timeout: Seconds = 30.0
    """Longest time of one request, its body included."""
    retries: int = Field(default=2, ge=0, le=10)
    """Further tries after a lost connection, a time-out, or the status 429, 500, 502, 503, 504."""
    max_pages: int = Field(default=10_000, ge=1)
    """Most addresses that this source fetches; those left over are counted."""
    max_pages_per_host: int = Field(default=5_000, ge=1)
    """Likewise of one host."""
    passes: int = Field(default=1, ge=1)
    """How often pages are visited. Raise it when a crawl is over, and it goes on with a re-crawl
    that fetches only what has changed."""
    max_depth: int = Field(default=16, ge=0)
    """Links followed from a seed; addresses in sitemaps count as seeds."""
    max_redirects: int = Field(default=5, ge=0)
    """Redirects followed for one address."""
    max_body_bytes: Bytes = 32 << 20
    """Larger bodies, as sent or unpacked, are not kept."""


class ProvenanceConfig(_Settings):
    """Where the texts of a source come from, if not from people."""

    kind: Literal["natural", "transcribed", "refined", "rewritten", "synthetic"]
    """Depth follows from it: rewritten and synthetic texts are one generation from a human."""
    model: str | None = None
    """The model that wrote them."""
    recipe: str | None = None
    """How."""


class SourceConfig(_Settings):
    """A named set of input files, or a crawl."""

    name: Name
    path: str | None = None
    """File, folder or glob, local (relative to corpus.yaml) or an fsspec URL; or a list of paths
    below `base`, as Common Crawl publishes them: `warc.paths.gz`, `wet.paths`."""
    base: str | None = None
    """Where the paths of such a list lie: a folder (relative to corpus.yaml) or an fsspec URL, such
    as `s3://commoncrawl/`; default: `https://data.commoncrawl.org/`."""
    crawl: CrawlConfig | None = None
    """In place of a path: web pages that are fetched now."""
    format: (
        Literal["html", "text", "code", "pdf", "image", "office", "warc", "wet", "jsonl", "parquet"]
        | None
    ) = None
    """How to read the files; by default told from each file's first bytes and its ending. image:
    PNG, JPEG, TIFF, WebP; office: EPUB, DOCX, ODT, PPTX, XPS; code: text as it was written."""
    include: tuple[str, ...] = ()
    """Only files whose path below the root matches one of these globs."""
    exclude: tuple[str, ...] = ()
    """No file whose path below the root matches one of these globs."""
    license: str | None = None
    """Licence of documents that state none themselves."""
    text_column: str = "text"
    """Column (Parquet) or field (JSONL) that holds the text."""
    url_column: str | None = None
    """Column or field that holds the address; by default `url` or `uri` where there is one."""
    code: CodeConfig | None = None
    """For source code: how files or rows name repository and path; `{}` for folders of them."""
    provenance: ProvenanceConfig | None = None
    """For texts that a model wrote; by default they are natural."""

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        if (self.path is None) == (self.crawl is None):
            raise ValueError("a source has either `path` or `crawl`")
        if self.base is not None and not is_path_list(self.path or ""):
            raise ValueError(
                "`base` is where the paths of a list lie, and `path` names none; give a file that "
                "ends in .paths or .paths.gz, or leave `base` out"
            )
        return self


class PdfConfig(_Settings):
    """How PDF-like files become text, page by page."""

    engine: Literal["pdfium", "pymupdf"] = "pdfium"
    """Reads text layers. pymupdf is AGPL-3.0: `pip install 'tokenmill[pymupdf]'` brings it."""
    ocr: OcrName = "rapidocr"
    """Reads pages without a usable text layer; with none they are rejected. vl is a
    vision-language model; `module:object` is any other engine: an OcrEngine, or a class or function
    that makes one."""
    ocr_model: str | None = None
    """`ocr: vl`: which of `models` reads the pages."""
    vl: VlConfig = VlConfig()
    """`ocr: vl`: how it does."""
    max_pages: int = Field(default=2000, ge=1)
    """Pages of a file beyond this are rejected."""
    max_ocr_pages: int = Field(default=100, ge=0)
    """Pages of a file that are read by OCR, at seconds a page; those beyond are rejected."""
    ocr_threshold: float = Field(default=0.35, ge=0, le=1)
    """Score of a page (how probable it is that OCR reads it better than its text layer) from which
    it is looked at as a picture."""
    ocr_budget: Share | None = None
    """Most pages of a part that go to OCR, such as `10%`: those with the highest scores. Pages
    without a text layer that it does not reach are rejected. Inputs are read twice for it."""

    @model_validator(mode="after")
    def _a_model_is_named(self) -> Self:
        if (self.ocr == "vl") != (self.ocr_model is not None):
            raise ValueError(
                "`ocr: vl` and `ocr_model`, a name of `models`, belong together; add the one that "
                "lacks, or leave both out"
            )
        return self


class ExtractConfig(_Settings):
    """How records become text."""

    html_engine: Literal["auto", "fast", "trafilatura", "trafilatura-fast", "resiliparse"] = "auto"
    """auto (tokenmill's own kernels, and trafilatura where their choice is doubtful), fast (the
    kernels alone), trafilatura (careful), its fast mode, or resiliparse."""
    outlinks: Literal["main", "none"] = "main"
    """Which links of a page are kept in `meta`: those of its main text, or none."""
    pdf: PdfConfig = PdfConfig()
    """PDF files, from folders, crawls and archives."""
    max_record_bytes: Bytes = 64 << 20
    """Larger records are rejected as `too_large`."""


class BenchmarkConfig(_Settings):
    """A benchmark that training text must not quote."""

    name: Name
    """A name of the registry (`annotators/contamination/registry.yaml`), such as gsm8k_test, brings
    kind and fields."""
    path: str
    """JSON Lines, also packed (.gz, .zst); relative to corpus.yaml."""
    kind: Literal["math", "code", "text"] | None = None
    """Which rule holds; by default that of the registry, else text."""
    question: tuple[str, ...] = ()
    """Fields of an item that ask; by default those of the registry, else all that hold text, but
    ids."""
    options: tuple[str, ...] = ()
    """Fields with the options among which one is chosen."""
    answer: tuple[str, ...] = ()
    """Fields with the answer, its explanation, or code."""

    @model_validator(mode="after")
    def _a_question_is_named(self) -> Self:
        if (self.options or self.answer) and not self.question:
            raise ValueError(
                "options or answer is named without question; add question: [...], or leave both "
                "out"
            )
        return self


class AlarmsConfig(_Settings):
    """What stops a run, before it makes mixtures: so much removed is more often a mistake.

    Only sources, and corpora, of 1,000 documents and more are looked at. The labels stay, and the
    same command goes on when the limits are raised here.
    """

    max_removed: float = Field(default=0.5, gt=0, le=1)
    """Of the documents of a source: share that is labelled `duplicate` or `near_duplicate`."""
    max_cluster: float = Field(default=0.1, gt=0, le=1)
    """Of all documents: share that the largest cluster holds."""
    sources: dict[Name, Annotated[float, Field(gt=0, le=1)]] = {}
    """`max_removed` of single sources, by name."""


class DuplicatesConfig(_Settings):
    """What counts as a duplicate; labels say it, and mixtures decide what becomes of it."""

    levels: tuple[Level, ...] = Field(default=("bytes", "text", "url", "near"), min_length=1)
    """bytes: the same text; text: the same after normalisation; url: the same address; near:
    similar texts; boilerplate: lines and paragraphs that a host repeats; repeats: passages of 50
    tokens and more that stand in several documents."""
    threshold: float = Field(default=0.8, ge=0.7, le=1)
    """near: exact Jaccard of two sets of shingles from which on their texts are near-duplicates;
    below 0.7 signatures miss too many pairs."""
    min_documents: int = Field(default=3, ge=2)
    """boilerplate: documents of a host that must hold a line or paragraph."""
    alarms: AlarmsConfig = AlarmsConfig()
    """What stops the run."""

    @model_validator(mode="after")
    def _levels_differ(self) -> Self:
        twice = sorted({level for level in self.levels if self.levels.count(level) > 1})
        if twice:
            raise ValueError(f"each level once; levels has {twice[0]!r} twice")
        return self


class ValidationConfig(_Settings):
    """Texts that no stage trains on, so that a trainer can measure its loss on them."""

    share: float = Field(gt=0, lt=0.5)
    """Part of all texts, by a hash of the normalised text of the root ancestor of a document."""


class LaunchConfig(_Settings):
    """The training that is made ready when all shards are written."""

    model: str
    """A Qwen3 model, such as qwen3-0.6b, or a YAML file of your own; relative to corpus.yaml."""
    stages: tuple[str, ...] = ()
    """Mixtures in the order of training; by default as `mixtures` lists them."""


class CorpusConfig(_Settings):
    """One corpus.yaml."""

    name: Name
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    extract: ExtractConfig = ExtractConfig()
    tokenizer: str
    """A tokenizer.json, a .tiktoken file of ranks, or a folder that holds one, relative to
    corpus.yaml; or `owner/name[@revision]` of the Hugging Face hub."""
    eod: str = "<|endoftext|>"
    """Text of the token that ends a document."""
    annotators: tuple[str | dict[str, dict[str, Any]], ...] = (
        "language",
        "quality",
        "stem",
        "domain",
        "pii",
    )
    """Labels beside those that are always made: a name, or a name with options."""
    benchmarks: tuple[BenchmarkConfig, ...] = ()
    """Items that are looked for in every document; they give the `contamination` labels."""
    duplicates: DuplicatesConfig = DuplicatesConfig()
    """What counts as a duplicate, and how much of it stops a run."""
    mixtures: tuple[str, ...] = ("general_4k", "stem_4k", "long_32k")
    """Names of shipped mixtures, or paths of YAML files relative to corpus.yaml."""
    part_bytes: Bytes = 256 << 20
    """Expected text of one part, the unit of work and of resume."""
    shard_tokens: Tokens = 64_000_000
    """Tokens of one shard, about; a worker holds one in memory (4 bytes a token, twice)."""
    shard_format: Literal["megatron", "mds", "parquet", "npy"] = "megatron"
    """megatron: .bin and .idx; mds: MosaicML Streaming; parquet and npy: plain token ids."""
    validation: ValidationConfig | None = None
    """Texts kept out of training; without it nothing is held out."""
    models: dict[Name, ModelConfig] = {}
    """Models that write or read text, by the name that `synthesize` and `extract.pdf` use."""
    synthesize: tuple[SynthesizeConfig, ...] = ()
    """What models make of the documents; each is a source of its own, labelled like all others."""
    launch: LaunchConfig | None = None
    """Scripts that train a model on the shards."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sources are called {twice[0]!r}; names must differ")
        return self

    @model_validator(mode="after")
    def _models_are_there(self) -> Self:
        asked = self.extract.pdf.ocr_model if self.extract.pdf.ocr == "vl" else None
        if self.extract.pdf.ocr == "vl" and asked not in self.models:
            raise ValueError(
                f"extract.pdf.ocr_model: found {asked!r}; allowed are the keys of `models`: "
                f"{listed(self.models) or 'none, because it is empty'}; name the model that reads "
                "pages"
            )
        return self

    @model_validator(mode="after")
    def _alarms_name_sources(self) -> Self:
        names = [source.name for source in self.sources]
        unknown = [name for name in self.duplicates.alarms.sources if name not in names]
        if unknown:
            raise ValueError(
                f"duplicates.alarms.sources: found {unknown[0]!r}; {nearest(unknown[0], names)}"
                f"allowed are the sources {listed(names)}; rename or remove it"
            )
        return self


def load_corpus(path: Path) -> CorpusConfig:
    """Reads corpus.yaml and resolves its paths against the folder it stands in.

    Raises:
        ConfigError: The file is missing, is not YAML, or holds a mistake.
    """
    try:
        written = read_yaml(path)
    except MixtureError as error:
        raise ConfigError(str(error)) from error
    if not isinstance(written, dict):
        raise ConfigError(
            f"{path}: found {type(written).__name__}; allowed: a mapping with the keys "
            f"{listed(CorpusConfig.model_fields)}; begin the file with `name: ...`"
        )
    try:
        config = CorpusConfig.model_validate(written)
    except ValidationError as error:
        raise ConfigError(complaints(error, _MODELS, CorpusConfig, f"{path}: ")) from error
    base = path.resolve().parent
    sources = tuple(_resolve_source(base, source) for source in config.sources)
    benchmarks = tuple(
        b.model_copy(update={"path": _resolve(base, b.path)}) for b in config.benchmarks
    )
    mixtures = tuple(_resolve(base, m) if m.endswith(_YAML) else m for m in config.mixtures)
    launch = config.launch
    if launch is not None and launch.model.endswith(_YAML):
        launch = launch.model_copy(update={"model": _resolve(base, launch.model)})
    synthesize = tuple(_resolve_item(base, item) for item in config.synthesize)
    return config.model_copy(
        update={
            "launch": launch,
            "models": {n: _resolve_model(base, m) for n, m in config.models.items()},
            "synthesize": synthesize,
            "sources": sources,
            "tokenizer": _resolve_tokenizer(base, config.tokenizer),
            "mixtures": mixtures,
            "benchmarks": benchmarks,
        }
    )


def is_path_list(path: str) -> bool:
    """Whether a path names a list of paths, by its ending."""
    return path.endswith((".paths", ".paths.gz"))


def _resolve_model(base: Path, model: ModelConfig) -> ModelConfig:
    """A model with its folder, where it is written as a path: `./` or `../` first."""
    if model.engine != "vllm" or not model.model.startswith("."):
        return model
    return model.model_copy(update={"model": _resolve(base, model.model)})


def _resolve_item(base: Path, item: SynthesizeConfig) -> SynthesizeConfig:
    places = {}
    if item.recipe.endswith(_YAML):
        places["recipe"] = _resolve(base, item.recipe)
    if item.seeds is not None:
        places["seeds"] = _resolve(base, item.seeds)
    return item.model_copy(update=places)


def _resolve_source(base: Path, source: SourceConfig) -> SourceConfig:
    if source.crawl is not None:
        lists = tuple(_resolve(base, path) for path in source.crawl.block_lists)
        crawl = source.crawl.model_copy(update={"block_lists": lists})
        return source.model_copy(update={"crawl": crawl})
    places = {"path": _resolve(base, source.path or "")}
    if source.base is not None:
        places["base"] = _resolve(base, source.base)
    return source.model_copy(update=places)


def read_section(place: Sequence[str], written: Mapping[str, Any]) -> BaseModel:
    """One mapping of corpus.yaml, such as `("extract",)`, checked as it is there.

    Raises:
        ConfigError: It holds a mistake.
    """
    try:
        return _MODELS[tuple(place)].model_validate(written)
    except ValidationError as error:
        raise ConfigError(complaints(error, _MODELS, CorpusConfig, place=place)) from error


def _resolve_tokenizer(base: Path, written: str) -> str:
    """A path, or `owner/name[@revision]` of the hub as it is: nothing here has that name."""
    is_name = _HUB_NAME.fullmatch(written) and not written.endswith(_TOKENIZER_FILES)
    return written if is_name and not (base / written).exists() else _resolve(base, written)


def _resolve(base: Path, path: str) -> str:
    free = "://" in path or path.startswith("~") or Path(path).is_absolute()
    return path if free else str(base / path)


_MODELS: Final[dict[tuple[str, ...], type[BaseModel]]] = {
    ("sources",): SourceConfig,
    ("sources", "code"): CodeConfig,
    ("sources", "crawl"): CrawlConfig,
    ("sources", "provenance"): ProvenanceConfig,
    ("extract",): ExtractConfig,
    ("extract", "pdf"): PdfConfig,
    ("extract", "pdf", "vl"): VlConfig,
    ("benchmarks",): BenchmarkConfig,
    ("duplicates",): DuplicatesConfig,
    ("duplicates", "alarms"): AlarmsConfig,
    ("validation",): ValidationConfig,
    ("models",): ModelConfig,
    ("synthesize",): SynthesizeConfig,
    ("launch",): LaunchConfig,
}
"""Place of a mapping in corpus.yaml -> what it is read as."""

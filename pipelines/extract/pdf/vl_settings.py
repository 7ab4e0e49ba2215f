"""The `extract.pdf.vl` of corpus.yaml: how a vision-language model reads pages.

Numbers are those of olmOCR (Poznanski et al., 2502.18443) and its pipeline: a picture 1,288 pixels
long, at most 8,000 tokens of answer, 8 tries of rising temperature, and a document is dropped where
more than one page in 250 could not be read.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.quantities import Share

Temperature = Annotated[float, Field(ge=0, le=2)]


class VlConfig(BaseModel):
    """Pages as a model sees them, and what becomes of those that it cannot read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    longest_side: int = Field(default=1288, ge=56, le=8192)
    """Pixels of the longer side of a page's picture. Pictures are shrunk to it and never blown up;
    pages of PDFs are drawn so large, at no more than 300 dpi."""
    max_tokens: int = Field(default=8000, ge=1)
    """Most tokens of the text of a page; one that needs more is truncated, which fails a try."""
    temperatures: tuple[Temperature, ...] = Field(
        default=(0.1, 0.1, 0.2, 0.3, 0.5, 0.8, 0.9, 1.0), min_length=1
    )
    """One try each, until one is good."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0)
    """Against loops, such as 1.05; None leaves it to the ladder of temperatures."""
    ignore_eos: bool = False
    """Measurements only: every answer goes on to `max_tokens`, so every page counts as truncated;
    name one temperature and no fallback with it."""
    fallback: Literal["rapidocr", "text_layer", "none"] = "rapidocr"
    """What reads a page that no try could: RapidOCR, or its own doubted text layer where that is
    the better one; text_layer: the layer alone, where it is rather good; none: nothing does."""
    max_failed: Share = 0.004
    """Share of the pages of a document that may have failed, read by a fallback or not at all; a
    document with more is rejected."""

"""Names and versions of what reads PDFs, for `extractor` and the documents generation."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from pipelines.config import PdfConfig
from pipelines.extract.pdf.ocr import ocr_engine
from pipelines.extract.pdf.vl_answer import PROMPT_HASH
from pipelines.extract.pdf.vl_answer import VERSION as VL_VERSION

ENGINES: Final = ("pdfium", "pymupdf")
_DISTRIBUTIONS: Final = {"pdfium": "pypdfium2", "pymupdf": "pymupdf"}
# Raised where the layout gives other texts of the same runs.
_LAYOUT: Final = "tokenmill-layout/1"


def engine_version(engine: str) -> str:
    """Name and version of what reads text layers, e.g. `pypdfium2/5.15.2+tokenmill-layout/1`.

    Raises:
        ValueError: It is unknown, or not installed.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown PDF engine {engine!r}; choose one of {', '.join(ENGINES)}")
    name = _DISTRIBUTIONS[engine]
    try:
        return f"{name}/{version(name)}+{_LAYOUT}"
    except PackageNotFoundError as error:
        raise ValueError(
            f"extract.pdf.engine is {engine}, which is not installed; run "
            f"`pip install 'tokenmill[{engine}]'`, or set it to pdfium"
        ) from error


def pdfium_version() -> str:
    """Name and version of the library that opens, draws and (where need be) reads PDFs."""
    return f"pypdfium2/{version('pypdfium2')}"


def picture_version() -> str:
    """Name and version of what decodes picture files."""
    return f"pillow/{version('pillow')}"


def pdf_versions(settings: PdfConfig) -> dict[str, str]:
    """All that reads PDFs; another release may read another text.

    Raises:
        ValueError: The engine is not installed, or the OCR engine cannot be had.
    """
    versions = {
        "engine": engine_version(settings.engine),
        "renderer": pdfium_version(),
        "pictures": picture_version(),
    }
    if settings.ocr == "vl":
        versions |= {"reader": VL_VERSION, "prompt": PROMPT_HASH}
    engine = settings.vl.fallback if settings.ocr == "vl" else settings.ocr
    if engine not in ("none", "text_layer"):
        versions["ocr"] = ocr_engine(engine).name
    return versions

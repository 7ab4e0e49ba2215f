"""Names and versions of what reads PDFs, for `extractor` and the documents generation."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from pipelines.config import PdfConfig

ENGINES: Final = ("pdf-inspector", "pymupdf")


def engine_version(engine: str) -> str:
    """Name and version of an engine, e.g. `pdf-inspector/1.25.2`.

    Raises:
        ValueError: It is unknown, or not installed.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown PDF engine {engine!r}; choose one of {', '.join(ENGINES)}")
    try:
        return f"{engine}/{version(engine)}"
    except PackageNotFoundError as error:
        raise ValueError(
            f"extract.pdf.engine is {engine}, which is not installed; run "
            f"`pip install 'tokenmill[{engine}]'`, or set it to pdf-inspector"
        ) from error


def pdfium_version() -> str:
    """Name and version of the library that opens, draws and (where need be) reads PDFs."""
    return f"pypdfium2/{version('pypdfium2')}"


def ocr_version() -> str:
    """Name and version, e.g. `rapidocr/3.10.0`; its models lie in its wheel."""
    return f"rapidocr/{version('rapidocr')}"


def pdf_versions(settings: PdfConfig) -> dict[str, str]:
    """All that reads PDFs; another release may read another text.

    Raises:
        ValueError: The engine is not installed.
    """
    versions = {"engine": engine_version(settings.engine), "renderer": pdfium_version()}
    return versions if settings.ocr == "none" else {**versions, "ocr": ocr_version()}

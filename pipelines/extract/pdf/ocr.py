"""The seam of OCR: a picture of a page goes in, a text comes out or the reason why there is none.

An engine is asked for by name in the configuration: `rapidocr`, which is always there, or
`module:object` for any other, such as a vision-language model or the fake of `ocr_echo`. It reads
one picture at a time in a child process; what it raises loses that page and says so. Its name goes
into the generation, the `extractor` and the `model` of documents, so it has to change where the
texts change.

This module stays light: the process that only plans work asks for names and loads no model.
"""

import functools
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pipelines.extract.pdf.opening import Image

_OURS: Final = {"rapidocr": "pipelines.extract.pdf.ocr_rapidocr:RapidOcr"}
_ALLOWED: Final = "rapidocr, none, or module:object (an OcrEngine, or what makes one)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read on a page: a text, or the reason why there is none."""

    text: str | None = None
    """Markdown, in reading order."""
    reason: str | None = None
    """Of the reject: `ocr_no_text` where nothing is written on the page, which may be blank, else
    what kept the engine from reading it."""
    message: str | None = None
    confidence: float | None = None
    """Mean over the characters, in [0, 1]; also of pages that are rejected for it."""

    def __post_init__(self) -> None:
        if (self.text is None) == (self.reason is None):
            raise ValueError("a reading has either a text or the reason why there is none")


@runtime_checkable
class OcrEngine(Protocol):
    """What reads pictures of pages."""

    @property
    def name(self) -> str:
        """Name and version, such as `rapidocr/3.10.0`; another text needs another name."""

    def read(self, image: "Image") -> Reading:
        """Reads one page.

        Args:
            image: uint8[height, width, 3], blue first, in whatever turn.
        """


@functools.cache
def ocr_engine(name: str) -> OcrEngine:
    """The engine of a name, made once a process.

    Args:
        name: `rapidocr`, or `module:object`; the object is an engine, or a class or function
            that makes one without arguments.

    Raises:
        ValueError: There is no such engine, or it is none.
    """
    module_name, separator, attribute = _OURS.get(name, name).partition(":")
    if not separator:
        raise ValueError(f"extract.pdf.ocr is {name!r}; it can be {_ALLOWED}")
    try:
        found = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"extract.pdf.ocr is {name!r}, which cannot be imported here ({error}); "
            f"install it where pages are read, or set it to rapidocr or none"
        ) from error
    engine: object = found
    if isinstance(engine, type) or not hasattr(engine, "read"):
        if not callable(engine):
            raise ValueError(_no_engine(name, engine))
        engine = engine()
    if not isinstance(engine, OcrEngine) or not (isinstance(engine.name, str) and engine.name):
        raise ValueError(_no_engine(name, engine))
    return engine


def _no_engine(name: str, found: object) -> str:
    return (
        f"extract.pdf.ocr is {name!r}, which is a {type(found).__name__} and no OCR engine: it "
        f"needs a name and a method read(image) -> Reading"
    )

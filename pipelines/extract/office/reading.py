"""EPUB, DOCX, ODT, PPTX and XPS: which of them a file is, and its text.

The kind is told by what stands in the package, not by the name of the file or the media type that
a server sent. What is no such package, asks for a password or unpacks without end is a reject:
`broken_document`, `encrypted`, `unpacked_too_large`, `too_many_pages`, `no_text`.
"""

from collections.abc import Callable
from typing import Final

from pipelines.extract.extracted import NO_TEXT, Extracted
from pipelines.extract.media import OFFICE_TYPES, OLE_TYPE, sniff_media_type
from pipelines.extract.office.package import MAX_UNPACKED_BYTES, OfficeRefused, Package
from pipelines.extract.text import tidy

_Reader = Callable[[Package], tuple[str, dict[str, str]]]


def read_office(
    payload: bytes, media_type: str | None, max_bytes: int = MAX_UNPACKED_BYTES
) -> Extracted:
    """The text of a document.

    Args:
        payload: The file.
        media_type: As declared; the content of the package comes before it.
        max_bytes: Of all that is unpacked.
    """
    extractor = "office/1"
    try:
        package = _opened(payload, max_bytes)
        found = _kind(package)
        if found is None:
            raise OfficeRefused("broken_document", "a ZIP file, but none of " + _names())
        extractor, read = _reader(found)
        text, facts = read(package)
        text = tidy(text)
    except OfficeRefused as refused:
        return _rejected(extractor, refused.reason, str(refused), media_type)
    except RecursionError:
        return _rejected(extractor, "broken_document", "elements nest without end", media_type)
    except (MemoryError, ImportError):
        raise  # the limit of this process, or a package that is not installed
    except Exception as error:
        # mammoth, python-pptx and the XML parsers beneath them raise classes of many kinds on
        # documents that break their rules; one document is lost, with its reason.
        message = f"{type(error).__name__}: {error}"
        return _rejected(extractor, "broken_document", message, media_type)
    language = facts.pop("language", None)
    if not text.strip():
        return _rejected(extractor, "no_text", NO_TEXT, found)
    return Extracted(
        extractor=extractor,
        text=text,
        media_type=found,
        declared_language=language.lower().replace("_", "-") if language else None,
        meta=facts,
    )


def _opened(payload: bytes, max_bytes: int) -> Package:
    if sniff_media_type(payload) == OLE_TYPE:
        # MS-OFFCRYPTO: a document with a password is an OLE file around the encrypted package.
        is_locked = "EncryptedPackage".encode("utf-16-le") in payload
        message = (
            "the document is encrypted with a password"
            if is_locked
            else "an Office file of before 2007 (DOC, XLS, PPT); save it as DOCX or PDF"
        )
        raise OfficeRefused("encrypted" if is_locked else "broken_document", message)
    return Package.of(payload, max_bytes)


def _kind(package: Package) -> str | None:
    """The media type of a package, by what stands in it."""
    if package.has("mimetype"):
        declared = package.read("mimetype").strip().decode("ascii", "replace")
        if declared in OFFICE_TYPES:
            return declared
    return next((kind for kind, (name, _) in _SIGNS.items() if package.has(name)), None)


def _reader(kind: str) -> tuple[str, _Reader]:
    """(extractor, function) of a kind; libraries are loaded when the first file of it is met."""
    return _SIGNS[kind][1]()


def _epub() -> tuple[str, _Reader]:
    from pipelines.extract.office.epub import read_epub

    return "epub/1", read_epub


def _odt() -> tuple[str, _Reader]:
    from pipelines.extract.office.odt import read_odt

    return "odt/1", read_odt


def _docx() -> tuple[str, _Reader]:
    from pipelines.extract.office.docx import READER, read_docx

    return READER, read_docx


def _pptx() -> tuple[str, _Reader]:
    from pipelines.extract.office.pptx import READER, read_pptx

    return READER, read_pptx


def _xps() -> tuple[str, _Reader]:
    from pipelines.extract.office.xps import read_xps

    return "xps/1", read_xps


_SIGNS: Final[dict[str, tuple[str, Callable[[], tuple[str, _Reader]]]]] = {
    OFFICE_TYPES[0]: ("META-INF/container.xml", _epub),
    OFFICE_TYPES[1]: ("content.xml", _odt),
    OFFICE_TYPES[2]: ("word/document.xml", _docx),
    OFFICE_TYPES[3]: ("ppt/presentation.xml", _pptx),
    OFFICE_TYPES[4]: ("FixedDocSeq.fdseq", _xps),
    OFFICE_TYPES[5]: ("FixedDocumentSequence.fdseq", _xps),
}
"""Media type -> a member that only such a package has, and what reads it."""


def _names() -> str:
    return "EPUB, ODT, DOCX, PPTX, XPS"


def _rejected(extractor: str, reason: str, message: str, media_type: str | None) -> Extracted:
    return Extracted(
        extractor=extractor, reason=reason, message=message[:500], media_type=media_type
    )

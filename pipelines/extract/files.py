"""A file that is one record: a page, a text, code, a PDF, a picture or an office document.

The record is named by the path of the file relative to the root of its source. A packed file
(gzip, Zstandard, LZ4, bzip2) is looked through; a broken one is a reject, since half a page must
not pass for a page.
"""

from collections.abc import Iterator
from typing import Final

from pipelines.extract.code_files import PATH, REPOSITORY, code_media_type, split_path
from pipelines.extract.frames import FrameStream
from pipelines.extract.inputs import InputRange, ReadSettings, open_input
from pipelines.extract.media import (
    IMAGE_TYPES,
    OFFICE_TYPES,
    OLE_TYPE,
    PDF_TYPE,
    looks_like_pdf,
    sniff_media_type,
)
from pipelines.extract.packing import codec_of
from pipelines.extract.rows import Record
from pipelines.workspace.schema import ASKED, REJECTED

_MEDIA_TYPES: Final = {
    "html": "text/html",
    "text": "text/plain",
    "code": "text/plain",
    "pdf": PDF_TYPE,
    "image": IMAGE_TYPES[0],
    "office": OFFICE_TYPES[2],
}
"""Format -> what its files are taken for where their bytes do not say."""
_STEP: Final = 1 << 20


def read_file(input_range: InputRange, settings: ReadSettings) -> Iterator[Record]:
    """Yields the one record of a file.

    Raises:
        OSError: The file cannot be opened or read.
    """
    with open_input(input_range.url, settings) as file:
        size = file.seek(0, 2)
        blank = empty_file(input_range.file).replace(
            length=size, media_type=_media_type(input_range), meta=_facts(input_range, settings)
        )
        if size == 0:
            yield blank
            return
        file.seek(0)
        stream = FrameStream(file, codec_of(file.read(8)))
        payload = _read_all(stream, settings.max_record_bytes)
        if payload is None:
            message = f"more than {settings.max_record_bytes} bytes, the limit of a record"
            yield blank.replace(reason="too_large", message=message)
        elif stream.damage is not None:
            yield blank.replace(reason=stream.damage.reason, message=stream.damage.message)
        elif not payload:
            yield blank.replace(message="the packed file has no bytes")
        else:
            yield _asked(blank, payload, input_range.format)


def empty_file(file: str) -> Record:
    """The reject of a file without bytes: one, whatever its format."""
    return Record(
        file=file,
        offset=0,
        length=0,
        outcome=REJECTED,
        reason="empty_file",
        message="the file has no bytes",
    )


def _media_type(input_range: InputRange) -> str:
    of_code = code_media_type(input_range.file) if input_range.format == "code" else None
    return of_code or _MEDIA_TYPES[input_range.format]


def _facts(input_range: InputRange, settings: ReadSettings) -> dict[str, str]:
    """Of code, the repository that its folders name, and its path there."""
    if settings.code is None:
        return {}
    repository, path = split_path(input_range.file, settings.code.folders)
    return ({} if repository is None else {REPOSITORY: repository}) | {PATH: path}


def _asked(blank: Record, payload: bytes, format: str) -> Record:
    if format == "code":
        return blank.replace(outcome=ASKED, reason=None, message=None, payload=payload)
    found = PDF_TYPE if looks_like_pdf(payload) else sniff_media_type(payload)
    if found in (PDF_TYPE, *IMAGE_TYPES, *OFFICE_TYPES):
        blank = blank.replace(media_type=found)
    elif found == OLE_TYPE:
        blank = blank.replace(media_type=OFFICE_TYPES[2])  # its reader says what it is
    return blank.replace(outcome=ASKED, reason=None, message=None, payload=payload)


def _read_all(stream: FrameStream, max_bytes: int) -> bytes | None:
    """All unpacked bytes up to the first damage; None where they are more than the limit."""
    ahead = _STEP
    while stream.available(ahead) == ahead and ahead <= max_bytes:
        ahead *= 2
    if stream.available(max_bytes + 1) > max_bytes:
        return None
    return stream.peek(max_bytes)

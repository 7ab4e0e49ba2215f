"""Rows of the RECORD contract: one `Record` for every record met, packed into Arrow batches.

A batch holds at most 256 rows and about 8 MB of payload and text (DESIGN: Arrow batches of at most
8 MB cross process borders); one record of more than that is a batch of its own.

Strings are cleaned on the way: Arrow holds UTF-8, which has no lone surrogates, so each becomes
U+FFFD. Nothing else is changed here.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa

from pipelines.workspace.patience import StoreError
from pipelines.workspace.schema import ASKED, NOT_ASKED, RECORD, REJECTED, payload_digest

TRANSIENT: Final = (ConnectionError, TimeoutError, StoreError)
"""What another attempt may cure, or other credentials; all other errors of a file are rejects."""
MAX_BATCH_ROWS: Final = 256
MAX_BATCH_BYTES: Final = 8 << 20
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# An error message quotes input; more than this of it helps nobody.
_MAX_MESSAGE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of RECORD; the fields are those of the schema.

    The digest is made from payload or text when the row is packed.
    """

    file: str
    offset: int
    length: int
    outcome: str
    reason: str | None = None
    message: str | None = None
    uri: str | None = None
    media_type: str | None = None
    charset: str | None = None
    payload: bytes | None = None
    text: str | None = None
    ordinal: int = 0
    fetched_at: datetime | None = None
    license: str | None = None
    declared_language: str | None = None
    meta: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.outcome in (ASKED, REJECTED, NOT_ASKED)
        assert (self.outcome == ASKED) == (self.reason is None)
        assert (self.outcome == ASKED) == (self.payload is not None or self.text is not None)
        assert self.outcome != REJECTED or self.message

    def replace(self, **fields: object) -> "Record":
        """This row with other values in some fields."""
        return replace(self, **fields)  # type: ignore[arg-type]


def unreadable(file: str, offset: int, error: OSError) -> Record:
    """The reject of a file that cannot be read from a place on."""
    return Record(
        file=file,
        offset=offset,
        length=0,
        outcome=REJECTED,
        reason="unreadable_file",
        message=f"{type(error).__name__}: {error}",
        ordinal=offset,
    )


def replace_surrogates(text: str) -> str:
    """The text with U+FFFD for every lone surrogate, which UTF-8 cannot hold."""
    if text.isascii():
        return text
    try:
        text.encode()  # five times as fast as the search
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def text_of_utf8(data: bytes) -> str | None:
    """Decodes UTF-8 in which lone surrogates may stand as three bytes (they become U+FFFD).

    Returns:
        The text, or None where the bytes are no UTF-8 even so.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        return replace_surrogates(data.decode("utf-8", "surrogatepass"))
    except UnicodeDecodeError:
        return None


def to_batches(records: Iterable[Record]) -> Iterator[pa.RecordBatch]:
    """Packs records, in order, into RECORD batches of at most 256 rows and about 8 MB."""
    waiting: list[Record] = []
    num_bytes = 0
    for record in records:
        size = len(record.payload or b"") + len(record.text or "")
        if waiting and (len(waiting) == MAX_BATCH_ROWS or num_bytes + size > MAX_BATCH_BYTES):
            yield _pack(waiting)
            waiting, num_bytes = [], 0
        waiting.append(record)
        num_bytes += size
    if waiting:
        yield _pack(waiting)


def _pack(records: list[Record]) -> pa.RecordBatch:
    rows = [_row(record) for record in records]
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in RECORD]
    return pa.RecordBatch.from_arrays(columns, schema=RECORD)


def _row(record: Record) -> dict[str, object]:
    text, encoded = _encoded(record.text)
    body = record.payload if record.payload is not None else encoded
    return {
        "file": _clean(record.file),
        "offset": record.offset,
        "length": record.length,
        "outcome": record.outcome,
        "reason": record.reason,
        "message": _clean(record.message and record.message[:_MAX_MESSAGE]),
        "uri": _clean(record.uri),
        "media_type": _clean(record.media_type),
        "charset": _clean(record.charset),
        "payload": record.payload,
        "text": text,
        "digest": None if body is None else payload_digest(body),
        "ordinal": record.ordinal,
        "fetched_at": record.fetched_at,
        "license": _clean(record.license),
        "declared_language": _clean(record.declared_language),
        "meta": [(replace_surrogates(k), replace_surrogates(v)) for k, v in record.meta.items()],
    }


def _encoded(text: str | None) -> tuple[str | None, bytes | None]:
    """A text without lone surrogates, and its UTF-8."""
    if text is None:
        return None, None
    try:
        return text, text.encode()
    except UnicodeEncodeError:
        text = replace_surrogates(text)
        return text, text.encode()


def _clean(text: str | None) -> str | None:
    return None if text is None else replace_surrogates(text)


def parse_time(text: str) -> datetime | None:
    """Reads an ISO 8601 time, or an ARC time of 14 digits, as UTC; None where it is neither."""
    text = text.strip()
    try:
        if re.fullmatch(r"\d{14}", text):
            return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None

"""Arrow schemas of what a workspace holds, and the one function that names a document.

A record is what an input file holds: one WARC record, one line of JSONL, one row of Parquet, one
file of a folder. Reading gives one RECORD row for every record met, good or bad, so that the
equation of the extract job is a count of rows: records = documents + rejects + not asked for.
Extracting gives one EXTRACTED row for each RECORD row, in the same order.
"""

import hashlib
from typing import Final

import pyarrow as pa

ID_BYTES: Final = 16
ID: Final = pa.binary(ID_BYTES)
_META = pa.map_(pa.string(), pa.string())
_TIME = pa.timestamp("us", tz="UTC")

# The three things that can become of a record when it is read.
ASKED: Final = "asked"  # to be extracted; becomes a document or a reject
REJECTED: Final = "rejected"  # could not be read; `reason` and `message` say why
NOT_ASKED: Final = "not_asked"  # request, metadata, robots, revisit...; `reason` says which

RECORD: Final = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),  # path relative to the root of its source
        pa.field("offset", pa.int64(), nullable=False),  # byte (WARC, JSONL) or row (Parquet)
        pa.field("length", pa.int64(), nullable=False),  # bytes in the file, or 1 row
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("message", pa.string()),
        pa.field("uri", pa.string()),  # as written; the canonical form enters the id
        pa.field("media_type", pa.string()),  # as declared, without parameters, lower case
        pa.field("charset", pa.string()),  # as declared by HTTP
        pa.field("payload", pa.large_binary()),  # what is to be extracted ...
        pa.field("text", pa.large_string()),  # ... or, for WET, JSONL and Parquet, the text itself
        pa.field("digest", ID),  # blake2b of the payload (or of the UTF-8 of the text)
        pa.field("ordinal", pa.int64(), nullable=False),  # tells apart records with neither uri
        pa.field("fetched_at", _TIME),
        pa.field("license", pa.string()),
        pa.field("declared_language", pa.string()),
        pa.field("meta", _META),
    ]
)

PAGE_SIGNS: Final = pa.struct(
    [
        pa.field("num_chars", pa.int32()),  # of the text layer, no white space
        pa.field("garbled", pa.float32()),  # shares are in [0, 1]
        pa.field("strange", pa.float32()),
        pa.field("unmapped", pa.float32()),
        pa.field("hidden", pa.float32()),
        pa.field("image_share", pa.float32()),
        pa.field("text_share", pa.float32()),
        pa.field("num_small_paths", pa.int32()),
    ]
)
"""What triage measures of a page of a PDF; see `pipelines/extract/pdf/triage.py`."""

VL_PAGE: Final = pa.struct(
    [
        # ok | rotated (and read) | blank | truncated | repeating | refused | failed
        pa.field("verdict", pa.string()),
        pa.field("tries", pa.int32()),
        pa.field("rotation", pa.int32()),  # degrees clockwise by which the picture was turned
        pa.field("language", pa.string()),  # as the model says, in lower case
        pa.field("is_table", pa.bool_()),
        pa.field("is_diagram", pa.bool_()),
    ]
)
"""What a vision-language model says of a page; see `pipelines/extract/pdf/vl_ladder.py`."""

EXTRACTED: Final = pa.schema(
    [
        pa.field("text", pa.large_string()),  # null where rejected
        pa.field("reason", pa.string()),  # null where extracted
        pa.field("message", pa.string()),
        pa.field("extractor", pa.string()),  # name and version, e.g. trafilatura-fast/2.3.1
        pa.field("media_type", pa.string()),  # as found by looking at the bytes
        pa.field("license", pa.string()),
        pa.field("declared_language", pa.string()),
        pa.field("meta", _META),  # title, date, charset ... added to those of the record
        pa.field("kind", pa.string()),  # of provenance, where the text is not natural: transcribed
        pa.field("model", pa.string()),  # what transcribed it, e.g. rapidocr/3.10.0
        pa.field(  # what became of each page of a PDF or picture; null for all else
            "pages",
            pa.list_(
                pa.struct(
                    [
                        pa.field("page", pa.int32()),  # from 1
                        pa.field("outcome", pa.string()),  # text | ocr | blank | rejected
                        pa.field("reason", pa.string()),
                        pa.field("message", pa.string()),
                        pa.field("reader", pa.string()),  # name and version of what gave its text
                        pa.field("score", pa.float32()),  # how probably OCR reads it better
                        pa.field("confidence", pa.float32()),  # of OCR, mean over characters
                        pa.field("signs", PAGE_SIGNS),  # null where nothing was measured
                        pa.field("vl", VL_PAGE),  # null where no model was asked
                        pa.field("tokens", pa.int64()),  # that the model wrote for its text
                        pa.field("answer", ID),  # names that text: equal pages are paid for once
                    ]
                )
            ),
        ),
    ]
)

LOCATOR: Final = pa.struct(
    [
        pa.field("file", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("pages", pa.list_(pa.int32())),
    ]
)

PROVENANCE: Final = pa.struct(
    [
        pa.field("kind", pa.string()),  # natural | transcribed | refined | rewritten | synthetic
        pa.field("recipe", pa.string()),
        pa.field("model", pa.string()),
        pa.field("prompt_hash", pa.string()),
        pa.field("sampling", pa.string()),
        pa.field("thinking", pa.string()),
        pa.field("parents", pa.list_(ID)),
        pa.field("rewrite_index", pa.int32()),
        pa.field("depth", pa.int32()),  # generations of models between a human and this text
        pa.field("root", ID),  # hash of the normalised text of its first ancestor; null: of itself
    ]
)

DOCUMENT: Final = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("uri", pa.string()),
        pa.field("host", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("media_type", pa.string()),
        pa.field("fetched_at", _TIME),
        pa.field("license", pa.string()),
        pa.field("declared_language", pa.string()),
        pa.field("locator", LOCATOR, nullable=False),
        pa.field("extractor", pa.string(), nullable=False),
        pa.field("meta", _META),
        pa.field("provenance", PROVENANCE, nullable=False),
    ]
)

REJECT: Final = pa.schema(
    [
        pa.field("id", ID),  # null where the record could not be read far enough to have one
        pa.field("uri", pa.string()),
        pa.field("locator", LOCATOR, nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
    ]
)


PAGES: Final = pa.schema(
    [
        pa.field("id", ID),  # of the document, or of the reject that the whole file became
        pa.field("file", pa.string(), nullable=False),  # as in the locator
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("page", pa.int32(), nullable=False),  # from 1
        pa.field("outcome", pa.string(), nullable=False),  # text | ocr | blank | rejected
        pa.field("reason", pa.string()),  # of its rejection, or why its text layer was doubted
        pa.field("reader", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("confidence", pa.float32()),
        *PAGE_SIGNS,
    ]
)
"""One row for each page of a PDF or picture; what is under EXTRACTED holds for its fields."""

VL_PAGES: Final = pa.schema([*PAGES, *VL_PAGE])
"""The same where a vision-language model reads the pages; null for those that it was not shown."""


def document_id(source: str, name: str, digest: bytes, ordinal: int) -> bytes:
    """Names a record: two records with the same source, name, payload and ordinal are one.

    Args:
        source: Name of the source.
        name: Canonical URI, or the path relative to the root of the source.
        digest: Payload digest, 16 bytes.
        ordinal: Position among records that share a name; 0 where the name is a URI.

    Returns:
        16 bytes of blake2b over the four fields, each preceded by its length.
    """
    state = hashlib.blake2b(digest_size=ID_BYTES)
    for field in (source.encode(), name.encode(), digest, ordinal.to_bytes(8, "little")):
        state.update(len(field).to_bytes(8, "little"))
        state.update(field)
    return state.digest()


def payload_digest(payload: bytes) -> bytes:
    """The 16-byte blake2b that stands for a payload in `digest`."""
    return hashlib.blake2b(payload, digest_size=ID_BYTES).digest()

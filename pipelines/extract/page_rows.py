"""The dataset of pages: one row for each page of a PDF or picture that was opened.

It says what became of each page, by which reader, and the signs that decided it: enough to set the
threshold and the budget of OCR anew for a corpus without reading it again, and to find the pages
that are worth another engine. Texts stay in documents, messages in rejects.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipelines.workspace.parts import batch_of
from pipelines.workspace.schema import PAGE_SIGNS, PAGES, VL_PAGE, VL_PAGES


def pages_folder(job: str, fp: str, source: str) -> str:
    """Where the pages of one source stand."""
    return f"pages/{job}@{fp}/{source}"


def page_rows(
    record: Mapping[str, Any],
    pages: Sequence[Mapping[str, Any]],
    id_: bytes | None,
    schema: pa.Schema = PAGES,
) -> pa.RecordBatch:
    """PAGES rows of one file.

    Args:
        record: Its RECORD row.
        pages: Of its EXTRACTED row.
        id_: Of its document or reject.
        schema: PAGES, or VL_PAGES.
    """
    no_signs = dict.fromkeys(field.name for field in PAGE_SIGNS)
    no_vl = dict.fromkeys(field.name for field in VL_PAGE) if schema is VL_PAGES else {}
    names = ("page", "outcome", "reason", "reader", "score", "confidence")
    rows = [
        {
            "id": id_,
            "file": record["file"],
            "offset": record["offset"],
            **{name: page[name] for name in names},
            **(page["signs"] or no_signs),
            **(no_vl and (page["vl"] or no_vl)),
        }
        for page in pages
    ]
    return batch_of(rows, schema)


def written_nowhere(_: pa.RecordBatch) -> None:
    """Takes the rows where only their number is asked for."""

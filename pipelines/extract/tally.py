"""What was met while a part was extracted: counts for the ledger, rejects, and pages."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.extract.given import Made
from pipelines.extract.page_rows import page_rows, written_nowhere
from pipelines.extract.pdf.schema import BLANK, READ, REJECTED
from pipelines.workspace.schema import ASKED, NOT_ASKED, PAGES
from pipelines.workspace.takedown import TAKEN_DOWN, Takedowns

_MESSAGE_CHARS: Final = 500


@dataclass(slots=True)
class Tally:
    """What was met while a part was read."""

    write_pages: Callable[[pa.RecordBatch], None] = written_nowhere
    """Takes the rows of the pages of a file; by default nobody does."""
    pages_schema: pa.Schema = PAGES
    """Of those rows: PAGES or VL_PAGES."""
    takedowns: Takedowns = field(default_factory=lambda: Takedowns(()))
    records: int = 0
    text_bytes: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """Documents by who wrote them, see PROVENANCE."""
    truncated: Counter[str] = field(default_factory=Counter)
    """Documents whose payload was cut by whoever fetched it, by why."""
    not_asked: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    num_pages: int = 0
    """Of paged files that could be opened; counted apart from the outcomes of the pages."""
    pages: Counter[str] = field(default_factory=Counter)
    page_reasons: Counter[str] = field(default_factory=Counter)
    extents: dict[str, list[int]] = field(default_factory=dict)
    """File -> offset of its first record here and of the end of its last one."""
    rejects: list[dict[str, Any]] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    """Of a vision-language model, on the pages that it was shown."""
    tries: int = 0
    """Times that it was asked."""
    accepted_tokens: int = 0
    """That it wrote for texts of documents; those of equal pages count once, as they are paid."""
    answers: set[bytes | None] = field(default_factory=set)
    page_rejects: list[dict[str, Any]] = field(default_factory=list)
    """REJECT rows of pages; `pages` of the locator holds the one number."""

    def vl(self) -> dict[str, Any]:
        """What a vision-language model made of the pages that it was shown, for the ledger.

        accepted (ok, rotated, blank) + rejected = sum of verdicts.
        """
        accepted = sum(self.verdicts[verdict] for verdict in (*READ, BLANK))
        return {
            "accepted": accepted,
            "rejected": self.verdicts.total() - accepted,
            "verdicts": dict(sorted(self.verdicts.items())),
            "tries": self.tries,
            "accepted_tokens": self.accepted_tokens,
        }

    def sort_out(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Counts all rows and gives back those to be extracted."""
        self.records += batch.num_rows
        self._extend(batch)
        asked = pc.equal(batch.column("outcome"), ASKED)
        if not asked.false_count:
            return batch
        others = batch.filter(pc.invert(asked)).drop_columns(["payload", "text"])
        for row in others.to_pylist():
            if row["outcome"] == NOT_ASKED:
                self.not_asked[row["reason"]] += 1
            else:
                self.reject(row, row["reason"], row["message"] or "", None)
        return batch.filter(asked)

    def without_taken_down(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Documents that may be kept; those that are forgotten become rejects."""
        covered = self.takedowns.cover_documents(documents.select(["id", "uri"]))
        if not covered.true_count:
            return documents
        for row in documents.filter(covered).select(["id", "uri", "locator"]).to_pylist():
            record = {**row["locator"], "uri": row["uri"]}
            self.reject(record, TAKEN_DOWN, "it was taken down", row["id"])
        return documents.filter(pc.invert(covered))

    def count(self, documents: pa.RecordBatch) -> None:
        """Counts the texts of some documents."""
        self.text_bytes += pc.sum(pc.binary_length(documents.column("text"))).as_py() or 0
        self.kinds.update(pc.struct_field(documents.column("provenance"), "kind").to_pylist())
        cut = pc.map_lookup(documents.column("meta"), pa.scalar("truncated"), "first")
        self.truncated.update(pc.drop_null(cut).to_pylist())

    def add(self, made: Made) -> None:
        """Counts what a block gave."""
        self.records += made.num_records
        for record, reason, message, id_ in made.rejects:
            self.reject({**record, "file": made.file}, reason, message, id_)
        if made.num_records:
            start, end = made.extent
            extent = self.extents.setdefault(made.file, [start, start])
            extent[0], extent[1] = min(extent[0], start), max(extent[1], end)

    def reject(self, record: dict[str, Any], reason: str, message: str, id_: bytes | None) -> None:
        """Notes a reject."""
        self.reasons[reason] += 1
        self.rejects.append(_reject_row(record, reason, message, id_, None))

    def add_pages(
        self,
        record: dict[str, Any],
        pages: list[dict[str, Any]],
        id_: bytes | None,
        *,
        is_kept: bool = True,
    ) -> None:
        """Counts and writes the pages of a file and notes the rejected ones.

        Args:
            record: Its RECORD row.
            pages: Of its EXTRACTED row.
            id_: Of its document or reject.
            is_kept: Whether it is a document.
        """
        self.num_pages += len(pages)
        if pages:
            self.write_pages(page_rows(record, pages, id_, self.pages_schema))
        for page in pages:
            if page["vl"] is not None:
                self.verdicts[page["vl"]["verdict"]] += 1
                self.tries += page["vl"]["tries"]
                if is_kept and page["answer"] not in self.answers:
                    self.accepted_tokens += page["tokens"] or 0
                    self.answers.add(page["answer"])
            self.pages[page["outcome"]] += 1
            if page["outcome"] == REJECTED:
                self.page_reasons[page["reason"]] += 1
                row = (page["reason"], page["message"] or "", id_, page["page"])
                self.page_rejects.append(_reject_row(record, *row))

    def _extend(self, batch: pa.RecordBatch) -> None:
        starts = batch.column("offset").to_numpy()
        ends = starts + batch.column("length").to_numpy()
        files = batch.column("file").to_pylist()
        for row, (file, start) in enumerate(zip(files, starts.tolist(), strict=True)):
            extent = self.extents.setdefault(file, [start, start])
            extent[0], extent[1] = min(extent[0], start), max(extent[1], int(ends[row]))


def _reject_row(
    record: dict[str, Any], reason: str, message: str, id_: bytes | None, page: int | None
) -> dict[str, Any]:
    pages = {} if page is None else {"pages": [page]}
    return {
        "id": id_,
        "uri": record["uri"],
        "locator": {**{name: record[name] for name in ("file", "offset", "length")}, **pages},
        "reason": reason,
        "message": message[:_MESSAGE_CHARS],
    }

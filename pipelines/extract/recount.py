"""The audit's recount of extract: the pages of a part by outcome, and its inputs, read again."""

from collections import Counter
from collections.abc import Iterator

from pipelines.config import ExtractConfig, SourceConfig
from pipelines.extract.inputs import exists
from pipelines.extract.job import count_records
from pipelines.extract.pdf.schema import BLANK, OCR, REJECTED, TEXT
from pipelines.extract.sources import NOT_READ
from pipelines.workspace.audit_entries import InputsGone
from pipelines.workspace.inventory import Inventory
from pipelines.workspace.ledger import ERASED, Entry
from pipelines.workspace.parts import read_batches
from pipelines.workspace.schema import NOT_ASKED
from pipelines.workspace.workspace import Workspace


def recount_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Compares the counts of an extract entry with its pages, and with its inputs as they are now.

    Raises:
        InputsGone: They are no longer there, which is allowed.
    """
    yield from _page_faults(workspace, entry)
    payload = workspace.ledger.payload(f"{entry.job}@{entry.fp}")
    source = SourceConfig(path="", **payload["source"])
    settings = ExtractConfig(**payload["settings"])
    spans = Inventory(workspace.storage, entry.source).part(entry.part)
    gone = [s.file for s in spans if s.format not in NOT_READ and not exists(s.url)]
    if gone:
        raise InputsGone(f"{entry.source} part {entry.part}: {gone[0]} is no longer there")
    outcomes: Counter[str] = count_records(source, settings, spans)
    # Where an erasure took a record out of an archive, one that is not asked for stands there.
    erased = entry.detail.get(ERASED, {}).get("records", 0)
    found = {"records": outcomes.total(), "not_asked": outcomes[NOT_ASKED] - erased}
    for name, number in found.items():
        if number != entry.counts[name]:
            yield (
                f"{entry.job}@{entry.fp} {entry.source} part {entry.part}: its inputs now hold "
                f"{number} {name}, and {entry.counts[name]} were counted"
            )


def _page_faults(workspace: Workspace, entry: Entry) -> Iterator[str]:
    """Compares what the dataset of pages says with what was counted."""
    place = f"{entry.job}@{entry.fp} {entry.source} part {entry.part}"
    refs = [ref for ref in entry.files if ref.kind == "pages"]
    if entry.counts["pages"] and not refs:
        yield f"{place}: {entry.counts['pages']} pages were counted, and it names no file of pages"
        return
    outcomes: Counter[str] = Counter()
    for ref in refs:
        for batch in read_batches(workspace.storage, ref, ["outcome"]):
            outcomes.update(batch.column("outcome").to_pylist())
    for outcome in (TEXT, OCR, BLANK, REJECTED):
        counted = entry.counts[f"pages_{outcome}"]
        if outcomes[outcome] != counted:
            yield f"{place}: {outcomes[outcome]} pages are {outcome}, and {counted} were counted"

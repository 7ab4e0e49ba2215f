"""run.json: which generations the last run of a workspace made, and `runs/`: those before it.

The ledger knows every generation, old and new; this file says which of them belong together.
Reports and launch scripts start from it. It is rewritten by each run, and nothing that is committed
depends on it. What it said is kept in `runs/00001.json` and on, one file for each run that made
something else than the one before, so that two runs can be compared.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from pipelines.workspace.workspace import Workspace

PATH: Final = "run.json"
_HISTORY: Final = "runs"
# What differs between two runs that made the same.
_OF_THE_MOMENT: Final = ("finished_at", "seconds", "launch", "code")
_AGAIN: Final = "give the same `tokenmill run` again, which writes it anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What one run made; generations by their full name, `job@fp`."""

    corpus: str
    """Name of the corpus."""
    sources: Mapping[str, list[int]]
    """Source -> its parts."""
    crawl: Mapping[str, str] = field(default_factory=dict)
    """Source -> `crawl@fp`, of sources that are crawled."""
    extract: Mapping[str, str]
    """Source -> `extract@fp`."""
    synthesize: Mapping[str, str] = field(default_factory=dict)
    """Source that a recipe made -> `synthesize@fp`."""
    annotate: Mapping[str, Mapping[str, str]]
    """Source -> labels set -> `annotate.<set>@fp`."""
    duplicates: str
    """`deduplicate@fp`, the labels set `duplicates` of all sources."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels set over all sources -> `job@fp`: same_url, boilerplate and the like."""
    mixtures: Mapping[str, str]
    """Mixture -> folder of its plan, `mixtures/<mixture>@<fp>`, in the order of corpus.yaml."""
    shards: Mapping[str, str]
    """Mixture -> `shards.<mixture>@fp`; the shards stand in `shards/<mixture>@<fp>/<stage>/`."""
    tokenizer: str
    """The tokenizer.json, or its folder, as corpus.yaml names it, made absolute."""
    tokenizer_fingerprint: str
    shard_tokens: int
    """Tokens of one shard, about, as corpus.yaml says."""
    shard_format: str
    eod: str
    """Text of the token that ends a document."""
    validation: str = ""
    """`validation@fp`, the labels set `validation` of all sources; empty where none is held out."""
    launch: Mapping[str, str] = field(default_factory=dict)
    """Model -> folder of its scripts."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Mixture that this corpus cannot fill -> why."""
    finished_at: str
    """When the run that made the last part ended, UTC, ISO 8601 to the second."""
    models: str
    """One line on models that write text: which, or that there is none."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Stage title -> wall-clock seconds, summed over the runs that made it."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """corpus.yaml as it was read, defaults left out; secrets stand in it by variable name only."""
    code: str = ""
    """Version of tokenmill."""

    @property
    def documents(self) -> dict[str, str]:
        """Source -> generation of its documents, extracted or made."""
        return {**self.extract, **self.synthesize}


def write_run_record(workspace: Workspace, record: RunRecord) -> None:
    """Keeps the record of the run that just ended, and that of the run before it."""
    data = json.dumps(asdict(record), indent=1, ensure_ascii=False).encode()
    _keep(workspace, record, data)
    workspace.storage.replace(PATH, data)


def read_run_record(workspace: Workspace) -> RunRecord:
    """Reads the record of the last run.

    Raises:
        LookupError: No run came to its end here.
    """
    try:
        return _read(workspace, PATH)
    except FileNotFoundError as error:
        raise LookupError(
            f"{workspace.url} has no {PATH}: no run came to its end here; give `tokenmill run "
            "corpus.yaml --workspace ...` first"
        ) from error


def run_numbers(workspace: Workspace) -> list[int]:
    """Numbers of the runs that are kept, ascending."""
    paths = workspace.storage.files(_HISTORY)
    return sorted(int(path[len(_HISTORY) + 1 : -len(".json")]) for path in paths)


def read_past_run(workspace: Workspace, number: int) -> RunRecord:
    """Reads the record of a run that is kept.

    Raises:
        LookupError: There is none of this number.
    """
    try:
        return _read(workspace, _kept_path(number))
    except FileNotFoundError as error:
        kept = ", ".join(map(str, run_numbers(workspace))) or "none"
        raise LookupError(
            f"{workspace.url} has no run {number}; kept are {kept}: give one of them"
        ) from error


def _keep(workspace: Workspace, record: RunRecord, data: bytes) -> None:
    """Adds a record to those that are kept, unless the last of them says the same."""
    numbers = run_numbers(workspace)
    with suppress(LookupError):  # one that is damaged says nothing
        if numbers and _made(read_past_run(workspace, numbers[-1])) == _made(record):
            return
    number = numbers[-1] + 1 if numbers else 1
    while not workspace.storage.create(_kept_path(number), data):
        number += 1


def _made(record: RunRecord) -> dict[str, Any]:
    """What a run made, in the form that is compared."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(record)))
    return {key: value for key, value in found.items() if key not in _OF_THE_MOMENT}


def _kept_path(number: int) -> str:
    return f"{_HISTORY}/{number:05d}.json"


def _read(workspace: Workspace, path: str) -> RunRecord:
    """A record from its file.

    Raises:
        FileNotFoundError: It is not there.
        LookupError: It is damaged.
    """
    try:
        raw = json.loads(workspace.storage.read(path))
    except ValueError as error:
        raise LookupError(f"{path} of {workspace.url} is damaged ({error}); {_AGAIN}") from error
    try:
        return TypeAdapter(RunRecord).validate_python(raw)
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(map(str, wrong["loc"]))
        raise LookupError(
            f"{path} of {workspace.url} is damaged or of another release ({key}: "
            f"{wrong['msg']}); {_AGAIN}"
        ) from error


def record_faults(workspace: Workspace) -> Iterator[str]:
    """What run.json names and the ledger does not hold."""
    if not workspace.storage.exists(PATH):
        return
    try:
        record = read_run_record(workspace)
    except LookupError as error:
        yield str(error)
        return
    over_sources = (record.duplicates, record.validation, *record.labels.values())
    named = [
        *((name, source) for source, name in record.crawl.items()),
        *((name, source) for source, name in record.documents.items()),
        *((n, source) for source, sets in record.annotate.items() for n in sets.values()),
        *((name, source) for source in record.sources for name in over_sources if name),
        *((name, None) for name in record.shards.values()),
    ]
    for folder in (*record.mixtures.values(), *record.launch.values()):
        if not workspace.storage.files(folder):
            yield f"{folder}: {PATH} names it, and there is no file in it"
    for name, source in named:
        held = {part for _, part in workspace.ledger.places(name, source)}
        whole = not name.startswith(("crawl@", "shards."))
        absent = set(record.sources[source]) - held if whole and source else set()
        if not held or absent:
            told = f"parts {sorted(absent)[:5]}" if absent else "all entries"
            yield f"ledger/{name}: {PATH} names it, and it lacks {told} of {source or 'its stages'}"

"""run.json: which generations the last run of a workspace made.

The ledger knows every generation, old and new; this file says which of them belong together.
Reports and launch scripts start from it. It is rewritten by each run, and nothing that is committed
depends on it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from pydantic import TypeAdapter, ValidationError

from pipelines.workspace.workspace import Workspace

PATH: Final = "run.json"
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

    @property
    def documents(self) -> dict[str, str]:
        """Source -> generation of its documents, extracted or made."""
        return {**self.extract, **self.synthesize}


def write_run_record(workspace: Workspace, record: RunRecord) -> None:
    """Keeps the record of the run that just ended."""
    data = json.dumps(asdict(record), indent=1, ensure_ascii=False).encode()
    workspace.storage.fs.pipe_file(workspace.storage.path(PATH), data)


def read_run_record(workspace: Workspace) -> RunRecord:
    """Reads the record of the last run.

    Raises:
        LookupError: No run came to its end here.
    """
    try:
        raw = json.loads(workspace.storage.read(PATH))
    except FileNotFoundError as error:
        raise LookupError(
            f"{workspace.url} has no {PATH}: no run came to its end here; give `tokenmill run "
            "corpus.yaml --workspace ...` first"
        ) from error
    except ValueError as error:
        raise LookupError(f"{PATH} of {workspace.url} is damaged ({error}); {_AGAIN}") from error
    try:
        return TypeAdapter(RunRecord).validate_python(raw)
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(map(str, wrong["loc"]))
        raise LookupError(
            f"{PATH} of {workspace.url} is damaged or of another release ({key}: "
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
        held = {entry.part for entry in workspace.ledger.entries(name, source)}
        whole = not name.startswith(("crawl@", "shards."))
        absent = set(record.sources[source]) - held if whole and source else set()
        if not held or absent:
            told = f"parts {sorted(absent)[:5]}" if absent else "all entries"
            yield f"ledger/{name}: {PATH} names it, and it lacks {told} of {source or 'its stages'}"

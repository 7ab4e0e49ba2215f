"""Commands that label plain files, without a corpus: `annotate`, `deduplicate`, `decontaminate`.

Their input is Parquet and JSONL; their output folder is a workspace with the same files that a run
would write, less mixtures and shards. An input is a file, a folder or a glob; files below one root
folder are one source, so that `in/a.jsonl`, `in/*.jsonl` and `in` give a document the same id. What
earlier calls gave to the folder stays in it: a further call adds its files, and labels all.
(`crawl` and `extract` are in `standalone_extract`.)
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.annotate.job import AnnotateJob
from pipelines.annotate.registry import AnnotatorSpec
from pipelines.config import ExtractConfig, SourceConfig
from pipelines.extract.inputs import InputRange, ReadSettings
from pipelines.extract.job import ExtractJob
from pipelines.extract.records import read_records
from pipelines.extract.sources import list_source
from pipelines.progress import Progress
from pipelines.run_record import RunRecord, read_run_record, write_run_record
from pipelines.stages import RunOptions, Stages, refuse_own_files
from pipelines.workspace.children import Limits, default_processes
from pipelines.workspace.fingerprints import Generation, canonical_json
from pipelines.workspace.inventory import Inventory, Listed
from pipelines.workspace.jobs import PartKey, pending_keys
from pipelines.workspace.schema import ASKED
from pipelines.workspace.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

# Of expected text. Less than for a corpus, so that parts of a small input keep all cores busy.
PART_BYTES: Final = 64 << 20
# Of one record. More than for a corpus: whoever names a file means the long books in it as well.
_READ: Final = ExtractConfig(max_record_bytes=512 << 20)
_FORMATS: Final = ("jsonl", "parquet")
_NAMED: Final = re.compile(r"([a-z0-9][a-z0-9_.-]*)=(.+)", re.DOTALL)
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9_.-]+")
_MODELS: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """Input files below one folder."""

    name: str
    """Of the source that they are."""
    files: Mapping[str, Listed]
    """Path below the folder -> file."""
    skipped: tuple[str, ...]
    """Files of other formats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The documents of all sources of a folder, with the labels that were asked for."""

    workspace: Workspace
    sources: dict[str, list[int]]
    """Source -> its parts."""
    extract: dict[str, Generation]
    annotate: dict[str, tuple[Generation, ...]]
    rejects: Mapping[str, int]
    """Reason -> records that gave no document; `rejects/` lists them."""
    made: Mapping[str, int]
    """Labels set -> parts of it that this call made; the others were there."""

    @property
    def keys(self) -> list[PartKey]:
        """All parts, by source and number."""
        return [PartKey(name, part) for name, parts in self.sources.items() for part in parts]

    @property
    def rejects_told(self) -> list[str]:
        """A line that counts the rejected records by reason; none where there are none."""
        told = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.rejects.items()))
        return [f"rejected, in rejects/: {told}"] if told else []

    def sets(self, name: str) -> dict[str, Generation]:
        """Source -> its generation of a labels set."""
        return {
            source: generation
            for source, made in self.annotate.items()
            for generation in made
            if generation.job == f"annotate.{name}"
        }


def open_stages(output: str, processes: int | None) -> Stages:
    """The stages that write into a folder, which becomes a workspace where it is none.

    Raises:
        ValueError: The folder holds something else, or is the workspace of a corpus.
    """
    workspace = Workspace.create(output)
    _refuse_corpus(workspace)
    limits = Limits(processes=processes or default_processes())
    return Stages(
        workspace, RunOptions(workspace=output, limits=limits, is_watched=True), Progress()
    )


def find_inputs(inputs: Sequence[str], text_column: str) -> list[Root]:
    """Lists input files, in whatever order they were named.

    Args:
        inputs: Files, folders and globs, or NAME=PATH to name the source; fsspec URLs too.
        text_column: Column or field of the text.

    Raises:
        ValueError: A path matches nothing that can be read, two roots have one name, or a file is
            given under two of them.
    """
    names: dict[str, str] = {}
    files: dict[str, dict[str, Listed]] = {}
    skipped: dict[str, set[str]] = {}
    for word in sorted(set(inputs)):
        name, path = named(word)
        source = SourceConfig(name=name or "input", path=path, text_column=text_column)
        listed = list_source(source, PART_BYTES)
        root = listed[0].url[: len(listed[0].url) - len(listed[0].file)].rstrip("/")
        own = {item.file: item for item in listed if item.format in _FORMATS}
        others = {item.file for item in listed if item.format not in _FORMATS}
        if not own:
            raise ValueError(
                f"--input {word}: found {_formats(listed)}; allowed are JSONL, also packed (.gz, "
                ".zst), and Parquet with a text column; `tokenmill run` reads other formats"
            )
        given = names.setdefault(root, name or name_of(root))
        if name and name != given:
            raise ValueError(f"--input: {root} is called {given!r} and {name!r}; give one name")
        files.setdefault(root, {}).update(own)
        skipped.setdefault(root, set()).update(others)
    _refuse_twice(names, files)
    return [
        Root(name=names[root], files=files[root], skipped=tuple(sorted(skipped[root])))
        for root in sorted(names, key=names.__getitem__)
    ]


def named(word: str) -> tuple[str, str]:
    """(name or nothing, path) of an input."""
    match = _NAMED.fullmatch(word)
    return (match[1], match[2]) if match and not Path(word).exists() else ("", word)


def name_of(root: str) -> str:
    """A name for the folder: what its own name has of the characters that names may have."""
    word = root.rstrip("/").rpartition("/")[2].lower()
    return _NOT_IN_NAMES.sub("-", word).strip("-._") or "input"


def _formats(listed: Sequence[Listed]) -> str:
    return ", ".join(sorted({item.format for item in listed}))


def _refuse_twice(names: Mapping[str, str], files: Mapping[str, Mapping[str, Listed]]) -> None:
    """Refuses two roots of one name, and a file below two roots.

    Raises:
        ValueError: There are such.
    """
    by_name: dict[str, str] = {}
    by_url: dict[str, str] = {}
    for root in sorted(names):
        other = by_name.setdefault(names[root], root)
        if other != root:
            raise ValueError(
                f"--input: {other} and {root} are both called {names[root]!r}; name one of them "
                "otherwise, as NAME=PATH"
            )
        for item in files[root].values():
            first = by_url.setdefault(item.url, root)
            if first != root:
                raise ValueError(
                    f"--input: {item.url} is given below {first} and below {root}, and would be "
                    "its own duplicate; give it once"
                )


def label_texts(
    stages: Stages, inputs: Sequence[str], specs: tuple[AnnotatorSpec, ...], text_column: str
) -> Texts:
    """Reads the inputs, and what the folder held before, and annotates them.

    Args:
        stages: Of the output folder.
        inputs: See `find_inputs`.
        specs: Annotators, each after those whose labels it needs.
        text_column: Of the inputs; a source that is known keeps its own.

    Raises:
        ValueError: An input cannot be read or holds no text, or the folder is of something else.
        RuntimeError: A model was replaced on the way.
    """
    workspace = stages.workspace
    roots = find_inputs(inputs, text_column)
    for root in roots:
        _refuse_without_text(workspace, root, text_column)
    for root in roots:
        _number(stages, root, text_column)
    known = {name: _settings(workspace, name) for name in _source_names(workspace)}
    sources = {
        name: SourceConfig(name=name, path="", text_column=settings["text_column"])
        for name, settings in known.items()
    }
    parts = {name: Inventory(workspace.storage, name).parts() for name in sources}
    extract = {name: ExtractJob(source, _READ) for name, source in sources.items()}
    annotate = {name: AnnotateJob(job.generation, specs) for name, job in extract.items()}
    keys = [PartKey(name, part) for name, numbers in parts.items() for part in numbers]
    lacking = {
        spec.annotator.name: _lacking(workspace, annotate, number, keys)
        for number, spec in enumerate(specs)
    }
    stages.per_part(extract, annotate, keys)
    _refuse_unfinished(workspace, annotate, keys)
    rejects: Counter[str] = Counter()
    for name, job in extract.items():
        for entry in workspace.ledger.entries(job.generation, name):
            rejects.update(entry.detail["rejects"])
    return Texts(
        workspace=workspace,
        sources=parts,
        extract={name: job.generation for name, job in extract.items()},
        annotate={name: job.generations for name, job in annotate.items()},
        rejects=rejects,
        made=lacking,
    )


def _lacking(
    workspace: Workspace, annotate: Mapping[str, AnnotateJob], number: int, keys: Sequence[PartKey]
) -> int:
    """Counts the parts that a labels set does not have."""
    held = {
        place
        for source, job in annotate.items()
        for place in workspace.ledger.places(job.generations[number], source)
    }
    return len([key for key in keys if (key.source, key.part) not in held])


def _refuse_unfinished(
    workspace: Workspace, annotate: Mapping[str, AnnotateJob], keys: Sequence[PartKey]
) -> None:
    """Refuses labels of some parts only, as they are where a model was replaced meanwhile.

    Raises:
        RuntimeError: There are such.
    """
    lacking = pending_keys(workspace, annotate, list(keys))
    if lacking:
        raise RuntimeError(
            f"{len(lacking):,} of {len(keys):,} parts lack labels of the annotators as they are "
            "now: a model, a list or a module of theirs was changed on the way; give the same "
            "command again, which makes what is lacking"
        )


def _refuse_corpus(workspace: Workspace) -> None:
    """Refuses the workspace of a corpus, whose labels `tokenmill run` makes.

    Raises:
        ValueError: It is one.
    """
    named = [name for name in _source_names(workspace) if "path" in _settings(workspace, name)]
    crawled = [name for name in _source_names(workspace) if "crawl" in _settings(workspace, name)]
    if named or crawled:
        raise ValueError(
            f"{workspace.url} is the workspace of a corpus, with the source "
            f"{(named + crawled)[0]!r}; `tokenmill run` labels what is in it: name another folder"
        )


def _source_names(workspace: Workspace) -> list[str]:
    return sorted({path.split("/")[1] for path in workspace.storage.files("inventory")})


def _settings(workspace: Workspace, name: str) -> dict[str, str]:
    """How a source is read, as it was numbered."""
    settings: dict[str, str] = json.loads(workspace.storage.read(f"inventory/{name}/selection.txt"))
    return settings


def _refuse_without_text(workspace: Workspace, root: Root, text_column: str) -> None:
    """Refuses a new input all of whose records would be rejected, before it is numbered.

    What is numbered stays, so a column that is spelled wrongly would stay too. One record that has
    a text is enough: no further one is read.

    Raises:
        ValueError: It has no record, or none with a text.
    """
    if Inventory(workspace.storage, root.name).parts():
        return
    settings = ReadSettings(text_column=text_column, max_record_bytes=_READ.max_record_bytes)
    first: dict[str, Any] | None = None
    count = 0
    for item in root.files.values():
        read = read_records(InputRange(url=item.url, file=item.file, format=item.format), settings)
        for batch in read:
            if ASKED in batch.column("outcome").to_pylist():
                return
            count += batch.num_rows
            if first is None and batch.num_rows:
                first = batch.slice(0, 1).to_pylist()[0]
    if first is None:
        raise ValueError(
            f"--input: found no record in {_files(root)} of {root.name!r}; allowed are files with "
            "one record at least; name others"
        )
    raise ValueError(
        f"--input: found no text in the records of {_files(root)}, {count:,} in all, of "
        f"{root.name!r}; the first, in {first['file']}: {first['reason']}: {first['message']}; "
        f"name the column that holds the text with --text-column (now {text_column!r}), or other "
        "files; nothing was written of this input"
    )


def _files(root: Root) -> str:
    return "1 file" if len(root.files) == 1 else f"{len(root.files):,} files"


def _number(stages: Stages, root: Root, text_column: str) -> None:
    """Gives new files of a root their parts.

    Raises:
        ValueError: A file has changed since it was numbered, or is read otherwise.
    """
    workspace, name = stages.workspace, root.name
    listed = list(root.files.values())
    refuse_own_files(workspace, name, listed)
    chosen = canonical_json({"text_column": text_column})
    inventory = Inventory(workspace.storage, name)
    if inventory.parts() and _settings(workspace, name) != json.loads(chosen):
        raise ValueError(
            f"--text-column: found {text_column!r}; {workspace.url} has the source {name!r} with "
            f"{_settings(workspace, name)['text_column']!r}; give that, or NAME=PATH with another "
            "name"
        )
    inventory.extend(listed, PART_BYTES, chosen)
    stages.gone[name] = set()
    if root.skipped:
        stages.progress.say(
            f"note: {len(root.skipped)} files of {name} are neither JSONL nor Parquet and are not "
            f"read (first: {root.skipped[0]})"
        )


def keep_record(
    stages: Stages,
    texts: Texts,
    *,
    duplicates: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Writes run.json, so that `explain`, `trace`, `audit` and `report` know what belongs together.

    What another command said of the same documents stays.

    Args:
        stages: Of the output folder.
        texts: What was read and annotated.
        duplicates: `deduplicate@fp`, where it was made.
        labels: Further labels set over all sources -> its generation, likewise.
    """
    workspace = stages.workspace
    extract = {name: made.name for name, made in texts.extract.items()}
    try:
        before: RunRecord | None = read_run_record(workspace)
    except LookupError:
        before = None
    if before and (before.extract != extract or before.sources != texts.sources):
        before = None
    sets = {
        source: {
            **(before.annotate.get(source, {}) if before else {}),
            **{made.job.removeprefix("annotate."): made.name for made in generations},
        }
        for source, generations in texts.annotate.items()
    }
    record = RunRecord(
        corpus=name_of(workspace.url),
        sources=texts.sources,
        extract=extract,
        annotate=sets,
        duplicates=duplicates or (before.duplicates if before else ""),
        labels=(before.labels if before else {}) if labels is None else labels,
        mixtures={},
        shards={},
        tokenizer="",
        tokenizer_fingerprint="",
        shard_tokens=0,
        shard_format="",
        eod="",
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        models=_MODELS,
        seconds=dict(stages.progress.seconds),
    )
    write_run_record(workspace, record)


def say_where(console: "Console", texts: Texts, sets: Mapping[str, Generation]) -> None:
    """Says where the labels are, and how they join with the documents."""
    url = texts.workspace.url.rstrip("/")
    width = max(map(len, sets), default=0)
    console.print("\nLabels, a part beside each part of documents/, as Parquet:", soft_wrap=True)
    for name, made in sets.items():
        console.print(f"  {name:<{width}}  {url}/labels/{name}@{made.fp}/", soft_wrap=True)
    console.print(
        "Row i of labels/<set>@<fp>/<source>/part-<n>-*.parquet is of row i of "
        "documents/<source>@<fp>/part-<n>-*.parquet, and both have its id: concatenate columns.",
        soft_wrap=True,
    )

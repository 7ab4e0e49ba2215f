"""The annotate job: one read, sets that do not depend on each other, inputs, mistakes."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pipelines.annotate.job as job_module
from annotators.annotator import AnnotatorError
from pipelines.annotate.job import AnnotateJob
from pipelines.annotate.registry import AnnotatorSpec, ordered, spec_of
from pipelines.config import SourceConfig
from pipelines.extract.job import ExtractJob
from pipelines.extract.sources import list_source
from pipelines.standalone import _READ, PART_BYTES
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.inventory import Inventory
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import FileRef
from pipelines.workspace.parts import read_batches, read_table
from pipelines.workspace.storage import Storage
from pipelines.workspace.workspace import Workspace

sys.path.append(str(Path(__file__).parent))  # children inherit it

KEY = PartKey("notes", 0)
LINES = """\
{"text": "First! Second!", "url": "http://a.example/1", "license": "CC0-1.0", "lang": "en", "n": 7}
{"text": "die here, please!"}
{"text": "Третий!!!", "url": "http://b.example/"}
"""


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    made = Children(Limits(processes=1))
    yield made
    made.close()


@pytest.fixture
def workspace(tmp_path: Path, children: Children) -> Workspace:
    """One part of three documents."""
    file = tmp_path / "notes.jsonl"
    file.write_text(LINES, encoding="utf-8")
    workspace = Workspace.create(str(tmp_path / "w"))
    source = SourceConfig(name="notes", path=str(file))
    Inventory(workspace.storage, "notes").extend(list_source(source, PART_BYTES), PART_BYTES, "{}")
    ExtractJob(source, _READ).run(workspace, KEY, children)
    return workspace


def job_of(*specs: AnnotatorSpec) -> AnnotateJob:
    documents = ExtractJob(SourceConfig(name="notes", path=""), _READ).generation
    return AnnotateJob(documents, ordered(specs))


def own(name: str, **options: object) -> AnnotatorSpec:
    return spec_of(f"labellers:{name}", options)


def labels(workspace: Workspace, job: AnnotateJob) -> dict[str, list[dict[str, Any]]]:
    """Labels set -> its rows without ids."""
    found = {}
    for generation in job.generations:
        entry = workspace.ledger.get(generation, KEY.source, KEY.part)
        rows = read_table(workspace.storage, entry.file("labels")).drop_columns("id").to_pylist()
        found[generation.job.removeprefix("annotate.")] = rows
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Columns of each read of a part of texts."""
    found: list[list[str]] = []

    def counting(
        storage: Storage, ref: FileRef, columns: list[str], *, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        found.append(columns)
        return read_batches(storage, ref, columns, batch_rows=batch_rows)

    monkeypatch.setattr(job_module, "read_batches", counting)
    return found


def test_document_columns_reach_those_who_name_them(
    workspace: Workspace, children: Children, reads: list[list[str]]
) -> None:
    job = job_of(own("about"), own("marks"), spec_of("stem", {}))
    job.run(workspace, KEY, children)
    made = labels(workspace, job)
    assert [row["num_marks"] for row in made["marks"]] == [2, 1, 3]
    assert [row["about"] for row in made["about"]] == [
        "[2, 'http://a.example/1', 'notes', 'CC0-1.0', 'en', [('n', '7')], 'text/plain']",
        "[1, None, 'notes', None, None, [], 'text/plain']",
        "[3, 'http://b.example/', 'notes', None, None, [], 'text/plain']",
    ]
    # One read for three sets, of what they need and no more.
    wanted = ["declared_language", "license", "media_type", "meta", "source", "uri"]
    assert [(columns[:2], sorted(columns[2:])) for columns in reads] == [(["id", "text"], wanted)]


def test_document_columns_are_not_read_for_those_who_do_not(
    workspace: Workspace, children: Children, reads: list[list[str]]
) -> None:
    job_of(own("marks")).run(workspace, KEY, children)
    assert reads == [["id", "text"]]


def test_a_changed_annotator_is_made_anew_with_those_that_read_its_labels(
    workspace: Workspace, children: Children, reads: list[list[str]]
) -> None:
    before = job_of(own("marks"), own("about"), spec_of("stem", {}))
    before.run(workspace, KEY, children)
    changed = job_of(own("marks", mark="."), own("about"), spec_of("stem", {}))
    old = {one.job: one.fp for one in before.generations}
    new = {one.job: one.fp for one in changed.generations}
    differ = {name for name in old if old[name] != new[name]}
    assert differ == {"annotate.marks", "annotate.about"}
    changed.run(workspace, KEY, children)
    assert [row["num_marks"] for row in labels(workspace, changed)["marks"]] == [0, 0, 0]
    assert len(reads) == 2
    changed.run(workspace, KEY, children)
    stem = [p for p in workspace.storage.files("labels") if p.startswith("labels/stem@")]
    assert len(stem) == 1


def test_labels_committed_before_are_given_to_a_new_annotator(
    workspace: Workspace, children: Children
) -> None:
    job_of(own("marks")).run(workspace, KEY, children)
    both = job_of(own("marks"), own("about"))
    both.run(workspace, KEY, children)
    assert labels(workspace, both)["about"][2]["about"].startswith("[3, ")


def test_a_text_that_kills_one_annotator_keeps_its_labels_of_the_others(
    workspace: Workspace, children: Children
) -> None:
    job = job_of(own("marks"), own("fragile"), own("after"))
    job.run(workspace, KEY, children)
    made = labels(workspace, job)
    assert made["marks"] == [{"num_marks": 2}, {"num_marks": 1}, {"num_marks": 3}]
    assert made["fragile"] == [{"survived": True}, {"survived": None}, {"survived": True}]
    assert [row["after"] for row in made["after"]] == ["(True, 2)", "(None, 1)", "(True, 3)"]
    failed: Mapping[str, list[str]] = {
        generation.job: [
            row["reason"]
            for ref in workspace.ledger.get(generation, *("notes", 0)).files
            if ref.kind == "rejects"
            for row in read_table(workspace.storage, ref).to_pylist()
        ]
        for generation in job.generations
    }
    assert failed == {
        "annotate.marks": [],
        "annotate.fragile": ["crashed"],
        "annotate.after": [],
    }
    # As if it were alone.
    alone = job_of(own("marks"))
    assert alone.generations[0].fp == job.generations[0].fp


def test_an_annotator_that_raises_is_told_with_its_place_and_document(
    workspace: Workspace, children: Children
) -> None:
    message = (
        r"annotator raising raised ValueError: invalid literal.*\(at labellers\.py:\d+\) on "
        r"document [0-9a-f]{32} \('First! Second!'\); mend it"
    )
    with pytest.raises(RuntimeError, match=message):
        job_of(own("raising")).run(workspace, KEY, children)


def test_a_full_disk_of_an_annotator_is_not_taken_for_that_of_the_workspace(
    workspace: Workspace, children: Children
) -> None:
    with pytest.raises(RuntimeError, match=r"annotator full raised OSError: No space.*own") as told:
        job_of(own("full")).run(workspace, KEY, children)
    assert "[Errno" not in str(told.value)


def test_an_error_in_a_library_is_told_with_the_line_of_the_annotator(
    workspace: Workspace, children: Children
) -> None:
    file = Path(__file__).with_name("labellers.py")
    lines = file.read_text(encoding="utf-8").splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "own line" in line)
    with pytest.raises(RuntimeError, match=rf"casting raised .*\(at labellers\.py:{number}\)"):
        job_of(own("casting")).run(workspace, KEY, children)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("list", r"gave a list; allowed is a pyarrow RecordBatch of \['odd'\]"),
        ("columns", r"gave the columns \['even'\]; it declares \['odd'\]"),
        ("rows", r"gave 4 rows for 3 texts; allowed is one row for each text"),
        ("type", r"column odd: found values of type double; it declares int64"),
    ],
)
def test_what_an_annotator_gives_is_held_against_what_it_declares(
    workspace: Workspace, children: Children, kind: str, message: str
) -> None:
    with pytest.raises(AnnotatorError, match=f"annotator odd.*{message}"):
        job_of(own("Odd", kind=kind)).run(workspace, KEY, children)
    assert not list(workspace.storage.files("labels"))

"""Documents to read: the same ones every time, masked, each once."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from labelled_corpus import EMAIL, KEY, NEAR, PERSONAL

from pipelines.report.gather import gather
from pipelines.report.masking import OPENING_COLUMNS
from pipelines.report.rejects import choose_entries, read_rejects
from pipelines.report.rows import Rows, choose_parts, document_rows
from pipelines.report.samples import Samples, _cluster, _quoting, read_samples
from pipelines.run_record import read_run_record
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import DOCUMENT
from pipelines.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def samples(rich: Workspace) -> Samples:
    return read_samples(rich, read_run_record(rich), gather(rich).labels, 2)


def test_no_document_is_shown_twice_and_none_beyond_the_number(samples: Samples) -> None:
    shown = [sample.id for group in samples.groups for sample in group.samples]
    assert len(shown) == len(set(shown))
    assert all(1 <= len(group.samples) <= 2 for group in samples.groups)
    assert {"language", "pii", "quality_reason"} <= {group.column for group in samples.groups}


def test_documents_of_a_label_have_it_and_are_those_with_the_smallest_ids(
    rich: Workspace, samples: Samples
) -> None:
    record = read_run_record(rich)
    languages = {}
    for source, sets in record.annotate.items():
        for entry in rich.ledger.entries(sets["language"], source):
            rows = read_table(rich.storage, entry.file("labels"), ["id", "language"]).to_pylist()
            languages |= {row["id"].hex(): row["language"] for row in rows}
    before: set[str] = set()
    for group in sorted(samples.groups, key=lambda group: group.documents):
        found = [sample.id for sample in group.samples]
        if group.column == "language":
            having = [i for i, code in languages.items() if code == group.value and i not in before]
            assert set(found) <= set(having)
        before |= set(found)


def test_found_personal_data_is_nowhere(samples: Samples) -> None:
    everything = repr(dataclasses.astuple(samples))
    assert EMAIL not in everything
    assert KEY not in everything
    of_key = next(g for g in samples.groups if (g.column, g.value) in {("pii", "key")})
    masks = [piece.text for piece in of_key.samples[0].pieces if piece.masked]
    assert masks == ["email", "key", "email"]
    places = {sample.place for group in samples.groups for sample in group.samples}
    assert "https://mail.example/?to=[email]&page=1" in places


def test_near_copies_come_first_with_their_difference_marked(samples: Samples) -> None:
    roles = [cluster.role for cluster in samples.clusters]
    assert roles == sorted(roles, key=lambda role: role != "near_duplicate")
    near = next(c for c in samples.clusters if "".join(p.text for p in c.first.pieces) == NEAR[0])
    exact = next(c for c in samples.clusters if c.role == "duplicate")
    marked = {p.text for side in (near.first, near.other) for p in side.pieces if p.differs}
    assert (near.role, near.size, near.jaccard, near.same_text) == (
        "near_duplicate",
        2,
        0.75,
        False,
    )
    assert marked == {"trains", "buses"}
    assert exact.same_text
    assert samples.cluster_sizes[2] == len(samples.clusters)


def test_end_of_an_excerpt_is_no_difference() -> None:
    """One text has a sentence more, so that the excerpts end at different words."""
    words = [f"w{n}" for n in range(4000)]
    texts = (" ".join(words), " ".join([*words[:5], "only", "here", *words[5:]]))
    rows = Rows(pa.table({"id": [b"a", b"b"]}), [(PartKey("s", 0), 0), (PartKey("s", 0), 1)])
    documents = {
        row: {"id": b"a", "text": text, "uri": "u", "source": "s", "meta": (), "locator": {}}
        for row, text in enumerate(texts)
    }
    cluster = _cluster(rows, documents, 0, 1)
    sides = (cluster.first, cluster.other)
    marked = ["".join(p.text for p in side.pieces if p.differs).split() for side in sides]
    assert marked == [[], ["only", "here"]]
    shown = ["".join(piece.text for piece in side.pieces) for side in sides]
    assert [len(text) for text in shown] == [OPENING_COLUMNS] * 2
    assert all(text.startswith(part) for text, part in zip(texts, shown, strict=True))
    assert all(side.goes_on for side in sides)


def test_quotations_are_sorted_by_score_then_name() -> None:
    rows = Rows(
        pa.table(
            {
                "id": [b"a", b"b", b"c", b"d", b"e"],
                "benchmark": ["b", "a", None, "c", "a"],
                "contamination_score": [0.5, 0.5, None, 0.9, 0.2],
            }
        ),
        [(PartKey("s", 0), n) for n in range(5)],
    )
    assert _quoting(rows, 1) == [3, 1, 0, 4]


def test_quoting_document_names_benchmark_and_item(samples: Samples) -> None:
    found = [(q.benchmark, q.item, q.score, q.sample.place) for q in samples.quotations]
    assert found == [("riddles", "train-1", 1.0, "https://quotes.example/a")]


def test_same_workspace_gives_the_same_documents(rich: Workspace, samples: Samples) -> None:
    assert samples == read_samples(rich, read_run_record(rich), gather(rich).labels, 2)


def test_no_documents_are_read_where_none_are_wanted(rich: Workspace) -> None:
    none = read_samples(rich, read_run_record(rich), gather(rich).labels, 0)
    assert none.groups == ()


def test_parts_are_chosen_by_hash_with_every_source_in_turn() -> None:
    keys = [PartKey("large", n) for n in range(1000)] + [PartKey("small", 0), PartKey("tiny", 0)]
    chosen = choose_parts(keys, most=5)
    assert chosen == choose_parts(reversed(keys), most=5)
    assert {key.source for key in chosen} == {"large", "small", "tiny"}
    assert len(chosen) == 5
    assert chosen != choose_parts(keys, most=5)[:4]
    assert [key.part for key in chosen if key.source == "large"] != [0, 1, 2]


def test_texts_come_by_row(rich: Workspace) -> None:
    record = read_run_record(rich)
    entry = rich.ledger.entries(record.extract["notes"], "notes")[0]
    texts = read_table(rich.storage, entry.file("documents"), ["text"]).column("text").to_pylist()
    wanted = [texts.index(NEAR[1]), texts.index(PERSONAL)]
    rows = dict(document_rows(rich, entry.file("documents"), wanted))
    assert [rows[row]["text"] for row in wanted] == [NEAR[1], PERSONAL]


def test_texts_come_by_row_from_any_row_group(tmp_path: Path) -> None:
    workspace = Workspace.create(str(tmp_path / "w"))
    rows = [
        {"id": bytes([n] * 16), "text": f"text {n}", "source": "s", "locator": {}, "provenance": {}}
        | {"extractor": "x"}
        for n in range(10)
    ]
    pq.write_table(
        pa.Table.from_pylist(rows, schema=DOCUMENT),
        tmp_path / "w" / "part.parquet",
        row_group_size=3,
        write_page_checksum=True,
    )
    ref = FileRef(kind="documents", path="part.parquet", sha256="", bytes=1, rows=10)
    found = document_rows(workspace, ref, [0, 4, 5, 9])
    assert [(row, document["text"]) for row, document in found] == [
        (row, f"text {row}") for row in (0, 4, 5, 9)
    ]


def test_rejects_show_every_reason_and_no_password(rich: Workspace) -> None:
    found = read_rejects(rich, read_run_record(rich), 1)
    assert [example.reason for example in found] == ["empty_file", "empty_text", "invalid_json"]
    assert found[1].place == "https://[address]/"


def test_rejects_parts_are_those_that_cover_most_reasons() -> None:
    def entry(part: int, *reasons: str) -> Entry:
        ref = FileRef(kind="rejects", path="p", sha256="", bytes=1, rows=len(reasons))
        detail = {"rejects": dict.fromkeys(reasons, 1)}
        return Entry(
            job="extract", fp="f", source="s", part=part, files=(ref,), counts={}, detail=detail
        )

    entries = [entry(0, "a"), entry(1, "a", "b"), entry(2, "c"), entry(3), entry(4, "b")]
    assert [e.part for e in choose_entries(entries, most=2)] == [1, 2]
    assert [e.part for e in choose_entries(entries)] == [0, 1, 2, 4]
    alike = [entry(part, "a", "b") for part in range(40)]
    assert [e.part for e in choose_entries([*reversed(alike), entry(40, "c")], 3)] == [0, 1, 40]

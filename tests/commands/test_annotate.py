"""`annotate` of plain files: labels, one joined file, further calls, and what is refused."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from annotators.language.model_file import SHIPPED
from pipelines.commands import annotate, audit
from pipelines.run_record import read_run_record
from pipelines.workspace.workspace import Workspace

sys.path.append(str(Path(__file__).parents[1] / "annotate"))  # for `labellers`

ENGLISH = (
    "The tide clock in the harbour is wrong by a quarter of an hour, and nobody minds, because the "
    "ferry has left by the church bell for as long as anyone here can say. Ask bell@example.org!"
)
JAPANESE = (
    "港の時計は十五分進んでいるが、誰も気にしない。渡し船は昔から教会の鐘に合わせて出ているからだ。"
)
THAI = "นาฬิกาที่ท่าเรือเดินเร็วไปสิบห้านาทีและไม่มีใครสนใจ เพราะเรือข้ามฟากออกตามระฆังของโบสถ์มานานแล้ว"
LINES = [
    json.dumps({"text": ENGLISH, "url": "http://a.example/clock", "license": "CC0-1.0"}),
    "{broken",
    json.dumps({"text": ""}),
    json.dumps({"text": JAPANESE, "author": "無名"}, ensure_ascii=False),
    json.dumps({"text": " \n\t"}),
]
ROWS = [{"text": THAI, "url": None}, {"text": "12345!!! \u0000 🙂", "url": "http://b.example/"}]
KEPT = [ENGLISH, JAPANESE, THAI, "12345!!!  🙂"]  # extract takes NUL characters out


class Made(NamedTuple):
    inputs: list[str]
    out: Path
    joined: Path
    told: str


def call(*args: str, code: int = 0) -> str:
    app = typer.Typer()
    app.callback()(lambda: None)
    for module in (annotate, audit):
        module.register(app)
    result = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("in")
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    (folder / "one" / "a.jsonl").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "two" / "b.parquet")
    inputs = [f"one={folder / 'one' / 'a.jsonl'}", f"two={folder / 'two' / 'b.parquet'}"]
    out, joined = folder / "out", folder / "joined.parquet"
    told = call(*arguments(inputs, out), "--join", str(joined))
    return Made(inputs, out, joined, told)


def arguments(inputs: list[str], out: Path, annotators: str = "quality,pii") -> list[str]:
    words = [word for path in inputs for word in ("--input", path)]
    wanted = f"{annotators},labellers:marks"
    return ["annotate", *words, "--output", str(out), "--annotators", wanted, "--processes", "1"]


def label_files(out: Path) -> dict[str, int]:
    """Path of each labels file -> when it was written, in nanoseconds."""
    return {
        str(path.relative_to(out)): path.stat().st_mtime_ns
        for path in sorted((out / "labels").rglob("*.parquet"))
    }


def labels_of(out: Path, name: str) -> list[dict[str, Any]]:
    """Rows of a labels set of the last call, by source and part."""
    record = read_run_record(Workspace(str(out)))
    found = []
    for source in sorted(record.sources):
        fp = record.annotate[source][name].rpartition("@")[2]
        for path in sorted((out / "labels" / f"{name}@{fp}" / source).glob("*.parquet")):
            found += pq.read_table(path).to_pylist()
    return found


def test_annotate_labels_every_document(made: Made) -> None:
    assert [row["language"] for row in labels_of(made.out, "language")] == [
        *("eng_Latn", "jpn_Jpan", "tha_Thai", "und"),
    ]
    assert [row["pii_count"] for row in labels_of(made.out, "pii")] == [1, 0, 0, 0]
    assert [row["num_marks"] for row in labels_of(made.out, "marks")] == [1, 0, 0, 3]
    assert len(labels_of(made.out, "quality")) == 4


def test_annotate_says_what_it_added_found_and_rejected(made: Made) -> None:
    assert "note: quality needs the labels of language, which is added" in made.told
    assert "\nlanguage: eng_Latn 1 (25.0 %), jpn_Jpan 1 (25.0 %), tha_Thai 1" in made.told
    assert "\npii: email 1 (spans)" in made.told
    assert "rejected, in rejects/: empty_text 2, invalid_json 1" in made.told
    for name in ("language", "quality", "pii", "marks"):
        assert f"{made.out}/labels/{name}@" in made.told


def test_annotate_joins_texts_and_all_labels_in_one_file(made: Made) -> None:
    rows = pq.read_table(made.joined).to_pylist()
    assert [row["text"] for row in rows] == KEPT
    assert [row["source"] for row in rows] == ["one", "one", "two", "two"]
    assert [row["url"] for row in rows] == [
        "http://a.example/clock",
        None,
        None,
        "http://b.example/",
    ]
    assert [row["offset"] for row in rows] == [0, len("\n".join(LINES[:3])) + 1, 0, 1]
    assert rows[0]["license"] == "CC0-1.0"
    assert rows[1]["meta"] == [("author", "無名")]
    for name in ("language", "quality", "pii", "marks"):
        for row, labels in zip(rows, labels_of(made.out, name), strict=True):
            assert row["id"] == labels.pop("id").hex()
            assert {key: row[key] for key in labels} == labels
    assert not made.joined.with_name("joined.parquet.draft").exists()


def test_annotate_joins_rows_of_many_batches(tmp_path: Path) -> None:
    texts = [f"Line {number}{'!' * (number % 7)}" for number in range(2500)]
    file, joined = tmp_path / "a.jsonl", tmp_path / "not" / "yet" / "joined.parquet"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    call(
        *("annotate", "--input", str(file), "--output", str(tmp_path / "out"), "--join"),
        *(str(joined), "--annotators", "labellers:marks", "--processes", "1"),
    )
    table = pq.read_table(joined)
    assert table.column("text").to_pylist() == texts
    assert table.column("num_marks").to_pylist() == [text.count("!") for text in texts]


def test_annotate_again_makes_only_what_is_new(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made.out, out)
    before = label_files(out)
    assert "nothing to do" in call(*arguments(made.inputs, out))
    assert label_files(out) == before
    told = call(*arguments(made.inputs, out), "--option", "labellers:marks.mark=.")
    assert "; new: marks; kept as before: pii, language, quality\n" in told
    after = label_files(out)
    assert {path: after[path] for path in before} == before
    assert {path.split("@")[0] for path in after.keys() - before.keys()} == {"labels/marks"}
    assert [row["num_marks"] for row in labels_of(out, "marks")] == [2, 0, 0, 0]


def test_annotate_says_what_nothing_is_configured_for(made: Made, tmp_path: Path) -> None:
    told = call(*arguments(made.inputs, tmp_path / "out", "safety,educational"))
    assert "\nsafety: not judged: no model is configured" in told
    assert "\nsafety: blocked: not looked up: no block list is configured" in told
    assert "\neducational: not judged: no model is configured" in told


def test_annotate_with_more_input_adds_parts(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made.out, out)
    before = label_files(out)
    (tmp_path / "three.jsonl").write_text(json.dumps({"text": THAI + ENGLISH}) + "\n")
    more = f"three={tmp_path / 'three.jsonl'}"
    told = call(*arguments([more], out))
    sets = ", ".join(f"{name} (1 of 3 parts)" for name in ("pii", "marks", "language", "quality"))
    assert f"; new: {sets}\n" in told
    assert "kept as before" not in told
    after = label_files(out)
    assert {path: after[path] for path in before} == before
    assert {path.split("/")[2] for path in after.keys() - before.keys()} == {"three"}
    assert len(labels_of(out, "language")) == 5
    call("audit", str(out))


def test_annotate_damaged_model_ends_before_any_work(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(SHIPPED.parent, folder)
    model = folder / SHIPPED.name
    model.write_bytes(model.read_bytes()[:1_000_000])
    setting = ["--option", f"language.model={model}"]
    with pytest.raises(ValueError, match=rf"annotators\.language: .*{model.name}"):
        call(*arguments(made.inputs, tmp_path / "out", "language"), *setting)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--annotators", "pii"], "--input: missing"),
        (["--input", "{in}", "--annotators", "pii"], "--output: missing"),
        (["--input", "{in}", "--output", "{out}"], "--annotators: found nothing"),
        (
            ["--input", "{in}", "--output", "{out}", "--annotators", "pii", "--join", "{in}"],
            "allowed is a file .parquet",
        ),
        (
            ["--input", "{two}", "--output", "{out}", "--annotators", "pii", "--join", "{two}"],
            "is an input, which is never written",
        ),
        (
            ["--input", "{in}", "--output", "{out}", "--annotators", "pii", "--join", "{folder}"],
            r"is a folder; allowed is a file \.parquet",
        ),
        (
            ["--input", "{in}", "--output", "{out}", "--annotators", "pii", "--join", "{below}"],
            r"a\.jsonl is a file; allowed is a file in a folder",
        ),
        (
            [
                *("--input", "{in}", "--output", "{out}", "--annotators", "safety", "--option"),
                "safety.block_lists=[/nope]",
            ],
            r'annotators\.safety: block_lists: found \["/nope"\]; allowed is a mapping',
        ),
    ],
)
def test_annotate_mistakes_end_before_any_work(
    made: Made, tmp_path: Path, args: list[str], message: str
) -> None:
    one, two = (word.partition("=")[2] for word in made.inputs)
    out, folder = str(tmp_path / "out"), tmp_path / "folder.parquet"
    folder.mkdir()
    names = {"in": one, "two": two, "out": out, "folder": folder, "below": f"{one}/x/a.parquet"}
    words = [word.format_map(names) for word in args]
    with pytest.raises(ValueError, match=message):
        call("annotate", *words)
    assert not Path(out).exists()


def test_annotate_list_names_every_annotator_with_columns_and_files() -> None:
    told = call("annotate", "--list")
    assert "file: annotators/language/model/language.ftz" in told
    assert "CC-BY-SA-4.0" in told
    assert "inputs: language" in told

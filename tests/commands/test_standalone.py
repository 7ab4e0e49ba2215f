"""`deduplicate` and `decontaminate` of plain files, and `explain duplicate` on what they leave."""

import gzip
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from pipelines.commands import audit, decontaminate, deduplicate, explain
from pipelines.deduplicate.alarms import DuplicatesAlarm
from pipelines.run_record import read_run_record
from pipelines.standalone import find_inputs
from pipelines.workspace.workspace import Workspace

LONG = (
    "The tide clock in the harbour is wrong by a quarter of an hour, and nobody minds, because the "
    "ferry has left by the church bell for as long as anyone here can say, and the bell is right. "
    "On market days the fishwives set their stalls by it, the schoolmaster sends the children home "
    "by it, and even the two policemen, who own good watches, wait until it has struck to eat."
)
NEAR = LONG.replace("even the two policemen", "even the three policemen")
WIDE = LONG.replace(" ", "  ")  # the same text, normalised
JAPANESE = (
    "港の時計は十五分進んでいるが、誰も気にしない。渡し船は昔から教会の鐘に合わせて出ているからだ。"
    "市の立つ日には魚売りの女たちもその鐘で店を開き、先生は子供たちをその鐘で帰す。"
)
ARABIC = "ساعة المد في الميناء تخطئ بربع ساعة ولا أحد يهتم بذلك لأن العبارة تغادر مع جرس الكنيسة."
THAI = "นาฬิกาที่ท่าเรือเดินเร็วไปสิบห้านาทีและไม่มีใครสนใจ เพราะเรือข้ามฟากออกตามระฆังของโบสถ์มานานแล้ว"
QUESTION = (
    "Natalia sold clips to forty eight of her friends in April, and then she sold half as many "
    "clips in May. How many clips did Natalia sell altogether in April and May?"
)
FIRST = [
    {"text": LONG, "url": "http://a.example/clock", "date": "2024-01-01"},
    {"text": JAPANESE},
    {"text": ARABIC, "url": "http://a.example/ar"},
    {"text": ""},
    {"text": f"A page about sums. {QUESTION} It is well known."},
]
SECOND = [
    {"text": NEAR, "url": "http://b.example/near"},
    {"text": JAPANESE},
    {"text": WIDE, "url": "http://b.example/wide"},
    {"text": THAI},
    {"text": ARABIC + " ", "url": "http://a.example/ar"},
]


def call(*args: str, code: int = 0) -> str:
    app = typer.Typer()
    app.callback()(lambda: None)
    for module in (deduplicate, decontaminate, explain, audit):
        module.register(app)
    result = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `one` (JSONL, plain and packed) and `two` (Parquet)."""
    folder = tmp_path_factory.mktemp("in")
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    lines = [json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in FIRST]
    (folder / "one" / "a.jsonl").write_bytes(b"".join(lines[:2]))
    (folder / "one" / "b.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[2:])))
    (folder / "one" / "README.html").write_text("<html><body>not an input</body></html>")
    rows = [{"url": None, **row} for row in SECOND]
    pq.write_table(pa.Table.from_pylist(rows), folder / "two" / "c.parquet")
    return folder


@pytest.fixture(scope="module")
def made(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The output folder of one call over both folders, and what it printed."""
    out = tmp_path_factory.mktemp("made") / "out"
    told = call("deduplicate", *both(inputs), "--output", str(out), "--processes", "2")
    return out, told


def both(inputs: Path) -> list[str]:
    return ["--input", str(inputs / "one"), "--input", str(inputs / "two")]


def files(out: Path) -> dict[str, bytes]:
    """Documents, labels and rejects, path -> bytes; the ledger has times in it."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for kind in ("documents", "labels", "rejects")
        for path in sorted((out / kind).rglob("*.parquet"))
    }


def rows(out: Path, labels: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(document, its labels) of the last generation, joined by position."""
    record = read_run_record(Workspace(str(out)))
    name = {"duplicates": record.duplicates, **record.labels}.get(labels)
    for source in sorted(record.sources):
        generation = name or record.annotate[source][labels]
        fp = generation.rpartition("@")[2]
        for path in sorted((out / "labels" / f"{labels}@{fp}" / source).glob("*.parquet")):
            part = path.name.rpartition("-")[0]
            (documents,) = (out / "documents").glob(f"{source}@*/{part}-*.parquet")
            pairs = zip(
                pq.read_table(documents).to_pylist(), pq.read_table(path).to_pylist(), strict=True
            )
            yield from pairs


def test_deduplicate_labels_stand_beside_their_documents(made: tuple[Path, str]) -> None:
    out, _ = made
    told = list(rows(out, "duplicates"))
    assert all(document["id"] == labels["id"] for document, labels in told)
    by_text = {(document["text"], document["source"]): labels for document, labels in told}
    assert len(told) == 9
    head = by_text[LONG, "one"]["cluster"]
    assert {by_text[text, source]["cluster"] for text, source in ((NEAR, "two"),)} == {head}
    assert by_text[JAPANESE, "one"]["cluster"] == by_text[JAPANESE, "two"]["cluster"]
    assert Counter(labels["duplicate_level"] for _, labels in told)["bytes"] == 2
    assert by_text[THAI, "two"]["duplicate_role"] == "alone"


def test_deduplicate_says_what_it_found_and_where_it_is(made: tuple[Path, str]) -> None:
    out, told = made
    assert re.search(r"^documents: 9$", told, re.MULTILINE)
    assert "rejected, in rejects/: empty_text 1\n" in told
    assert "older copies of one URL: 1" in told
    for name in ("same_bytes", "same_text", "same_url", "duplicates"):
        (folder,) = set(re.findall(rf"{re.escape(str(out))}/labels/{name}@[0-9a-f]+/", told))
        assert list(Path(folder).rglob("*.parquet"))
    assert "Row i of labels" in told
    assert re.search(r"^source +documents .* another stands for$", told, re.MULTILINE)
    clusters = Counter(d["cluster"].hex() for _, d in rows(out, "duplicates") if d["cluster"])
    listed = re.findall(r"^  ([0-9a-f]{32})  (\d+) documents: (.+)\n    (.+)$", told, re.MULTILINE)
    assert {id_: int(size) for id_, size, *_ in listed} == clusters
    assert [int(size) for _, size, *_ in listed] == sorted(clusters.values(), reverse=True)
    assert sorted(mix for _, _, mix, _ in listed) == ["bytes 1", "bytes 1", "text 1, near 1"]
    beginnings = [text for *_, text in listed]
    assert any(LONG.startswith(text) or NEAR.startswith(text) for text in beginnings)
    for id_ in clusters:
        assert f"\n  tokenmill explain duplicate {id_} --workspace {out}\n" in told


def test_deduplicate_one_process_and_another_order_give_the_same_bytes(
    inputs: Path, made: tuple[Path, str], tmp_path: Path
) -> None:
    given = [str(inputs / "two" / "c.parquet"), str(inputs / "one" / "b.jsonl.gz")]
    given += ["--input", str(inputs / "one" / "a.jsonl")]
    out = tmp_path / "out"
    call("deduplicate", "--output", str(out), "--processes", "1", "--input", given[0], *given[1:])
    assert files(out) == files(made[0])


def test_deduplicate_a_further_call_adds_its_input_and_equals_one_call(
    inputs: Path, made: tuple[Path, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    call("deduplicate", "--input", str(inputs / "one"), "--output", str(out))
    before = files(out)
    told = call("deduplicate", "--input", str(inputs / "two"), "--output", str(out))
    assert re.search(r"^documents: 9$", told, re.MULTILINE)
    after, whole = files(out), files(made[0])
    assert whole.items() <= after.items(), "the union, labelled as in one call"
    assert before.items() <= after.items(), "what was committed stays"
    again = call("deduplicate", "--input", str(inputs / "two"), "--output", str(out))
    assert again == told
    assert files(out) == after


def test_deduplicate_leaves_a_workspace_that_audits(made: tuple[Path, str]) -> None:
    assert "0 faults" in call("audit", str(made[0]))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--levels", "bytes,nearly"], r"--levels: found 'nearly'.*'near'"),
        (["--levels", "near,near"], r"--levels.*'near' twice"),
        (["--threshold", "0.5"], r"--threshold: found 0\.5.*0\.7"),
        (["--min-documents", "1"], r"--min-documents: found 1.*2"),
        (["--max-removed", "0"], r"--max-removed: found 0.*above 0"),
        (["--max-cluster", "1.5"], r"--max-cluster: found 1\.5.*at most 1"),
        (["--text-column", "body"], r"one.*'text'.*another"),
    ],
)
def test_deduplicate_mistakes_are_named(
    inputs: Path, made: tuple[Path, str], args: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call("deduplicate", *both(inputs), "--output", str(made[0]), *args)


def test_find_inputs_names_roots_and_refuses_what_is_given_twice(inputs: Path) -> None:
    one, two = str(inputs / "one"), str(inputs / "two")
    roots = find_inputs([f"{one}/*.jsonl", two, f"{one}/b.jsonl.gz"], "text")
    assert [(root.name, sorted(root.files)) for root in roots] == [
        ("one", ["a.jsonl", "b.jsonl.gz"]),
        ("two", ["c.parquet"]),
    ]
    (root,) = find_inputs([f"mine={one}"], "text")
    assert (root.name, root.skipped) == ("mine", ("README.html",))
    with pytest.raises(ValueError, match="both called 'x'"):
        find_inputs([f"x={one}", f"x={two}"], "text")
    with pytest.raises(ValueError, match="given below"):
        find_inputs([str(inputs), one], "text")
    with pytest.raises(ValueError, match=r"found html; allowed are JSONL"):
        find_inputs([f"{one}/README.html"], "text")


def test_deduplicate_refuses_a_file_that_has_changed(inputs: Path, tmp_path: Path) -> None:
    shutil.copytree(inputs / "one", tmp_path / "one")
    out = str(tmp_path / "out")
    given = ["deduplicate", "--input", str(tmp_path / "one"), "--output", out, "--levels", "bytes"]
    call(*given)
    (tmp_path / "one" / "a.jsonl").write_text('{"text": "another text of another length"}\n')
    with pytest.raises(ValueError, match=r"a\.jsonl has changed"):
        call(*given)


def test_explain_duplicate_shows_both_texts_and_the_evidence(
    made: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = made
    told = {document["text"]: labels for document, labels in rows(out, "duplicates")}
    trio = [told[LONG], told[NEAR], told[WIDE]]
    (near,) = [one for one in trio if one["duplicate_role"] == "near_duplicate"]
    (head,) = [one for one in trio if one["id"] == near["cluster"]]
    monkeypatch.setenv("COLUMNS", "100")
    text = call("explain", "duplicate", near["id"].hex(), "--workspace", str(out))
    assert f"document {near['id'].hex()}: near duplicate: a similar text" in text
    assert f"representative {head['id'].hex()}" in text
    assert f"{near['jaccard']:.4f} of the two texts as they are" in text
    assert re.search(r"\{(two|three)\} .* \| .*\{(two|three)\}", text)
    assert len(re.findall(r"^  URL +http://\S+\.example/\w+$", text, re.MULTILINE)) == 2
    assert max(map(len, text.splitlines())) <= 100


def test_explain_duplicate_wraps_on_a_narrow_screen_and_takes_a_prefix(
    made: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = made
    ids = [labels["id"].hex() for _, labels in rows(out, "duplicates")]
    (thai,) = [d["id"].hex() for d, _ in rows(out, "duplicates") if d["text"] == THAI]
    prefix = next(
        thai[:n] for n in range(1, 33) if sum(one.startswith(thai[:n]) for one in ids) == 1
    )
    monkeypatch.setenv("COLUMNS", "60")
    text = call("explain", "duplicate", prefix, "--workspace", str(out))
    assert "alone; no other document" in " ".join(text.split())
    near = next(
        document
        for document, labels in rows(out, "duplicates")
        if labels["duplicate_role"] == "near_duplicate"
    )
    text = call("explain", "duplicate", near["id"].hex(), "--workspace", str(out))
    assert " | " not in text
    assert re.search(r"^document:$", text, re.MULTILINE)
    with pytest.raises(ValueError, match="give more digits"):
        call("explain", "duplicate", _shared_prefix(ids), "--workspace", str(out))


@pytest.mark.parametrize("name", ["http://b.example/near", "b.example/near", "c.parquet#0"])
def test_explain_duplicate_takes_what_trace_takes(made: tuple[Path, str], name: str) -> None:
    out, _ = made
    (near,) = [d["id"].hex() for d, _ in rows(out, "duplicates") if d["text"] == NEAR]
    by_id = call("explain", "duplicate", near, "--workspace", str(out))
    assert by_id.startswith(f"document {near}: ")
    assert call("explain", "duplicate", name, "--workspace", str(out)) == by_id


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("http://a.example/ar", "2 documents match"),
        ("b.jsonl.gz:1", "found no document"),
        ("http://nowhere.example/", "found no document .*a URL.*FILE#ROW"),
    ],
)
def test_explain_duplicate_refuses_names_of_none_and_of_several(
    made: tuple[Path, str], name: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call("explain", "duplicate", name, "--workspace", str(made[0]))


def test_deduplicate_that_alarms_labels_all_and_fails(tmp_path: Path) -> None:
    lines = [{"text": f"page {n} of the year {n * n}"} for n in range(900)]
    lines += [{"text": LONG}] * 150
    (tmp_path / "in").mkdir()
    written = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "in" / "a.jsonl").write_text(written)
    out = tmp_path / "out"
    args = ["deduplicate", "--input", str(tmp_path / "in"), "--output", str(out)]
    args += ["--levels", "bytes", "--processes", "1"]
    app = typer.Typer()
    app.callback()(lambda: None)
    deduplicate.register(app)
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 1
    assert isinstance(result.exception, DuplicatesAlarm)
    assert re.search(r"^documents: 1,050$", result.stdout, re.MULTILINE)
    (folder,) = re.findall(rf"{re.escape(str(out))}/labels/duplicates@[0-9a-f]+/", result.stdout)
    assert sum(pq.read_table(path).num_rows for path in Path(folder).rglob("*.parquet")) == 1050
    told = str(result.exception)
    assert "150 of all 1,050 documents (14.3%); the limit is 10.0%" in told
    assert "\n  --max-cluster 0.15\n" in told
    assert "--max-removed" not in told, "its limit is not passed"
    assert "nothing is deleted" in told
    assert "corpus.yaml" not in told
    assert "duplicates.alarms" not in told
    assert re.search(rf"explain duplicate [0-9a-f]{{32}} --workspace {re.escape(str(out))}\n", told)
    before = files(out)
    assert "150 documents: bytes 149" in call(*args, "--max-cluster", "0.15")
    with pytest.raises(DuplicatesAlarm, match=r"\n  --max-removed 0\.15\n"):
        call(*args, "--max-cluster", "1", "--max-removed", "0.14")
    assert files(out) == before, "limits change no label"


def _shared_prefix(ids: list[str]) -> str:
    """First digits, at least one, that two ids have; several documents make one likely."""
    counts = Counter(one[0] for one in ids)
    digit, count = counts.most_common(1)[0]
    assert count > 1, "nine ids over sixteen digits; choose other texts"
    return digit


def test_decontaminate_labels_quotations_and_shares_the_documents(
    made: tuple[Path, str], inputs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(made[0], out)
    benchmark = tmp_path / "sums.jsonl"
    items = [{"question": QUESTION, "answer": "72"}, {"question": "Short?", "answer": "4"}]
    benchmark.write_text("".join(json.dumps(item) + "\n" for item in items))
    told = call(
        "decontaminate", *both(inputs), "--against", f"sums={benchmark}", "--output", str(out)
    )
    flagged = [d["text"] for d, labels in rows(out, "contamination") if labels["contaminated"]]
    assert flagged == [FIRST[4]["text"]]
    assert "contaminated: 1" in told
    assert "contaminated: 1 (by rule: share 1)" in told
    assert re.search(r"^sums +text +all text fields +2 +1 +1 +1$", told, re.MULTILINE)
    assert re.search(r"^index in memory: \d+\.\d MiB a process$", told, re.MULTILINE)
    assert "items not covered: 1 (1 too short, 0 too common), listed in" in told
    listed = out / "not_covered.jsonl"
    assert str(listed) in told
    assert "  sums/line 2: Short? 4" in told
    assert [json.loads(line) for line in listed.read_text().splitlines()] == [
        {"benchmark": "sums", "item": "line 2", "beginning": "Short? 4"}
    ]
    assert list(rows(out, "duplicates")) == list(rows(made[0], "duplicates"))
    with pytest.raises(ValueError, match=r"--against .*nothing\.jsonl"):
        call("decontaminate", *both(inputs), "--against", "nothing.jsonl", "--output", str(out))


def test_an_input_whose_records_are_all_rejected_is_refused_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"body": "texte", "x": 1}\n{"body": "テキスト"}\n')
    out = str(tmp_path / "out")
    args = ["deduplicate", "--input", str(tmp_path / "in"), "--output", out, "--levels", "bytes"]
    wrong = (
        r"no text.*2 in all.*a\.jsonl: missing_text: the text column 'text'.*body, x.*--text-col"
    )
    with pytest.raises(ValueError, match=wrong):
        call(*args)
    assert not (tmp_path / "out" / "inventory").exists()
    assert "documents: 2\n" in call(*args, "--text-column", "body")


def test_an_input_without_a_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n")
    with pytest.raises(ValueError, match=r"no record in 1 file"):
        call("deduplicate", "--input", str(tmp_path / "a.jsonl"), "--output", str(tmp_path / "out"))


def test_rejects_are_told_by_reason(tmp_path: Path) -> None:
    lines = ['{"text": "kept"}', '{"text": null}', '{"text": " "}', '{"text": 3}', "no json"]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    told = call(
        "deduplicate", "--input", str(tmp_path / "a.jsonl"), "--levels", "bytes",
        "--output", str(tmp_path / "out"),
    )  # fmt: skip
    (line,) = re.findall(r"rejected, in rejects/: (.*)", told)
    assert line == "empty_text 1, invalid_json 1, missing_text 2"

"""Quotations of benchmark items: how texts are compared, what is found, and what is refused."""

import gzip
import itertools
import json
import os
import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.contamination.annotator import Contamination
from annotators.contamination.evaluation import evaluate_decontamination, render_decontamination
from annotators.contamination.index import MAX_SHARING
from annotators.contamination.quotations import (
    find_quotations,
    longest_common_subsequence,
    sharing_texts,
)
from annotators.contamination.words import (
    MAX_WORDS_PER_BYTE,
    FoldedWords,
    empty_folded_words,
    fold_words,
    folds,
)
from annotators.text.utf8 import utf8_texts
from pipelines.extract.engines import main_text
from pipelines.extract.pages.dom import parse

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DATA = Path(os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data"))

FERRY = "A ferry takes eighteen cars over the river and needs twelve minutes for both ways"  # 15
ANSWER = "In four hours it makes twenty round trips and so carries three hundred sixty cars"  # 15


def folded(text: str) -> tuple[FoldedWords, int]:
    texts = utf8_texts(pa.array([text], pa.large_string()))
    words = empty_folded_words(texts.max_bytes())
    return words, fold_words(texts.data, 0, texts.max_bytes(), folds(), words)


def split(text: str) -> list[tuple[str, int]]:
    """The words of a text as they stand there, and their weights."""
    words, count = folded(text)
    data = text.encode()
    pieces = [data[words.starts[i] : words.ends[i]].decode() for i in range(count)]
    return list(zip(pieces, np.diff(words.weights[: count + 1]).tolist(), strict=True))


def hashes(text: str) -> list[int]:
    words, count = folded(text)
    return list(words.hashes[:count].tolist())


def benchmark(
    folder: Path, rows: Sequence[object], name: str = "quiz", **options: object
) -> dict[str, Any]:
    """A file of its own; by default of mathematics, whose rule asks for 13 words and a share."""
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return {"name": name, "path": str(path), "kind": "math", **options}


def label(annotator: Contamination, *texts: str) -> list[dict[str, Any]]:
    return list(annotator(pa.array(texts, pa.large_string()), {}).to_pylist())


def quoted(text: str, row: dict[str, Any]) -> list[tuple[str, str]]:
    """Item and text of each span."""
    data = text.encode()
    return [
        (span["item"], data[span["start"] : span["end"]].decode())
        for span in row["contamination_spans"]
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" .,;\u3000!\x00", []),
        ("Don\u2019t STOP\u2014now", [("Don\u2019t", 100), ("STOP", 100), ("now", 100)]),
        ("x=2x+a", [("x", 50), ("2", 50), ("x", 50), ("a", 50)]),
        ("h2o 10km", [("h", 50), ("2", 50), ("o", 50), ("10", 100), ("km", 100)]),
        ("где в", [("где", 100), ("в", 100)]),
        ("小勇拍77下。", [("小", 56), ("勇", 56), ("拍", 56), ("77", 100), ("下", 56)]),
        ("ที่ดี", [("ที่", 26), ("ดี", 26)]),
        ("हिन्दी है।", [("हिन्दी", 100), ("है", 100)]),
        ("cafe\u0301s 🙂 e\u0301", [("cafe\u0301s", 100), ("e\u0301", 50)]),
    ],
)
def test_words_of_any_script_have_their_places_and_weights(
    text: str, words: list[tuple[str, int]]
) -> None:
    assert split(text) == words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Straße, “ﬁne” CAFÉ!", "strasse fine cafe"),
        ("x²+⅓", "x 2 1 3"),
        ("3x^{2}", "3 x²"),
        ("x=2;\ny", "X = 2 / Y"),
        ("ＡＢＣ１２３ ①", "abc123 1"),
        ("ﷺ", "صلى الله عليه وسلم"),
        ("مُحَمَّد", "محمد"),
        ("がっこう", "か\u3099っこう"),
        ("в\u00ad\u200bода", "ВОДА"),
        ("don't l\u2019eau", "dont leau"),
        ("㍿", "株式会社"),
    ],
)
def test_dress_of_words_does_not_matter(one: str, other: str) -> None:
    assert hashes(one) == hashes(other)
    assert len(set(hashes(one))) == len(split(other))


@pytest.mark.parametrize(("one", "other"), [("вода", "воде"), ("ab c", "a bc"), ("Σ 12", "Σ 21")])
def test_other_words_have_other_hashes(one: str, other: str) -> None:
    assert hashes(one) != hashes(other)


def test_no_character_gives_more_words_than_scratch_has_room_for() -> None:
    grown = [c for c in map(chr, range(0x110000)) if unicodedata.normalize("NFKD", c) != c]
    assert len(grown) > 16_000
    rich = {c: len(split(c)) for c in grown if ord(c) < 0xAC00 or ord(c) > 0xD7A3}
    assert max(rich.values()) == 6
    assert all(count <= MAX_WORDS_PER_BYTE * len(c.encode()) for c, count in rich.items())


def longest(window: Sequence[int], item: Sequence[int]) -> int:
    rows = [[0] * (len(item) + 1) for _ in range(len(window) + 1)]
    for i, j in itertools.product(range(len(window)), range(len(item))):
        same = window[i] == item[j]
        rows[i + 1][j + 1] = rows[i][j] + 1 if same else max(rows[i][j + 1], rows[i + 1][j])
    return rows[-1][-1]


WORD_LISTS = st.lists(st.integers(0, 4), min_size=1, max_size=12)


@settings(deadline=None)  # the first call compiles
@given(WORD_LISTS, WORD_LISTS)
def test_longest_common_subsequence_is_that_of_the_textbook(
    window: list[int], item: list[int]
) -> None:
    row = np.empty(len(window) + 1, np.int32)
    length, start, end = longest_common_subsequence(
        np.array(window, np.uint64), np.array(item, np.uint64), row
    )
    assert length == longest(window, item)
    assert longest(window[:end], item) == length == longest(window[start:end], item)
    if length:
        assert longest(window[: end - 1], item) < length
        assert longest(window[start + 1 : end], item) < length


def test_verbatim_quotation_has_score_1_and_a_span_in_bytes(tmp_path: Path) -> None:
    annotator = Contamination(benchmarks=[benchmark(tmp_path, [{"id": "q1", "question": FERRY}])])
    text = f"Überfahrt 🚗: «{FERRY.upper()}?» Потом тишина."
    found, clean = label(annotator, text, "Überfahrt 🚗")
    start = len("Überfahrt 🚗: «".encode())
    span = {"benchmark": "quiz", "item": "q1", "field": "question", "start": start, "score": 1.0}
    assert found == {
        "benchmark": "quiz",
        "benchmark_item": "q1",
        "contamination_rule": "lcs",
        "contamination_score": 1.0,
        "contaminated": True,
        "contamination_spans": [{**span, "end": start + len(FERRY), "contaminated": True}],
    }
    assert clean == {
        "benchmark": None,
        "benchmark_item": None,
        "contamination_rule": None,
        "contamination_score": 0.0,
        "contaminated": False,
        "contamination_spans": [],
    }


def test_thirteen_words_in_a_row_are_needed(tmp_path: Path) -> None:
    words = [f"word{chr(97 + i)}" for i in range(26)]
    annotator = Contamination(benchmarks=[benchmark(tmp_path, [{"text": " ".join(words)}])])
    twelve = " ".join([*words[:12], "other", *words[13:25], "other"])
    thirteen = " ".join(["other", *words[4:17], "other"])
    scores = [row["contamination_score"] for row in label(annotator, twelve, thirteen)]
    assert scores == [0.0, 13 / 26]
    row = label(annotator, thirteen)[0]
    assert row["benchmark_item"] == "line 1"
    assert quoted(thirteen, row) == [("line 1", " ".join(words[4:17]))]


def test_half_weights_make_the_ngrams_of_formulas_longer(tmp_path: Path) -> None:
    item = " + ".join("abcdefghijklmnopqrstuvwxyz") + " = 1234 5678"
    annotator = Contamination(benchmarks=[benchmark(tmp_path, [{"text": item}])])
    letters = item.partition(" = ")[0]
    assert [row["benchmark"] for row in label(annotator, letters, letters[4:])] == ["quiz", None]


def test_han_is_compared_by_24_letters(tmp_path: Path) -> None:
    item = "果园里有一百二十棵苹果树，每棵树平均收三十五千克苹果，一共需要准备多少个箱子？"
    letters = item.replace("，", "").rstrip("？")
    annotator = Contamination(benchmarks=[benchmark(tmp_path, [{"question": item}])])
    some, few = f"据说{letters[4:28]}等等", f"据说{letters[4:27]}等等"
    found = label(annotator, some, few, f"据说{item}等等")
    assert [row["benchmark"] for row in found] == ["quiz", None, "quiz"]
    assert quoted(some, found[0]) == [("line 1", letters[4:28])]
    assert found[0]["contamination_score"] == pytest.approx(24 / len(letters))
    assert found[2]["contamination_score"] == 1.0


def test_changed_words_lower_the_score_by_their_share(tmp_path: Path) -> None:
    item = f"{FERRY} {ANSWER}"  # 30 words
    annotator = Contamination(benchmarks=[benchmark(tmp_path, [{"text": item}])])
    words = item.split()
    words[3] = "zebra"
    del words[26]
    text = f"Before. {' '.join(words)} after."
    (row,) = label(annotator, text)
    assert row["contamination_score"] == pytest.approx(28 / 30)
    assert quoted(text, row) == [("line 1", " ".join(words))]


def test_words_put_in_move_the_window_of_the_item(tmp_path: Path) -> None:
    item = f"{FERRY} {ANSWER}"
    annotator = Contamination(benchmarks=[benchmark(tmp_path, [{"text": item}])])
    begun, put_in = "A ferry takes", "on the days with calm weather"
    for text in (item.replace(begun, f"{begun} {put_in}"), f"{item[:-5]} {put_in} cars"):
        (row,) = label(annotator, text)
        assert row["contamination_score"] == 1.0
        assert quoted(text, row) == [("line 1", text)]


def test_question_is_found_beside_another_solution(tmp_path: Path) -> None:
    rows = [{"id": 7, "question": FERRY, "solution": ANSWER * 4}]
    (found,) = label(Contamination(benchmarks=[benchmark(tmp_path, rows)]), f"{FERRY}? 360.")
    assert (found["benchmark_item"], found["contamination_score"]) == ("7", 1.0)
    assert quoted(f"{FERRY}? 360.", found) == [("7", FERRY)]


def test_fields_choose_the_text_of_an_item(tmp_path: Path) -> None:
    rows = [{"question": FERRY, "comment": ANSWER}]
    given_fields = benchmark(tmp_path, rows, question=["question"])
    assert [
        [row["benchmark"] for row in label(Contamination(benchmarks=[one]), FERRY, ANSWER)]
        for one in (given_fields, {**given_fields, "question": ()})
    ] == [["quiz", None], ["quiz", "quiz"]]


def test_default_text_is_all_that_is_not_about_the_item(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "id": "a",
        "question": f"{FERRY}?",
        "problem": f"{FERRY}?",
        "choices": {"text": ["cars come back by noon", "none of them returns at night"]},
        "link": ["https://example.org/some-long-page-about-the-ferry-and-all-of-its-many-cars"],
        "Source": "A source that says in many words where this question of ours was once taken",
        "task_type": "This type of task is told by a sentence of well over thirteen words here",
        "answer": 360,
    }
    annotator = Contamination(benchmarks=[benchmark(tmp_path, [row])])
    whole = f"{FERRY} Cars come back by noon. None of them returns at night."
    found = label(annotator, whole, row["Source"], row["task_type"], row["link"][0])
    # The choices are 12 words, too few for an n-gram of their own.
    assert quoted(whole, found[0]) == [("a", FERRY)]
    assert [one["benchmark"] for one in found] == ["quiz", None, None, None]
    (facts,) = annotator.index_facts()
    assert (facts.kind, facts.roles) == ("math", "all text fields")


def test_short_question_counts_only_whole(tmp_path: Path) -> None:
    question = "How many cars can the old ferry carry today"  # 9 words
    rows = [{"id": "s", "question": question}, {"id": "l", "question": question, "why": ANSWER}]
    annotator = Contamination(benchmarks=[benchmark(tmp_path, rows)])
    begun, ended = question.removesuffix("today"), question.removeprefix("How")
    found = label(annotator, f"So: {question}?", begun + "tomorrow", f"Hier {ended}")
    assert quoted(f"So: {question}?", found[0]) == [("l", question), ("s", question)]
    assert [row["contamination_score"] for row in found] == [1.0, 0.0, 0.0]


def test_short_question_that_many_items_ask_flags_nothing(tmp_path: Path) -> None:
    question = "Which of these statements about the river is true"
    rows = [{"q": question, "choices": f"{FERRY} {n} {ANSWER}"} for n in range(MAX_SHARING + 1)]
    for count, name in ((MAX_SHARING, "quiz"), (MAX_SHARING + 1, None)):
        annotator = Contamination(benchmarks=[benchmark(tmp_path, rows[:count])])
        assert label(annotator, question)[0]["benchmark"] == name


def test_items_that_cannot_be_found_are_counted(tmp_path: Path) -> None:
    template = "Which of these statements about the river and its ferry is true in every year"
    rows = [{"q": f"{template} {word}"} for word in "abcdefghijkl"]
    rows += [{"q": "How many are left?"}, {"id": "no text"}, {"q": FERRY}]
    rows += [{"q": f"{template} and what follows from it for all who live on the far side"}]
    rows += [{"q": " ".join(f"w{i}" for i in range(5000))}]
    annotator = Contamination(benchmarks=[benchmark(tmp_path, rows)])
    (facts,) = annotator.index_facts()
    assert (facts.benchmark, facts.items, facts.cut) == ("quiz", 17, 1)
    assert (facts.indexed, facts.too_short, facts.common) == (3, 2, 12)
    assert len("abcdefghijkl") > MAX_SHARING
    found = label(annotator, f"{template} a", f"{template} and what follows from it for all who")
    assert [row["benchmark_item"] for row in found] == [None, "line 16"]
    # The template does not flag, but counts where other words did.
    assert found[1]["contamination_score"] == pytest.approx(23 / 28)


def test_benchmarks_may_share_items_without_hiding_them(tmp_path: Path) -> None:
    many = [benchmark(tmp_path, [{"q": FERRY}], f"b{n}") for n in range(MAX_SHARING + 3)]
    (row,) = label(Contamination(benchmarks=many), FERRY)
    assert row["benchmark"] == "b0"
    assert len(row["contamination_spans"]) == MAX_SHARING + 3


def test_best_item_is_that_with_the_highest_score_then_most_words(tmp_path: Path) -> None:
    first = benchmark(tmp_path, [{"q": FERRY}, {"q": f"{FERRY} and back"}], "first")
    second = benchmark(tmp_path, [{"q": f"{FERRY} {ANSWER}"}, {"q": FERRY}], "second")
    both = Contamination(benchmarks=[first, second])
    names = [(r["benchmark"], r["benchmark_item"]) for r in label(both, FERRY, FERRY + ANSWER)]
    assert names[0] == ("first", "line 1")
    assert label(both, f"{FERRY} {ANSWER}")[0]["benchmark_item"] == "line 1"
    assert label(both, f"{FERRY} {ANSWER}")[0]["benchmark"] == "second"
    assert label(both, f"{FERRY} and so")[0]["benchmark_item"] == "line 1"


def test_every_quotation_of_an_item_has_its_span(tmp_path: Path) -> None:
    annotator = Contamination(benchmarks=[benchmark(tmp_path, [{"q": FERRY}])])
    for between in ("", " Then ", " слово " * 50):
        text = f"{FERRY}.{between}{FERRY}. {FERRY}"
        assert quoted(text, label(annotator, text)[0]) == [("line 1", FERRY)] * 3


def test_words_of_one_quotation_do_not_count_in_the_next(tmp_path: Path) -> None:
    item = f"Round and round: {FERRY}, round and round"
    annotator = Contamination(benchmarks=[benchmark(tmp_path, [{"q": item}])])
    text = f"{item}. {FERRY}, round and round"
    spans = label(annotator, text)[0]["contamination_spans"]
    assert [span["score"] for span in spans] == [1.0, pytest.approx(18 / 21)]


def test_labels_depend_on_the_text_alone(tmp_path: Path) -> None:
    rows = [{"q": FERRY, "a": ANSWER}, {"q": "Сколько машин перевозит паром " * 5}]
    annotator = Contamination(benchmarks=[benchmark(tmp_path, rows)])
    chance = random.Random(0)
    parts = [FERRY, ANSWER, "Сколько машин перевозит паром " * 5, "果园里有苹果树。", "", "x"]
    texts = [" ".join(chance.choices(parts, k=3)) for _ in range(40)]
    whole = label(annotator, *texts)
    array = pa.array(["before", *texts], pa.large_string())
    assert annotator(array.slice(1), {}).to_pylist() == whole
    assert [row for text in texts for row in label(annotator, text)] == whole
    assert annotator(array.slice(0, 0), {}).num_rows == 0
    assert annotator(array, {}).schema == Contamination.columns


def test_hash_that_collides_finds_nothing(tmp_path: Path) -> None:
    made = Contamination(benchmarks=[benchmark(tmp_path, [{"q": FERRY}])]).index().index
    others = made.words._replace(hashes=made.words.hashes + np.uint64(1))
    words, count = folded(FERRY)
    texts = utf8_texts(pa.array([FERRY], pa.large_string()))
    collided = made._replace(words=others)
    ends = texts.offsets[:-1], texts.offsets[1:]
    assert sharing_texts(texts.data, *ends, folds(), collided, words).tolist() == [True]
    assert len(find_quotations(words, count, made).ranges) == 1
    assert len(find_quotations(words, count, collided).ranges) == 0


def test_without_benchmarks_every_document_has_score_0() -> None:
    annotator = Contamination(benchmarks=[])
    assert (annotator.model_files(), annotator.index_facts()) == ([], ())
    assert [row["contamination_score"] for row in label(annotator, FERRY, "")] == [0.0, 0.0]
    assert annotator(pa.array([], pa.large_string()), {}).num_rows == 0


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_packed_files_with_marks_and_blank_lines_are_read(tmp_path: Path, ending: str) -> None:
    lines = [b"\xef\xbb\xbf" + json.dumps({"q": FERRY}).encode(), b"", b" \r"]
    lines += [json.dumps({"q": "Сколько машин перевозит паром " * 5}).encode()]
    data = b"\n".join(lines)
    path = tmp_path / f"items{ending}"
    half = len(data) // 2  # two members, two frames
    if ending.endswith("gz"):
        data = gzip.compress(data[:half]) + gzip.compress(data[half:])
    elif ending.endswith("zst"):
        compress = zstandard.ZstdCompressor().compress
        data = compress(data[:half]) + compress(data[half:])
    path.write_bytes(data)
    annotator = Contamination(benchmarks=[{"name": "b", "path": str(path)}])
    assert annotator.model_files() == [path]
    assert annotator.index_facts()[0].indexed == 2
    russian = label(annotator, "Сколько машин перевозит паром " * 5)
    assert russian[0]["benchmark_item"] == "line 4"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"q": "a"}\n\n{"q": \n', r"items\.jsonl, line 3: found .*one JSON object"),
        (b'{"q": "a"}\n[1]\n', r"items\.jsonl, line 2: found a list"),
        (b'{"q": "\xff"}\n', r"items\.jsonl, line 1: found .*UTF-8"),
        (b"", r"holds 0 items"),
        (b'{"id": "a", "n": 3}\n', r"holds 1 items with the fields \['id', 'n'\], but no text"),
        (b'{"q": "How many?"}\n', r"of 1 items .* 1 have less than 6 words and 0 share"),
    ],
)
def test_broken_file_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "items.jsonl").write_bytes(data)
    options = [{"name": "b", "path": str(tmp_path / "items.jsonl")}]
    with pytest.raises(ValueError, match=f"benchmark b: .*{message}"):
        Contamination(benchmarks=options).index_facts()


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_file_that_is_cut_off_is_refused(tmp_path: Path, ending: str) -> None:
    # A cut at the end of a block loses whole lines and leaves valid JSON.
    lines = [json.dumps({"q": f"{FERRY} {n}"}) + "\n" for n in range(5000)]
    data = "".join(lines).encode()
    packed = gzip.compress(data) if ending == ".gz" else zstandard.ZstdCompressor().compress(data)
    path = tmp_path / f"items.jsonl{ending}"
    damaged = packed[:40] + bytes([packed[40] ^ 255]) + packed[41:]
    for broken in (packed[:-1], packed[: len(packed) // 2], damaged, b"plain"):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"benchmark b: .* cannot be read: "):
            Contamination(benchmarks=[{"name": "b", "path": str(path)}]).index_facts()


def test_options_that_are_wrong_are_refused(tmp_path: Path) -> None:
    good = benchmark(tmp_path, [{"q": FERRY}])
    for options, message in (
        ([{**good, "feilds": ["q"]}], "feilds"),
        ([{"name": "quiz"}], "needs name and path"),
        ([{**good, "question": "q"}], r"write \[q\]"),
        ([{**good, "kind": "prose"}], "kind 'prose'; allowed are math, code, text"),
        ([{**good, "answer": ["q"]}], "none of a question"),
        ([good, good], "two benchmarks are called 'quiz'"),
        ([{**good, "path": str(tmp_path / "absent.jsonl")}], r"no file .*absent\.jsonl"),
        ([{**good, "path": str(tmp_path)}], "no file"),
    ):
        with pytest.raises(ValueError, match=message):
            Contamination(benchmarks=options)
    with pytest.raises(ValueError, match=r"line 1: found no field 'question', but \['q'\]"):
        Contamination(benchmarks=[{**good, "question": ["question"]}]).index_facts()


def test_example_benchmark_is_quoted_by_one_page_alone() -> None:
    path = EXAMPLES / "benchmark" / "questions.jsonl"
    annotator = Contamination(benchmarks=[{"name": "quiz", "path": str(path)}])
    (facts,) = annotator.index_facts()
    assert (facts.items, facts.indexed, facts.too_short, facts.common) == (31, 28, 3, 0)
    pages = sorted((EXAMPLES / "site").rglob("*.html"))
    sources = [page.read_bytes().decode("utf-8", "replace") for page in pages]
    found = {
        page.name: {item for item, _ in quoted(source, row)}
        for page, source, row in zip(pages, sources, label(annotator, *sources), strict=True)
        if row["benchmark"]
    }
    assert found == {"quiz-night.html": {"ferry-1", "element-1", "pendulum-1"}}
    source = (EXAMPLES / "site" / "en" / "quiz-night.html").read_text()
    text = main_text(parse(source.encode()), "trafilatura-fast").text
    (row,) = label(annotator, text)
    assert (row["benchmark_item"], row["contamination_score"]) == ("ferry-1", 1.0)


@pytest.mark.skipif(
    not (DATA / "decontamination").is_dir(),
    reason=f"no real data at {DATA}/decontamination; set TOKENMILL_DATA to the folder above it",
)
def test_planted_items_are_found_as_well_as_they_were(tmp_path: Path) -> None:
    for name in (
        "decontamination/gsm8k_test",
        "decontamination/cmath",
        "decontamination/humaneval",
        "text/peps",
    ):
        path = tmp_path / f"{name}.jsonl.gz"
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(DATA / f"{name}.jsonl.gz")
    figures = evaluate_decontamination(tmp_path, items_per_benchmark=30)
    cells = {(one.kind, one.rule, one.bin, one.edit): one for one in figures.cells}
    assert {rule for _, rule, _, _ in cells} == {"lcs", "whole", "ngram", "entry_point"}
    assert sum(one.planted for one in cells.values() if one.edit == "verbatim") > 80
    for (_, _, number, edit), one in cells.items():
        if edit in ("verbatim", "reformatted"):
            assert one.found == one.named == one.planted
            assert number < 0 or one.overlap > 0.9
    assert 0.3 < figures.recall("reworded") < 1
    assert 0.3 < figures.recall("page break") < 1
    assert [len(one.flagged) for one in figures.clean] == [0]
    assert "entry_point" in render_decontamination(figures)


def test_evaluation_without_data_says_which_folder_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0 files decontamination/\*\.jsonl\.gz"):
        evaluate_decontamination(tmp_path)

"""The rules of contamination: kinds, roles of fields, whole texts, names of functions, registry."""

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from annotators.contamination.annotator import OVERLAP_BYTES, PIECE_BYTES, Contamination
from annotators.contamination.entry_points import entry_point_of, is_distinctive
from annotators.contamination.index import MAX_SHARING
from annotators.contamination.items import parse_benchmarks, read_items
from annotators.contamination.planting import EDITS
from annotators.contamination.registry import known_benchmark, known_benchmarks
from annotators.contamination.rules import KINDS, RuleNumber, Section, is_contaminated, ranges_of
from annotators.contamination.tables import Table, bloom_holds, find_hash, make_bloom, make_table
from annotators.text.kernels import kernel

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data"))
REAL = pytest.mark.skipif(
    not (DATA / "decontamination").is_dir(),
    reason=f"no real data at {DATA}/decontamination; set TOKENMILL_DATA to the folder above it",
)

FERRY = "The ferry takes eighteen cars over the river and needs twelve minutes for both ways"  # 15
TIDES = "Spring tides come twice each month when sun and moon pull along one straight line"  # 15
CODE = "def ferry_round_trips(cars, size):\n    return -(-cars // size)\n"


def given(
    folder: Path, rows: Sequence[object], name: str = "quiz", **options: object
) -> dict[str, Any]:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return {"name": name, "path": str(path), **options}


def labels(one: dict[str, Any], *texts: str) -> list[dict[str, Any]]:
    annotator = Contamination(benchmarks=[one])
    return list(annotator(pa.array(texts, pa.large_string()), {}).to_pylist())


def decided(row: dict[str, Any]) -> tuple[bool, str | None]:
    return row["contaminated"], row["contamination_rule"]


def changed(text: str, *kept: int) -> str:
    """Replaces all words but those from kept[0] up to kept[1]."""
    words = text.split()
    return " ".join(w if kept[0] <= i < kept[1] else f"zz{i}q" for i, w in enumerate(words))


def test_each_kind_has_its_run_of_words_and_its_share(tmp_path: Path) -> None:
    item = f"{FERRY} {TIDES}"  # 30 words
    found = {
        kind: labels(
            given(tmp_path, [{"q": item}], f"b-{kind}", kind=kind),
            *(changed(item, 0, n) for n in (9, 10, 12, 13, 15, 16, 18, 19)),
        )
        for kind in KINDS
    }
    flags = {kind: [row["contaminated"] for row in rows] for kind, rows in found.items()}
    shared = {kind: [row["benchmark"] is not None for row in rows] for kind, rows in found.items()}
    assert flags == {
        "math": [False] * 7 + [True],  # 19 / 30 > 0.6, and 18 / 30 is not
        "code": [False] + [True] * 7,
        "text": [False] * 5 + [True] * 3,  # 16 / 30 > 0.5
    }
    assert shared["math"] == [False] * 3 + [True] * 5
    assert shared["text"] == shared["code"] == [False] + [True] * 7
    assert [found[kind][-1]["contamination_rule"] for kind in KINDS] == ["lcs", "ngram", "share"]


def test_span_of_a_small_share_of_code_is_the_run_alone(tmp_path: Path) -> None:
    item = f"{FERRY} {TIDES}"
    text = changed(item, 10, 21)
    (row,) = labels(given(tmp_path, [{"q": item}], kind="code"), text)
    (span,) = row["contamination_spans"]
    assert text[span["start"] : span["end"]] == " ".join(item.split()[10:21])
    assert row["contaminated"]
    assert row["contamination_score"] == pytest.approx(11 / 30)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_under_13_words_stand_whole_or_not_at_all(tmp_path: Path, kind: str) -> None:
    twelve, six = FERRY.split()[:12], "Why do spring tides come twice"
    rows = [{"q": " ".join(twelve)}, {"q": six}, {"q": "Why do tides come twice?"}, {"q": TIDES}]
    one = given(tmp_path, rows, kind=kind)
    found = labels(
        one,
        f"So: «{' '.join(twelve).upper()}»",
        " ".join(twelve[:11]),
        " ".join([*twelve[:6], "old", *twelve[6:]]),
        f"{six}?",
        "Why do spring tides seldom come twice",
        "Why do tides come twice?",
    )
    whole, nothing = (True, "whole"), (False, None)
    assert [decided(row) for row in found] == [whole, nothing, nothing, whole, nothing, nothing]
    (facts,) = Contamination(benchmarks=[one]).index_facts()
    assert (facts.items, facts.indexed, facts.too_short) == (4, 3, 1)
    assert facts.not_covered == ("line 3: Why do tides come twice?",)


def test_han_letters_weigh_as_words_do(tmp_path: Path) -> None:
    short = "果园里有一百二十棵苹果树"  # 12 letters weigh 6.7 words
    one = given(tmp_path, [{"q": short}, {"q": "苹果树有多少棵？"}], kind="math")
    found = labels(one, f"据说{short}。", f"据说{short[1:]}。", "苹果树有多少棵？")
    assert [decided(row) for row in found] == [(True, "whole"), (False, None), (False, None)]


def test_options_and_answers_are_found_apart_and_spans_name_them(tmp_path: Path) -> None:
    options = ["cars come back by noon", "none of them returns at night", "all of them sink"]
    rows = [{"id": "f", "ask": FERRY, "pick": options, "why": TIDES, "short": "twelve round trips"}]
    one = given(
        tmp_path, rows, kind="text", question=["ask"], options=["pick"], answer=["why", "short"]
    )
    both = f"{TIDES}. {FERRY}"
    found = labels(
        one,
        both,
        "* Cars come back by noon.\n* None of them returns at night.\n* All of them sink.",
        "none of them returns at night",
        "twelve round trips",
    )
    spans = [[(s["item"], s["field"]) for s in row["contamination_spans"]] for row in found]
    assert spans == [[("f", "why"), ("f", "ask")], [("f", "pick")], [], []]
    assert [row["contaminated"] for row in found] == [True, True, False, False]
    first = found[0]["contamination_spans"]
    assert [both[s["start"] : s["end"]] for s in first] == [TIDES, FERRY]


def test_short_question_is_also_found_with_its_options(tmp_path: Path) -> None:
    row = {
        "q": "Spring tides come",
        "o": ["twice each month at new", "and full moon", "never at all"],
    }
    one = given(tmp_path, [row], kind="text", question=["q"], options=["o"])
    together = "Spring tides come\n- twice each month at new\n- and full moon\n- never at all"
    found = labels(one, together, "Spring tides come", "twice each month at new and full moon")
    assert [one["contaminated"] for one in found] == [True, False, False]
    assert found[0]["contamination_spans"][0]["field"] == "q+o"


def test_fields_of_a_question_are_one_text(tmp_path: Path) -> None:
    words = FERRY.split()
    body, question = " ".join(words[:9]), " ".join(words[9:])
    row = {"Body": body, "Question": question, "Equation": "4 * 18"}
    one = given(tmp_path, [row], "svamp")
    (found,) = labels(one, FERRY)
    assert decided(found) == (True, "lcs")
    assert found["contamination_spans"][0]["field"] == "Body+Question"


# Of these options none has 10 words, and all together have 25.
BY_BOAT = [
    "it turns round in the harbour",
    "it waits until the next tide",
    "it unloads all of the cars first",
    "it sounds its horn and goes",
]


def lettered(options: Sequence[str], form: str = "{}. {}") -> str:
    return "\n".join(form.format(letter, one) for letter, one in zip("ABCD", options, strict=True))


def test_question_is_found_without_its_passage_and_the_passage_without_it(tmp_path: Path) -> None:
    passage = (
        f"{FERRY}. {TIDES}. " + "On Sundays the harbour is closed to all but small boats. " * 2
    )
    question = "According to the harbour master who may enter the port on a Sunday in spring"
    row = {"id": "p", "article": passage, "question": question}
    found = labels(given(tmp_path, [row], "race"), question, passage, f"{passage}\n{question}")
    assert [decided(one) for one in found] == [(True, "share")] * 3
    assert [one["contamination_score"] for one in found] == [1.0] * 3
    fields = [[span["field"] for span in one["contamination_spans"]] for one in found]
    assert fields == [["question"], ["article"], ["article+question"]]


def test_field_under_13_words_and_field_of_template_flag_nothing_alone(tmp_path: Path) -> None:
    template = "Which of the following statements about what is told above is true in every year"
    rows = [
        {"id": n, "article": f"{' '.join(f'w{n}x{i}' for i in range(30))}", "question": template}
        for n in range(MAX_SHARING + 1)
    ]
    rows[0]["article"] = FERRY + TIDES
    assert len(template.split()) > 13
    assert decided(labels(given(tmp_path, rows, "race"), template)[0]) == (False, None)
    (few,) = labels(given(tmp_path, rows[1:], "race"), template)
    assert decided(few) == (True, "share")
    twelve = " ".join(TIDES.split()[:12])
    short = {"article": f"{FERRY} and back to the port", "question": twelve}
    (one,) = labels(given(tmp_path, [short], "race"), twelve)
    assert not one["contaminated"]


@pytest.mark.parametrize("form", ["{}. {}", "({}) {}", "{}) {}", "- {}: {}", "**{}** {}"])
def test_options_with_letters_before_them_are_found(tmp_path: Path, form: str) -> None:
    row = {"question": FERRY, "choices": BY_BOAT}
    one = given(tmp_path, [row], "mmlu")
    text = lettered(BY_BOAT, form)
    found = labels(one, text, "\n".join(BY_BOAT), BY_BOAT[2])
    assert [decided(row) for row in found] == [(True, "share")] * 2 + [(False, None)]
    (span,) = found[0]["contamination_spans"]
    assert (span["field"], span["score"]) == ("choices", 1.0)
    assert text[span["start"] : span["end"]] == text[text.index("A") :]


def test_letters_do_not_make_short_options_evidence(tmp_path: Path) -> None:
    # 12 words, and 14 with the weight of four letters.
    options = ["by noon or so", "at six sharp", "in the night", "never again"]
    row = {"question": FERRY, "choices": options}
    one = given(tmp_path, [row], "mmlu")
    assert not labels(one, lettered(options))[0]["contaminated"]
    # With a question of few words they are, as without letters.
    together = {"question": "When does the boat return?", "choices": options}
    text = f"{together['question']}\n{lettered(options)}"
    (found,) = labels(given(tmp_path, [together], "mmlu"), text)
    assert (found["contaminated"], found["contamination_score"]) == (True, 1.0)
    assert found["contamination_spans"][0]["field"] == "question+choices"


def test_letters_give_no_ngram_to_options_that_have_none(tmp_path: Path) -> None:
    options = ["by noon or so", "at six", "in time", "never"]  # 9 words, and 11 with letters
    one = given(tmp_path, [{"question": "When will it come?", "choices": options}], "mmlu")
    for text in (lettered(options), "\n".join(options)):
        assert decided(labels(one, text)[0]) == (False, None)


def test_long_options_are_found_in_any_order(tmp_path: Path) -> None:
    options = [FERRY, "it sinks", TIDES, "none of these is what the captain says"]
    one = given(tmp_path, [{"question": "What does he say?", "choices": options}], "mmlu")
    text = f"None of these is what the captain says. {TIDES}. {FERRY}."
    found = labels(one, text, FERRY, options[3])
    assert [decided(row) for row in found] == [(True, "share")] * 2 + [(False, None)]
    spans = [text[s["start"] : s["end"]] for s in found[0]["contamination_spans"]]
    assert spans == [TIDES, FERRY]


def test_parts_that_cannot_be_found_beside_their_question_are_counted(tmp_path: Path) -> None:
    rows = [
        {"ask": FERRY, "pick": ["by noon", "at six"], "why": TIDES, "short": "at six"},
        {"ask": FERRY + TIDES, "pick": BY_BOAT, "why": "at noon", "short": ""},
        {"ask": "Who?", "pick": ["I", "you"], "why": "", "short": "you"},
    ]
    roles = {"question": ["ask"], "options": ["pick"], "answer": ["why", "short"]}
    (facts,) = Contamination(benchmarks=[given(tmp_path, rows, **roles)]).index_facts()  # type: ignore[arg-type]
    assert (facts.indexed, facts.parts_not_covered) == (2, 3)


@pytest.mark.parametrize(
    "options",
    [
        ["it sinks at once", "it never leaves the river bank"],
        "['it sinks at once', 'it never leaves the river bank']",
        '["it sinks at once", "it never leaves the river bank"]',
        {"label": ["A", "B"], "text": ["it sinks at once", "it never leaves the river bank"]},
        "it sinks at once\nit never leaves the river bank",
    ],
)
def test_options_may_be_lists_printed_lists_objects_or_strings(
    tmp_path: Path, options: object
) -> None:
    one = given(tmp_path, [{"question": FERRY, "choices": options}], "mmlu_redux")
    (item,) = read_items(parse_benchmarks([one])[0])
    texts = {part.role: part.text for part in item.parts}
    assert texts["question"] == FERRY
    assert texts["options"].endswith("it sinks at once\nit never leaves the river bank")


def test_line_of_an_unsplit_csv_file_is_split(tmp_path: Path) -> None:
    row = {"question;choices;answer": f"{FERRY};['a whole day', 'an hour'];1"}
    (item,) = read_items(parse_benchmarks([given(tmp_path, [row], "mmlu_redux")])[0])
    texts = [(part.role, part.text) for part in item.parts]
    assert texts == [("question", FERRY), ("options", "a whole day\nan hour")]


def test_missing_field_is_named_with_file_and_line(tmp_path: Path) -> None:
    rows = [{"question": FERRY, "answer": "2"}, {"query": FERRY, "answer": "3"}]
    one = given(tmp_path, rows, "gsm8k_test")
    message = r"gsm8k_test\.jsonl, line 2: found no field 'question', but \['answer', 'query'\]"
    with pytest.raises(ValueError, match=message):
        Contamination(benchmarks=[one]).index()
    # An answer of the registry may be absent, one of corpus.yaml may not.
    rows = [{"question": FERRY}]
    assert Contamination(benchmarks=[given(tmp_path, rows, "gsm8k_test")]).index()
    named = given(tmp_path, rows, "gsm8k_test", question=["question"], answer=["answer"])
    with pytest.raises(ValueError, match="line 1: found no field 'answer'"):
        Contamination(benchmarks=[named]).index()


def test_name_of_the_registry_brings_kind_and_roles_and_an_option_wins(tmp_path: Path) -> None:
    rows = [{"question": FERRY, "answer": TIDES, "comment": f"{TIDES} {FERRY}"}]
    plain, other = given(tmp_path, rows, "gsm8k_test"), given(tmp_path, rows, "gsm8k", kind="code")
    unknown = given(tmp_path, rows, "my-own")
    known = Contamination(benchmarks=[plain, other, unknown])
    facts = [(one.benchmark, one.kind, one.roles) for one in known.index_facts()]
    assert facts == [
        ("gsm8k_test", "math", "registry"),
        ("gsm8k", "code", "registry"),
        ("my-own", "text", "all text fields"),
    ]
    assert [path.name for path in known.model_files()][-1] == "registry.yaml"
    files = Contamination(benchmarks=[unknown]).model_files()
    assert [path.name for path in files] == ["my-own.jsonl"]


def test_registry_is_whole() -> None:
    entries = set(known_benchmarks().values())
    assert len(entries) > 55
    for one in entries:
        assert one.kind in KINDS
        assert one.question
        assert one.origin.startswith("https://")
        assert one.licence
    assert known_benchmark("mmlu_validation") is known_benchmark("mmlu")
    assert known_benchmark("no-such-set") is None


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("add", False),
        ("fibonacci", False),
        ("sort_array", False),
        ("sortThirdEven", True),
        ("truncate_number", True),
        ("___a_b_______", False),
        ("name with spaces", False),
    ],
)
def test_only_a_distinctive_name_is_evidence(name: str, counts: bool) -> None:
    assert is_distinctive(name) == counts


def test_entry_point_is_the_function_that_the_tests_call() -> None:
    code = "def number_of_help(x):\n    return x\ndef similar_elements(a, b):\n    return a"
    record = {"text": "Write it", "code": code, "test_list": ["assert set(similar_elements(1, 2))"]}
    assert entry_point_of(record) == "similar_elements"
    assert entry_point_of({"code": code}) == "number_of_help"
    assert entry_point_of({"entry_point": "truncate_number"}) == "truncate_number"
    assert entry_point_of({"entry_point": "add", "code": code}) == ""


def test_name_of_a_function_flags_where_it_is_called_or_defined(tmp_path: Path) -> None:
    rows = [{"task_id": "T/1", "prompt": CODE, "entry_point": "ferry_round_trips"}]
    rows += [{"task_id": "T/2", "prompt": "def add(a, b): pass", "entry_point": "add"}]
    texts = [
        "Übung: self.ferry_round_trips(7)",
        "ferry_round_trips(",
        "the ferry_round_trips are many",
        "my_ferry_round_trips(1)",
        "Ferry_Round_Trips(1)",
        "ferry_round_trips2(1)",
        "add(1, 2)",
        "(((",
    ]
    found = labels(given(tmp_path, rows, "humaneval"), *texts)
    assert [decided(row) for row in found] == [(True, "entry_point")] * 2 + [(False, None)] * 6
    start = len("Übung: self.".encode())
    assert found[0]["contamination_spans"] == [
        {
            "benchmark": "humaneval",
            "item": "T/1",
            "field": "entry_point",
            "start": start,
            "end": start + len("ferry_round_trips"),
            "score": 1.0,
            "contaminated": True,
        }
    ]


def test_ranges_follow_from_roles() -> None:
    sections = [
        Section("question", "q", 0, 8, 800),
        Section("options", "o", 8, 12, 400),
        Section("answer", "a", 12, 24, 1200),
        Section("answer", "b", 24, 37, 1300),
    ]
    made = [(r.first, r.last, r.rule.name, r.field) for r in ranges_of(sections, "text")]
    assert made == [(0, 8, "WHOLE", "q"), (24, 37, "SHARE", "b")]
    longer = [*sections[:1], Section("options", "o", 8, 13, 500)]
    made = [(r.first, r.last, r.rule.name, r.field) for r in ranges_of(longer, "math")]
    assert made == [(0, 8, "WHOLE", "q"), (0, 13, "LCS", "q+o")]


def test_thresholds_are_exact() -> None:
    assert not is_contaminated(RuleNumber.LCS, 6, 10)
    assert is_contaminated(RuleNumber.LCS, 61, 100)
    assert not is_contaminated(RuleNumber.SHARE, 5, 10)
    assert is_contaminated(RuleNumber.SHARE, 11, 20)
    assert is_contaminated(RuleNumber.NGRAM, 1, 4096)


@kernel
def _look_up(
    table: Table,
    values: NDArray[np.uint64],
    held: NDArray[np.bool_],
    numbers: NDArray[np.int64],
) -> None:
    for i in range(len(values)):
        held[i] = bloom_holds(table.bloom, values[i])
        numbers[i] = find_hash(table, values[i])


@pytest.mark.parametrize("before", [0, 1, 2])
def test_long_texts_are_searched_in_pieces_and_lose_nothing(tmp_path: Path, before: int) -> None:
    one = given(tmp_path, [{"q": FERRY}, {"q": TIDES}, {"q": "Why do spring tides come twice"}])
    unit = "é вода 水 "
    text = "x" * before
    for number, quotation in enumerate((FERRY, TIDES, FERRY), 1):
        # Each lies over the border between two pieces, or in what they share.
        border = number * (PIECE_BYTES - OVERLAP_BYTES) + OVERLAP_BYTES * (number - 1) // 2
        text += unit * ((border - len(text.encode())) // len(unit.encode()))
        text += f"{quotation}. "
    text += unit * (1 << 16) + "Why do spring tides come twice"
    (row,) = labels(one, text)
    data = text.encode()
    assert len(data) > 3 * PIECE_BYTES
    spans = [data[s["start"] : s["end"]].decode() for s in row["contamination_spans"]]
    assert spans == [FERRY, TIDES, FERRY, "Why do spring tides come twice"]


def test_table_finds_what_it_holds_and_the_filter_loses_nothing() -> None:
    chance = np.random.default_rng(0)
    values = chance.integers(0, 1 << 64, 20_000, np.uint64)
    table = make_table(np.repeat(values[:10_000], 2), np.arange(20_000, dtype=np.int32), 8)
    held, numbers = np.zeros(20_000, np.bool_), np.zeros(20_000, np.int64)
    _look_up(table, values, held, numbers)
    assert held[:10_000].all()
    assert held[10_000:].mean() < 0.02
    assert (numbers[10_000:] == -1).all()
    at = numbers[:10_000]
    assert np.array_equal(table.hashes[at], values[:10_000])
    firsts = np.stack([table.positions[table.offsets[at]], table.positions[table.offsets[at] + 1]])
    assert np.array_equal(firsts, np.arange(20_000).reshape(-1, 2).T)
    assert make_bloom(np.zeros(0, np.uint64)).words.any() == np.False_


def test_first_pass_misses_no_place_of_a_run(tmp_path: Path) -> None:
    # The filter is asked at every fifth word: every shift of a run must be met.
    item = f"{FERRY} {TIDES}"
    words = item.split()
    texts = [
        " ".join([*(f"x{k}q" for k in range(shift)), *words[at : at + 10], "end"])
        for shift in range(12)
        for at in (0, 7, 20)
    ]
    found = labels(given(tmp_path, [{"q": item}], kind="code"), *texts)
    assert all(row["contaminated"] for row in found)


@REAL
@pytest.mark.parametrize("name", ["mmlu_redux", "mbpp", "svamp", "sat_math", "olympiadbench"])
def test_published_files_are_read_as_the_registry_says(name: str) -> None:
    path = DATA / "decontamination" / f"{name}.jsonl.gz"
    (benchmark,) = parse_benchmarks([{"name": name, "path": str(path)}])
    items = read_items(benchmark)
    assert all(item.parts and item.parts[0].role == "question" for item in items)
    annotator = Contamination(benchmarks=[{"name": name, "path": str(path)}])
    (facts,) = annotator.index_facts()
    assert facts.items == len(items)
    assert facts.indexed + facts.too_short + facts.common == facts.items
    assert facts.indexed > 0.97 * facts.items
    assert len(facts.not_covered) == min(5, facts.items - facts.indexed)


def test_edits_change_what_they_say() -> None:
    text = 'If $x^{2}=49$, how many of the 120 apples, says "Ann", are left? Give 3 digits.'
    words = ["river", "moon"]
    made = {name: edit(text, words, random.Random(3)) for name, edit in EDITS.items()}
    assert made["verbatim"] == text
    letters = [
        "".join(c for c in one.casefold() if c.isalnum()) for one in (text, made["reformatted"])
    ]
    assert letters[0] == letters[1]
    assert made["reformatted"] != text
    for old in ("49", "120"):
        assert old not in made["numbers"]
    assert len(made["numbers"]) == len(text)
    assert made["reworded"].count("river") + made["reworded"].count("moon") >= 2
    assert "\n\n" in made["page break"]

"""Cuts: what stands where a span stood, in any script, and labels that do not fit."""

import random

import pyarrow as pa
import pytest

from annotators.text.cuts import CUT, apply_cuts

Cuts = list[tuple[int, int, str]]


def texts_of(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def cuts_of(cuts: list[Cuts | None]) -> pa.ListArray:
    names = ("start", "end", "replacement")
    rows = [
        None if row is None else [dict(zip(names, c, strict=True)) for c in row] for row in cuts
    ]
    return pa.array(rows, pa.list_(CUT))


def test_spans_are_replaced_in_any_script() -> None:
    texts = ["write to ann@a.org, please", "電話は🙂です", "", "Привет"]
    cuts: list[Cuts | None] = [[(9, 18, "<email>")], [(9, 13, ""), (0, 6, "tel")], None, []]
    found = apply_cuts(texts_of(texts), cuts_of(cuts))
    assert found.to_pylist() == ["write to <email>, please", "telはです", "", "Привет"]
    assert found.type == pa.large_string()


def test_whole_text_and_both_ends_can_be_cut() -> None:
    cuts: list[Cuts | None] = [[(0, 3, "")], [(0, 1, "<"), (2, 3, ">")]]
    assert apply_cuts(texts_of(["abc", "abc"]), cuts_of(cuts)).to_pylist() == ["", "<b>"]


def test_overlapping_spans_become_one_with_the_first_replacement() -> None:
    cuts: list[Cuts | None] = [[(4, 8, "<b>"), (2, 5, "<a>"), (3, 4, "<c>"), (8, 9, "<d>")]]
    # [2, 8) is one; [8, 9) only touches it.
    assert apply_cuts(texts_of(["0123456789"]), cuts_of(cuts)).to_pylist() == ["01<a><d>9"]


def test_spans_at_the_seam_of_two_texts_stay_apart() -> None:
    cuts: list[Cuts | None] = [[(2, 3, "x")], [(0, 1, "y")]]
    assert apply_cuts(texts_of(["abc", "def"]), cuts_of(cuts)).to_pylist() == ["abx", "yef"]


def test_slices_of_both_arrays_are_read_where_they_begin() -> None:
    texts, cuts = texts_of(["ab", "cd", "ef"]), cuts_of([[(0, 1, "1")], [(1, 2, "2")], None])
    assert apply_cuts(texts.slice(1), cuts.slice(1)).to_pylist() == ["c2", "ef"]


def test_array_without_cuts_is_given_back() -> None:
    texts = texts_of(["a", "b"])
    assert apply_cuts(texts, cuts_of([None, []])) is texts
    assert apply_cuts(texts_of([]), cuts_of([])).to_pylist() == []


def test_random_cuts_are_those_of_plain_python() -> None:
    chance = random.Random(3)
    alphabet = "aé電🙂 "
    texts = ["".join(chance.choices(alphabet, k=chance.randrange(12))) for _ in range(300)]
    cuts: list[Cuts | None] = []
    expected = []
    for text in texts:
        edges = sorted(chance.sample(range(len(text) + 1), 2)) if len(text) > 1 else [0, 0]
        low, high = (len(text[:edge].encode()) for edge in edges)
        cuts.append([(low, high, "‹x›")] if high > low else [])
        expected.append(text[: edges[0]] + "‹x›" + text[edges[1] :] if high > low else text)
    assert apply_cuts(texts_of(texts), cuts_of(cuts)).to_pylist() == expected


@pytest.mark.parametrize(
    ("span", "wanted"),
    [
        ((1, 2), r"text 1 has a cut \[1, 2\) that begins or ends inside a UTF-8 character"),
        ((0, 1), "inside a UTF-8 character"),
        ((0, 8), r"text 1 has 6 bytes and a cut \[0, 8\)"),
        ((-3, 3), "6 bytes and a cut"),
        ((3, 3), "takes at least one byte"),
        ((6, 3), "takes at least one byte"),
    ],
)
def test_cut_that_does_not_fit_its_text_is_refused(span: tuple[int, int], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        apply_cuts(texts_of(["plain", "電話"]), cuts_of([None, [(*span, "")]]))


def test_other_arrays_are_refused() -> None:
    texts = texts_of(["a"])
    with pytest.raises(ValueError, match="2 lists of cuts for 1 texts"):
        apply_cuts(texts, cuts_of([None, None]))
    with pytest.raises(ValueError, match="give a list of struct"):
        apply_cuts(texts, pa.array([[1]]))
    nullable = pa.list_(pa.struct([(field.name, field.type) for field in CUT]))
    null = pa.array([[{"start": 0, "end": 1, "replacement": None}]], nullable)
    with pytest.raises(ValueError, match="null start, end or replacement"):
        apply_cuts(texts, null)

"""The kernels of boilerplate and repeats against brute force over strings."""

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from by_hand import boilerplate_by_hand, repeats_by_hand
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.contamination.words import WORD
from annotators.text.key_table import key_table, positions_in
from pipelines.repeats import stretches
from pipelines.repeats.boilerplate import boilerplate_spans, passage_keys
from pipelines.repeats.counting import (
    SENT,
    DocumentKeys,
    PartKeys,
    SharedKeys,
    count_keys,
    id_numbers,
    key_range,
    partition_of,
)
from pipelines.repeats.spans import Spans, labels_of

LINES = (
    "Home", "home |", "About us", "首页", "หน้าแรก", "Αρχική σελίδα", "मुखपृष्ठ", "Главная", "12",
    "* * *", "© 2024", "ok", "x", "  ", "", "\t", "```", "```py", "~~~", "    ```", "``` `x`",
    "Terms of Use.", "Home\u2028About us", "Home\r", "É", "ÉÀ\u00a0éà", "\u0301\u0301ab",
)  # fmt: skip

SENTENCES = (
    "The tide clock in the harbour is wrong by a quarter of an hour, and nobody minds at all.",
    "Часы у причала спешат на четверть часа, и никто на это давно не обращает внимания!",
    "Το ρολόι του λιμανιού πάει μπροστά ένα τέταρτο και κανείς δεν ενοχλείται από αυτό.",
    "बंदरगाह की घड़ी पंद्रह मिनट आगे चलती है और किसी को फ़र्क नहीं पड़ता।",
    "港口的潮汐钟快了一刻钟，但没有人在意。",
    "นาฬิกาที่ท่าเรือเดินเร็วไปสิบห้านาทีแต่ไม่มีใครสนใจ",
    "x^2 + 3y = 7 ㎞ ③",
)
PIECES = tuple(piece for one in SENTENCES for piece in (one[: len(one) // 2], one[len(one) // 2 :]))


def counted(keys: list[DocumentKeys], ids: list[bytes], min_documents: int) -> SharedKeys:
    """Counts the keys of single documents as parts and partitions do."""
    part = PartKeys()
    for found, id_ in zip(keys, ids, strict=True):
        part.add(found, id_numbers(pa.array([id_], pa.binary(16))), np.array([True]))
    table = part.table()
    sent = table.append_column(SENT.field("sender"), pa.array(np.zeros(len(table), np.int32)))
    shared = count_keys(sent, min_documents).shared
    return SharedKeys.of(shared.drop_columns(["sender"]).to_batches())


def texts_of(*texts: str) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def listed(level: str, texts: list[str], spans: Spans) -> list[list[dict[str, Any]]]:
    ids = pa.array([bytes(16)] * len(texts), pa.binary(16))
    sizes = np.array([len(text.encode()) for text in texts])
    batch = labels_of(level, ids, sizes, spans)
    batch.validate(full=True)
    found: list[list[dict[str, Any]]] = batch.column(level).to_pylist()
    shares = batch.column(f"{level}_share").to_pylist()
    for one, size, share in zip(found, sizes.tolist(), shares, strict=True):
        held = sum(span["end"] - span["start"] for span in one)
        assert share == np.float32(held / max(size, 1))
        assert all(a["end"] <= b["start"] for a, b in itertools.pairwise(one))
    return found


def boilerplate(
    rows: list[tuple[str, str | None, bool]], min_documents: int
) -> list[list[dict[str, Any]]]:
    texts = [text for text, _, _ in rows]
    hosts = pa.array([host for _, host, _ in rows], pa.string())
    keys = [
        passage_keys(texts_of(text), hosts[n : n + 1])
        for n, (text, _, is_counted) in enumerate(rows)
        if is_counted
    ]
    shared = counted(keys, [bytes(16)] * len(keys), min_documents)
    return listed("boilerplate", texts, boilerplate_spans(texts_of(*texts), hosts, shared))


def repeats(rows: list[tuple[bytes, str, bool]]) -> list[list[dict[str, Any]]]:
    some = [(id_, text) for id_, text, is_compared in rows if is_compared]
    ids = [id_ for id_, _ in some]
    guards = counted([stretches.guard_keys(texts_of(text)) for _, text in some], ids, 2)
    keys = [stretches.window_keys(texts_of(text), guards) for _, text in some]
    windows = counted(keys, ids, 2)
    numbers = id_numbers(pa.array(ids, pa.binary(16)))
    texts = [text for _, text in some]
    found = listed("repeats", texts, stretches.repeat_spans(texts_of(*texts), numbers, windows))
    spans = iter(found)
    return [next(spans) if is_compared else [] for _, _, is_compared in rows]


def cut_by(text: str, spans: list[dict[str, Any]], **wanted: object) -> str:
    """What is left of a text without some of its spans."""
    data = text.encode()
    for span in reversed(spans):
        if all(span[name] == value for name, value in wanted.items()):
            data = data[: span["start"]] + data[span["end"] :]
    return data.decode()


documents = st.lists(st.sampled_from(LINES), max_size=9).map("\n".join)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.tuples(documents, st.sampled_from(["a", "b", None, ""]), st.booleans()), max_size=7
    ),
    st.integers(2, 3),
)
def test_boilerplate_is_that_of_brute_force(
    rows: list[tuple[str, str | None, bool]], min_documents: int
) -> None:
    assert boilerplate(rows, min_documents) == boilerplate_by_hand(rows, min_documents)


def test_boilerplate_of_a_site_leaves_its_articles() -> None:
    menu, footer = "Home\nAbout us\n首页\n", "\n© 2024 Harbour Museum. All rights reserved.\n"
    articles = [
        "The tide clock.\n\nAbout us\nit says little.\n",
        "Часы у причала.\n\n```sh\nmake all\n```\n",
        "港口的潮汐钟。\n\n12\n\n```sh\nmake all\n```\n",
    ]
    pages = [f"{menu}\n{article}{footer}" for article in articles]
    found = boilerplate([(page, "museum.example", True) for page in pages], 3)
    assert [[span["kind"] for span in spans] for spans in found] == [
        ["paragraph", "line", "line"], ["paragraph", "line"], ["paragraph", "line"]
    ]  # fmt: skip
    left = [cut_by(page, spans) for page, spans in zip(pages, found, strict=True)]
    assert left == [
        "The tide clock.\n\nit says little.\n\n",
        "Часы у причала.\n\n```sh\nmake all\n```\n\n",
        "港口的潮汐钟。\n\n12\n\n```sh\nmake all\n```\n\n",
    ]


def test_marks_before_a_paragraph_are_not_in_its_normal_form() -> None:
    pages = ["* * *\nHome\nAbout us", "Home\n--\nabout us!", "HOME about us"]
    found = boilerplate([(page, "a", True) for page in pages], 3)
    assert [[(span["kind"], span["documents"]) for span in spans] for spans in found] == [
        [("paragraph", 3)], [("paragraph", 3)], [("line", 3)]
    ]  # fmt: skip


@pytest.mark.parametrize("host", [None, ""])
def test_documents_without_a_host_have_no_boilerplate(host: str | None) -> None:
    assert boilerplate([("Home\nAbout", host, True)] * 5, 2) == [[]] * 5


def test_passages_of_two_hosts_do_not_meet() -> None:
    rows = [("Home", "a", True), ("Home", "b", True), ("home!", "a", True)]
    (one, other, third) = boilerplate(rows, 2)
    assert one == [{"kind": "line", "start": 0, "end": 4, "documents": 2}]
    assert other == []
    assert third == [{"kind": "line", "start": 0, "end": 5, "documents": 2}]


pieces = st.lists(
    st.tuples(st.sampled_from(PIECES), st.sampled_from([" ", "\n\n", "", ". ", "\n- ", "(", ".("])),
    max_size=8,
).map(lambda some: "".join(piece + glue for piece, glue in some))


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(pieces, st.booleans()), max_size=6), st.sampled_from([2, 6, 9]))
def test_repeats_are_those_of_brute_force(texts: list[tuple[str, bool]], num_words: int) -> None:
    rows = [
        (bytes([7 * n % 11]) * 16, text, is_compared or n < 3)
        for n, (text, is_compared) in enumerate(texts)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretches, "WORDS_PER_WINDOW", num_words)
        assert repeats(rows) == repeats_by_hand(rows, num_words * WORD)


@settings(max_examples=50, deadline=None)
@given(st.lists(pieces, min_size=2, max_size=5))
def test_cutting_what_is_not_first_keeps_every_shared_window(texts: list[str]) -> None:
    from by_hand import Split

    rows = [(bytes([n + 1]) * 16, text, True) for n, text in enumerate(texts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretches, "WORDS_PER_WINDOW", 6)
        found = repeats(rows)
    kept: set[int] = set()
    for text, spans in zip(texts, found, strict=True):
        for span in spans:
            if span["first"]:
                inside = text.encode()[span["start"] : span["end"]].decode()
                kept |= set(Split.of(inside).windows(6 * WORD))
    held = [set(Split.of(text).windows(6 * WORD)) for text in texts]
    for n, windows in enumerate(held):
        for window in windows:
            if any(window in other for m, other in enumerate(held) if m != n):
                assert window in kept


LONG = {
    "latin": [f"word{chr(0x61 + n % 26)}{chr(0x61 + n // 26)}" for n in range(70)],
    "cyrillic": [f"слово{chr(0x430 + n % 32)}{chr(0x430 + n // 32)}" for n in range(70)],
    "greek": [f"λέξη{chr(0x3B1 + n % 17)}{chr(0x3B1 + n // 17)}" for n in range(70)],
    "devanagari": [f"शब्द{chr(0x915 + n % 30)}{chr(0x915 + n // 30)}" for n in range(70)],
}


@pytest.mark.parametrize("script", LONG)
def test_stretch_of_fifty_words_is_found_and_one_of_forty_nine_is_not(script: str) -> None:
    words = LONG[script]
    own = [f"own{chr(0x61 + n)}" for n in range(4)]
    for length in (49, 50, 61):
        shared = words[:length]
        first = f"{own[0]} {' '.join(shared)}. {own[1]}"
        second = f"{own[2]}\n{chr(10).join(shared).upper()}\n{own[3]}"
        found = repeats([(b"b" * 16, first, True), (b"a" * 16, second, True)])
        if length < 50:
            assert found == [[], []]
            continue
        (one,), (other,) = found
        assert (one["first"], other["first"]) == (False, True)
        assert (one["documents"], other["documents"]) == (2, 2)
        assert first.encode()[one["start"] : one["end"]].decode() == f"{' '.join(shared)}. "
        held = second.encode()[other["start"] : other["end"]].decode()
        assert held.split() == [word.upper() for word in shared]
        assert cut_by(first, [one], first=False) == f"{own[0]} {own[1]}"


@pytest.mark.parametrize(
    ("letters", "needed"),
    [
        ("港口的潮汐钟快了一刻但没有人在意渔夫们按太阳和水出海回来时看不它都样", 90),
        ("กขคงจฉชซฌญฎฏฐฑฒณดตถท", 193),
    ],
)
def test_scripts_without_spaces_count_by_weight(letters: str, needed: int) -> None:
    chance = np.random.default_rng(5)
    shared = "".join(chance.choice(list(letters), needed).tolist())
    texts = [f"one two {shared} three", f"four {shared} five six"]
    rows = [(bytes([n]) * 16, text, True) for n, text in enumerate(texts)]
    (one,), (other,) = repeats(rows)
    assert texts[0].encode()[one["start"] : one["end"]].decode() == shared + " "
    assert texts[1].encode()[other["start"] : other["end"]].decode() == shared + " "
    shorter = [(id_, text.replace(shared, shared[1:]), True) for id_, text, _ in rows]
    assert repeats(shorter) == [[], []]


def test_guards_are_spread_over_all_partitions() -> None:
    chance = np.random.default_rng(7)
    text = " ".join(chance.choice(LONG["greek"] + LONG["latin"], 20_000).tolist())
    keys = stretches.guard_keys(texts_of(text)).keys
    assert len(keys) == pytest.approx(20_000 * 2 / 27, rel=0.05)
    sizes = np.bincount(partition_of(keys, 8), minlength=8)
    assert sizes.min() > 0.7 * len(keys) / 8


@pytest.mark.parametrize(
    ("behind", "taken"),
    [
        (".", "."),
        ("(tail", ""),
        (".(tail", "."),
        ("。」tail", "。"),
        ("». tail", "». "),
        (" (tail", " "),
    ],
)
def test_marks_go_with_the_word_before_them(behind: str, taken: str) -> None:
    shared = " ".join(LONG["cyrillic"][:50])
    texts = [f"own {shared}{behind}", f"two {shared} other"]
    (span,), _ = repeats([(bytes([n]) * 16, text, True) for n, text in enumerate(texts)])
    assert texts[0].encode()[span["start"] : span["end"]].decode() == shared + taken


def test_spans_that_meet_within_one_character_do_not_overlap() -> None:
    """U+3316 is six words, キロメートル; a shared stretch ends in its midst, another begins."""
    one, other = LONG["latin"][:50], LONG["latin"][20:70]
    texts = [
        f"{' '.join(one)} \u3316 {' '.join(other)}",
        f"{' '.join(one)} キロメ",
        f"ートル {' '.join(other)}",
    ]
    for ids in (b"abc", b"bac", b"bca", b"cab"):
        rows = [(bytes([id_]) * 16, text, True) for id_, text in zip(ids, texts, strict=True)]
        found = repeats(rows)  # `listed` looks for overlaps
        assert sum(span["end"] - span["start"] for span in found[0]) >= len(texts[0]) - 3
        assert found[1]
        assert found[2]


def test_repetition_inside_one_document_is_no_repeat() -> None:
    text = " ".join(LONG["latin"] * 3)
    rows = [(b"a" * 16, text, True), (b"b" * 16, "something else", True), (b"c" * 16, text, False)]
    assert repeats(rows) == [[], [], []]


def test_empty_batches_and_texts() -> None:
    assert boilerplate([], 2) == []
    assert repeats([]) == []
    assert boilerplate([("", "a", True)] * 3, 2) == [[]] * 3
    assert repeats([(bytes([n]) * 16, "", True) for n in range(3)]) == [[]] * 3


def test_slices_of_arrays_are_read_where_they_begin() -> None:
    texts = ["Home\nabc", "Home\nde", "fg\nHome"]
    whole, hosts = texts_of("x" * 40, *texts, "y").slice(1, 3), pa.array(["q", *"aaa", "q"])
    keys = passage_keys(whole, hosts.slice(1, 3))
    assert keys.sizes.tolist() == [3, 3, 3]
    again = passage_keys(texts_of(*texts), pa.array(list("aaa")))
    assert keys.keys.tolist() == again.keys.tolist()
    table = pa.table({"t": whole}).to_batches()[0].column("t")
    long = " ".join(LONG["latin"])
    sliced = texts_of("zz " * 30, long, long).slice(1)
    assert stretches.guard_keys(sliced).keys.tolist() == (
        stretches.guard_keys(texts_of(long, long)).keys.tolist()
    )
    assert len(table) == 3


@given(st.lists(st.integers(1, 2**64 - 1), unique=True, max_size=60), st.integers(1, 9))
def test_partitions_are_ranges_of_keys(keys: list[int], num_partitions: int) -> None:
    array = np.array(sorted(keys), np.uint64)
    found = partition_of(array, num_partitions).tolist()
    assert found == sorted(found)
    for key, partition in zip(array.tolist(), found, strict=True):
        low, high = key_range([partition], num_partitions)
        assert low <= key <= high
    bounds = [key_range([p], num_partitions) for p in range(num_partitions)]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == 2**64 - 1
    assert all(a[1] + 1 == b[0] for a, b in itertools.pairwise(bounds))


@given(st.sets(st.integers(1, 2**64 - 1), max_size=60), st.lists(st.integers(0, 2**64 - 1)))
def test_key_table_finds_its_keys_and_no_other(keys: set[int], others: list[int]) -> None:
    known = sorted(keys)
    table = key_table(np.array(known, np.uint64))
    asked = [*known, *others]
    expected = [known.index(key) if key in keys else -1 for key in asked]
    assert positions_in(table, np.array(asked, np.uint64)).tolist() == expected

"""Scores of pages, the choice that a budget makes, and the key that both are measured with."""

from collections import Counter
from dataclasses import replace

import pytest

from pipelines.config import PdfConfig
from pipelines.extract.pdf.schema import PageSigns
from pipelines.extract.pdf.triage import (
    flaw,
    lowest_rank,
    page_signs,
    rank,
    score,
    threshold_of,
)
from pipelines.extract.router_evaluation import KEYS, read_key

GOOD = PageSigns(
    num_chars=2000,
    garbled=0.0,
    strange=0.0,
    unmapped=0.0,
    hidden=0.0,
    image_share=0.1,
    text_share=0.2,
    num_small_paths=10,
)
THRESHOLD = PdfConfig().ocr_threshold


def test_good_page_stays_below_the_threshold() -> None:
    assert score(GOOD) < 0.05


def test_page_without_characters_has_nothing_to_lose() -> None:
    empty = replace(GOOD, num_chars=0)
    assert (score(empty), flaw(empty)) == (1.0, "no_text_layer")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"garbled": 0.5}, "garbled_text"),
        ({"garbled": 1.0}, "garbled_text"),
        ({"strange": 0.8}, "suspected_garbled_text"),
        ({"unmapped": 1.0, "garbled": 0.02}, "suspected_garbled_text"),
        ({"hidden": 1.0, "image_share": 1.0}, "invisible_text_layer"),
        ({"num_chars": 6, "hidden": 0.8, "image_share": 1.0}, "invisible_text_layer"),
        ({"num_chars": 70, "image_share": 1.0}, "picture"),  # a scan with a stamp
        ({"num_chars": 3, "image_share": 0.0, "num_small_paths": 4000}, "picture"),
    ],
)
def test_flawed_page_is_looked_at_for_its_heaviest_sign(
    changes: dict[str, float], reason: str
) -> None:
    signs = replace(GOOD, **changes)  # type: ignore[arg-type]
    assert score(signs) >= THRESHOLD
    assert flaw(signs) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"garbled": 0.005},  # bullets from a symbol font
        {"unmapped": 1.0},  # an old TeX file
        {"image_share": 1.0},  # a slide with a background
        {"hidden": 0.9, "image_share": 0.0},  # a watermark that nobody sees
        {"num_small_paths": 5000},  # a map with much text
    ],
)
def test_harmless_sign_leaves_a_page_its_text(changes: dict[str, float]) -> None:
    assert score(replace(GOOD, **changes)) < THRESHOLD  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["garbled", "strange", "unmapped", "hidden"])
def test_score_grows_with_each_sign(name: str) -> None:
    base = replace(GOOD, image_share=1.0)
    scores = [score(replace(base, **{name: i / 10})) for i in range(11)]  # type: ignore[arg-type]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0]


def test_letters_drawn_as_strokes_count_like_a_picture() -> None:
    number_only = replace(GOOD, num_chars=3, image_share=0.0)
    drawn = replace(number_only, num_small_paths=4000)
    picture = replace(number_only, image_share=1.0)
    assert score(number_only) < score(drawn) == score(picture)
    assert flaw(drawn) == "picture"


def test_signs_are_shares_of_the_characters() -> None:
    signs = page_signs(
        "\ufffd\ufffdab",
        num_chars=4,
        num_garbled=2,
        num_unmapped=1,
        num_invisible=1,
        num_covered=3,
        image_share=0.25,
        text_share=0.5,
        num_small_paths=7,
    )
    assert signs == PageSigns(
        num_chars=4,
        garbled=0.5,
        strange=0.0,
        unmapped=0.25,
        hidden=1.0,
        image_share=0.25,
        text_share=0.5,
        num_small_paths=7,
    )


def test_rank_orders_by_score_and_then_by_chance() -> None:
    ranks = [rank(value, b"file", 1) for value in (0.0, 0.2, 0.2001, 0.9999, 1.0)]
    assert ranks == sorted(ranks)
    equals = {rank(1.0, bytes((i,)), page) for i in range(20) for page in range(1, 21)}
    assert len(equals) == 400
    assert {threshold_of(one) for one in equals} == {1.0}


@pytest.mark.parametrize("budget", [0.0, 0.01, 0.1, 0.25, 0.5, 1.0])
def test_budget_is_spent_on_the_highest_ranks_and_never_exceeded(budget: float) -> None:
    scans = [rank((i % 7) / 7, b"f", i) for i in range(60)]
    least = lowest_rank(scans, num_pages=200, budget=budget)
    chosen = [one for one in scans if one >= least]
    assert len(chosen) == min(60, int(budget * 200))
    assert sorted(chosen) == sorted(scans)[60 - len(chosen) :]


def test_budget_does_not_depend_on_the_order_of_the_pages() -> None:
    scans = [rank(1.0, b"f", i) for i in range(50)]
    assert lowest_rank(scans, 100, 0.1) == lowest_rank(scans[::-1], 100, 0.1)


@pytest.mark.parametrize(
    ("written", "share"), [("10%", 0.1), ("2.5 %", 0.025), (0.5, 0.5), ("100%", 1.0), (None, None)]
)
def test_budget_is_written_as_a_share(written: object, share: float | None) -> None:
    assert PdfConfig.model_validate({"ocr_budget": written}).ocr_budget == share


@pytest.mark.parametrize("written", ["10", "ten %", "120%", -0.1, 1.5])
def test_budget_that_is_no_share_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="ocr_budget"):
        PdfConfig.model_validate({"ocr_budget": written})


def test_key_names_each_page_once_and_has_all_kinds() -> None:
    key = read_key()
    assert len({(page.file, page.page) for page in key}) == len(key)
    counts = Counter(page.key for page in key)
    assert set(counts) == set(KEYS)
    assert min(counts.values()) >= 50
    halves = Counter(page.is_held_out for page in key)
    assert min(halves.values()) > 150

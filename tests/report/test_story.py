"""Numbers in words, and names of languages."""

import dataclasses

import pytest

from annotators.language.languages import codes
from pipelines.report import story
from pipelines.report.facts import StageFacts
from pipelines.report.gather import gather
from pipelines.report.language_tags import html_lang, language_name, script_name
from pipelines.workspace.workspace import Workspace


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0, "0"),
        (9_999_999, "9,999,999"),
        (10_000_000, "10.00 M"),
        (999_999_999, "1,000 M"),
        (1_234_567_890, "1.235 B"),
        (36_000_000_000_000, "36.00 T"),
        (5_000_000_000_000_000, "5,000 T"),
    ],
)
def test_short_numbers_keep_four_digits(value: int, wanted: str) -> None:
    assert story.short(value) == wanted


@pytest.mark.parametrize(
    ("part", "whole", "wanted"),
    [(0, 5, "0 %"), (1, 3, "33 %"), (1, 40, "2.5 %"), (1, 400, "0.25 %"), (1, 10**6, "< 0.01 %")],
)
def test_percent_has_as_many_digits_as_it_needs(part: int, whole: int, wanted: str) -> None:
    assert story.percent(part, whole) == wanted
    assert story.percent(part, 0) == "0 %"


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [(0.238, "0.24 s"), (59.6, "60 s"), (200, "3 min 20 s"), (18_720, "5 h 12 min")],
)
def test_durations(seconds: float, wanted: str) -> None:
    assert story.duration(seconds) == wanted


def test_middle_document_lies_in_the_bin_that_holds_it() -> None:
    assert story.lengths({-1: 1, 3: 2, 5: 1}) == "The middle document has 8 to 15 tokens."


def test_every_language_has_a_tag_of_bcp_47_and_a_name() -> None:
    tags = {code: html_lang(code) for code in codes()}
    assert all(tags.values())
    assert (tags["zho_Hant"], tags["jpn_Jpan"], tags["arb_Arab"]) == ("zh-Hant", "ja", "ar")
    assert (tags["arz_Arab"], tags["eng_Latn"]) == ("arz", "en")
    assert html_lang("und") == html_lang('"><script>') == ""
    assert language_name("deu_Latn") == "German"
    unnamed = {code for code in codes() if script_name(code) == code.split("_")[1]}
    assert unnamed == {"tha_Thai"}  # the one code that is its own name


def stage(workspace: Workspace, **changes: object) -> StageFacts:
    return dataclasses.replace(gather(workspace).stages[0], **changes)  # type: ignore[arg-type]


def test_difference_that_is_not_of_chance_is_explained(labelled: Workspace) -> None:
    certain = stage(labelled, planned=1000.0, sigma=0.0, counts={"tokens": 988, "cut_tokens": -12})
    assert story.stage(certain) == (
        "1,000 planned; nothing was left to chance, and the difference of 12 is what the cuts of "
        "personal data removed."
    )
    other = dataclasses.replace(certain, counts={"tokens": 990, "cut_tokens": -12})
    assert story.stage(other).endswith("nothing was left to chance, and 10 fewer were written.")
    equal = dataclasses.replace(certain, counts={"tokens": 1000})
    assert story.stage(equal) == "1,000 planned; nothing was left to chance."


def test_what_binds_is_said_in_words(labelled: Workspace) -> None:
    once = stage(labelled, attainable=5.0, limited_by="", max_epochs=1.0)
    assert story.binds(once).startswith("At most 5 tokens are to be had at 1 epoch;")
    assert " at 2.5 epochs;" in story.binds(dataclasses.replace(once, max_epochs=2.5))
    costs = {"shares": 0.0, "length_buckets": 70.0, "max_epochs": 30.0}
    assert story.grown(dataclasses.replace(once, costs=costs)) == (
        "There would be 70 more if each length bucket gave all it has and not the share that is "
        "set; 30 more if documents could be drawn once more."
    )
    assert story.grown(dataclasses.replace(once, costs=dict.fromkeys(costs, 0.0))) == ""


def test_one_short_shard_is_singular(labelled: Workspace) -> None:
    short = stage(labelled, short_shards=1, short_tokens=1)
    assert story.short_shards(short).startswith("1 shard (1 token) is shorter")

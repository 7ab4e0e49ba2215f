"""A stage in one line, on any width."""

import doctest
import re
from dataclasses import replace
from io import StringIO

import pytest
from records import STAGE
from rich.console import Console

from pipelines.models import waiting
from pipelines.watching import wording
from pipelines.watching.bars import Bar
from pipelines.watching.states import WatchedStage
from pipelines.watching.wording import duration, rate, stage_facts, stage_line, time_left
from pipelines.workspace import meter

LARGE = replace(
    STAGE, parts=1200, parts_done=317, amounts={"extracted": 1_234_567, "annotated": 1_230_000}
)


@pytest.mark.parametrize("module", [wording, meter, waiting])
def test_examples_in_docstrings_are_true(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted
    assert not found.failed


def test_stage_line_tells_all_there_is() -> None:
    assert stage_line(STAGE) == (
        "Extract and annotate: 3 of 12 parts, 1,234 extracted, 1,200 annotated, 41 annotated/s, "
        "4 min left, 1 min 15 s"
    )
    assert stage_line(replace(STAGE, parts_done=12, seconds_left=None, is_over=True)) == (
        "Extract and annotate: 12 of 12 parts, 1,234 extracted, 1,200 annotated, 1 min 15 s"
    )


def test_stage_that_stands_still_says_so_in_place_of_an_end() -> None:
    still = replace(STAGE, seconds_still=900.0, rate=0.0, amounts={}, pipelines=3)
    assert stage_facts(still) == "step 3, nothing new for 15 min"


@pytest.mark.parametrize("width", range(0, 90))
def test_facts_are_left_out_whole_and_the_end_stays(width: int) -> None:
    said = stage_facts(STAGE, width)
    whole = stage_facts(STAGE).split(", ")
    assert said.split(", ")[-1] == "4 min left"
    assert all(piece in whole for piece in said.split(", "))
    assert len(said) <= max(width, len("4 min left"))


@pytest.mark.parametrize("seconds", [0, 1, 9.9, 10, 59.9, 60, 89, 5399, 5400, 86399, 86400, 1e6])
def test_no_time_left_is_nonsense(seconds: float) -> None:
    told = time_left(seconds)
    assert not re.search(r"\b0 (s|min|h|d)\b", told)
    assert told.endswith(" left")
    assert "60 " not in told


def test_durations_and_rates_are_of_two_figures() -> None:
    assert [duration(s) for s in (0.2, 59.9, 3600, 3661, 90_000)] == [
        "0 s",
        "59 s",
        "1 h",
        "1 h 1 min",
        "1 d 1 h",
    ]
    assert rate(123_456.7, "documents") == "123,457 documents/s"
    assert rate(1.5, "pages") == "1.5 pages/s"


def shown(stage: WatchedStage, width: int) -> str:
    """The last line of a bar."""
    console = Console(file=StringIO(), force_terminal=True, width=width, color_system=None)
    with Bar(console, stage) as bar:
        bar.update(stage)
    assert isinstance(console.file, StringIO)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
    return [line for line in re.split("[\r\n]", lines) if stage.title in line][-1].rstrip()


@pytest.mark.parametrize("width", [60, 70, 80, 84, 100, 120, 200])
@pytest.mark.parametrize("stage", [STAGE, LARGE])
def test_bar_fits_the_terminal_and_keeps_parts_and_end(stage: WatchedStage, width: int) -> None:
    line = shown(stage, width)
    assert len(line) <= width
    assert f"{stage.parts_done}/{stage.parts} parts" in line
    assert "4 min left" in line
    assert "…" not in line


def test_bar_of_a_title_in_brackets_is_no_markup() -> None:
    assert "Write [bold]x" in shown(replace(STAGE, title="Write [bold]x"), 100)

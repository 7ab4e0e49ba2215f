"""`simulate` over a finished run, and `trace STAGE:STEP` over its launch.

The blend is drawn anew here by Megatron's plain loop, from sizes and contents that are added up
from the previews of the parts.
"""

import dataclasses
import re
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml
from small_corpus import MIXTURE
from typer.testing import CliRunner

from pipelines.commands import simulate as command
from pipelines.commands import tracing
from pipelines.driver import RunResult
from pipelines.launch import simulation
from pipelines.launch.simulation import BUCKET, Simulation, simulate
from pipelines.launch.write import make_launch, write_launch
from pipelines.mix.plan import Plan, part_preview
from pipelines.mix.planning import open_plan
from pipelines.run_record import read_run_record, write_run_record
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

SMALL_SHARD = 100
BUCKETS = [
    {"name": "short", "min": 0, "max": 55, "share": 1},
    {"name": "middle", "min": 55, "max": 70, "share": 2},
    {"name": "long", "min": 70, "max": 500, "share": 1},
]


@pytest.fixture(scope="module")
def done(done: RunResult, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A copy, because further mixtures are planned in it."""
    folder = tmp_path_factory.mktemp("planned") / "w"
    shutil.copytree(done.workspace.url, folder)
    return dataclasses.replace(done, workspace=Workspace.open(str(folder)))


def run(*args: str) -> str:
    app = typer.Typer()
    app.callback()(lambda: None)
    for module in (command, tracing):
        module.register(app)
    result = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def copy(done: RunResult, tmp_path: Path) -> Workspace:
    shutil.copytree(done.workspace.url, tmp_path / "w")
    return Workspace.open(str(tmp_path / "w"))


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The mixture of the small corpus with length buckets in its first stage."""
    mixture = deepcopy(MIXTURE)
    mixture["stages"][0] |= {"length_buckets": BUCKETS, "max_epochs": 30}
    path = tmp_path_factory.mktemp("edited") / "edited.yaml"
    path.write_text(yaml.safe_dump(mixture, sort_keys=False))
    return str(path)


@pytest.fixture(scope="module")
def cut(
    done: RunResult, edited: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, Plan]:
    """That mixture in small shards, planned and not written."""
    folder = tmp_path_factory.mktemp("cut") / "w"
    shutil.copytree(done.workspace.url, folder)
    workspace = Workspace.open(str(folder))
    write_run_record(workspace, replace(read_run_record(workspace), shard_tokens=SMALL_SHARD))
    return workspace, open_plan(workspace.url, edited)[2]


def contents(workspace: Workspace, plan: Plan, stage: str, dimension: str) -> list[dict[str, int]]:
    """Of each unit of a stage: value -> tokens drawn."""
    found = []
    for unit in plan.units_of(stage):
        held: dict[str, int] = {}
        for source, part in unit.parts:
            for row in part_preview(workspace, plan, source, part).to_pylist():
                if (row["stage"], row["dimension"], row["bucket"]) == (
                    stage,
                    "all" if dimension == BUCKET else dimension,
                    unit.bucket,
                ):
                    value = unit.bucket_name if dimension == BUCKET else row["value"]
                    held[value] = held.get(value, 0) + row["drawn_tokens"]
        found.append(held)
    return found


def read_by_megatron(tokens: list[int], length: int, size: int) -> list[int]:
    """Shard of each sample."""
    samples = np.array([max(n - 1, 0) // length for n in tokens], np.float64)
    weights, counts, chosen = samples / samples.sum(), np.zeros(len(tokens)), []
    for n in range(size):
        lag = np.where(samples > 0, weights * max(n, 1) - counts, -np.inf)
        chosen.append(int(np.argmax(lag)))
        counts[chosen[-1]] += 1
    return chosen


def first_stage(workspace: Workspace, plan: Plan, steps: tuple[int, ...] = (2, 5)) -> Simulation:
    record = read_run_record(workspace)
    return next(simulate(workspace, record, [plan], global_batch_size=2, steps=(*steps, 1000)))


@pytest.mark.parametrize("dimension", [BUCKET, "source", "language"])
def test_shares_are_those_of_megatrons_choice(cut: tuple[Workspace, Plan], dimension: str) -> None:
    workspace, plan = cut
    told = first_stage(workspace, plan)
    sizes = [sum(unit.values()) for unit in contents(workspace, plan, "first", "all")]
    assert len(sizes) > 3
    assert [shard.tokens for shard in told.phase.stage.shards] == sizes
    assert not told.is_written
    assert told.phase.steps == sum((n - 1) // 64 for n in sizes) // 2
    assert (told.steps, told.skipped_steps) == ((2, 5, told.phase.steps), (1000,))
    chosen = read_by_megatron(sizes, 64, told.phase.steps * 2)
    held = contents(workspace, plan, "first", dimension)
    (shares,) = (one for one in told.shares if one.dimension == dimension)
    for row, step in enumerate(told.steps):
        expected = dict.fromkeys(shares.values, 0.0)
        for unit in chosen[: 2 * step]:
            for value, tokens in held[unit].items():
                expected[value] += tokens / sizes[unit] / (2 * step)
        assert shares.realised[row].tolist() == pytest.approx(list(expected.values()))
    drawn = [sum(unit.get(value, 0) for unit in held) / sum(sizes) for value in shares.values]
    assert shares.drawn.tolist() == pytest.approx(drawn)
    assert shares.planned.sum() == pytest.approx(1)
    assert shares.planned.tolist() == sorted(shares.planned.tolist(), reverse=True)


def test_written_shards_count_with_their_own_tokens(copy: Workspace) -> None:
    _, record, plan = open_plan(copy.url, "small")
    first, second = simulate(copy, record, [plan], steps=(1000,))
    entries = copy.ledger.entries(record.shards["small"], "first")
    assert first.is_written
    assert [shard.tokens for shard in first.phase.stage.shards] == [
        entry.counts["tokens"] for entry in entries
    ]
    assert second.phase.first_step == first.phase.steps, "two phases of one schedule"


def test_the_screen_says_steps_batch_shares_and_the_largest_deviation(
    cut: tuple[Workspace, Plan], edited: str
) -> None:
    workspace, plan = cut
    told = first_stage(workspace, plan)
    args = ["--global-batch-size", "2", "--steps", "2,5,1000"]
    text = run("simulate", workspace.url, edited, *args).split("Stage 2")[0]
    assert max(map(len, text.splitlines())) <= 100
    assert f"tokens (as planned), {told.phase.steps} steps of 2 x 64 tokens." in text
    assert "It ends before step 1,000." in text
    shares = next(one for one in told.shares if one.dimension == "source")
    block = text.split("Tokens by source")[1].split("Tokens by language")[0]
    assert re.search(r"planned +drawn +step 2 +step 5 +end, step \d+", block)
    for row, value in enumerate(shares.values):
        read = [shares.planned[row], shares.drawn[row], *shares.realised[:, row]]
        line = " +".join(re.escape(f"{100 * share:.2f} %") for share in read)
        assert re.search(rf"^{value} +{line}$", block, re.MULTILINE), block
    apart = shares.realised[0] - shares.planned
    worst = int(np.argmax(abs(apart)))
    assert f"{100 * apart[worst]:+.2f} {shares.values[worst]}" in block


def test_an_end_too_far_to_replay_is_said(
    cut: tuple[Workspace, Plan], edited: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, plan = cut
    whole = first_stage(workspace, plan)
    monkeypatch.setattr(simulation, "MAX_SAMPLES", 7)
    told = first_stage(workspace, plan, (2, 5))
    assert (told.steps, told.is_cut, whole.is_cut) == ((2, 3), True, False)
    for cut_short, full in zip(told.shares, whole.shares, strict=True):
        np.testing.assert_array_equal(cut_short.realised[0], full.realised[0])
    text = run("simulate", workspace.url, edited, "--global-batch-size", "2", "--steps", "2")
    assert "Its end is too far to replay; the last column is step 3." in text
    assert "end, step" not in text.split("Stage 2")[0]


def test_wrong_steps_are_refused(copy: Workspace) -> None:
    with pytest.raises(ValueError, match="--steps: found '10,x'; allowed: whole numbers from 1"):
        run("simulate", copy.url, "--steps", "10,x")


def test_every_step_of_a_launch_is_told_by_documents(copy: Workspace) -> None:
    """The documents printed of all steps fill the samples, and are those of the document maps."""
    record = read_run_record(copy)
    launch = make_launch(copy, record, "qwen3-0.6b", global_batch_size=2)
    write_launch(copy, launch)
    phase = launch.phases[1]
    maps = {
        entry.file("bin").path.removesuffix(".bin"): read_table(copy.storage, entry.file("map"))
        for entry in copy.ledger.entries(record.shards["small"], "second")
    }
    for step in range(1, phase.steps + 1):
        text = run("trace", copy.url, f"2:{step}", "--all")
        logged = phase.first_step + step
        assert text == run("trace", copy.url, f"small-second:{logged}", "--logged", "--all")
        head = f"step {step} of stage 2, small-second: iteration {logged} in Megatron's log"
        assert text.startswith(head)
        samples = re.split(r"\nsample \d+: sample \d+ of ", text)[1:]
        assert len(samples) == 2
        for sample in samples:
            prefix, *lines = sample.splitlines()
            read = 0
            for line in lines:
                told = re.fullmatch(
                    r"  tokens (\d+) to (\d+) \((\d+)\): ([0-9a-f]{32}) draw (\d+) "
                    r"notes notes\.jsonl:\d+",
                    line,
                )
                assert told is not None, line
                start, end, count = (int(told[n]) for n in (1, 2, 3))
                read += count
                assert end - start == count
                (row,) = (
                    row
                    for row in maps[prefix].to_pylist()
                    if row["token_start"] <= start < row["token_end"]
                )
                assert (row["id"].hex(), str(row["draw"])) == (told[4], told[5])
                assert end <= row["token_end"]
            assert read == 65


def test_a_step_beyond_the_end_and_a_file_of_a_name_like_a_stage(copy: Workspace) -> None:
    with pytest.raises(LookupError, match="has no launch; steps are those of launch files"):
        run("trace", copy.url, "1:1")
    assert "document: " in run("trace", copy.url, "ja.html:0"), "FILE:OFFSET needs no launch"
    launch = make_launch(copy, read_run_record(copy), "qwen3-0.6b")
    write_launch(copy, launch)
    assert "document: " in run("trace", copy.url, "ja.html:0")
    steps = launch.phases[0].steps
    with pytest.raises(ValueError, match=f"step 999 of stage 1, small-first; it has {steps} steps"):
        run("trace", copy.url, "1:999")

"""`plan`, `diff` and `explain draw` over a finished run: they say what the shards hold.

The plan is compared with what the run wrote, document by document: the commands read the plan, the
shards were written by another job.
"""

import dataclasses
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from small_corpus import MIXTURE
from typer.testing import CliRunner

from pipelines import cli
from pipelines.commands import diff, explain, plan
from pipelines.driver import RunResult
from pipelines.mix.explanation import explain as explain_document
from pipelines.mix.pins import label_table
from pipelines.mix.planning import open_plan
from pipelines.workspace.parts import read_table
from pipelines.workspace.tracing import find_documents
from pipelines.workspace.workspace import Workspace

Write = Callable[..., str]


@pytest.fixture(scope="module")
def done(done: RunResult, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A copy, because further mixtures are planned in it."""
    folder = tmp_path_factory.mktemp("planned") / "w"
    shutil.copytree(done.workspace.url, folder)
    return dataclasses.replace(done, workspace=Workspace.open(str(folder)))


def run(*args: str) -> str:
    app = typer.Typer()
    app.callback()(lambda: None)
    for module in (plan, diff, explain):
        module.register(app)
    result = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def planned(done: RunResult, mixture: str, tmp_path: Path, *args: str) -> list[dict[str, Any]]:
    """Stages of `plan --json`."""
    file = tmp_path / "plan.json"
    run("plan", done.workspace.url, mixture, "--json", str(file), *args)
    stages: list[dict[str, Any]] = json.loads(file.read_text())["stages"]
    return stages


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the mixture of the small corpus, edited; gives its path."""

    def _write(file: str, edit: Callable[[dict[str, Any]], None] = lambda _: None) -> str:
        mixture = deepcopy(MIXTURE)
        edit(mixture)
        path = tmp_path / file
        path.write_text(yaml.safe_dump(mixture, sort_keys=False))
        return str(path)

    return _write


def document_maps(done: RunResult, stage: str) -> list[dict[str, Any]]:
    """Rows of the document maps of a stage's shards."""
    (job,) = (job for job in done.shards if job.stage == stage)
    storage = done.workspace.storage
    return [
        row
        for entry in done.workspace.ledger.entries(job.generation, stage)
        for row in read_table(storage, entry.file("map")).to_pylist()
    ]


def shard_counts(done: RunResult, stage: str) -> Counter[str]:
    (job,) = (job for job in done.shards if job.stage == stage)
    counts: Counter[str] = Counter()
    for entry in done.workspace.ledger.entries(job.generation, stage):
        counts.update(entry.counts)
    return counts


def row_of(stage: dict[str, Any], dimension: str) -> dict[str, dict[str, Any]]:
    (found,) = (one for one in stage["dimensions"] if one["name"] == dimension)
    return {row["value"]: row for row in found["rows"]}


def test_plan_says_what_the_shards_hold(done: RunResult, tmp_path: Path) -> None:
    for stage in planned(done, "small", tmp_path):
        counts = shard_counts(done, stage["name"])
        total = stage["total"]
        assert total["drawn_tokens"] == counts["tokens"]
        assert total["draws"] == counts["draws"]
        rows = document_maps(done, stage["name"])
        assert total["drawn_documents"] == len({row["id"] for row in rows})
        by_times = Counter(Counter(row["id"] for row in rows if not row.get("piece")).values())
        told = {one["times"]: one["documents"] for one in stage["repeats"]}
        assert {times: n for times, n in told.items() if times} == by_times
        assert sum(told.values()) == total["documents"]


def test_every_dimension_of_a_plan_sums_to_its_stage(done: RunResult, tmp_path: Path) -> None:
    first, second = planned(done, "small", tmp_path)
    assert {one["name"] for one in first["dimensions"]} == {"language", "source", "kind", "depth"}
    assert "group" in {one["name"] for one in second["dimensions"]}
    for stage in (first, second):
        for dimension in stage["dimensions"]:
            for name in ("documents", "tokens", "draws", "drawn_documents", "drawn_tokens"):
                assert sum(row[name] for row in dimension["rows"]) == stage["total"][name]
            for name in ("share_before", "share_after"):
                assert sum(row[name] for row in dimension["rows"]) == pytest.approx(1)
    assert row_of(first, "source").keys() == {"notes", "pages"}
    assert row_of(second, "source").keys() == {"notes"}


@pytest.mark.parametrize("width", [80, 100, 200])
def test_plan_fits_a_screen_and_is_ascii_where_it_is_not_a_terminal(
    done: RunResult, width: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    told = run("plan", done.workspace.url, "small")
    lines = [line for line in told.splitlines() if not line.startswith("Plan: ")]
    assert max(map(len, lines)) <= min(width, 100)
    assert not re.search("[█░]", told)
    first, second = planned(done, "small", tmp_path)
    for stage in (first, second):
        assert f"{stage['total']['drawn_tokens']:,} tokens" in told
    eng = row_of(second, "language")["eng_Latn"]
    line = next(line for line in lines[::-1] if line.startswith("eng_Latn"))
    assert f"{eng['tokens']:,}" in line.split()
    assert f"{eng['drawn_tokens']:,}" in line.split()


def test_the_legend_of_bars_stands_below_the_bars_of_documents(done: RunResult) -> None:
    told = run("plan", done.workspace.url, "small")
    legends = [place.start() for place in re.finditer("Bars of the tables below: # is ", told)]
    documents = [p.start() for p in re.finditer(", with bars of documents\n", told)]
    tables = [place.start() for place in re.finditer("^By source, in tokens", told, re.MULTILINE)]
    assert documents[0] < legends[0] < tables[0]
    assert len(legends) <= len(documents) == 2


def test_plan_says_the_cap_on_synthetic_text(done: RunResult, tmp_path: Path, write: Write) -> None:
    def edit(mixture: dict[str, Any]) -> None:
        mixture["stages"][0]["synthetic"] = {"max_share": 0.25}

    path = write("capped.yaml", edit)
    first, second = planned(done, path, tmp_path)
    assert first["synthetic"]["max_share"] == 0.25
    assert first["synthetic"]["drawn_tokens"] == 0  # people wrote all of this corpus
    assert second["synthetic"] is None
    told = run("plan", done.workspace.url, path)
    assert told.count("synthetic   at most 25 %; expected 0 %, drawn 0 %\n") == 1


def test_plan_sums_the_rows_beyond_top(done: RunResult, tmp_path: Path) -> None:
    told = run("plan", done.workspace.url, "small", "--top", "2")
    _, second = planned(done, "small", tmp_path)
    rows = sorted(
        row_of(second, "language").values(),
        key=lambda row: (-row["drawn_tokens"], -row["tokens"], row["value"]),
    )
    assert len(rows) > 3
    rest = sum(row["drawn_tokens"] for row in rows[2:])
    more = [line for line in told.splitlines() if line.startswith(f"{len(rows) - 2} more")]
    assert f"{rest:,}" in more[-1].split()
    every = run("plan", done.workspace.url, "small", "--all")
    assert not re.search(r"^\d+ more", every, re.MULTILINE)


def test_plan_says_what_runs_out_and_who_takes_over(
    done: RunResult, tmp_path: Path, write: Write
) -> None:
    def edit(mixture: dict[str, Any]) -> None:
        del mixture["stages"][0]
        mixture["stages"][0] |= {
            "group_by": "case when language = 'eng_Latn' then 'english' else 'other' end",
            "shares": {"english": 9, "other": 1},
            "max_epochs": 1.5,
        }

    (stage,) = planned(done, write("uneven.yaml", edit), tmp_path)
    (short,) = stage["shortages"]
    assert short["group"] == "english"
    assert short["epochs"] == pytest.approx(1.5)
    assert short["wanted_tokens"] == pytest.approx(0.9 * stage["total"]["tokens"])
    (over,) = stage["takeovers"]
    assert over["group"] == "other"
    assert over["tokens"] == pytest.approx(short["lacking_tokens"])
    told = run("plan", done.workspace.url, str(tmp_path / "uneven.yaml"))
    assert "What runs out, at 1.5 epochs" in told
    assert f"Others took over {short['lacking_tokens']:,.0f} tokens: other +" in told


def test_plan_takes_another_budget(done: RunResult, tmp_path: Path) -> None:
    for stage in planned(done, "small", tmp_path, "--tokens", "100"):
        assert stage["budget"] == 100
        assert stage["total"]["expected_tokens"] == pytest.approx(100, rel=0.001)


def test_stages_stand_in_the_order_of_the_mixture(
    done: RunResult, tmp_path: Path, write: Write
) -> None:
    def edit(mixture: dict[str, Any]) -> None:
        mixture["stages"].reverse()

    path = write("reversed.yaml", edit)
    for _ in range(2):  # planned, and then read
        assert [stage["name"] for stage in planned(done, path, tmp_path)] == ["second", "first"]
    told = run("diff", done.workspace.url, "small", path)
    assert "stages: first, second -> second, first" in told


def test_diff_of_equal_mixtures_says_that_nothing_changes(done: RunResult, write: Write) -> None:
    def rename(mixture: dict[str, Any]) -> None:
        mixture["name"] = "other_name"

    one, other = write("one.yaml"), write("other.yaml", rename)
    assert run("diff", done.workspace.url, one, other).startswith("nothing changes: ")


def test_diff_says_what_an_edit_changes(done: RunResult, tmp_path: Path, write: Write) -> None:
    def edit(mixture: dict[str, Any]) -> None:
        mixture["stages"][0] |= {
            "max_epochs": 1,
            "where": mixture["stages"][0]["where"] + " and language <> 'rus_Cyrl'",
        }
        mixture["stages"][1]["name"] = "third"

    one, other = write("one.yaml"), write("other.yaml", edit)
    before, after = planned(done, one, tmp_path), planned(done, other, tmp_path)
    told = run("diff", done.workspace.url, one, other)
    assert "stages: first, second -> first, third" in told
    assert "where: also language <> 'rus_Cyrl'" in told
    assert "max_epochs: 2.5 -> 1" in told
    totals = [stages[0]["total"]["drawn_tokens"] for stages in (before, after)]
    change = totals[1] - totals[0]
    (line,) = (line for line in told.splitlines() if line.startswith("tokens drawn "))
    assert line.split()[2:5] == [f"{totals[0]:,}", f"{totals[1]:,}", f"{change:,}"]
    russian = row_of(before[0], "language")["rus_Cyrl"]["drawn_tokens"]
    (line,) = (line for line in told.splitlines() if line.startswith("rus_Cyrl "))
    assert line.split()[1:5] == [f"{russian:,}", "0", f"-{russian:,}", "gone"]
    assert max(len(line) for line in told.splitlines()[1:]) <= 100
    for stage, verb in ((before[1], "it drew"), (after[1], "it draws")):
        assert f"{verb} {stage['total']['drawn_tokens']:,} tokens" in told


def test_diff_always_says_expected_tokens_and_chance(
    done: RunResult, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(mixture: dict[str, Any]) -> None:
        mixture["stages"][1] |= {"group_by": "source", "shares": "natural", "weight": "num_tokens"}

    one, other = write("one.yaml"), write("other.yaml", edit)
    (_, before), (_, after) = planned(done, one, tmp_path), planned(done, other, tmp_path)
    for width in (80, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        told = run("diff", done.workspace.url, one, other).split("Stage second")[1]
        (line,) = (line for line in told.splitlines() if line.startswith("tokens expected "))
        expected = [f"{stage['total']['expected_tokens']:,.0f}" for stage in (before, after)]
        assert line.split()[2:4] == expected
        sigmas = [f"{stage['total']['sigma']:,.0f}" for stage in (before, after)]
        assert f"by chance: 1 sigma is {sigmas[0]} before and {sigmas[1]} after." in told
        assert "weight: none -> num_tokens\n" in told
        assert "group_by differs, so the groups are others" in told
        assert "the groups of this stage" not in told
        assert max(map(len, told.splitlines())) <= width
        assert "…" not in told
        row = row_of(before, "language")["eng_Latn"], row_of(after, "language")["eng_Latn"]
        both = [f"{one['expected_tokens']:,.0f}" for one in row]
        assert (f" {both[0]} -> {both[1]} " in told) == (width == 100)


def test_diff_json_holds_both_plans(done: RunResult, tmp_path: Path, write: Write) -> None:
    def edit(mixture: dict[str, Any]) -> None:
        mixture["seed"] = 8

    one, other, file = write("one.yaml"), write("other.yaml", edit), tmp_path / "diff.json"
    run("diff", done.workspace.url, one, other, "--json", str(file))
    told = json.loads(file.read_text())
    assert told["settings"] == [{"key": "seed", "before": 7, "after": 8}]
    assert told["before"]["stages"] == planned(done, one, tmp_path)
    assert told["after"]["stages"] == planned(done, other, tmp_path)


def test_explain_says_of_every_document_how_often_it_is_drawn(done: RunResult) -> None:
    workspace = done.workspace
    ids = {
        id_
        for generation in done.extract.values()
        for entry in workspace.ledger.entries(generation)
        for id_ in read_table(workspace.storage, entry.file("documents"), ["id"])["id"].to_pylist()
    }
    assert len(ids) >= 14
    maps = {
        stage: Counter(r["id"] for r in document_maps(done, stage) if not r.get("piece"))
        for stage in ("first", "second")
    }
    seen = Counter[int]()
    for id_ in sorted(ids)[::3]:
        told = run("explain", "draw", workspace.url, id_.hex())
        for stage, drawn in maps.items():
            times = {0: "0 times", 1: "once"}.get(drawn[id_], f"{drawn[id_]} times")
            lines = [line for line in told.splitlines() if f"stage {stage}: " in line]
            (outcome,) = {line.split(f"stage {stage}: ")[1] for line in lines}
            assert outcome == f"drawn {times}" or (outcome == "not eligible" and not drawn[id_])
            seen[drawn[id_]] += 1
    assert {0, 1} < seen.keys()


def test_explain_puts_the_numbers_into_the_rule(done: RunResult) -> None:
    rows = document_maps(done, "second")
    told = run("explain", "draw", done.workspace.url, rows[0]["id"].hex(), "--mixture", "small")
    (second,) = re.findall(r"small, stage second: drawn .*(?:\n  .*)+", told)
    expected = float(re.search(r"\n  E +([\d.]+) ", second)[1])  # type: ignore[index]
    u = float(re.search(r"\n  u +([\d.]+),", second)[1])  # type: ignore[index]
    times = sum(row["id"] == rows[0]["id"] for row in rows)
    assert times == int(expected) + (u < expected % 1)
    assert second.count("\n  draw ") == times
    assert "where       true   source = 'notes'   [source 'notes']" in second
    assert max(len(line) for line in told.splitlines()[2:] if "shards/" not in line) <= 100


def test_explain_keeps_to_a_narrow_screen(done: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = document_maps(done, "second")[0]["id"].hex()
    wide = run("explain", "draw", done.workspace.url, id_)
    monkeypatch.setenv("COLUMNS", "64")
    told = run("explain", "draw", done.workspace.url, id_)
    lines = [line for line in told.splitlines()[2:] if "shards/" not in line]
    assert 50 < max(map(len, lines)) <= 64
    assert told.split() == wide.split()


def test_explain_names_the_condition_that_is_false(done: RunResult, write: Write) -> None:
    def edit(mixture: dict[str, Any]) -> None:
        stage = mixture["stages"][0]
        stage["where"] += " and language = 'jpn_Jpan' and declared_language = 'ja'"
        del mixture["stages"][1]

    told = run(
        "explain", "draw", done.workspace.url, "ru.html", "--mixture", write("ja.yaml", edit)
    )
    assert "small, stage first: not eligible" in told
    assert "FALSE  language = 'jpn_Jpan'   [language 'rus_Cyrl']" in told
    assert re.search(r"true +duplicate_role in \('alone', 'representative'\)", told)
    assert re.search(r"(FALSE|NULL) +declared_language = 'ja'", told)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("plan", "smal"), ["smal", "small"]),
        (("diff", "small", "nowhere.yaml"), ["nowhere.yaml"]),
        (("explain", "draw", "0" * 32), ["0" * 32, "32 hex digits"]),
        (("explain", "draw", "empty.html"), ["empty.html", "rejected"]),
        (("explain", "draw", "html"), ["html", "32 hex digits"]),
        (("plan", "small", "--tokens", "1T"), ["allowed: at most", "max_epochs"]),
    ],
)
def test_bad_input_ends_with_what_to_do(
    done: RunResult,
    args: tuple[str, ...],
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = 2 if args[0] == "explain" else 1
    argv = ["tokenmill", *args[:place], done.workspace.url, *args[place:]]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert all(word in told for word in words), told


def test_a_workspace_without_a_run_is_refused(tmp_path: Path) -> None:
    workspace = Workspace.create(str(tmp_path / "w"))
    for args in (
        ("plan", workspace.url, "general_4k"),
        ("diff", workspace.url, "general_4k", "stem_4k"),
        ("explain", "draw", workspace.url, "0" * 32),
    ):
        with pytest.raises(LookupError, match="tokenmill run"):
            run(*args)


def test_explain_places_a_weight_among_those_of_its_group(done: RunResult, write: Write) -> None:
    def edit(mixture: dict[str, Any]) -> None:
        del mixture["stages"][1]
        mixture["stages"][0] |= {"tokens": 300, "weight": "num_tokens", "max_epochs": 4}

    path = write("weighted.yaml", edit)
    workspace, _, made = open_plan(done.workspace.url, path)
    told = {
        name: explanation
        for name in ("ja.html", "ru.html", "th.html", "el.html")
        for place in find_documents(workspace, name)
        for explanation in explain_document(workspace, made, place)
        if explanation.is_eligible
    }
    assert len(told) > 2
    lengths: list[int] = []
    for key in made.pins.keys():
        labels = label_table(workspace, made.pins, key).to_pylist()
        roles = ("alone", "representative")
        lengths += [row["num_tokens"] for row in labels if row["duplicate_role"] in roles]
    per_weight = []
    for explanation in told.values():
        weighting, own = explanation.weighting, explanation.num_tokens
        assert weighting is not None
        assert own is not None
        assert weighting.value == pytest.approx(own, rel=1 / 512)
        per_weight.append(explanation.expected_draws / weighting.value)
        assert all(abs(n / own - 1) > 1 / 128 for n in lengths if n != own)  # bins of their own
        below = sum(n + 1 for n in lengths if n < own)
        same = sum(n + 1 for n in lengths if n == own)
        assert weighting.percentile == pytest.approx(
            (below + same / 2) / sum(n + 1 for n in lengths)
        )
        assert weighting.documents == lengths.count(own)
    assert per_weight == pytest.approx([per_weight[0]] * len(per_weight))

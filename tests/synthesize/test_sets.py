"""Sets for later stages: exact lines, disjoint problems, and counts that balance."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipelines.cli import build_app
from pipelines.models.chat import Answer, Message, Request, Sampling
from pipelines.synthesize.samples import (
    SAMPLE,
    SAMPLES,
    Problem,
    Turn,
    problem_id,
    sample_row,
    samples_batch,
)
from pipelines.synthesize.sets import write_sets
from pipelines.synthesize.sets_plan import SETS, SetSettings, largest_share
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile
from pipelines.workspace.workspace import Workspace

JOB = Generation(job="synthesize", payload={"recipe": "mine"})


def sample(
    query: str,
    attempt: int = 0,
    *,
    thinks: bool = True,
    reason: str | None = None,
    **changes: Any,  # noqa: ANN401
) -> dict[str, Any]:
    told = {
        "task": "mathematics",
        "query": query,
        "parents": (b"p" * 16,),
        "verifier": "math_answer",
        "language": "eng_Latn",
        "reference": "12",
        "reference_from": "consensus",
        "pass_rate": 0.5,
        **changes,
    }
    style = told.pop("style", "chain_of_thought")
    recipe = told.pop("recipe", "mine")
    thinking = f"Thought {attempt}." if thinks else None
    text = f"Solution {attempt} \u2028 of {query}"
    return sample_row(
        Problem(**told),
        style=style,
        attempt=attempt,
        request=Request(
            messages=(Message("user", query),),
            sampling=Sampling(temperature=0.5, max_tokens=99),
            thinking="on" if thinks else "off",
            attempt=attempt,
        ),
        turns=(Turn("assistant", text, thinking),),
        answer=Answer(text=text, reasoning=thinking, completion_tokens=7),
        model="teacher",
        recipe=recipe,
        prompt_hash="f" * 16,
        completion_tokens=7,
        final_answer="12",
        reason=reason,
    )


def commit(workspace: Workspace, *parts: list[dict[str, Any]]) -> Workspace:
    """Files samples as the job does, one file a part."""
    for number, rows in enumerate(parts):
        with PartFile(workspace.storage, SAMPLE) as file:
            file.write(samples_batch(rows))
            ref = file.publish(SAMPLES, f"samples/{JOB.name}/web.math", number)
        key = PartKey("web.math", number)
        entry = entry_of(JOB, key, files=(ref,), counts={}, watch=Stopwatch())
        workspace.ledger.commit(entry)
    return workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(str(tmp_path / "w"))


def lines(output: Path, name: str) -> list[dict[str, Any]]:
    data = (output / f"{name}.jsonl").read_bytes().decode()
    return [json.loads(line) for line in data.split("\n")[:-1]]


def test_a_line_of_each_set(workspace: Workspace, tmp_path: Path) -> None:
    rows = [sample("Q"), sample("Q", thinks=False, style="program_aided", domain="algebra")]
    commit(workspace, rows)
    told = write_sets(workspace, tmp_path / "o", SetSettings(cold_start_share=1))
    about = {
        "task": "mathematics",
        "domain": None,
        "language": "eng_Latn",
        "difficulty": 0.5,
        "provenance": {
            "sample": rows[0]["id"].hex(),
            "problem": problem_id("mathematics", "Q").hex(),
            "parents": [(b"p" * 16).hex()],
            "recipe": "mine",
            "model": "teacher",
            "prompt_hash": "f" * 16,
            "style": "chain_of_thought",
            "attempt": 0,
        },
    }
    answer = {
        "role": "assistant",
        "content": "Solution 0 \u2028 of Q",
        "reasoning_content": "Thought 0.",
    }
    (cold,) = lines(tmp_path / "o", "cold_start")
    assert cold == {"messages": [{"role": "user", "content": "Q"}, answer], **about}
    on, off = lines(tmp_path / "o", "thinking_fusion")
    assert on == {
        "messages": [{"role": "user", "content": "Q /think"}, answer],
        "mode": "think",
        **about,
    }
    assert off["messages"] == [
        {"role": "user", "content": "Q /no_think"},
        {**answer, "reasoning_content": ""},
    ]
    first, second = lines(tmp_path / "o", "distillation")
    both = {line["provenance"]["style"]: line for line in (first, second)}
    teacher = both["chain_of_thought"]
    assert (teacher["model"], teacher["thinking"]) == ("teacher", "on")
    assert teacher["sampling"]["temperature"] == 0.5
    assert teacher["completion_tokens"] == 7
    assert lines(tmp_path / "o", "rl_pairs") == []
    assert told["exported"] == told["samples"] == 2
    assert told["left_out"] == {}
    assert told["sets"]["distillation"]["lines"] == 2
    assert told["sets"]["distillation"]["problems"] == 1


def test_a_pair_has_what_a_verifier_needs(workspace: Workspace, tmp_path: Path) -> None:
    tests = "assert f(1) == 2"
    rows = [
        sample("Q"),
        sample("Q", 1),
        sample("Q", 2, reason="wrong_answer"),
        sample("C", verifier="python_tests", tests=tests, reference=None, task="code"),
        sample("N", verifier="none", reference=None),
        sample("E", pass_rate=0.9),
        sample("U", pass_rate=None),
    ]
    commit(workspace, rows)
    told = write_sets(workspace, tmp_path / "o", SetSettings(sets=("rl_pairs",)))
    pairs = {line["query"]: line for line in lines(tmp_path / "o", "rl_pairs")}
    assert set(pairs) == {"Q", "C"}
    assert (pairs["Q"]["verifier"], pairs["Q"]["ground_truth"]) == ("math_answer", "12")
    assert (pairs["C"]["verifier"], pairs["C"]["ground_truth"]) == ("python_tests", tests)
    assert pairs["Q"]["difficulty"] == 0.5
    assert told["left_out"] == {"beside_rl_pair": 1, "not_asked": 3, "rejected": 1}
    assert told["exported"] == 2


def many(count: int) -> list[dict[str, Any]]:
    """Problems of three fields, some without thinking, some rejected."""
    return [
        sample(
            f"Problem {number}",
            attempt,
            thinks=attempt != 1,
            reason="wrong_answer" if (number + attempt) % 5 == 0 else None,
            domain=("algebra", "geometry", "logic")[min(number % 7, 2)],
            pass_rate=(number % 10) / 10 + 0.05,
        )
        for number in range(count)
        for attempt in range(3)
    ]


def test_sets_are_disjoint_and_counts_balance(workspace: Workspace, tmp_path: Path) -> None:
    rows = many(60)
    commit(workspace, rows[:100], rows[100:])
    told = write_sets(workspace, tmp_path / "o", SetSettings(domain_share=0.4))
    assert told["samples"] == len(rows) == told["exported"] + sum(told["left_out"].values())
    of = {
        name: {line["provenance"]["problem"] for line in lines(tmp_path / "o", name)}
        for name in SETS
    }
    assert of["rl_pairs"]
    assert of["cold_start"]
    for name in SETS:
        assert name == "rl_pairs" or not of[name] & of["rl_pairs"]
    for name in ("rl_pairs", "cold_start"):
        count = told["sets"][name]
        assert max(count["domains"].values()) <= 0.4 * count["problems"]
    assert all(line["difficulty"] >= 0.2 for line in lines(tmp_path / "o", "rl_pairs"))
    per_problem = Counter(
        line["provenance"]["problem"] for line in lines(tmp_path / "o", "distillation")
    )
    assert max(per_problem.values()) == 2
    modes = [(o["mode"], o["provenance"]["problem"]) for o in lines(tmp_path / "o", SETS[2])]
    assert modes[::2] == [("think", problem) for _, problem in modes[1::2]]
    assert {mode for mode, _ in modes[1::2]} == {"no_think"}
    written = {
        line["provenance"]["sample"] for name in SETS for line in lines(tmp_path / "o", name)
    }
    assert len(written) == told["exported"]


def test_the_same_samples_in_other_parts_give_the_same_bytes(tmp_path: Path) -> None:
    rows = many(20)
    bytes_of = []
    for number, parts in enumerate(((rows,), (rows[30:], rows[:30]))):
        made = commit(Workspace.create(str(tmp_path / f"w{number}")), *parts)
        write_sets(made, tmp_path / f"o{number}")
        bytes_of.append({p.name: p.read_bytes() for p in (tmp_path / f"o{number}").iterdir()})
    assert bytes_of[0] == bytes_of[1]
    assert set(bytes_of[0]) == {*(f"{name}.jsonl" for name in SETS), "sets.json"}


def test_what_may_not_be_exported(workspace: Workspace, tmp_path: Path) -> None:
    rows = [
        sample("A benchmark"),
        sample("Disputed"),
        sample("Disputed", recipe="other", reference="13"),
        sample("Agreed"),
        sample("Agreed", recipe="other", reference="12.0"),
    ]
    commit(workspace, rows, rows[3:4])
    excluded = {problem_id("mathematics", "A benchmark"): "contaminated"}
    told = write_sets(workspace, tmp_path / "o", excluded=excluded)
    assert told["left_out"].pop("beside_rl_pair", 0) in (0, 1)
    assert told["left_out"] == {
        "conflicting_references": 2,
        "contaminated": 1,
        "repeated_sample": 1,
    }
    queries = {
        line.get("query") or line["messages"][0]["content"].split(" /")[0]
        for name in SETS
        for line in lines(tmp_path / "o", name)
    }
    assert queries == {"Agreed"}


@given(
    st.dictionaries(st.text("abc", min_size=1), st.integers(1, 50), max_size=6), st.floats(0.05, 1)
)
def test_the_largest_share(counts: dict[str, int], share: float) -> None:
    def holds(most: int) -> bool:
        kept = [min(n, most) for n in counts.values()]
        return max(kept) <= share * sum(kept) + 1e-9

    most = largest_share(counts, share)
    if most is None:
        assert not holds(1)
    elif counts:
        assert holds(most)
        assert most == max(counts.values()) or not holds(most + 1)


def test_the_command(workspace: Workspace, tmp_path: Path) -> None:
    commit(workspace, many(10))
    app = build_app("export-sets")
    words = ["export-sets", "--workspace", workspace.url, "--output", str(tmp_path / "o")]
    done = CliRunner().invoke(app, [*words, "--sets", "rl_pairs", "--min-difficulty", "0.5"])
    assert done.exit_code == 0, done.output
    assert "30 samples = " in done.output
    assert all(line["difficulty"] >= 0.5 for line in lines(tmp_path / "o", "rl_pairs"))
    wrong = CliRunner().invoke(app, [*words, "--sets", "warm_start"])
    assert "allowed are cold_start, rl_pairs" in str(wrong.exception)
    wrong = CliRunner().invoke(app, [*words, "--generation", "synthesize@0"])
    assert "found no synthesize@0" in str(wrong.exception)


def test_a_workspace_without_samples(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no samples"):
        write_sets(workspace, tmp_path / "o")


def test_a_problem_is_known_by_its_text() -> None:
    assert problem_id("code", "a  b\n") == problem_id("code", "a b")
    assert problem_id("code", "é") == problem_id("code", "e\u0301")
    assert problem_id("code", "a b") != problem_id("mathematics", "a b")


def test_samples_are_checked() -> None:
    row = sample("Q")
    with pytest.raises(ValueError, match="no query"):
        samples_batch([{**row, "query": None}])
    with pytest.raises(ValueError, match="not those of SAMPLE"):
        samples_batch([{**row, "more": 1}])

"""Sets for later stages of training, from samples that were checked.

    cold_start.jsonl       long chains of thought: messages with the reasoning kept apart, in the
                           key `reasoning_content` that chat templates read
    rl_pairs.jsonl         query, kind of verifier, ground truth and difficulty
    thinking_fusion.jsonl  the same query with `/think` and with `/no_think`, lines in pairs
    distillation.jsonl     what a teacher answered, with its name and sampling
    sets.json              counts

The rules are those of the Qwen3 report (arXiv:2505.09388, sections 4.1 to 4.3), which trained on
3,995 pairs: a pair was not used in the cold start, can be learned (some attempt solves it), is
challenging (difficulty = 1 - pass rate, at least `min_difficulty`), and fields are balanced. So a
problem that fits both sets is given to one by a hash; no other set has a problem of the pairs. What
is excluded by its caller (benchmarks, held-out documents) is in no set.

Equation: samples = exported + left out, where a sample is exported if a line was made from it.
Lines are in the order of a hash, so that any first part of a file is a fair sample; the same
samples give the same bytes.

All samples are read twice: first what decides, of which little is kept (`sets_plan`); then the
texts of those that were chosen, by way of files of which each is sorted in memory.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

from pipelines.synthesize.samples import SAMPLES
from pipelines.synthesize.sets_plan import (
    COLD_START,
    DISTILLATION,
    FUSION_MODES,
    RL_PAIRS,
    SETS,
    THINKING_FUSION,
    UNKNOWN,
    Plan,
    SampleRow,
    SetSettings,
    planned,
    row_of,
)
from pipelines.workspace.ledger import FileRef
from pipelines.workspace.parts import read_batches
from pipelines.workspace.workspace import Workspace

JOB: Final = "synthesize"

_BUCKETS: Final = 64
_COLUMNS: Final = (
    "id", "problem", "style", "domain", "language", "attempt", "verdict", "reason", "reasoning",
    "messages", "pass_rate", "verifier", "reference", "tests",
)  # fmt: skip
"""What decides on a sample."""


def write_sets(
    workspace: Workspace,
    output: Path,
    settings: SetSettings | None = None,
    *,
    excluded: Mapping[bytes, str] | None = None,
    generations: Collection[str] | None = None,
) -> dict[str, Any]:
    """Writes the sets of a workspace.

    Args:
        workspace: With parts of recipes that give samples.
        output: A folder; files of an earlier export in it are replaced.
        settings: What is exported.
        excluded: Id of a problem -> why it may not be exported, such as `contaminated`.
        generations: `job@fp` to read; all, where None.

    Returns:
        What stands in sets.json: samples, exported, left_out by reason, and by set its lines,
        problems, fields and languages.

    Raises:
        ValueError: There are no samples, a set is unknown, or `output` is a file.
    """
    settings = settings or SetSettings()
    unknown = sorted(set(settings.sets) - set(SETS))
    if unknown or not settings.sets:
        raise ValueError(f"sets: found {unknown or 'none'}; allowed are {', '.join(SETS)}")
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output} is a file; name a folder for the sets")
    refs = _sample_files(workspace, generations)
    rows = list(_read(workspace, refs))
    if not rows:
        raise ValueError(
            f"{workspace.url} has no samples; recipes with the makers mathematics and programs "
            "make them"
        )
    plan = planned(rows, settings, excluded or {})
    output.mkdir(parents=True, exist_ok=True)
    counts = _write(workspace, refs, plan, output, settings)
    exported = len(plan.lines)
    told = {
        "samples": len(rows),
        "exported": exported,
        "left_out": dict(sorted(plan.left_out.items())),
        "settings": settings.model_dump(mode="json"),
        "sets": counts,
        "domain_share_not_met": sorted(plan.unmet),
    }
    assert len(rows) == exported + plan.left_out.total(), "a sample is exported or left out"
    _replace(output / "sets.json", json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    return told


def _sample_files(workspace: Workspace, generations: Collection[str] | None) -> list[FileRef]:
    """Committed files of samples, in the order of generation, source and part."""
    ledger = workspace.ledger
    names = [
        name
        for name in ledger.generations()
        if name.split("@")[0].split(".")[0] == JOB and (generations is None or name in generations)
    ]
    return [
        ref
        for name in names
        for entry in ledger.entries(name)
        for ref in entry.files
        if ref.kind == SAMPLES
    ]


def _read(workspace: Workspace, refs: Sequence[FileRef]) -> Iterator[SampleRow]:
    for number, ref in enumerate(refs):
        at = 0
        for batch in read_batches(workspace.storage, ref, list(_COLUMNS), batch_rows=256):
            for row in batch.to_pylist():
                yield row_of(row, (number, at))
                at += 1


def _write(
    workspace: Workspace,
    refs: Sequence[FileRef],
    plan: Plan,
    output: Path,
    settings: SetSettings,
) -> dict[str, Any]:
    """Reads the chosen samples again and writes their lines; gives the counts by set."""
    counts: dict[str, dict[str, Any]] = {
        name: {"lines": 0, "problems": set(), "domains": Counter(), "languages": Counter()}
        for name in SETS
        if name in settings.sets
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=output, prefix=".sets-")))
        spools = {name: stack.enter_context(_Spool(folder / name)) for name in counts}
        for number, ref in enumerate(refs):
            at = 0
            for batch in read_batches(workspace.storage, ref, batch_rows=256):
                for index in range(batch.num_rows):
                    for kind, key in plan.lines.get((number, at + index), ()):
                        row = batch.slice(index, 1).to_pylist()[0]
                        name = THINKING_FUSION if kind in FUSION_MODES else kind
                        spools[name].add(key, _line(kind, row, plan.difficulty.get(row["problem"])))
                        _count(counts[name], row)
                at += batch.num_rows
        for name, spool in spools.items():
            _replace(output / f"{name}.jsonl", spool.lines())
    for count in counts.values():
        count["problems"] = len(count["problems"])
        for what in ("domains", "languages"):
            count[what] = dict(sorted(count[what].items()))
    return counts


def _count(count: dict[str, Any], row: Mapping[str, Any]) -> None:
    count["lines"] += 1
    if row["problem"] not in count["problems"]:
        count["problems"].add(row["problem"])
        count["domains"][row["domain"] or UNKNOWN] += 1
        count["languages"][row["language"] or UNKNOWN] += 1


def _line(kind: str, row: Mapping[str, Any], difficulty: float | None) -> dict[str, Any]:
    """One line of a set."""
    about = {
        "task": row["task"],
        "domain": row["domain"],
        "language": row["language"],
        "difficulty": None if difficulty is None else round(difficulty, 4),
        "provenance": {
            "sample": row["id"].hex(),
            "problem": row["problem"].hex(),
            "parents": [one.hex() for one in row["parents"]],
            "recipe": row["recipe"],
            "model": row["model"],
            "prompt_hash": row["prompt_hash"],
            "style": row["style"],
            "attempt": row["attempt"],
        },
    }
    if kind == RL_PAIRS:
        truth = row["reference"] if row["verifier"] == "math_answer" else row["tests"]
        told = {"query": row["query"], "verifier": row["verifier"], "ground_truth": truth}
        return {**told, "ground_truth_from": row["reference_from"], **about}
    if kind == DISTILLATION:
        teacher = {
            "model": row["model"],
            "sampling": json.loads(row["sampling"]),
            "thinking": row["thinking"],
            "completion_tokens": row["completion_tokens"],
        }
        return {"messages": _messages(row, ""), **teacher, **about}
    if kind == COLD_START:
        return {"messages": _messages(row, ""), **about}
    return {"messages": _messages(row, f" /{kind}"), "mode": kind, **about}


def _messages(row: Mapping[str, Any], switch: str) -> list[dict[str, str]]:
    """As chat templates read them. Reasoning is always named, so that templates that close an empty
    block for it do so."""
    messages = [{"role": "user", "content": row["query"] + switch}]
    for turn in row["messages"]:
        message = {"role": turn["role"], "content": turn["content"]}
        if turn["role"] == "assistant":
            message["reasoning_content"] = turn["reasoning"] or ""
        messages.append(message)
    return messages


class _Spool:
    """Lines on their way into the order of their keys: as many files as there are first bytes of
    keys, of which each is sorted in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[int, IO[str]] = {}

    def __enter__(self) -> "_Spool":
        self._folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, key: bytes, line: Mapping[str, Any]) -> None:
        """Puts a line by."""
        bucket = key[0] * _BUCKETS // 256
        if bucket not in self._files:
            path = self._folder / f"{bucket:03d}"
            self._files[bucket] = path.open("w", encoding="utf-8")
        self._files[bucket].write(key.hex() + "\t" + json.dumps(line, ensure_ascii=False) + "\n")

    def lines(self) -> Iterator[str]:
        """All lines, by their keys."""
        for bucket in sorted(self._files):
            self._files[bucket].close()
            # By "\n" alone: texts may hold other characters at which lines are split.
            lines = (self._folder / f"{bucket:03d}").read_bytes().decode().split("\n")[:-1]
            yield from (line.split("\t", 1)[1] + "\n" for line in sorted(lines))


def _replace(path: Path, lines: str | Iterator[str]) -> None:
    """Writes a file whole or not at all."""
    draft = path.with_name(f".{path.name}.part")
    with draft.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines([lines] if isinstance(lines, str) else lines)
    draft.replace(path)

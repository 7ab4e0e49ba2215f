"""Runs programs in the sandbox and says what came of it.

Nothing of a program is parsed, imported or executed in a process of ours: the runners in `inside`
go into the sandbox with it, and what comes back is JSON behind a mark that it cannot know (a hash
of the program and of the run). A program that ends the process before its tests are through leaves
no report, which is a reason like any other.

Each program that passes is run a second time under another seed of Python's hashes: sets and
dictionaries of strings then come in another order, clocks and random numbers have moved on, and a
program that depends on any of them is `nondeterministic`. Then its tests are run on programs whose
functions return nothing but a constant: tests that such a program passes test nothing.

Reasons: `syntax_error`, `no_function` (nothing to test), `too_few_tests` (assertions),
`tests_fail`, `missing_module` (it wants a package that is not there), `program_fails` (an input
ends it with an error), `low_coverage`, `trivial_tests`, `nondeterministic`, `timed_out`,
`out_of_memory`, `output_limit`, `crashed` (a signal, or killed), `no_report` (it ended its
process).
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from pipelines.models.sandbox import CodeLimits, CodeResult, CodeRun

RunCode = Callable[[CodeRun], Awaitable[CodeResult]]
"""`Desk.run_code`."""

HOLLOW: Final = ("None", "0", "1", "True", "False", "''", "[]")
"""What the functions of hollow programs return."""
_OUTCOMES: Final = {
    "timed_out": "timed_out",
    "out_of_memory": "out_of_memory",
    "output_limit": "output_limit",
    "killed": "crashed",
    "failed": "crashed",
}
_TELLING: Final = {"ModuleNotFoundError": "missing_module", "MemoryError": "out_of_memory"}
"""Errors that have a reason of their own."""
_MESSAGE: Final = 300
_MARK_DIGITS: Final = 32
_MAX_MEMORY: Final = 8 << 30


class Limits(BaseModel):
    """What one run of a program may use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float = Field(default=10.0, gt=0, le=600)
    """By the clock, for all its tests or inputs together."""
    memory_bytes: int = Field(default=512 << 20, ge=64 << 20, le=_MAX_MEMORY)
    input_seconds: float = Field(default=4.0, gt=0, le=60)
    """For one input."""
    input_cpu_seconds: int = Field(default=2, ge=1, le=60)
    """Likewise, of a processor."""
    input_output_bytes: int = Field(default=64 << 10, ge=1, le=1 << 20)
    """Output for one input."""

    @property
    def code_limits(self) -> CodeLimits:
        """As the sandbox takes them."""
        return CodeLimits(
            seconds=self.seconds,
            cpu_seconds=max(1, round(self.seconds)),
            memory_bytes=self.memory_bytes,
        )


class TestRules(BaseModel):
    """What tests must be to be believed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    __test__ = False  # pytest takes the name for a test

    min_coverage: float = Field(default=0.0, ge=0, le=1)
    """Share of statements and branches that the tests run."""
    min_assertions: int = Field(default=3, ge=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a program and its tests."""

    reason: str | None
    """None accepts it."""
    message: str = ""
    coverage: float | None = None
    """Null where the program was not run to its end."""
    num_tests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """Inputs that a generator made."""

    inputs: tuple[str, ...] = ()
    """Valid, each once, in the order in which they were asked for."""
    reason: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """Outputs of a program."""

    digests: tuple[str, ...] = ()
    """Of the outputs for the inputs, in order; fewer where it was stopped."""
    outputs: tuple[str | None, ...] = ()
    """The outputs where they are short."""
    reason: str | None = None
    message: str = ""


async def judge_tests(
    run: RunCode, solution: str, tests: str, rules: TestRules, limits: Limits
) -> Verdict:
    """Runs the tests of a program: once, once more under other hashes, and on hollow programs.

    Args:
        run: Runs code in a sandbox.
        solution: Python source that the tests import as `solution`.
        tests: Python source.
        rules: What the tests must be.
        limits: Of each run.
    """
    first = await _tested(run, solution, tests, limits, hash_seed=0)
    verdict = _verdict_of(first, rules)
    if verdict.reason is not None:
        return verdict
    again, hollow = await asyncio.gather(
        _tested(run, solution, tests, limits, hash_seed=1),
        _tested(run, solution, tests, limits, hash_seed=0, hollow=HOLLOW),
    )
    if _outcomes(again) != _outcomes(first):
        message = "another run of the same tests, under other hashes, came out differently"
        return _rejected(verdict, "nondeterministic", message)
    passed = [line["hollow"] for line in hollow.lines if line.get("passes") is True]
    if passed:
        message = f"they pass on functions that only return {passed[0]}"
        return _rejected(verdict, "trivial_tests", message)
    return verdict


async def generate_inputs(
    run: RunCode,
    generator: str,
    asked: Sequence[tuple[int, int]],
    limits: Limits,
    *,
    max_characters: int,
) -> Generated:
    """Runs an input generator.

    Args:
        run: Runs code in a sandbox.
        generator: Python source with `generate_input(scale, seed)` and `is_valid(text)`.
        asked: (scale, seed) of each call.
        limits: Of the run.
        max_characters: A longer input is left out.
    """
    order = {
        "do": "generate",
        "hash_seed": 0,
        "asked": [list(one) for one in asked],
        "max_characters": max_characters,
        "max_total_characters": 200_000,  # below the limit of output, as JSON
    }
    told = await _run(run, "run_inputs.py", {"generator.py": generator}, order, limits)
    inputs = tuple(str(line["input"]) for line in told.lines if "input" in line)
    failed = next((line for line in told.lines if "error" in line), None)
    if failed is not None:
        return Generated(inputs=inputs, reason="generator_fails", message=str(failed["error"]))
    if not any("lost" in line for line in told.lines):
        return Generated(inputs=inputs, reason=told.reason, message=told.message)
    return Generated(inputs=inputs)


async def solve_inputs(
    run: RunCode, program: str, inputs: Sequence[str], limits: Limits, *, hash_seed: int = 0
) -> Solved:
    """Runs a program on inputs, up to the first on which it fails.

    Args:
        run: Runs code in a sandbox.
        program: Python source that reads standard input and writes standard output.
        inputs: Texts.
        limits: Of the run, and of each input.
        hash_seed: Of Python's hashes.
    """
    order = {
        "do": "solve",
        "hash_seed": hash_seed,
        "inputs": list(inputs),
        "seconds": limits.input_seconds,
        "cpu_seconds": limits.input_cpu_seconds,
        "max_output_bytes": limits.input_output_bytes,
    }
    told = await _run(run, "run_inputs.py", {"program.py": program}, order, limits)
    good = [line for line in told.lines if "digest" in line]
    solved = Solved(
        digests=tuple(str(line["digest"]) for line in good),
        outputs=tuple(None if line["shown"] is None else str(line["shown"]) for line in good),
    )
    reason, message = None, ""
    for line in told.lines:
        if "syntax" in line:
            reason, message = "syntax_error", str(line["syntax"])
        elif "stopped" in line:
            reason = "program_fails" if line["stopped"] == "error" else str(line["stopped"])
            message = f"input {len(good)}: {line['message']}"
    if reason is None and len(good) < len(inputs):
        reason, message = told.reason or "no_report", told.message
    return Solved(digests=solved.digests, outputs=solved.outputs, reason=reason, message=message)


@dataclass(frozen=True, slots=True)
class _Told:
    """Lines of a report, and why it may be short."""

    lines: tuple[Mapping[str, Any], ...]
    reason: str
    message: str


async def _tested(
    run: RunCode,
    solution: str,
    tests: str,
    limits: Limits,
    *,
    hash_seed: int,
    hollow: Sequence[str] = (),
) -> _Told:
    programs = {"solution.py": solution, "tests.py": tests, "marking.py": _inside("marking.py")}
    order = {"hash_seed": hash_seed, "hollow": list(hollow)}
    return await _run(run, "run_tests.py", programs, order, limits)


async def _run(
    run: RunCode, runner: str, programs: Mapping[str, str], order: Mapping[str, Any], limits: Limits
) -> _Told:
    told = json.dumps([dict(programs), dict(order)], sort_keys=True).encode()
    mark = hashlib.sha256(told).hexdigest()[:_MARK_DIGITS]
    result = await run(
        CodeRun(
            files={
                **{name: _utf8(text) for name, text in programs.items()},
                runner: _inside(runner),
            },
            command=("python", runner),
            stdin=json.dumps({**order, "mark": mark}),
            limits=limits.code_limits,
        )
    )
    reason = _OUTCOMES.get(result.outcome, "no_report")
    said = result.stderr.strip().splitlines()
    message = f"{result.outcome}, exit code {result.exit_code}"
    message += f": {said[-1]}" if said and reason == "crashed" else ""
    return _Told(tuple(_lines_of(result.stdout, mark)), reason, message[:_MESSAGE])


def _lines_of(output: str, mark: str) -> Iterator[Mapping[str, Any]]:
    for line in output.split("\n"):
        if line.startswith(mark):
            try:
                told = json.loads(line.removeprefix(mark))
            except ValueError:  # cut off at the limit of output
                continue
            if isinstance(told, dict):
                yield told


def _verdict_of(told: _Told, rules: TestRules) -> Verdict:
    """The verdict on a first run."""
    for line in told.lines:
        if "syntax" in line:
            where, message = line["syntax"]
            return Verdict(reason="syntax_error", message=f"{where}: {message}")
    reports = [line for line in told.lines if "tests" in line]
    if not reports:
        return Verdict(reason=told.reason, message=told.message)
    line = reports[0]
    outcomes = line["tests"]
    coverage = line["hit"] / line["marks"] if line["marks"] else 1.0
    verdict = Verdict(reason=None, coverage=coverage, num_tests=len(outcomes))
    if not line["functions"]:
        return _rejected(verdict, "no_function", "the program has no function that could be tested")
    if line["assertions"] < rules.min_assertions:
        message = f"{line['assertions']} assertions; at least {rules.min_assertions} are wanted"
        return _rejected(verdict, "too_few_tests", message)
    failed = [(name, said) for name, outcome, said in outcomes if outcome != "pass"]
    if failed:
        name, said = failed[0]
        reason = _TELLING.get(str(said).partition(":")[0], "tests_fail")
        message = f"{len(failed)} of {len(outcomes)}, first {name}: {said}"
        return _rejected(verdict, reason, message)
    if coverage < rules.min_coverage:
        message = f"{coverage:.3f} of statements and branches; not run: lines {line['missed']}"
        return _rejected(verdict, "low_coverage", message)
    return verdict


def _rejected(verdict: Verdict, reason: str, message: str) -> Verdict:
    return Verdict(
        reason=reason,
        message=message[:_MESSAGE],
        coverage=verdict.coverage,
        num_tests=verdict.num_tests,
    )


def _outcomes(told: _Told) -> list[list[str]]:
    """(name, outcome) of all tests; messages may hold addresses."""
    return [one[:2] for line in told.lines for one in line.get("tests", ())]


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@cache
def _inside(name: str) -> str:
    """The source of a runner."""
    return files("pipelines.synthesize.programs.inside").joinpath(name).read_text("utf-8")

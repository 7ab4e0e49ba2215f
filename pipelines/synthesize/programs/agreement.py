"""Programs that vote: the same outputs from independent attempts at one problem."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipelines.models.desk import Desk
from pipelines.synthesize.asking import asked
from pipelines.synthesize.programs.asking import language_of
from pipelines.synthesize.programs.attempt import (
    TASK,
    Attempt,
    draft_of,
    fenced,
    figures_of,
    made,
    near_to_seed,
    refused,
    reject_of,
    sample_of,
    usable,
)
from pipelines.synthesize.programs.maker import ProgramMaker
from pipelines.synthesize.programs.sections import (
    DIFFICULTY,
    GENERATOR,
    PROBLEM,
    SOLUTION,
    python_of,
    sections_of,
)
from pipelines.synthesize.programs.verdicts import (
    Generated,
    Solved,
    generate_inputs,
    solve_inputs,
)
from pipelines.synthesize.recipe import Made, Reject, Seed
from pipelines.synthesize.samples import Problem

_STYLE: Final = "program_by_agreement"
_HARD: Final = "hard"
_NUM_EXAMPLES: Final = 3
_NUM_TESTS: Final = 12
_MAX_TRIED: Final = 3
"""Programs of the majority that are run again before the problem is given up."""

_TESTS: Final = """import subprocess
import sys

CASES = {cases}


def run(given):
    done = subprocess.run(
        [sys.executable, "solution.py"], input=given, capture_output=True, text=True, check=True
    )
    return "\\n".join(line.rstrip() for line in done.stdout.split("\\n")).rstrip("\\n")


def test_cases():
    for given, expected in CASES:
        assert run(given) == expected, given
"""


@dataclass(frozen=True, slots=True)
class _Problem:
    """What was asked, and what it is checked on."""

    text: str
    is_hard: bool
    inputs: tuple[str, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class _Votes:
    """Programs that gave the same outputs for all inputs."""

    attempts: tuple[Attempt, ...]
    solved: Solved


async def make_agreed(recipe: ProgramMaker, seed: Seed, passage: str, desk: Desk) -> Made:
    """Makes one problem with a program that most independent programs agree with.

    Args:
        recipe: With `check: agreement`.
        seed: What it is made of.
        passage: Its text, cut.
        desk: Asks and runs.
    """
    language = language_of(seed)
    problem = await _problem(recipe, passage, language, desk)
    if isinstance(problem, Reject):
        return refused(problem)
    attempts, groups = await _voted(recipe, problem, passage, language, desk)
    # The largest group; of equal ones that with the earliest program.
    votes = max(groups, key=lambda one: len(one.attempts), default=None)
    best: Attempt | Reject
    if votes is None:
        best = reject_of(attempts)
    else:
        best = await _elected(recipe, problem, votes, desk)
    if isinstance(best, Attempt):
        best = near_to_seed(recipe, best, passage) or best
    share = len(votes.attempts) / len(attempts) if votes is not None else 0.0
    _tell(attempts, votes, best)
    about = _about(problem, seed, language, best, votes, share)
    samples = [sample_of(recipe, about, one, desk, _STYLE) for one in attempts]
    figures = figures_of(attempts)
    if isinstance(best, Reject) or votes is None:
        assert isinstance(best, Reject)
        return refused(best, samples, figures)
    meta = {
        "attempts": str(len(attempts)),
        "pass_rate": f"{share:.3f}",
        "inputs": str(len(problem.inputs)),
        "hard": "true" if problem.is_hard else "false",
    }
    parts = {
        "problem": problem.text,
        "solution": fenced("python", best.solution or ""),
        "examples": _examples(problem.inputs, votes.solved),
    }
    tokens = problem.tokens
    draft = draft_of(recipe, seed, language, best, parts=parts, tokens=tokens, meta=meta)
    return made(draft, samples, figures, best)


def _about(
    problem: _Problem,
    seed: Seed,
    language: str,
    best: Attempt | Reject,
    votes: _Votes | None,
    share: float,
) -> Problem:
    """What its samples share."""
    is_solved = isinstance(best, Attempt) and votes is not None
    tests = _tests(problem.inputs, votes.solved) if is_solved and votes is not None else None
    return Problem(
        task=TASK,
        query=problem.text,
        parents=(seed.id,),
        verifier="none" if tests is None else "python_tests",
        language=language,
        reference=best.solution if isinstance(best, Attempt) else None,
        reference_from="consensus" if is_solved else None,
        tests=tests,
        pass_rate=share,
    )


async def _problem(
    recipe: ProgramMaker, passage: str, language: str, desk: Desk
) -> _Problem | Reject:
    """A problem, and inputs for it."""
    assert recipe.problem is not None
    answer = await desk.ask(recipe.problem.request(desk, passage=passage, language=language))
    reject = usable(answer)
    if reject is not None:
        return reject
    sections = sections_of(answer.text or "")
    text = sections.get(PROBLEM, "")
    if not text:
        return Reject(
            reason="no_problem", message="the answer has no section `Problem` with a text"
        )
    found, tokens = await _inputs(recipe, passage, language, text, desk)
    if isinstance(found, Reject):
        return found
    is_hard = sections.get(DIFFICULTY, "").strip().lower().startswith(_HARD)
    return _Problem(text, is_hard, found.inputs, answer.completion_tokens + tokens)


async def _inputs(
    recipe: ProgramMaker, passage: str, language: str, problem: str, desk: Desk
) -> tuple[Generated | Reject, int]:
    """Inputs of the first generator that makes enough of them."""
    assert recipe.inputs is not None
    rules = recipe.generated
    asked_for = [(scale, n) for scale in rules.scales for n in range(rules.per_scale)]
    # Each call has another random seed, whatever its scale.
    asked_for = [(scale, number) for number, (scale, _) in enumerate(asked_for)]
    reject = Reject(reason="too_few_inputs", message="no generator")
    for attempt in range(rules.attempts):
        request = recipe.inputs.request(
            desk, passage=passage, language=language, problem=problem, attempt=attempt
        )
        answer = await desk.ask(request)
        unusable = usable(answer)
        if unusable is not None:
            reject = unusable
            continue
        generator = python_of(sections_of(answer.text or "").get(GENERATOR, ""))
        if generator is None:
            message = "the answer has no section `Generator` with a block of Python"
            reject = Reject(reason="no_code_block", message=message)
            continue
        found = await generate_inputs(
            desk.run_code,
            generator,
            asked_for,
            recipe.limits,
            max_characters=rules.max_characters,
        )
        if found.reason is not None:
            reject = Reject(reason=found.reason, message=found.message)
        elif len(found.inputs) >= rules.least:
            return found, answer.completion_tokens
        else:
            message = f"{len(found.inputs)} valid inputs; at least {rules.least} are wanted"
            reject = Reject(reason="too_few_inputs", message=message)
    return reject, 0


async def _voted(
    recipe: ProgramMaker, problem: _Problem, passage: str, language: str, desk: Desk
) -> tuple[list[Attempt], list[_Votes]]:
    """All programs, and groups of those that agree, in the order of their first programs."""
    requests = [
        recipe.solution.request(
            desk, passage=passage, language=language, problem=problem.text, attempt=number
        )
        for number in range(recipe.attempts)
    ]
    answers = await asked(desk, requests)
    attempts = [
        Attempt(number=number, request=request, answer=answer, problem=problem.text)
        for number, (request, answer) in enumerate(zip(requests, answers, strict=True))
    ]
    ran = await asyncio.gather(*(_solved(recipe, one, problem.inputs, desk) for one in attempts))
    groups: dict[tuple[str, ...], list[Attempt]] = defaultdict(list)
    outputs: dict[tuple[str, ...], Solved] = {}
    for attempt, solved in zip(attempts, ran, strict=True):
        if solved is not None:
            groups[solved.digests].append(attempt)
            outputs.setdefault(solved.digests, solved)
    return attempts, [_Votes(tuple(one), outputs[digests]) for digests, one in groups.items()]


async def _solved(
    recipe: ProgramMaker, attempt: Attempt, inputs: Sequence[str], desk: Desk
) -> Solved | None:
    """Outputs of one program for all inputs; None where it is rejected."""
    unusable = usable(attempt.answer)
    if unusable is not None:
        attempt.reject(unusable.reason, unusable.message)
        return None
    attempt.solution = python_of(sections_of(attempt.answer.text or "").get(SOLUTION, ""))
    if attempt.solution is None:
        attempt.reject("no_code_block", "no section `Solution` with a block of Python")
        return None
    solved = await solve_inputs(desk.run_code, attempt.solution, inputs, recipe.limits)
    if solved.reason is not None:
        attempt.reject(solved.reason, solved.message)
        return None
    return solved


async def _elected(
    recipe: ProgramMaker, problem: _Problem, votes: _Votes, desk: Desk
) -> Attempt | Reject:
    """The program that stands for the majority, or why there is none."""
    needed = recipe.agreement_hard if problem.is_hard else recipe.agreement
    if len(votes.attempts) < needed * recipe.attempts:
        message = f"{len(votes.attempts)} of {recipe.attempts} agree; {needed:.0%} are wanted"
        return Reject(reason="no_agreement", message=message)
    if len(set(votes.solved.digests)) == 1:
        message = "the output is the same for every input"
        return Reject(reason="constant_output", message=message)
    by_length = sorted(votes.attempts, key=lambda one: (len(one.solution or ""), one.number))
    for attempt in by_length[:_MAX_TRIED]:
        again = await solve_inputs(
            desk.run_code, attempt.solution or "", problem.inputs, recipe.limits, hash_seed=1
        )
        if again.digests == votes.solved.digests and again.reason is None:
            return attempt
    message = "the programs that agree come out differently under other hashes"
    return Reject(reason="nondeterministic", message=message)


def _tell(attempts: Sequence[Attempt], votes: _Votes | None, best: Attempt | Reject) -> None:
    """Notes on each attempt what the vote made of it."""
    winners = {one.number for one in votes.attempts} if votes is not None else set()
    for one in attempts:
        if one.reason is not None:
            continue
        if isinstance(best, Reject):
            one.reject(best.reason, best.message)
        elif one.number not in winners:
            one.reject("disagrees", "most programs give other outputs")


def _shown(inputs: Sequence[str], solved: Solved) -> list[tuple[str, str]]:
    """Inputs with short outputs, the shortest inputs first."""
    pairs = zip(inputs, solved.outputs, strict=True)
    short = [(given, output) for given, output in pairs if output is not None]
    return sorted(short, key=lambda pair: len(pair[0]))


def _examples(inputs: Sequence[str], solved: Solved) -> str:
    """A few inputs and outputs, in blocks."""
    pairs = _shown(inputs, solved)[:_NUM_EXAMPLES]
    return "\n\n".join(f"{fenced('', given)}\n\n{fenced('', out)}" for given, out in pairs)


def _tests(inputs: Sequence[str], solved: Solved) -> str | None:
    """A test file for `solution.py`; None where every output is too long to be written down."""
    pairs = _shown(inputs, solved)[:_NUM_TESTS]
    if not pairs:
        return None
    lines = "".join(f"    ({given!r}, {output!r}),\n" for given, output in pairs)
    return _TESTS.format(cases=f"[\n{lines}]")

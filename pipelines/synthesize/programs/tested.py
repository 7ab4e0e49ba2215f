"""Solution and tests together, attempted until they hold or attempts are over."""

import asyncio
from typing import Any, Final

from pipelines.models.chat import Answer, Request
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
    PROBLEM,
    SOLUTION,
    TESTS,
    python_of,
    sections_of,
)
from pipelines.synthesize.programs.verdicts import judge_tests
from pipelines.synthesize.recipe import Made, Reject, Seed
from pipelines.synthesize.samples import Problem

_STYLE: Final = "solution_and_tests"


async def make_tested(recipe: ProgramMaker, seed: Seed, passage: str, desk: Desk) -> Made:
    """Makes one problem with a solution that its tests accept.

    Args:
        recipe: With `check: tests`.
        seed: What it is made of.
        passage: Its text, cut.
        desk: Asks and runs.
    """
    language = language_of(seed)
    statement, tokens = None, 0
    if recipe.problem is not None:
        answer = await desk.ask(recipe.problem.request(desk, passage=passage, language=language))
        found = _statement(answer)
        if isinstance(found, Reject):
            return refused(found)
        statement, tokens = found, answer.completion_tokens
    attempts = await _attempts(recipe, passage, language, statement, desk)
    samples = _samples(recipe, seed, language, statement, attempts, desk)
    figures = figures_of(attempts)
    best = next((one for one in attempts if one.reason is None), None)
    if best is None:
        return refused(reject_of(attempts), samples, figures)
    near = near_to_seed(recipe, best, passage)
    if near is not None:
        return refused(near, samples, figures)
    meta = {
        "attempts": str(len(attempts)),
        "tests": str(best.num_tests),
        "coverage": f"{best.coverage:.3f}",
    }
    if statement is not None:
        meta["pass_rate"] = f"{figures['attempts_accepted'] / len(attempts):.3f}"
    parts = {
        "problem": best.problem or "",
        "solution": fenced("python", best.solution or ""),
        "tests": fenced("python", best.tests or ""),
    }
    draft = draft_of(recipe, seed, language, best, parts=parts, tokens=tokens, meta=meta)
    return made(draft, samples, figures, best)


def _statement(answer: Answer) -> str | Reject:
    """The problem that an answer states."""
    problem = usable(answer)
    if problem is not None:
        return problem
    text = sections_of(answer.text or "").get(PROBLEM, "")
    return text or Reject(
        reason="no_problem", message="the answer has no section `Problem` with a text"
    )


async def _attempts(
    recipe: ProgramMaker, passage: str, language: str, statement: str | None, desk: Desk
) -> list[Attempt]:
    """Attempts in order, up to the wave in which one holds."""
    done: list[Attempt] = []
    coverage = 0.0
    while len(done) < recipe.attempts and not any(one.reason is None for one in done):
        wave = range(len(done), min(recipe.attempts, len(done) + recipe.at_once))
        requests = [
            recipe.solution.request(
                desk, passage=passage, language=language, problem=statement or "", attempt=number
            )
            for number in wave
        ]
        answers = await asked(desk, requests)
        judging = [
            _judged(recipe, number, request, answer, statement, desk)
            for number, request, answer in zip(wave, requests, answers, strict=True)
        ]
        for attempt in await asyncio.gather(*judging):
            # In the order of attempts, so that what is accepted does not depend on the wave.
            if attempt.reason is None and (attempt.coverage or 0.0) < coverage:
                told = f"{attempt.coverage:.3f}, and {coverage:.3f} in an earlier attempt"
                attempt.reject("coverage_fell", told)
            coverage = max(coverage, attempt.coverage or 0.0)
            done.append(attempt)
    return done


async def _judged(
    recipe: ProgramMaker,
    number: int,
    request: Request,
    answer: Answer,
    statement: str | None,
    desk: Desk,
) -> Attempt:
    attempt = Attempt(number=number, request=request, answer=answer, problem=statement)
    problem = usable(answer)
    if problem is not None:
        return attempt.reject(problem.reason, problem.message)
    sections = sections_of(answer.text or "")
    if statement is None:
        attempt.problem = sections.get(PROBLEM) or None
        if attempt.problem is None:
            return attempt.reject("no_problem", "the answer has no section `Problem` with a text")
    attempt.solution = python_of(sections.get(SOLUTION, ""))
    attempt.tests = python_of(sections.get(TESTS, ""))
    for name, source in (("Solution", attempt.solution), ("Tests", attempt.tests)):
        if source is None:
            message = f"the answer has no section `{name}` with a block of Python"
            return attempt.reject("no_code_block", message)
    assert attempt.solution is not None
    assert attempt.tests is not None
    verdict = await judge_tests(
        desk.run_code, attempt.solution, attempt.tests, recipe.tests, recipe.limits
    )
    attempt.coverage, attempt.num_tests = verdict.coverage, verdict.num_tests
    if verdict.reason is not None:
        return attempt.reject(verdict.reason, verdict.message)
    return attempt


def _samples(
    recipe: ProgramMaker,
    seed: Seed,
    language: str,
    statement: str | None,
    attempts: list[Attempt],
    desk: Desk,
) -> list[dict[str, Any]]:
    """A row an attempt; one that states no problem of its own has none."""
    good = [one for one in attempts if one.reason is None]
    rows = []
    for one in attempts:
        if one.problem is None:
            continue
        shared = good[:1] if statement is not None else [one][: one.reason is None]
        problem = Problem(
            task=TASK,
            query=one.problem,
            parents=(seed.id,),
            verifier="python_tests" if shared else "none",
            language=language,
            reference=shared[0].solution if shared else None,
            reference_from="tests" if shared else None,
            tests=shared[0].tests if shared else None,
            pass_rate=len(good) / len(attempts) if statement is not None else None,
        )
        rows.append(sample_of(recipe, problem, one, desk, _STYLE))
    return rows

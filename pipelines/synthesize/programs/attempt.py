"""What both ways of checking share: attempts, what is said of all of them, and their samples."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipelines.models.chat import Answer, Request
from pipelines.models.desk import Desk
from pipelines.synthesize.novelty import novelty
from pipelines.synthesize.programs.maker import ProgramMaker
from pipelines.synthesize.prompts import filled
from pipelines.synthesize.recipe import Draft, Made, Reject, Seed
from pipelines.synthesize.samples import Problem, Turn, problem_id, sample_row

TASK: Final = "code"
MARKDOWN: Final = "text/markdown"


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One answer and what came of it."""

    number: int
    request: Request
    answer: Answer
    problem: str | None = None
    solution: str | None = None
    tests: str | None = None
    reason: str | None = None
    """None accepts it."""
    message: str = ""
    coverage: float | None = None
    num_tests: int = 0
    novelty: float = 0.0

    def reject(self, reason: str, message: str) -> "Attempt":
        """Itself, rejected."""
        self.reason, self.message = reason, message
        return self


def usable(answer: Answer) -> Reject | None:
    """Why an answer cannot be used; None where it can."""
    if answer.reason is not None:
        return Reject(reason=answer.reason, message=answer.message or answer.reason)
    if not (answer.text or "").strip():
        return Reject(reason="empty", message="the answer has no text")
    return None


def fenced(language: str, source: str) -> str:
    """A block of code, behind a fence that is longer than any in it."""
    fence = "```"
    while fence in source:
        fence += "`"
    return f"{fence}{language}\n{source.strip()}\n{fence}"


def near_to_seed(recipe: ProgramMaker, attempt: Attempt, passage: str) -> Reject | None:
    """Refuses a problem or a solution that hardly differs from its seed, by the lesser novelty."""
    parts = (attempt.problem, attempt.solution)
    attempt.novelty = min(novelty(part, passage) for part in parts if part)
    if attempt.novelty >= recipe.min_novelty:
        return None
    message = f"novelty {attempt.novelty:.3f}; at least {recipe.min_novelty} is wanted"
    return Reject(reason="too_near_to_seed", message=message)


def refused(
    reject: Reject,
    samples: Sequence[Mapping[str, Any]] = (),
    figures: Mapping[str, float] | None = None,
) -> Made:
    """A unit that gave no document."""
    return Made(units=1, accepted=0, rejects=[reject], samples=samples, figures=figures or {})


def made(
    draft: Draft, samples: Sequence[Mapping[str, Any]], figures: Mapping[str, float], best: Attempt
) -> Made:
    """A unit that gave one."""
    told = {**figures, "novelty_sum": best.novelty}
    return Made(units=1, accepted=1, drafts=[draft], samples=samples, figures=told)


def figures_of(attempts: Sequence[Attempt]) -> dict[str, float]:
    """Sums for the ledger."""
    accepted = sum(one.reason is None for one in attempts)
    return {"attempts": len(attempts), "attempts_accepted": accepted}


def draft_of(
    recipe: ProgramMaker,
    seed: Seed,
    language: str,
    best: Attempt,
    *,
    parts: Mapping[str, str],
    tokens: int,
    meta: Mapping[str, str],
) -> Draft:
    """The document of an accepted attempt.

    Args:
        recipe: That made it.
        seed: What it was made of.
        language: Of the problem.
        best: The attempt.
        parts: Place of the recipe's `document` -> text.
        tokens: Completion tokens of the other answers that stand in it.
        meta: What is said of it beside its problem and novelty.
    """
    assert best.problem is not None
    told = {
        "problem": problem_id(TASK, best.problem).hex(),
        "novelty": f"{best.novelty:.3f}",
        **meta,
    }
    return Draft(
        text=filled(recipe.document, parts).strip() + "\n",
        request=best.request,
        parents=(seed.id,),
        accepted_tokens=tokens + best.answer.completion_tokens,
        language=language,
        prompt_hash=recipe.prompt_hash,
        attempt=best.number,
        media_type=MARKDOWN,
        meta=told,
    )


def reject_of(attempts: Sequence[Attempt]) -> Reject:
    """What is said of a unit of which every attempt was rejected: the commonest reason."""
    counted = Counter(one.reason or "" for one in attempts)
    reason = counted.most_common(1)[0][0]  # of equal ones the first met
    message = next(one.message for one in attempts if one.reason == reason)
    told = ", ".join(f"{name} {n}" for name, n in counted.most_common())
    many = f"{len(attempts)} attempts ({told}); " if len(attempts) > 1 else ""
    return Reject(reason=reason, message=f"{many}{message or reason}")


def sample_of(
    recipe: ProgramMaker, problem: Problem, attempt: Attempt, desk: Desk, style: str
) -> dict[str, Any]:
    """The SAMPLE row of an attempt."""
    assert desk.model is not None
    answer = attempt.answer
    turns = () if answer.text is None else (Turn("assistant", answer.text, answer.reasoning),)
    return sample_row(
        problem,
        style=style,
        attempt=attempt.number,
        request=attempt.request,
        turns=turns,
        answer=answer,
        model=desk.model.identity,
        recipe=recipe.name,
        prompt_hash=recipe.prompt_hash,
        completion_tokens=answer.completion_tokens,
        reason=attempt.reason,
        message=attempt.message or None,
    )

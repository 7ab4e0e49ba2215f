"""The work on one problem: attempts, further attempts, the accepted answer, verdicts, documents."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from pipelines.models.chat import Request
from pipelines.models.desk import Desk
from pipelines.synthesize.asking import asked, switched
from pipelines.synthesize.language_checks import UNKNOWN
from pipelines.synthesize.mathematics.answers import final_answer, plain_form
from pipelines.synthesize.mathematics.attempts import Attempt, attempted
from pipelines.synthesize.mathematics.cold_start import objection, thought_answer
from pipelines.synthesize.mathematics.comparing import Compared, compared, is_computable
from pipelines.synthesize.mathematics.equality import agreeing, classes
from pipelines.synthesize.mathematics.problems import Proposed, together
from pipelines.synthesize.mathematics.settings import STYLES, Style
from pipelines.synthesize.mathematics.votes import Decision, Vote, decide
from pipelines.synthesize.prompts import filled
from pipelines.synthesize.recipe import Draft, Reject, Seed
from pipelines.synthesize.samples import Problem, sample_row

if TYPE_CHECKING:
    from pipelines.synthesize.mathematics.maker import MathMaker

TASK: Final = "mathematics"
ANSWER_CHARACTERS: Final = 200
"""Most of an answer that stands in a document's meta or in a message."""


@dataclass(slots=True, kw_only=True)
class Unit:
    """What came of one problem."""

    reject: Reject | None = None
    drafts: list[Draft] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Solution:
    """The work on one problem."""

    recipe: "MathMaker"
    problem: Proposed
    seed: Seed
    reference: str | None
    """As the source gives it."""
    desk: Desk
    attempts: list[Attempt] = field(default_factory=list)

    async def solved(self) -> Unit:
        """Attempts, further attempts, verdicts."""
        counts: dict[Style, int] = {s: one.samples for s, one in self.recipe.solutions.items()}
        await self._attempt({style: range(n) for style, n in counts.items()})
        while True:
            more = self.recipe.more(counts)
            algebra = await self._compared()
            decision = self._decision(algebra, is_last=not more)
            judged = self._judged(decision, algebra)
            if not more or not self._is_worth_more(decision, judged):
                break
            await self._attempt({s: range(counts[s], counts[s] + n) for s, n in more.items()})
            counts = {style: n + more.get(style, 0) for style, n in counts.items()}
        return await self._unit(decision, judged)

    async def _attempt(self, numbers: Mapping[Style, range]) -> None:
        recipe = self.recipe
        work = [
            attempted(
                style,
                getattr(recipe.prompts, style),
                recipe.solutions[style],
                self.problem.text,
                number,
                self.desk,
            )
            for style, some in numbers.items()
            for number in some
        ]
        self.attempts += await together(work)
        self.attempts.sort(key=lambda one: (STYLES.index(one.style), one.number))

    async def _compared(self) -> Compared:
        forms = [form for one in self.attempts for form in (one.form, thought_answer(one)) if form]
        if self.reference is not None:
            forms.append(plain_form(self.reference))
        return await compared(forms, self.desk)

    def _decision(self, algebra: Compared, *, is_last: bool) -> Decision:
        counted = [one for one in self.attempts if one.counts]
        forms = [one.form for one in counted if one.form and one.form not in algebra.unreadable]
        if self.reference is not None:
            wanted = plain_form(self.reference)
            right = agreeing(wanted, forms, algebra.equal)
            votes = sum(one.form in right for one in counted)
            if not votes:
                message = f"none of {len(counted)} attempts comes to {self.reference!r}"
                return Decision(None, "not_solved", message, 0.0)
            return Decision(wanted, None, None, votes / len(counted))
        known = classes(forms, algebra.equal)
        votes_cast = [Vote(one.style, known.get(one.form or "")) for one in counted]
        return decide(votes_cast, self.recipe.majority, is_last=is_last)

    def _judged(self, decision: Decision, algebra: Compared) -> list[Attempt]:
        """The attempts, each with the reason why it is not accepted."""
        forms = [one.form for one in self.attempts if one.form]
        right: set[str] = set()
        if decision.answer is not None:
            known = classes(forms, algebra.equal)
            right = {form for form, first in known.items() if first == known.get(decision.answer)}
            right |= agreeing(decision.answer, forms, algebra.equal)
        return [self._verdict(one, decision, right, algebra) for one in self.attempts]

    def _verdict(
        self, attempt: Attempt, decision: Decision, right: set[str], algebra: Compared
    ) -> Attempt:
        if attempt.reason is not None or attempt.form is None:
            return attempt
        if attempt.form in algebra.unreadable:
            message = f"computer algebra cannot read {attempt.form!r} in its time"
            return attempt.rejected("unreadable_answer", message)
        if decision.answer is None:
            reason = "wrong_answer" if decision.reason == "not_solved" else "undecided"
            return attempt.rejected(reason, decision.message or "")
        if attempt.form not in right:
            message = f"{attempt.final!r}; accepted is {decision.answer!r}"
            return attempt.rejected("wrong_answer", message)
        thought = thought_answer(attempt)
        agrees = thought is None or bool(agreeing(thought, [attempt.form], algebra.equal))
        found = objection(attempt, self.problem.text, self.recipe.filters, thinking_agrees=agrees)
        return attempt if found is None else attempt.rejected(*found)

    def _is_worth_more(self, decision: Decision, judged: Sequence[Attempt]) -> bool:
        """Hard rather than hopeless: some attempt has a result, and none is kept yet."""
        return any(one.form for one in judged) and all(one.reason for one in judged)

    async def _unit(self, decision: Decision, judged: list[Attempt]) -> Unit:
        kept = [one for one in judged if one.reason is None]
        reject = await self._reject(decision, judged)
        if reject is not None:
            judged = [
                one if one.reason else one.rejected(reject.reason, reject.message) for one in judged
            ]
        problem = self._described(decision)
        unit = Unit(
            reject=reject,
            drafts=[] if reject is not None else self._drafts(kept, problem, decision),
            samples=[self._sample(one, problem) for one in judged],
        )
        if problem.pass_rate is not None:
            unit.figures |= {"problems_decided": 1.0, "pass_rate_sum": problem.pass_rate}
        unit.figures["attempts"] = len(judged)
        unit.figures["attempts_accepted"] = 0 if reject is not None else len(kept)
        return unit

    async def _reject(self, decision: Decision, judged: Sequence[Attempt]) -> Reject | None:
        """Why the problem gives no document."""
        if decision.answer is None:
            return Reject(reason=decision.reason or "", message=decision.message or "")
        reasons = Counter(one.reason for one in judged if one.reason)
        if all(one.reason for one in judged):
            told = ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()))
            return Reject(reason="all_filtered", message=f"of {len(judged)} attempts {told}")
        if not await is_computable(decision.answer, self.desk):
            message = f"computer algebra cannot work with {decision.answer!r} in its time"
            return Reject(reason="unreadable_answer", message=message)
        return await self._too_easy(decision.answer)

    async def _too_easy(self, answer: str) -> Reject | None:
        easy = self.recipe.easy
        if easy is None:
            return None
        requests = [
            Request(
                messages=self.recipe.prompts.direct.messages(problem=self.problem.text),
                sampling=easy.sampling,
                thinking=switched(easy.thinking, self.desk),
                attempt=number,
            )
            for number in range(easy.attempts)
        ]
        found = [final_answer(one.text or "") for one in await asked(self.desk, requests)]
        forms = [plain_form(one.text) for one in found if one is not None]
        algebra = await compared([answer, *forms], self.desk)
        right = agreeing(answer, forms, algebra.equal)
        count = sum(form in right for form in forms)
        if count < easy.share * easy.attempts:
            return None
        message = f"{count} of {easy.attempts} answers without any step are right"
        return Reject(reason="easy", message=message)

    def _described(self, decision: Decision) -> Problem:
        """The problem with what decides of it."""
        writing, meta = self.recipe.problems, self.seed.meta
        domain = self.seed.labels.get(writing.domain_label) if writing.domain_label else None
        if domain is None and writing.domain_key is not None:
            domain = meta.get(writing.domain_key)
        answer = self.reference if self.reference is not None else self._written(decision.answer)
        is_known = answer is not None
        language = self.seed.language
        return Problem(
            task=TASK,
            query=self.problem.text,
            parents=(self.seed.id,),
            verifier="math_answer" if is_known else "none",
            domain=None if domain is None else str(domain),
            language=None if language == UNKNOWN else language,
            reference=answer,
            reference_from=_from(self.reference, answer),
            pass_rate=decision.pass_rate if decision.answer or self.reference else None,
        )

    def _written(self, form: str | None) -> str | None:
        """The accepted answer as an attempt wrote it: the shortest of those of its plain form."""
        if form is None:
            return None
        written = [one.final for one in self.attempts if one.form == form and one.final]
        return min(written, key=lambda text: (len(text), text)) if written else form

    def _drafts(self, kept: Sequence[Attempt], problem: Problem, decision: Decision) -> list[Draft]:
        settings = self.recipe.document
        chosen = _best(kept, list(self.recipe.solutions), settings.solutions)
        groups = [[one] for one in chosen] if settings.is_separate else [chosen]
        counted = [one for one in self.attempts if one.counts]
        votes = round(decision.pass_rate * len(counted))
        return [
            Draft(
                text=self._text(group),
                request=group[0].request,
                parents=(self.seed.id,),
                accepted_tokens=sum(one.completion_tokens for one in group)
                + (self.problem.tokens if number == 0 else 0),
                prompt_hash=self.recipe.prompt_hash(sorted({one.style for one in group})),
                attempt=group[0].number,
                meta={
                    "answer": (problem.reference or "")[:ANSWER_CHARACTERS],
                    "answer_from": problem.reference_from or "",
                    "difficulty": f"{1 - decision.pass_rate:.3f}",
                    "problem": problem.id.hex(),
                    "style": ",".join(sorted({one.style for one in group})),
                    "votes": f"{votes}/{len(counted)}",
                },
            )
            for number, group in enumerate(groups)
        ]

    def _text(self, group: Sequence[Attempt]) -> str:
        document = self.recipe.document
        solutions = [
            f"{one.thinking.strip()}\n\n{one.text}"
            if document.has_thinking and one.thinking
            else one.text
            for one in group
        ]
        values = {"problem": self.problem.text, "solutions": "\n\n".join(solutions)}
        return filled(document.layout, values).strip()

    def _sample(self, attempt: Attempt, problem: Problem) -> dict[str, Any]:
        model = self.desk.model
        assert model is not None
        return sample_row(
            problem,
            style=attempt.style,
            attempt=attempt.number,
            request=attempt.request,
            turns=attempt.turns,
            answer=attempt.answer,
            model=model.identity,
            recipe=self.recipe.name,
            prompt_hash=self.recipe.prompt_hash([attempt.style]),
            completion_tokens=attempt.completion_tokens,
            final_answer=attempt.final,
            reason=attempt.reason,
            message=attempt.message,
        )


def _from(reference: str | None, answer: str | None) -> Literal["source", "consensus"] | None:
    if reference is not None:
        return "source"
    return None if answer is None else "consensus"


def _best(kept: Sequence[Attempt], styles: Sequence[Style], most: int) -> list[Attempt]:
    """The solutions of a document: styles take turns, each by the shortest first."""
    ranked = {
        style: sorted(
            (one for one in kept if one.style == style), key=lambda one: (len(one.text), one.number)
        )
        for style in styles
    }
    chosen: list[Attempt] = []
    for rank in range(len(kept)):
        chosen += [some[rank] for some in ranked.values() if rank < len(some)]
    return chosen[:most]

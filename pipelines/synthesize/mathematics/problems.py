# ruff: noqa: RUF001 - signs and words of many scripts
"""Problems: written from a seed, or the seed itself, and which of them are worth solving.

A problem has to have one answer that can be compared. What cannot is left out before anything is
paid for its solution, by rules, and by one short question to the model (the query filter of the
Qwen3 report, arXiv:2505.09388, section 4.1).

Why a problem is left out (each is a rejected unit):
    a reason of `chat.REASONS`  the request for problems, or for the check, has no usable answer
    no_concepts                 the seed is about no mathematics
    no_problem                  the answer holds none between <problem> and </problem>
    too_short, too_long
    unverifiable                asks for a proof, an explanation or a drawing; or the check says so
    multi_part                  asks for several results
    repeated_problem            twice from one seed
    repetition                  it runs in a loop
    too_near_to_seed            copied
    language_mixing             in other scripts than its seed
    unclear_check               the check gives none of its three words
"""

import asyncio
import re
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations
from typing import Final, TypeVar

from pipelines.models.chat import Answer, Message, Request, Sampling, Thinking
from pipelines.models.desk import Desk
from pipelines.models.repetition import repetition
from pipelines.synthesize.asking import asked, switched
from pipelines.synthesize.language_checks import english_name
from pipelines.synthesize.mathematics.prompts import AS_THE_PASSAGE, MathPrompts
from pipelines.synthesize.mathematics.scripts import cells, foreign_scripts
from pipelines.synthesize.mathematics.settings import Check, Writing
from pipelines.synthesize.novelty import novelty
from pipelines.synthesize.recipe import Reject, Seed
from pipelines.synthesize.samples import problem_id

_T = TypeVar("_T")

_PROBLEM: Final = re.compile(r"<problem>(.*?)</problem>", re.DOTALL | re.IGNORECASE)
_CONCEPT: Final = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+(.+?)\s*$", re.MULTILINE)
_PROOF: Final = re.compile(
    r"\b(?:prove|disprove|show)\s+(?:that|why|whether)|\bprove:|\bgive a proof"
    r"|\bexplain (?:why|how)\b"
    r"|\b(?:sketch|draw|plot|graph) (?:the|a|an)\b|\bbeweise|\bzeige,? dass|\bzeichne"
    r"|\bd[ée]montr|\bmontrer? que|\bdemuestr|\bdemostrar|\bprove que|\bmostre que|\bdimostra"
    r"|докажите|доказать|доведіть|\bwykaż|\budowodnij|\bkanıtla|\bispatla|\bbuktikan|chứng minh"
    r"|证明|證明|証明|画出|畫出|증명|أثبت|برهن|ثابت کن|सिद्ध कीजिए|सिद्ध करो|প্রমাণ কর|พิสูจน์",
    re.IGNORECASE,
)
# Two enumerated parts, each at the start of a line or behind the end of a sentence.
_MARK: Final = r"[).．）]"
_PARTS: Final = (
    re.compile(
        rf"(?:^|[\s:：;；。.?？])\(?(?:a|i|1){_MARK}\s*\S.*?[\s;；。.?？]\(?(?:b|ii|2){_MARK}",
        re.DOTALL,
    ),
    re.compile(r"[(（](?:a|i|1|一|а|أ|क)[)）].*?[(（](?:b|ii|2|二|б|ب|ख)[)）]", re.DOTALL),
    re.compile(r"[①⑴].*?[②⑵]", re.DOTALL),
)
_CHOICES: Final = re.compile(r"[(（]?\bA[).．）].*\bB[).．）].*\bC[).．）]", re.DOTALL)
_QUESTION: Final = re.compile(r"[?？؟]")
_CHECK_WORD: Final = re.compile(r"\b(UNVERIFIABLE|MULTIPART|VALID)\b")
_CHECK_REASONS: Final = {"UNVERIFIABLE": "unverifiable", "MULTIPART": "multi_part"}


@dataclass(frozen=True, slots=True)
class Proposed:
    """A problem that is worth solving."""

    text: str
    answer: Answer | None
    """That it was written in; None for a seed that is a problem."""
    tokens: int = 0
    """Completion tokens that its writing cost, its share of them where an answer holds several."""


async def together(work: Iterable[Awaitable[_T]]) -> list[_T]:
    """Does things side by side; the first exception cancels the others and is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def proposed(
    seed: Seed, writing: Writing, prompts: MathPrompts, desk: Desk
) -> list[Proposed | Reject]:
    """Everything that was proposed from a seed, in order; at least one unit."""
    if writing.made_from == "seed":
        return [Proposed(seed.text.strip(), None)]
    if writing.made_from == "passage":
        values = {
            "passage": seed.text[: writing.longest_passage],
            "language": english_name(seed.language) or AS_THE_PASSAGE,
            "number": str(writing.per_seed),
        }
        request = _request(prompts.problems.messages(**values), writing, desk)
        return _problems_in(await desk.ask(request), writing.per_seed)
    return await _combined(seed, writing, prompts, desk)


async def _combined(
    seed: Seed, writing: Writing, prompts: MathPrompts, desk: Desk
) -> list[Proposed | Reject]:
    """First concepts, then one problem a combination of them."""
    language = english_name(seed.language) or AS_THE_PASSAGE
    values = {
        "passage": seed.text[: writing.longest_passage],
        "language": language,
        "number": str(writing.concepts),
    }
    answer = await desk.ask(_request(prompts.concepts.messages(**values), writing, desk))
    if answer.reason is not None:
        return [_failed(answer)]
    named = list(dict.fromkeys(_CONCEPT.findall(answer.text or "")))[: writing.concepts]
    chosen = chosen_combinations(named, writing.combine, writing.per_seed, seed.id)
    if not chosen:
        message = f"{len(named)} concepts were named; a problem combines {writing.combine}"
        return [Reject(reason="no_concepts", message=message)]
    requests = []
    for concepts in chosen:
        told = {"concepts": "\n".join(f"- {one}" for one in concepts), "language": language}
        requests.append(_request(prompts.combine.messages(**told), writing, desk))
    answers = await asked(desk, requests)
    return [one for answer in answers for one in _problems_in(answer, 1)]


def chosen_combinations(
    concepts: list[str], size: int, most: int, key: bytes
) -> list[tuple[str, ...]]:
    """Some of the combinations of concepts, drawn by a hash.

    Args:
        concepts: Distinct.
        size: Of a combination.
        most: How many.
        key: Fixes the draw.
    """
    found = combinations(concepts, size)

    def drawn(one: tuple[str, ...]) -> bytes:
        return blake2b("\n".join(one).encode(), key=key[:16], digest_size=8).digest()

    return sorted(found, key=drawn)[:most]


def _request(messages: tuple[Message, ...], settings: Writing | Check, desk: Desk) -> Request:
    sampling: Sampling = settings.sampling
    thinking: Thinking | None = settings.thinking
    return Request(messages=messages, sampling=sampling, thinking=switched(thinking, desk))


def _failed(answer: Answer) -> Reject:
    reason = answer.reason or "empty"
    return Reject(reason=reason, message=answer.message or f"the model's answer is {reason}")


def _problems_in(answer: Answer, most: int) -> list[Proposed | Reject]:
    """What an answer holds; a cut-off answer keeps the problems that were finished."""
    if answer.reason not in (None, "truncated"):
        return [_failed(answer)]
    found = [text.strip() for text in _PROBLEM.findall(answer.text or "")][:most]
    if not any(found):
        if answer.reason is not None or not (answer.text or "").strip():
            return [_failed(answer)]
        return [Reject(reason="no_problem", message="nothing between <problem> and </problem>")]
    share = answer.completion_tokens // len(found)
    return [Proposed(text, answer, share) for text in found if text]


def rule_objections(
    units: list[Proposed | Reject], seed: Seed, writing: Writing
) -> list[Proposed | Reject]:
    """Puts a reject in the place of each problem that the rules of this module leave out."""
    met: set[bytes] = set()
    kept: list[Proposed | Reject] = []
    for unit in units:
        if isinstance(unit, Reject):
            kept.append(unit)
            continue
        name = problem_id("", unit.text.casefold())
        found = _objection(unit.text, seed, writing)
        if found is None and name in met:
            found = ("repeated_problem", "an earlier one from the same seed is equal")
        met.add(name)
        kept.append(unit if found is None else Reject(reason=found[0], message=found[1]))
    return kept


def _objection(text: str, seed: Seed, writing: Writing) -> tuple[str, str] | None:
    if not text or (writing.made_from != "seed" and cells(text) < writing.least_cells):
        return "too_short", f"{cells(text)} letters and figures; asked are {writing.least_cells}"
    if len(text) > writing.most_characters:
        return "too_long", f"{len(text)} characters; at most {writing.most_characters}"
    loop = repetition(text)
    if loop:
        return "repetition", f"the problem has {loop}"
    found = query_objection(text)
    if found is not None or writing.made_from == "seed":
        return found
    new = novelty(text, seed.text)
    if new < writing.least_novelty:
        message = f"{new:.2f} of its n-grams are new; asked are {writing.least_novelty:g}"
        return "too_near_to_seed", message
    foreign = foreign_scripts(text, seed.text, 0.5)
    return ("language_mixing", f"problem: {foreign}") if foreign else None


def query_objection(text: str) -> tuple[str, str] | None:
    """Whether the wording of a problem asks for what cannot be compared.

    Args:
        text: Of the problem.

    Returns:
        Reason and message, or None.
    """
    proof = _PROOF.search(text)
    if proof:
        return "unverifiable", f"it asks for a proof, an explanation or a drawing: {proof[0]!r}"
    if not _CHOICES.search(text) and any(part.search(text) for part in _PARTS):
        return "multi_part", "it has several numbered parts"
    questions = len(_QUESTION.findall(text))
    if questions > 1:
        return "multi_part", f"it asks {questions} questions"
    return None


async def checked(text: str, check: Check, prompts: MathPrompts, desk: Desk) -> Reject | None:
    """What the model says on whether a problem can be verified; None where it can."""
    answer = await desk.ask(_request(prompts.check.messages(problem=text), check, desk))
    if answer.reason not in (None, "truncated"):
        return _failed(answer)
    words = _CHECK_WORD.findall((answer.text or "").upper())
    if not words:
        message = f"the check answers {(answer.text or '')[:80]!r}"
        return Reject(reason="unclear_check", message=message)
    if words[0] == "VALID":
        return None
    return Reject(reason=_CHECK_REASONS[words[0]], message="the model's check says so")

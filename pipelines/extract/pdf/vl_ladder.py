"""One page and a vision-language model: tries of rising temperature, until an answer is a page's.

The ladder is that of olmOCR (2502.18443): low temperatures read best, high ones come out of loops.
A model that says that the page does not stand upright gets it turned, from where it stands, and is
asked again; each of the four turns is taken once, so that one that goes round in circles only uses
up its tries. Verdicts, in the dataset of pages:

    ok          read in the turn in which the page came
    rotated     read after it was turned
    blank       the model finds nothing written, and there is next to no ink
    truncated   the answer was cut off at `max_tokens`
    repeating   it is a loop (`pipelines.models.repetition`)
    refused     the model, or its endpoint, refuses
    failed      it finds nothing written where there is ink, answers garbage, turns in circles, or
                the endpoint takes no such request, or has no answer

The last four are those of the last try, and the page is rejected as `vl_<verdict>` unless a
fallback reads it. What no other temperature can cure (a picture that the endpoint refuses, a
context that is too short) ends the ladder at once. An endpoint that cannot be used at all is no
verdict: EndpointError goes through and ends the run, which goes on from the journal later.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from pipelines.extract.pdf.schema import (
    BLANK,
    EMPTY_SHEET_INK,
    OCR,
    OK,
    REJECTED,
    ROTATED,
    SCAN,
    Drawing,
    Page,
    Verdict,
    VlPage,
)
from pipelines.extract.pdf.vl_answer import PROMPT_HASH, QUESTION, SYSTEM, Header, read_answer
from pipelines.extract.pdf.vl_pictures import turned
from pipelines.extract.pdf.vl_settings import VlConfig
from pipelines.models.chat import Answer, Image, Message, Request, Sampling
from pipelines.models.desk import Desk
from pipelines.models.settings import ModelConfig
from pipelines.workspace.fingerprints import canonical_json
from pipelines.workspace.schema import payload_digest

FLAW: Final = "vl_"
"""Begins the reason of a page that the model could not read."""
_HOPELESS: Final = ("bad_request", "image_refused", "context_overflow")
_VERDICTS: Final[dict[str, Verdict]] = {"truncated": "truncated", "refused": "refused"}
_MESSAGE_CHARS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Try:
    """What an answer is worth."""

    verdict: Verdict
    text: str = ""
    message: str = ""
    header: Header = field(default_factory=Header)


def request_of(
    png: bytes, temperature: float, attempt: int, settings: VlConfig, model: ModelConfig
) -> Request:
    """What a model is asked of a page.

    Args:
        png: Its picture.
        temperature: Of this try.
        attempt: From 0; tells apart tries of one temperature.
        settings: The rest of the sampling.
        model: One that can think is told not to.
    """
    return Request(
        messages=(
            Message("system", SYSTEM),
            Message("user", QUESTION, images=(Image(png),)),
        ),
        sampling=Sampling(
            temperature=temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_tokens,
            repetition_penalty=settings.repetition_penalty,
            ignore_eos=settings.ignore_eos,
        ),
        thinking=None if model.thinking == "none" else "off",
        attempt=attempt,
    )


def provenance_of(settings: VlConfig) -> dict[str, str]:
    """What provenance says of texts that were read so: hash of the prompt, sampling."""
    sampling = {
        "temperatures": list(settings.temperatures),
        "top_p": settings.top_p,
        "max_tokens": settings.max_tokens,
        "repetition_penalty": settings.repetition_penalty,
    }
    told = {key: value for key, value in sampling.items() if value is not None}
    return {"prompt_hash": PROMPT_HASH, "sampling": canonical_json(told)}


async def read_drawing(drawing: Drawing, desk: Desk, settings: VlConfig) -> Page:
    """Reads the picture of a page.

    Args:
        drawing: A page that is not to be read comes back as it is.
        desk: With a model.
        settings: The ladder.

    Returns:
        The page: `ocr` with its text, `blank`, or `rejected` with what was tried.

    Raises:
        EndpointError: The model cannot be asked.
    """
    if drawing.page.outcome != SCAN:
        return drawing.page
    assert drawing.png is not None
    assert desk.model is not None
    number = drawing.page.page
    png, turn, turns = drawing.png, 0, {0}
    tries: list[_Try] = []
    for attempt, temperature in enumerate(settings.temperatures):
        answer = await desk.ask(request_of(png, temperature, attempt, settings, desk.model))
        found = await asyncio.to_thread(_judged, answer, drawing.ink)
        tries.append(found)
        if found.header.turn:
            wanted = (turn + found.header.turn) % 360
            if wanted not in turns:
                turn = wanted
                turns.add(turn)
                png = await asyncio.to_thread(turned, drawing.png, turn)
        elif found.verdict in (OK, "blank"):
            return _read(number, found, len(tries), turn, answer, desk.model)
        elif answer.reason in _HOPELESS:
            break
    return _lost(number, tries, turn)


def _judged(answer: Answer, ink: float) -> _Try:
    """An answer by its end and its text; one that asks for a turn is no good as it stands."""
    if answer.reason == "empty" or (answer.reason is None and not (answer.text or "").strip()):
        return _nothing(ink, Header())
    if answer.reason is not None:
        verdict = _VERDICTS.get(answer.reason, "failed")
        return _Try(verdict=verdict, message=answer.message or answer.reason)
    found = read_answer(answer.text or "")
    if found.header.turn:
        message = f"the model wants it turned by {found.header.turn} degrees"
        return _Try(verdict="failed", message=message, header=found.header)
    if found.flaw is not None:
        return _Try(verdict=found.flaw, message=found.message or "", header=found.header)
    if not found.text:
        return _nothing(ink, found.header)
    return _Try(verdict=OK, text=found.text, header=found.header)


def _nothing(ink: float, header: Header) -> _Try:
    """The model finds no text; believed where there is hardly anything to be seen."""
    if ink < EMPTY_SHEET_INK:
        return _Try(verdict="blank", header=header)
    message = f"the model finds nothing written, and {ink:.1%} of the page is ink"
    return _Try(verdict="failed", message=message, header=header)


def _read(
    number: int, found: _Try, tries: int, turn: int, answer: Answer, model: ModelConfig
) -> Page:
    header = found.header
    told = VlPage(
        verdict=ROTATED if found.verdict == OK and turn else found.verdict,
        tries=tries,
        rotation=turn,
        language=header.language,
        is_table=header.is_table,
        is_diagram=header.is_diagram,
    )
    if found.verdict != OK:
        return Page(page=number, outcome=BLANK, vl=told)
    return Page(
        page=number,
        outcome=OCR,
        text=found.text,
        reader=model.identity,
        vl=told,
        tokens=answer.completion_tokens,
        answer=payload_digest(found.text.encode("utf-8", "replace")),
    )


def _lost(number: int, tries: list[_Try], turn: int) -> Page:
    """A page that no try could read, with what they were and what is wrong with the last."""
    last = tries[-1]
    counts = Counter(one.verdict for one in tries)
    told = ", ".join(f"{verdict} {count}" for verdict, count in sorted(counts.items()))
    message = f"{len(tries)} tries: {told}; the last: {last.message or last.verdict}"
    return Page(
        page=number,
        outcome=REJECTED,
        reason=f"{FLAW}{last.verdict}",
        message=message[:_MESSAGE_CHARS],
        vl=VlPage(verdict=last.verdict, tries=len(tries), rotation=turn),
    )

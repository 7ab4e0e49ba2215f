"""Asking a chat model over the OpenAI protocol, and what may come back.

One document is one request to `<endpoint>/chat/completions` with the JSON Schema of the rubric as
`response_format`. A server that does not know that answers 400 or the like; it is then asked
without, and the object is looked for in the text. An answer that is no answer (refused, cut off, no
JSON, not as asked) is put back to the model once, with what was wrong; if the second is none
either, the document is a reject with its reason.

A request that fails (no connection, 500, no chat completion) is tried again with growing pauses. If
it fails for good, that may be the document's doing or the endpoint's, and only the others can tell:
the document is a reject with the reason `endpoint`, and after `MOST_FAILURES` of them in a row,
with no answer between, the whole command stops and says so, with every answer so far kept. Only
400, 413 and 422 say that a request is wrong; every other refusal (the key, the model, the address,
which is not followed elsewhere) is of the endpoint and stops the command at once, unless it has
answered before. A pause that a busy endpoint asks for is no failure and uses up no try (RFC 9110,
10.2.3; RFC 6585, 4). The key is never shown or written, also where an endpoint sends it back.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import aiohttp

from pipelines.judge.rubric import Judged, NoObject, Rubric

REASONS: Final = ("refused", "cut_off", "no_json", "invalid", "bad_request", "endpoint")
"""Why a document has no labels."""

MOST_FAILURES: Final = 10
"""Documents in a row that the endpoint fails on before it is held to be the endpoint's fault."""

_TRIES: Final = 2
_CONNECTION_TRIES: Final = 5
_LONGEST_PAUSE_S: Final = 60.0
_LONGEST_TOLD_PAUSE_S: Final = 300.0
_LEAST_CHARGE_S: Final = 1.0
"""Of the patience, for a pause however short: it bounds how often a busy endpoint is asked."""
_OF_THE_REQUEST: Final = (400, 413, 422)
_PASSING: Final = (408, 409, 429, 500, 502, 503, 504, 529)
_BUSY: Final = (429, 503)
_MESSAGE_CHARACTERS: Final = 500


class EndpointError(RuntimeError):
    """The endpoint cannot be used; what was answered before is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and how a model is asked."""

    url: str
    """Without `/chat/completions`."""
    model: str
    api_key: str | None = field(default=None, repr=False)
    max_tokens: int = 2000
    """Of an answer."""
    timeout_s: float = 300.0
    """Of one request."""
    pause_s: float = 1.0
    """Before the first repetition of a failed request; doubled each time."""
    patience_s: float = 900.0
    """How long one request waits in all because the endpoint says that it is busy."""


class Answer(NamedTuple):
    """What came of one document."""

    judged: Judged | None
    """None for a reject."""
    reason: str | None
    """One of REASONS for a reject."""
    message: str | None
    """What was wrong, for a reject."""
    answered_by: str
    """The model by the name that the endpoint gives it."""
    prompt_tokens: int
    completion_tokens: int
    tries: int


class _Reply(NamedTuple):
    """One reply of the endpoint."""

    text: str
    refusal: str | None
    is_cut: bool
    model: str
    prompt_tokens: int
    completion_tokens: int


class _BadRequest(Exception):
    """The endpoint does not take this request."""


class _NoReply(Exception):
    """The endpoint fails on this request."""


class _Refused(Exception):
    """The endpoint refuses all requests, or says so of this one."""


class Asker:
    """Asks about one text after another, or about several at once."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: Endpoint,
        rubric: Rubric,
        notice: Callable[[str], None] = lambda line: None,
        *,
        has_answers: bool = False,
    ) -> None:
        """Keeps what it is given; the session is closed by its owner.

        Args:
            session: Through which is asked.
            endpoint: Whom to ask.
            rubric: What to ask.
            notice: Called with a line on what is done otherwise than was wanted.
            has_answers: Whether the model has answered this rubric in an earlier call.
        """
        self._session = session
        self._endpoint = endpoint
        self._rubric = rubric
        self._notice = notice
        self._is_structured = True
        self._knows_structure = False  # whether a structured request has been answered
        self._has_answered = False
        self._takes_requests = has_answers
        self._num_failures = 0  # documents in a row

    async def ask(self, text: str) -> Answer:
        """Asks about a text.

        Raises:
            EndpointError: The endpoint has failed on `MOST_FAILURES` documents in a row, or
                before any answer refuses so many, or refuses all.
        """
        messages = self._rubric.messages(text)
        prompt_tokens = completion_tokens = 0
        reason, message, model = "", "", self._endpoint.model
        for number in range(1, _TRIES + 1):
            try:
                reply = await self._reply(messages)
            except _BadRequest as error:
                reason, message = "bad_request", str(error)
                if not self._takes_requests:  # perhaps it takes no request of this form
                    self._count_failure(message)
                break  # the same request would be refused again
            except _NoReply as error:
                reason, message = "endpoint", str(error)
                self._count_failure(message)
                break
            self._has_answered = self._takes_requests = True
            self._num_failures = 0
            prompt_tokens += reply.prompt_tokens
            completion_tokens += reply.completion_tokens
            model = reply.model
            found = _judge(self._rubric, reply)
            if isinstance(found, Judged):
                return Answer(found, None, None, model, prompt_tokens, completion_tokens, number)
            reason, message = found
            messages = [
                *self._rubric.messages(text),
                {"role": "assistant", "content": reply.text[:_MESSAGE_CHARACTERS] or "(nothing)"},
                {
                    "role": "user",
                    "content": f"That is not the answer that was asked for: {message}. Answer with "
                    "the JSON object alone.",
                },
            ]
        message = message[:_MESSAGE_CHARACTERS]
        return Answer(None, reason, message, model, prompt_tokens, completion_tokens, number)

    def _count_failure(self, said: str) -> None:
        """Counts a document that the endpoint failed on.

        Raises:
            EndpointError: It has failed on too many in a row.
        """
        self._num_failures += 1
        if self._num_failures >= MOST_FAILURES:
            raise EndpointError(
                f"{self._endpoint.url} failed on {MOST_FAILURES} documents in a row (last: "
                f"{said[:200]}); give the same command again once it answers: what was answered "
                "is kept"
            )

    async def _reply(self, messages: list[dict[str, str]]) -> _Reply:
        """One reply, structured if the endpoint can.

        Raises:
            _BadRequest: It takes the request neither way.
            _NoReply: It fails on it.
            EndpointError: It cannot be used.
        """
        try:
            if not self._is_structured:
                return await self._post(messages, structured=False)
            try:
                reply = await self._post(messages, structured=True)
                self._knows_structure = True
                return reply
            except _BadRequest as error:
                reply = await self._post(messages, structured=False)
                self._leave_structure(str(error))
                return reply
        except _Refused as error:
            if self._has_answered:  # then key and model are right: it is about this request
                raise _NoReply(str(error)) from None
            raise EndpointError(str(error)) from None

    def _leave_structure(self, said: str) -> None:
        """Asks without the schema from now on, so that not every document pays for two requests.

        Not where a structured request has been answered: then it was the document's.
        """
        if self._knows_structure or not self._is_structured:
            return
        self._is_structured = False
        self._notice(
            f"{self._endpoint.url} refuses response_format ({said[:200]}) and answers without: "
            "asked without from now on, and the object is looked for in the text"
        )

    async def _post(self, messages: list[dict[str, str]], *, structured: bool) -> _Reply:
        """One reply, after as many tries as it takes.

        Raises:
            _BadRequest: The endpoint does not take the request.
            _NoReply: It fails on it.
            _Refused: It refuses the key, does not know the model, or is elsewhere.
        """
        endpoint = self._endpoint
        body = self._body(messages, structured=structured)
        headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        patience, number, said = endpoint.patience_s, 0, ""
        while True:
            told_pause = None
            try:
                async with self._session.post(
                    f"{endpoint.url.rstrip('/')}/chat/completions",
                    json=body,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=endpoint.timeout_s),
                    allow_redirects=False,  # it would be asked by GET, and elsewhere told the key
                ) as response:
                    if response.status == 200:
                        told = await response.json(content_type=None)
                        return _hidden(_reply_of(told, endpoint.model), endpoint)
                    said = f"{response.status} {await _said(response, endpoint)}"
                    if response.status not in _PASSING:
                        raise _refusal(response.status, said, endpoint, structured)
                    told_pause = _told_pause(response)
                    is_busy = response.status in _BUSY
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
                said = f"{type(error).__name__}: {_without_key(str(error), endpoint)}"
            if told_pause is not None and is_busy and patience > 0:
                patience -= max(told_pause, _LEAST_CHARGE_S)
                await asyncio.sleep(told_pause)
                continue
            number += 1
            if number == _CONNECTION_TRIES:
                raise _NoReply(f"no answer in {_CONNECTION_TRIES} tries ({said})")
            pause = min(endpoint.pause_s * 2 ** (number - 1), _LONGEST_PAUSE_S)
            await asyncio.sleep(pause if told_pause is None else told_pause)

    def _body(self, messages: list[dict[str, str]], *, structured: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": self._endpoint.max_tokens,
        }
        if structured:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {
                    "name": "judgement",
                    "strict": True,
                    "schema": self._rubric.json_schema,
                },
            }
        return body


def _judge(rubric: Rubric, reply: _Reply) -> Judged | tuple[str, str]:
    """What a reply says, or why it says nothing."""
    if reply.refusal is not None:
        return "refused", reply.refusal or "the model refused"
    try:
        return rubric.judged(reply.text)
    except NoObject as error:
        if reply.is_cut:
            return "cut_off", "the answer ended at the limit of tokens"
        return "no_json", str(error)
    except ValueError as error:
        return "invalid", str(error)


def _reply_of(told: Any, model: str) -> _Reply:  # noqa: ANN401 - any JSON
    """Reads a chat completion.

    Raises:
        ValueError: It is none.
    """
    try:
        choice, usage = told["choices"][0], told.get("usage") or {}
        message, ended = choice["message"], choice.get("finish_reason")
        refusal = message.get("refusal")
        if ended == "content_filter":
            refusal = refusal or "stopped by the endpoint's content filter"
        return _Reply(
            str(message.get("content") or ""),
            None if refusal is None else str(refusal),
            ended == "length",
            str(told.get("model") or model),
            int(usage.get("prompt_tokens") or 0),
            int(usage.get("completion_tokens") or 0),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"no chat completion: {type(error).__name__} {error}") from None


def _refusal(status: int, said: str, endpoint: Endpoint, structured: bool) -> Exception:
    # Without the schema it may take what it refuses with it, in whatever words.
    if status in _OF_THE_REQUEST or (structured and status in (404, 405, 415, 501)):
        return _BadRequest(said)
    if status in (401, 403):
        return _Refused(
            f"{endpoint.url} refuses the key ({said}); name the environment variable that holds "
            "it with --api-key-env"
        )
    if status == 404:
        return _Refused(
            f"{endpoint.url} knows no chat model {endpoint.model!r} ({said}); check --endpoint, "
            "which ends before /chat/completions, and --model"
        )
    if 300 <= status < 400:
        return _Refused(
            f"{endpoint.url} sends elsewhere ({said}); give the address itself as --endpoint, "
            "often with https:// or without a last /"
        )
    return _Refused(
        f"{endpoint.url} does not answer chat completions ({said}); check --endpoint, which ends "
        "before /chat/completions"
    )


async def _said(response: aiohttp.ClientResponse, endpoint: Endpoint) -> str:
    said = [response.headers.get("Location", ""), await response.text(errors="replace")]
    return _without_key(" ".join(" ".join(said).split()), endpoint)[:_MESSAGE_CHARACTERS]


def _hidden(reply: _Reply, endpoint: Endpoint) -> _Reply:
    refusal = None if reply.refusal is None else _without_key(reply.refusal, endpoint)
    return reply._replace(
        text=_without_key(reply.text, endpoint),
        refusal=refusal,
        model=_without_key(reply.model, endpoint),
    )


def _without_key(text: str, endpoint: Endpoint) -> str:
    return text.replace(endpoint.api_key, "***") if endpoint.api_key else text


def _told_pause(response: aiohttp.ClientResponse) -> float | None:
    """The pause in seconds that the endpoint asks for, by their number or by a date to come."""
    told = response.headers.get("Retry-After", "").strip()
    try:
        seconds = float(told)
    except ValueError:
        try:
            until = parsedate_to_datetime(told)
        except ValueError:
            return None
        # A date of RFC 9110 is in GMT, also where Python reads no zone.
        seconds = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(seconds, _LONGEST_TOLD_PAUSE_S) if seconds > 0 else None

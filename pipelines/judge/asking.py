"""Asking a chat model over the OpenAI protocol, and what may come back.

One document is one request to `<endpoint>/chat/completions` with the JSON Schema of the rubric as
`response_format`. A server that does not know that answers 400 or the like; it is then asked
without, and the object is looked for in the text. An answer that is no answer (refused, cut off, no
JSON, not as asked) is put back to the model once, with what was wrong; if the second is none
either, the document is a reject with its reason. What is wrong with the endpoint is no fault of a
document: it is tried again with growing pauses, and then the whole command stops and says so, with
every answer so far kept.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import aiohttp

from pipelines.judge.rubric import Judged, NoObject, Rubric

REASONS: Final = ("refused", "cut_off", "no_json", "invalid", "bad_request")
"""Why a document has no labels."""

_TRIES: Final = 2
_CONNECTION_TRIES: Final = 5
_LONGEST_PAUSE_S: Final = 60.0
_PASSING: Final = (408, 409, 429, 500, 502, 503, 504, 529)
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


class Asker:
    """Asks about one text after another, or about several at once."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: Endpoint, rubric: Rubric) -> None:
        """Keeps what it is given; the session is closed by its owner."""
        self._session = session
        self._endpoint = endpoint
        self._rubric = rubric
        self._is_structured = True

    async def ask(self, text: str) -> Answer:
        """Asks about a text.

        Raises:
            EndpointError: The endpoint cannot be reached, refuses the key or does not know the
                model.
        """
        messages = self._rubric.messages(text)
        prompt_tokens = completion_tokens = 0
        reason, message, model = "", "", self._endpoint.model
        for number in range(1, _TRIES + 1):
            try:
                reply = await self._reply(messages)
            except _BadRequest as error:
                reason, message = "bad_request", str(error)
                break  # the same request would be refused again
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

    async def _reply(self, messages: list[dict[str, str]]) -> _Reply:
        """One reply, structured if the endpoint can.

        Raises:
            _BadRequest: It takes the request neither way.
            EndpointError: It cannot be used.
        """
        if self._is_structured:
            try:
                return await self._post(messages, structured=True)
            except _BadRequest:
                reply = await self._post(messages, structured=False)
                self._is_structured = False  # so that not every document pays for two requests
                return reply
        return await self._post(messages, structured=False)

    async def _post(self, messages: list[dict[str, str]], *, structured: bool) -> _Reply:
        endpoint = self._endpoint
        body: dict[str, Any] = {
            "model": endpoint.model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": endpoint.max_tokens,
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
        headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
        said = ""
        for number in range(_CONNECTION_TRIES):
            pause = min(endpoint.pause_s * 2**number, _LONGEST_PAUSE_S)
            try:
                async with self._session.post(
                    f"{endpoint.url.rstrip('/')}/chat/completions",
                    json=body,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=endpoint.timeout_s),
                ) as response:
                    if response.status == 200:
                        return _reply_of(await response.json(content_type=None), endpoint.model)
                    said = f"{response.status} {await _said(response)}"
                    if response.status in (401, 403):
                        raise EndpointError(
                            f"{endpoint.url} refuses the key ({said}); name the environment "
                            "variable that holds it with --api-key-env"
                        )
                    if response.status not in _PASSING:
                        raise _refusal(response.status, said, endpoint, structured)
                    pause = _asked_pause(response, pause)
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
                said = f"{type(error).__name__}: {error}"
            if number + 1 < _CONNECTION_TRIES:
                await asyncio.sleep(pause)
        raise EndpointError(
            f"{endpoint.url} did not answer in {_CONNECTION_TRIES} tries ({said[:200]}); give the "
            "same command again once it does: what was answered is kept"
        )


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
    if status == 404 and not structured:
        return EndpointError(
            f"{endpoint.url} knows no chat model {endpoint.model!r} ({said}); check --endpoint, "
            "which ends before /chat/completions, and --model"
        )
    return _BadRequest(said)


async def _said(response: aiohttp.ClientResponse) -> str:
    return " ".join((await response.text(errors="replace")).split())[:_MESSAGE_CHARACTERS]


def _asked_pause(response: aiohttp.ClientResponse, pause: float) -> float:
    """The pause in seconds that the endpoint asks for, if it says so in seconds."""
    try:
        return min(float(response.headers["Retry-After"]), _LONGEST_PAUSE_S)
    except (KeyError, ValueError):
        return pause

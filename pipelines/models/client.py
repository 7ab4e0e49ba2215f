"""Asking a chat model over HTTP: every call ends in a reply, whatever the server does.

One call is one POST to `<url>/chat/completions`, tried again as long as that can help: after a lost
connection, a time-out, 408, 409, 425, 429, any 5xx, and a reply that is no chat completion, with a
pause drawn evenly from zero to a bound that doubles ("full jitter": M. Brooker, Exponential Backoff
And Jitter, AWS Architecture Blog, 2015), or the pause that the server names. A server that says it
is busy uses up no try until the patience is spent. A lost connection also asks who runs the server
(`Upstream`) to look after it; a restart uses up no try. But a request may be what kills the server:
after two losses only a few suspects are under way together, after three one, and after four the
request is given up. So innocents are cleared, and one deadly request costs four restarts.

A reply with a reason is the request's own: it does not fit, its picture is refused. Whether a
failure is the request's or the endpoint's, only other requests can tell. After ten failures with no
answer between, the next ones wait for those still under way, which may be slow and good; when none
of them is answered either, EndpointError ends the run, and whatever was answered stays in the
journal. A wrong key or an unknown model ends it at once, unless the model has answered before.

Nothing bounds the connections but `in_flight`: aiohttp's default pool of 100 would. The key is
neither shown nor kept, also where a server sends it back.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Final, TypeVar

import aiohttp

from pipelines.models.completions import (
    MESSAGE_CHARS,
    STRUCTURE_REFUSED,
    Call,
    Completion,
    NoCompletion,
    body_of,
    message_of,
    read_completion,
    reason_of_refusal,
    speaks_of_pictures,
    told_pause,
)
from pipelines.models.settings import ModelConfig
from pipelines.models.standing import BusyTime, Standing
from pipelines.models.upstream import EndpointError, Upstream, Watched
from pipelines.models.waiting import Waiting, in_few_words
from pipelines.watching.watch import tell

T = TypeVar("T")

MOST_FAILURES: Final = 10
"""Requests in a row that the endpoint fails on before it is held to be the endpoint's fault."""

__all__ = ["Client", "EndpointError", "Reply", "Upstream"]

_TRIES: Final = 8
"""30 % of failures leave one request in 15,000 without an answer; pauses add up to two minutes at
most."""
_TIMED_OUT_TRIES: Final = 3
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_PATIENCE_S: Final = 900.0
"""How long one request waits in all because the server says that it is busy."""
_LEAST_CHARGE_S: Final = 1.0
"""Of the patience, for a pause however short."""
_CONNECT_TIMEOUT_S: Final = 30.0
_KEEP_ALIVE_S: Final = 4.0
"""uvicorn, under vLLM, closes idle connections after 5 s, and a request that just then takes one is
lost."""
_SUSPECTS: Final = {2: 16, 3: 1}
"""Losses to a dying server -> requests with as many that are under way at once."""
_LOSSES: Final = 4
_LARGEST_REPLY: Final = 64 << 20
_LARGEST_PLAIN_BODY: Final = 512 << 10
_PASSING: Final = (408, 409, 425, 429)
_BUSY: Final = (429, 503)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of a call."""

    completion: Completion | None
    """None for a failure."""
    reason: str | None = None
    """For a failure, one of `chat.REASONS`."""
    message: str | None = None
    prompt_tokens: int = 0
    """Of all tries, as far as told; so too the others."""
    completion_tokens: int = 0
    seconds: float = 0.0
    tries: int = 1


@dataclass(slots=True)
class _Run:
    """How one call fares."""

    number: int = 0  # requests sent
    tries: int = 0
    timed_out: int = 0
    losses: int = 0
    patience_s: float = _PATIENCE_S
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """One try that gave no completion."""

    said: str
    why: str = ""
    """In few words; as said, if empty."""
    status: int = 0
    """Of HTTP; 0 where there was none, 200 for a reply that is no completion."""
    lost_at: int | None = None
    """The start of the server that gave nothing, or nothing in time."""
    is_timed_out: bool = False
    pause_s: float | None = None
    """That the server names."""

    @property
    def is_passing(self) -> bool:
        return self.status in (0, 200, *_PASSING) or self.status >= 500


class Client:
    """Asks one model; used in one event loop, by any number of coroutines at once."""

    def __init__(
        self,
        model: ModelConfig,
        upstream: Upstream,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        draw: Callable[[float, float], float] = random.uniform,
        waiting: Waiting | None = None,
    ) -> None:
        """Args:
        model: Whom to ask; its key is read from the environment here.
        upstream: Where it is.
        sleep: Waits for seconds.
        draw: Gives a number between two.
        waiting: Is told when nothing is answered; tells who watches the run, if not given.

        Raises:
            ValueError: The environment has no key under the name that the model gives.
        """
        self.model = model
        self.continues: bool | None = None
        """Whether the endpoint goes on with a begun answer, once that is known."""
        self._server = Watched(upstream)
        self._sleep, self._draw = sleep, draw
        self._key = _key_of(model)
        # A server of ours serves its model under the name that stands in provenance.
        self._name = model.identity if model.engine == "vllm" else model.model
        self._slots = asyncio.Semaphore(model.in_flight)
        self._suspects = {losses: asyncio.Semaphore(n) for losses, n in _SUSPECTS.items()}
        self._standing = Standing()
        self._busy = BusyTime()
        self._waiting = waiting or Waiting(tell)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(
                total=model.request_timeout, sock_connect=_CONNECT_TIMEOUT_S
            ),
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[self._waiting.trace(lambda: self._server.name)],
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._session.close()

    async def complete(self, call: Call) -> Reply:
        """One completion, after as many tries as it takes; at most `in_flight` at once.

        Raises:
            EndpointError: The endpoint cannot be used.
        """
        async with self._slots:
            await self._server.address()  # its start is nobody's time
            standing, run = self._standing, _Run(number=call.first_number - 1)
            standing.num_under_way += 1
            entered = self._busy.enter()
            try:
                found = await self._settle(call, run)
                if isinstance(found, Completion):
                    await standing.note_answer()
                    reason = message = None
                else:
                    reason, message = await self._judge(call, found)
            finally:
                seconds = self._busy.leave(entered)
                standing.num_under_way -= 1
                if standing.num_waiting:
                    await standing.note_change()
        return Reply(
            completion=found if isinstance(found, Completion) else None,
            reason=reason,
            message=message,
            prompt_tokens=run.prompt_tokens,
            completion_tokens=run.completion_tokens,
            seconds=seconds,
            tries=run.number - call.first_number + 1,
        )

    async def _settle(self, call: Call, run: _Run) -> Completion | _Failure:
        """Tries until there is a completion, or a failure that no further try would mend."""
        while True:
            found = await self._one_of_few(call, run)
            if isinstance(found, Completion) or not found.is_passing:
                self._waiting.note_answer(self._server.name)
                return found
            self._waiting.note_failure(self._server.name, found.why or found.said)
            lost_at = found.lost_at
            if lost_at is not None and await self._server.look_after(lost_at):
                run.losses += 1
                if run.losses >= _LOSSES:
                    return found
                continue
            pause = self._pause(found, run)
            if pause is None:
                return found
            await self._sleep(pause)

    def _pause(self, failure: _Failure, run: _Run) -> float | None:
        """Seconds until the next try, or None where there is none."""
        told = failure.pause_s
        is_busy = failure.status == 429 or (failure.status in _BUSY and told is not None)
        if is_busy and run.patience_s > 0:
            pause = self._draw(0, _FIRST_PAUSE_S * 8) if told is None else told
            run.patience_s -= max(pause, _LEAST_CHARGE_S)
            return pause if told is None else self._no_sooner(told)
        run.tries += 1
        run.timed_out += failure.is_timed_out
        if run.tries >= _TRIES or run.timed_out >= _TIMED_OUT_TRIES:
            return None
        if told is not None:
            return self._no_sooner(told)
        return self._draw(0, min(_FIRST_PAUSE_S * 2 ** (run.tries - 1), _LONGEST_PAUSE_S))

    def _no_sooner(self, told: float) -> float:
        """A pause that a server names, and some more: else all would be back at once."""
        return told + self._draw(0, max(told / 4, _FIRST_PAUSE_S))

    async def _one_of_few(self, call: Call, run: _Run) -> Completion | _Failure:
        few = self._suspects.get(run.losses)
        if few is None:
            return await self._try(call, run)
        async with few:
            return await self._try(call, run)

    async def _try(self, call: Call, run: _Run) -> Completion | _Failure:
        """One try, and a second without the schema where the endpoint takes none."""
        standing = self._standing
        structured = call.schema is not None and standing.takes_structure is not False
        found = await self._post(call, run, structured=structured)
        if not structured:
            return found
        if isinstance(found, Completion):
            standing.takes_structure = True
        elif standing.takes_structure is not True and found.status in STRUCTURE_REFUSED:
            plain = await self._post(call, run, structured=False)
            if not isinstance(plain, Completion):
                return found
            standing.takes_structure = False
            return plain
        return found

    async def _post(self, call: Call, run: _Run, *, structured: bool) -> Completion | _Failure:
        url, start = await self._server.address(), self._server.start
        run.number += 1
        try:
            async with self._session.post(
                f"{url}/chat/completions",
                data=_sent_once(body_of(call, self._name, structured=structured)),
                headers={"X-Request-Id": f"{call.key}-{run.number}"} if call.key else None,
                allow_redirects=False,  # it would be asked by GET, and elsewhere told the key
            ) as response:
                data = await _read(response)
                if response.status != 200:
                    return self._refusal(response, data)
        except aiohttp.InvalidURL as error:
            raise EndpointError(f"{url} is no address ({error}); check `url`") from None
        except aiohttp.ConnectionTimeoutError as error:
            return _Failure(said=self._said(error), why="no connection", lost_at=start)
        except TimeoutError:
            said = f"no answer in {self.model.request_timeout:g} s"
            return _Failure(said=said, lost_at=start, is_timed_out=True)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            why = self._hidden(in_few_words(error))
            return _Failure(said=self._said(error), why=why, lost_at=start)
        except (aiohttp.ClientError, ValueError) as error:
            return _Failure(said=self._said(error))
        return await self._completed(data, run, start)

    async def _completed(self, data: bytes, run: _Run, start: int) -> Completion | _Failure:
        try:
            found = read_completion(data, self._name)
        except NoCompletion as error:
            run.prompt_tokens += error.prompt_tokens
            run.completion_tokens += error.completion_tokens
            return _Failure(said=self._hidden(str(error))[:MESSAGE_CHARS], status=200)
        run.prompt_tokens += found.prompt_tokens
        run.completion_tokens += found.completion_tokens
        await self._server.note_answer(start)
        if not self._key:
            return found
        return found._replace(
            content=self._hidden(found.content),
            reasoning=self._hidden(found.reasoning) if found.reasoning else None,
            refusal=self._hidden(found.refusal) if found.refusal else None,
            model=self._hidden(found.model),
        )

    def _refusal(self, response: aiohttp.ClientResponse, data: bytes) -> _Failure:
        said = f"{response.status} {response.headers.get('Location', '')} {message_of(data)}"
        return _Failure(
            said=self._hidden(" ".join(said.split())),
            status=response.status,
            pause_s=told_pause(response.headers.get("Retry-After")),
        )

    async def _judge(self, call: Call, failure: _Failure) -> tuple[str, str]:
        """The reason of a failure, once it is clear that it is not the endpoint's.

        Raises:
            EndpointError: It is.
        """
        status, said, standing = failure.status, failure.said, self._standing
        if failure.is_timed_out:
            reason: str | None = "timed_out"
        elif failure.is_passing:
            refuses = call.has_images and status >= 500 and speaks_of_pictures(said)
            reason = "image_refused" if refuses else "endpoint"
        else:
            reason = reason_of_refusal(status, said, has_images=call.has_images)
        if reason is None:
            if not standing.answered:
                raise EndpointError(_advice(status, said, self._server.name, self.model))
            reason = "endpoint"
        is_of_the_request = reason == "context_overflow" or (
            reason == "image_refused" and standing.answered
        )
        if not is_of_the_request:
            await standing.note_failure(self._server.name, said)
        return reason, said[:MESSAGE_CHARS]

    def _said(self, error: BaseException) -> str:
        return self._hidden(f"{type(error).__name__}: {error}")[:MESSAGE_CHARS]

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


class _SentOnce(BytesIO):
    """A body that is let go once it is sent.

    aiohttp keeps a body until the reply begins, and a model replies when it is done: pictures of
    256 requests would fill half a gigabyte meanwhile.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._num_bytes = len(body)

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if self.tell() == self._num_bytes:
            self.seek(0)
            self.truncate()
        return piece


def _sent_once(body: bytes) -> bytes | _SentOnce:
    """What aiohttp sends; long bodies piece by piece, which it does with files only."""
    return body if len(body) <= _LARGEST_PLAIN_BODY else _SentOnce(body)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body.

    Raises:
        ValueError: It is longer than any answer can be.
    """
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > _LARGEST_REPLY:
            raise ValueError(f"the reply is longer than {_LARGEST_REPLY} bytes")
    return bytes(data)


def _key_of(model: ModelConfig) -> str | None:
    if model.api_key_env is None:
        return None
    key = os.environ.get(model.api_key_env, "").strip()
    if not key:
        raise ValueError(
            f"model {model.identity}: api_key_env names {model.api_key_env}, and the environment "
            "has no such variable; set it, or leave api_key_env out"
        )
    return key


def _advice(status: int, said: str, url: str, model: ModelConfig) -> str:
    if status in (401, 403):
        named = model.api_key_env or "none is given"
        return f"{url} refuses the key ({said}); check `api_key_env` ({named})"
    if status == 404:
        return (
            f"{url} knows no chat model {model.model!r} ({said}); check `url`, which ends before "
            "/chat/completions, and `model`"
        )
    if 300 <= status < 400:
        return f"{url} sends elsewhere ({said}); give the address itself as `url`"
    return (
        f"{url} does not answer chat completions ({said}); check `url`, which ends before "
        "/chat/completions"
    )

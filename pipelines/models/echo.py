"""A chat server without a model: `url: echo:` for a rehearsal, and the server of the tests.

A small real HTTP server on the loopback address that speaks the OpenAI chat protocol as vLLM does.
Rules answer: each recipe that ships brings one for its own requests, which gives text of the right
form and of no worth; what no rule knows gets its last user message back. The same request gets the
same answer in every process, so that a rehearsal that is killed and started again ends in the same
bytes. The model's name says what it is, and stands in the provenance of each document.

A token is a run of up to four letters or digits, or one other character, with the white space
before it: tokens laid end to end are the text, so a cut at `max_tokens` is a prefix. A picture
costs one token for every 28 x 28 pixels, as Qwen2.5-VL counts.

`python -m pipelines.models.echo --port 8000 --faults http_500:0.3,endless:0.1` serves until it is
stopped, prints its URL, and goes wrong on purpose (`pipelines.models.faults`). It takes the flags
of `vllm serve`, so TOKENMILL_VLLM_COMMAND="python -m pipelines.models.echo" rehearses `engine:
vllm` where there is no GPU.
"""

import argparse
import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import cycle, islice
from typing import Any, Final, Literal

from aiohttp import web

from pipelines.models.echo_requests import (
    BadRequestError,
    content_of,
    image_tokens,
    key_of,
    least_value,
    read_request,
    schema_of,
    stops_of,
    tokens,
)
from pipelines.models.echo_rules import EchoAnswer, EchoRequest, Rule
from pipelines.models.faults import FAULTS, MODEL_FAULTS, Faults, parse_faults

ECHO_MODEL: Final = "echo-rules-no-model"
RULES: Final = (
    "pipelines.extract.pdf.vl_echo",
    "pipelines.synthesize.rewriting_echo",
    "pipelines.synthesize.mathematics.echo",
    "pipelines.synthesize.programs.echo",
)
"""Modules with a function `answer`; the first that answers counts."""

MAX_MODEL_LEN: Final = 32_768
"""Tokens of prompt and answer together, as of a small Qwen3."""
DEFAULT_MAX_TOKENS: Final = 1024

ReasoningField = Literal["reasoning_content", "reasoning", "content"]
"""Where thinking stands: in a field of its own (its old and its new name in vLLM), or between
<think> and </think> in the content, as without a reasoning parser."""

_HOST: Final = "127.0.0.1"
_LARGEST_BODY: Final = 256 << 20
_TRICKLE_S: Final = 0.05
_REFUSAL: Final = "I'm sorry, but I can't help with that."
_GARBAGE: Final = "\x00\ufffd]]}>\u202e \x1b[31m ÿÿÿÿ ~~~~ 0x \udbff\\\\ <|"


@dataclass(frozen=True, slots=True)
class _Said:
    """What is sent back."""

    text: str
    reasoning: str | None
    finish: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int


class EchoServer:
    """Answers by rules, and goes wrong where it was told to."""

    def __init__(
        self,
        faults: Faults | None = None,
        *,
        rules: Sequence[Rule] | None = None,
        max_model_len: int = MAX_MODEL_LEN,
        reasoning: ReasoningField = "reasoning_content",
        served: str = ECHO_MODEL,
        die_after: int | None = None,
    ) -> None:
        """Args:
        faults: What goes wrong; None: nothing.
        rules: In place of those that ship.
        max_model_len: Tokens of prompt and answer together.
        reasoning: Where thinking stands in an answer.
        served: What /v1/models lists, and the only model that may be asked for; by default any
            may. Answers are signed ECHO_MODEL all the same.
        die_after: The process ends at once after so many answers, with exit code 1.
        """
        self.answered = 0
        """Requests to chat that came in, those that went wrong among them."""
        self.healthy = True
        self._faults = faults or Faults()
        self._rules = rules
        self._max_model_len = max_model_len
        self._reasoning = reasoning
        self._served = served
        self._die_after = die_after

    @asynccontextmanager
    async def serving(self, port: int = 0, host: str = _HOST) -> AsyncIterator[str]:
        """Serves while the context lasts, and gives the base URL, `/v1` included.

        Args:
            port: 0 takes a free one.
            host: Address to listen on.
        """
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            yield f"http://{host}:{runner.addresses[0][1]}/v1"
        finally:
            await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        ready = self.healthy and "never_ready" not in self._faults.rates
        return web.Response(status=200 if ready else 503)

    async def _models(self, _: web.Request) -> web.Response:
        told = {"id": self._served, "object": "model", "root": ECHO_MODEL}
        return web.json_response({"object": "list", "data": [told]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.answered += 1
        if self._die_after is not None and self.answered > self._die_after:
            _die(self._die_after)
        try:
            body = json.loads(await request.read())
            key, number = key_of(request.headers.get("X-Request-Id"), body)
            asked = read_request(body, key)
        except (BadRequestError, ValueError, KeyError, TypeError, AttributeError) as error:
            return _refuse(400, str(error) or repr(error))
        if self._served not in (ECHO_MODEL, body.get("model")):
            return _refuse(404, f"The model `{body.get('model')}` does not exist.", "NotFoundError")
        fault = self._faults.hit(key, number, has_images=bool(asked.images))
        if fault is not None and fault not in MODEL_FAULTS and fault != "slow":
            return await _go_wrong(request, fault, self._max_model_len)
        if fault == "slow":
            await asyncio.sleep(self._faults.slow_s)
        try:
            return web.json_response(self._complete(body, asked, fault))
        except BadRequestError as error:
            return _refuse(400, str(error))

    def _complete(
        self, body: Mapping[str, Any], asked: EchoRequest, fault: str | None
    ) -> dict[str, Any]:
        """The body of an answer."""
        said = self._say(body, asked, fault)
        message: dict[str, Any] = {"role": "assistant", "content": said.text}
        if said.reasoning is not None and self._reasoning != "content":
            message[self._reasoning] = said.reasoning
        return {
            "id": f"chatcmpl-{asked.key}",
            "object": "chat.completion",
            "created": 0,
            "model": ECHO_MODEL,
            "choices": [{"index": 0, "finish_reason": said.finish, "message": message}],
            "usage": {
                "prompt_tokens": said.prompt_tokens,
                "completion_tokens": said.completion_tokens,
                "total_tokens": said.prompt_tokens + said.completion_tokens,
            },
        }

    def _say(self, body: Mapping[str, Any], asked: EchoRequest, fault: str | None) -> _Said:
        prompt = sum(len(tokens(text)) for _, text in asked.turns)
        prompt += sum(image_tokens(data) for data in asked.images)
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        limit = int(limit) if limit else min(DEFAULT_MAX_TOKENS, self._max_model_len - prompt)
        if prompt + limit > self._max_model_len or limit < 1:
            raise BadRequestError(_overflow(self._max_model_len, limit, prompt))
        answer = _misspeak(asked, fault) if fault in MODEL_FAULTS else self._by_rule(body, asked)
        answer = _continued(body, answer)
        goes_on = bool(body.get("ignore_eos")) or fault == "endless"
        return self._cut(answer, prompt, limit, goes_on, stops_of(body))

    def _by_rule(self, body: Mapping[str, Any], asked: EchoRequest) -> EchoAnswer:
        rules = shipped_rules() if self._rules is None else self._rules
        answer = next((found for rule in rules if (found := rule(asked)) is not None), None)
        if answer is None:
            schema = schema_of(body)
            answer = EchoAnswer(asked.user if schema is None else json.dumps(least_value(schema)))
        if not asked.thinks:
            return EchoAnswer(answer.text)
        thought = f"The question has {len(tokens(asked.user))} tokens; a rule answers it."
        return EchoAnswer(answer.text, answer.reasoning or thought)

    def _cut(
        self, answer: EchoAnswer, prompt: int, limit: int, goes_on: bool, stops: Sequence[str]
    ) -> _Said:
        """What of an answer fits into `limit` tokens, thinking first."""
        text = answer.text
        stopped = [at for stop in stops if (at := text.find(stop)) >= 0]
        text = text[: min(stopped, default=len(text))]
        thought, spoken = tokens(answer.reasoning or ""), tokens(text)
        if goes_on:
            spoken = list(islice(cycle(spoken or [" and"]), max(limit - len(thought), 0)))
        cut = goes_on or len(thought) + len(spoken) > limit
        thought = thought[:limit]
        closed = len(thought) < limit
        spoken = spoken[: limit - len(thought)]
        num_tokens = len(thought) + len(spoken)
        reasoning, text = "".join(thought) or None, "".join(spoken)
        if reasoning is not None and self._reasoning == "content":
            text = f"<think>\n{reasoning}" + (f"\n</think>\n\n{text}" if closed else "")
        return _Said(text, reasoning, "length" if cut else "stop", prompt, num_tokens)


@cache
def shipped_rules() -> tuple[Rule, ...]:
    """The rules of the recipes that ship."""
    return tuple(import_module(name).answer for name in RULES)


def _continued(body: Mapping[str, Any], answer: EchoAnswer) -> EchoAnswer:
    """The rest of an answer whose beginning the request brings.

    Thinking that was closed there is over; thinking that is open there goes on.
    """
    last = body["messages"][-1]
    if not body.get("continue_final_message") or last["role"] != "assistant":
        return answer
    begun, _ = content_of(last["content"])
    thought, closed, spoken = begun.partition("</think>")
    if "<think>" in thought and not closed:
        told = thought.partition("<think>")[2].strip()
        reasoning = (answer.reasoning or "").removeprefix(told)
        return EchoAnswer(answer.text, reasoning or None)
    spoken = (spoken if closed else begun).lstrip()
    return EchoAnswer(answer.text.removeprefix(spoken))


def _misspeak(asked: EchoRequest, fault: str | None) -> EchoAnswer:
    """What a model says that goes wrong."""
    if fault == "nothing":
        return EchoAnswer("")
    if fault == "garbage":
        # JSON carries a lone surrogate, as a broken tokenizer may send it.
        return EchoAnswer(_GARBAGE * (1 + asked.draw(5)))
    if fault == "half_json":
        return EchoAnswer('{"text": "' + asked.user[: 1 + asked.draw(80)])
    if fault == "refusal":
        return EchoAnswer(_REFUSAL)
    return EchoAnswer(f"{asked.user or 'and so on'}\n")  # endless: `_cut` repeats it


def _overflow(most: int, limit: int, prompt: int) -> str:
    """In words that clients of vLLM know a context overflow by."""
    return (
        f"This model's maximum context length is {most} tokens. However, you requested {limit} "
        f"output tokens and your prompt contains {prompt} input tokens."
    )


def _refuse(status: int, message: str, kind: str = "BadRequestError") -> web.Response:
    """An error in the form of vLLM."""
    told = {"error": {"message": message, "type": kind, "param": None, "code": status}}
    headers = {"Retry-After": "0"} if status == 429 else None
    return web.json_response(told, status=status, headers=headers)


async def _go_wrong(request: web.Request, fault: str, most: int) -> web.StreamResponse:
    """What a server sends that goes wrong."""
    refusals = {
        "http_500": (500, "Internal Server Error", "InternalServerError"),
        "http_429": (429, "Too many requests", "RateLimitError"),
        "never_ready": (503, "Service Unavailable", "ServiceUnavailableError"),
        "image_refused": (400, "cannot identify image file", "BadRequestError"),
        "context_overflow": (400, _overflow(most, most, most), "BadRequestError"),
    }
    if fault in refusals:
        return _refuse(*refusals[fault])
    if fault == "wrong_type":
        message = {"role": "assistant", "content": {"text": 7}}
        return web.json_response({"choices": [{"message": message}], "usage": "many"})
    if fault == "not_json":
        return web.Response(text="<html><body>Welcome</body></html>", content_type="text/html")
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    answer.content_length = 1 << 20
    await answer.prepare(request)
    await answer.write(b'{"choices": [')
    if fault == "closes":
        assert request.transport is not None
        request.transport.abort()
        return answer
    while True:  # trickles, until the client has enough
        await asyncio.sleep(_TRICKLE_S)
        await answer.write(b" ")


def _die(answers: int) -> None:
    """Ends the process as a crash does: nothing is closed, nothing is answered."""
    print(f"ends after {answers} answers, as it was told", file=sys.stderr, flush=True)
    os._exit(1)


class _SharedEcho:
    """One server of this process, in a thread that ends with it."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._url = ""
        thread = threading.Thread(target=self._run, name="echo server", daemon=True)
        thread.start()

    @property
    def url(self) -> str:
        self._ready.wait()
        return self._url

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        async with EchoServer().serving() as self._url:
            self._ready.set()
            await asyncio.Event().wait()


_shared: list[_SharedEcho] = []
_lock = threading.Lock()


def shared_echo_url() -> str:
    """The base URL of the echo server of this process, which starts at the first call."""
    with _lock:
        if not _shared:
            _shared.append(_SharedEcho())
    return _shared[0].url


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.models.echo",
        description="A chat server of rules, without a model.",
        allow_abbrev=False,
    )
    names = ", ".join(FAULTS)
    parser.add_argument("--host", default=_HOST)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--faults", default="", help=f"NAME[:rate],... of {names}")
    parser.add_argument("--slow-seconds", type=float, default=0.3, help="how late `slow` is")
    parser.add_argument("--die-after", type=int, help="end as in a crash after so many answers")
    parser.add_argument("--max-model-len", type=int, default=MAX_MODEL_LEN)
    parser.add_argument("--served-model-name", default=ECHO_MODEL)
    parser.add_argument(
        "--reasoning", choices=["reasoning_content", "reasoning", "content"],
        default="reasoning_content", help="where thinking stands in an answer",
    )  # fmt: skip
    parser.add_argument(
        "--plain", action="store_true", help="no rule of a recipe: the last user message comes back"
    )
    parser.add_argument("--model", help="as of vllm; nothing is loaded")
    told, unknown = parser.parse_known_args(argv)
    if unknown:
        print(f"of no meaning here: {' '.join(unknown)}", file=sys.stderr, flush=True)
    return told


async def _serve_for_ever(told: argparse.Namespace) -> None:
    server = EchoServer(
        parse_faults(told.faults, slow_s=told.slow_seconds),
        rules=[] if told.plain else None,
        max_model_len=told.max_model_len,
        reasoning=told.reasoning,
        served=told.served_model_name,
        die_after=told.die_after,
    )
    async with server.serving(told.port, told.host) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


def main(argv: Sequence[str] | None = None) -> None:
    """Serves until it is stopped."""
    try:
        asyncio.run(_serve_for_ever(_arguments(argv)))
    except KeyboardInterrupt:
        return
    except ValueError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()

"""A chat server that does as a test says, answer by answer; another half of what faults are for."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from pipelines.models.chat import Message, Request
from pipelines.models.client import Client, Reply
from pipelines.models.completions import Call
from pipelines.models.settings import ModelConfig


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    number: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def user(self) -> str:
        """The last user message, where it is text."""
        users = [one["content"] for one in self.body["messages"] if one["role"] == "user"]
        return str(users[-1])


Said = web.StreamResponse | Awaitable[web.StreamResponse] | dict[str, Any] | str
Script = Callable[[Asked], Said]


@dataclass
class Server:
    """What a script was asked."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)


@dataclass
class Pauses:
    """In place of sleep and chance: waits for nothing and draws the largest."""

    taken: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)

    def draw(self, least: float, most: float) -> float:
        return most


@dataclass
class Place:
    """An upstream: a fixed address, which dies and starts again as a test says."""

    url: str
    restarts: Callable[[int], int] = lambda seen: seen
    seen: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def revive(self, seen: int) -> int:
        self.seen.append(seen)
        return self.restarts(seen)

    def answered(self, start: int) -> None:
        self.starts.append(start)


def completion(content: object = "yes", finish: str = "stop", **message: object) -> dict[str, Any]:
    """A chat completion of 5 and 3 tokens."""
    return {
        "model": "tiny",
        "choices": [{"finish_reason": finish, "message": {"content": content, **message}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    }


def refusal(status: int, message: str, **headers: str) -> web.Response:
    """An error in the usual form."""
    told = {"error": {"message": message, "type": "BadRequestError", "code": status}}
    return web.json_response(told, status=status, headers=headers)


@asynccontextmanager
async def serving(
    script: Script, requests: list[web.Request] | None = None
) -> AsyncIterator[Server]:
    """Serves a script; a dict is sent as JSON, text as it is.

    Args:
        script: What to say.
        requests: Takes each request before the script is asked, which may then write itself.
    """
    server = Server()

    async def chat(request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        asked = Asked(len(server.asked) + 1, body, request.headers)
        server.asked.append(asked)
        if requests is not None:
            requests.append(request)
        said = script(asked)
        if isinstance(said, dict):
            return web.json_response(said)
        if isinstance(said, str):
            return web.Response(text=said)
        if isinstance(said, web.StreamResponse):
            return said
        return await said

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        await runner.cleanup()


def model(url: str = "http://127.0.0.1:9/v1", **settings: Any) -> ModelConfig:  # noqa: ANN401
    """A model at an endpoint."""
    return ModelConfig(engine="endpoint", model="tiny", url=url, **settings)


@asynccontextmanager
async def client_of(
    place: Place,
    pauses: Pauses | None = None,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[Client]:
    """A client that does not sleep."""
    pauses = pauses or Pauses()
    client = Client(model(place.url, **settings), place, sleep=pauses.sleep, draw=pauses.draw)
    try:
        yield client
    finally:
        await client.close()


def call(text: str = "Wie spät ist es? 🕰", **fields: Any) -> Call:  # noqa: ANN401
    """A call with one user message."""
    return Call(messages=question(text).messages, sampling=question(text).sampling, **fields)


def question(text: str = "Wie spät ist es? 🕰", **fields: Any) -> Request:  # noqa: ANN401
    """A request with one user message."""
    return Request(messages=(Message("user", text),), **fields)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ask(
    script: Script,
    *calls: Call,
    pauses: Pauses | None = None,
    **settings: Any,  # noqa: ANN401 - of the model
) -> tuple[list[Reply], Server]:
    """Replies to calls, one after the other."""

    async def run() -> tuple[list[Reply], Server]:
        async with (
            serving(script) as server,
            client_of(Place(server.url), pauses, **settings) as one,
        ):
            return [await one.complete(each) for each in calls or (call(),)], server

    return asyncio.run(run())


def told(reply: Reply) -> tuple[str | None, str | None]:
    found = reply.completion
    return (None if found is None else found.content), reply.reason

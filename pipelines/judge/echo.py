"""A chat endpoint without a model: `--endpoint echo:` for a dry run, and the server of the tests.

A small real HTTP server on the loopback address that speaks the OpenAI protocol. Its answers are
always in the form that was asked for, and worth nothing: of choices it takes the one whose words
stand most often in the document, and where none stands there, one by the number of different long
words, so that the choices of ordinary pages differ; of points one for every forty such words. The
same request gets the same answer, everywhere. Its model name says what it is, and stands in each
label.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

ECHO_ENDPOINT: Final = "echo:"
ECHO_MODEL: Final = "echo-rules-no-model"

_WORD: Final = re.compile(r"\w{4,}")
_WORDS_A_POINT: Final = 40
_CHARACTERS_A_TOKEN: Final = 4
_LARGEST_BODY: Final = 256 << 20


class EchoServer:
    """Answers by rules."""

    async def answer(self, asked: dict[str, Any]) -> web.Response:
        """Answers the body of a request."""
        schema = asked.get("response_format", {}).get("json_schema", {}).get("schema")
        if schema is None:
            return web.json_response({"error": {"message": "response_format needed"}}, status=400)
        document = asked["messages"][-1]["content"]
        answers = {
            name: _answer(question["properties"]["answer"], document)
            for name, question in schema["properties"].items()
        }
        return completion(asked, json.dumps(answers))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serves on a free port of the loopback address, and gives the endpoint."""

        async def handle(request: web.Request) -> web.Response:
            return await self.answer(await request.json())

        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_post("/v1/chat/completions", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            yield f"http://{host}:{port}/v1"
        finally:
            await runner.cleanup()


def completion(asked: dict[str, Any], text: str, **message: Any) -> web.Response:  # noqa: ANN401
    """A chat completion with a text; further keys of its message, and `finish_reason`."""
    ended = message.pop("finish_reason", "stop")
    prompt = sum(len(one["content"]) for one in asked["messages"])
    told = {
        "object": "chat.completion",
        "model": ECHO_MODEL,
        "choices": [
            {
                "index": 0,
                "finish_reason": ended,
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
        "usage": {
            "prompt_tokens": prompt // _CHARACTERS_A_TOKEN,
            "completion_tokens": len(text) // _CHARACTERS_A_TOKEN,
        },
    }
    return web.json_response(told)


def _answer(schema: dict[str, Any], document: str) -> dict[str, Any]:
    """An answer of the form of a question."""
    words = [word.lower() for word in _WORD.findall(document)]
    allowed, num_words = schema["enum"], len(set(words))
    if isinstance(allowed[0], int):
        number = min(num_words // _WORDS_A_POINT, len(allowed) - 1)
        return {"reason": f"{ECHO_MODEL}: counts long words", "answer": allowed[number]}
    hits = [
        sum(words.count(part) for part in set(_WORD.findall(str(one).lower()))) for one in allowed
    ]
    if not any(hits):
        answer = allowed[num_words % len(allowed)]
        return {"reason": f"{ECHO_MODEL}: counts long words", "answer": answer}
    best = max(range(len(allowed)), key=hits.__getitem__)
    return {"reason": f"{ECHO_MODEL}: counts its name", "answer": allowed[best]}

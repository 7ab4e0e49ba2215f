"""Whatever a server does, each call ends in a reply, or the endpoint is said to be at fault."""

import asyncio
import gc
import json
import os
import tracemalloc
from collections.abc import Callable

import pytest
from aiohttp import web
from scripted import (
    Asked,
    Pauses,
    Place,
    Said,
    Script,
    ask,
    call,
    client_of,
    completion,
    free_port,
    model,
    refusal,
    serving,
    told,
)

from pipelines.models.chat import Image, Message, Sampling
from pipelines.models.client import Client, EndpointError, Reply
from pipelines.models.completions import Call, told_pause
from pipelines.models.standing import BusyTime

PNG = Image(b"\x89PNG not really")
SEEN = Call(messages=(Message("user", "Was steht hier?", (PNG,)),), sampling=Sampling())


def first_then(first: Callable[[], Said], times: int = 1) -> Script:
    """Says something else the first times."""
    return lambda asked: first() if asked.number <= times else completion("gut")


def test_complete_answer_is_read_and_counted() -> None:
    (reply,), server = ask(lambda asked: completion("halb vier"))
    assert told(reply) == ("halb vier", None)
    assert (reply.prompt_tokens, reply.completion_tokens, reply.tries) == (5, 3, 1)
    assert reply.completion is not None
    assert reply.completion.model == "tiny"
    assert server.asked[0].body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Wie spät ist es? 🕰"}],
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 1024,
    }


def test_complete_sampling_and_picture_go_into_the_body() -> None:
    sampling = Sampling(
        top_k=20, seed=7, stop=("\n\n",), repetition_penalty=1.05, presence_penalty=1.5,
        ignore_eos=True,
    )  # fmt: skip
    message = Message("user", "Was steht hier?", (PNG, Image(b"GIF", "image/gif")))
    _, server = ask(lambda asked: completion(), Call(messages=(message,), sampling=sampling))
    body = server.asked[0].body
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Was steht hier?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORyBub3QgcmVhbGx5"}},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lG"}},
    ]
    assert {name: body[name] for name in ("top_k", "seed", "stop", "ignore_eos")} == {
        "top_k": 20, "seed": 7, "stop": ["\n\n"], "ignore_eos": True,
    }  # fmt: skip
    assert (body["repetition_penalty"], body["presence_penalty"]) == (1.05, 1.5)


def test_complete_long_picture_arrives_whole() -> None:
    message = Message("user", "?", (Image(os.urandom(3 << 20)),))
    (reply,), _ = ask(
        lambda asked: completion(asked.body["messages"][0]["content"][1]["image_url"]["url"]),
        Call(messages=(message,), sampling=Sampling()),
    )
    assert reply.completion is not None
    assert len(reply.completion.content) == len("data:image/png;base64,") + (4 << 20)


def test_complete_pictures_are_let_go_while_the_model_works() -> None:
    """Eight requests of 4 MB wait for their replies, and no body is kept."""

    async def run() -> int:
        arrived, goes_on = asyncio.Event(), asyncio.Event()

        async def script(asked: Asked) -> web.StreamResponse:
            num_arrived.append(asked.number)
            server.asked[-1] = requests[-1] = None  # type: ignore[call-overload]
            if len(num_arrived) == 8:
                arrived.set()
            await goes_on.wait()
            return web.json_response(completion())

        num_arrived: list[int] = []
        requests: list[web.Request] = []
        message = Message("user", "?", (Image(bytes(3 << 20)),))
        one = Call(messages=(message,), sampling=Sampling())
        async with serving(script, requests) as server, client_of(Place(server.url)) as client:
            tracemalloc.start()
            tasks = [asyncio.create_task(client.complete(one)) for _ in range(8)]
            await arrived.wait()
            gc.collect()
            held = sum(
                trace.size
                for trace in tracemalloc.take_snapshot().traces
                if any(frame.filename.endswith("completions.py") for frame in trace.traceback)
            )
            tracemalloc.stop()
            goes_on.set()
            await asyncio.gather(*tasks)
            return held

    assert asyncio.run(run()) < 1 << 20


@pytest.mark.parametrize(
    "said",
    [
        "<html>Welcome</html>", "", '{"choices": [{"message": {"con', "null", "[]", "7",
        "[" * 100_000,
        '{"choices": []}', '{"choices": [{"message": {"content": {"text": 7}}}], "usage": "many"}',
        '{"choices": [{"message": "yes"}]}', '{"error": "model is loading"}',
        '{"choices": {"0": 1}}',
        '{"choices": [{"message": {"content": [{"type": "text"}]}}]}', "9" * 5000,
    ],
)  # fmt: skip
def test_complete_no_completion_is_asked_for_again_and_then_given_up(said: str) -> None:
    (reply,), server = ask(lambda asked: said)
    assert told(reply) == (None, "endpoint")
    assert reply.tries == len(server.asked) == 8
    (reply,), _ = ask(first_then(lambda: said))
    assert told(reply) == ("gut", None)


def test_complete_odd_fields_do_no_harm() -> None:
    odd = {
        "choices": [
            {"message": {"content": [{"type": "text", "text": "a\ud800b"}], "refusal": ""}}
        ],
        "usage": {"prompt_tokens": "many", "completion_tokens": 10**400},
        "model": 7,
    }
    (reply,), _ = ask(lambda asked: json.dumps(odd).replace("\\\\", "\\"))
    assert told(reply) == ("a\ufffdb", None)
    assert (reply.prompt_tokens, reply.completion_tokens) == (0, 0)
    assert reply.completion is not None
    assert reply.completion.model == "tiny"


def test_complete_failed_tries_are_paid_for() -> None:
    broken = {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20}}
    (reply,), _ = ask(first_then(lambda: broken, times=2))
    assert (reply.prompt_tokens, reply.completion_tokens, reply.tries) == (205, 43, 3)


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504, 529])
def test_complete_passing_failure_is_tried_again_with_doubling_pauses(status: int) -> None:
    pauses = Pauses()
    (reply,), _ = ask(first_then(lambda: refusal(status, "later"), times=7), pauses=pauses)
    assert told(reply) == ("gut", None)
    assert pauses.taken == [1, 2, 4, 8, 16, 32, 60]
    (reply,), _ = ask(lambda asked: refusal(status, "later"))
    assert told(reply) == (None, "endpoint")
    assert reply.message == f"{status} later"


def test_complete_busy_server_is_waited_for_as_it_says_and_uses_up_no_try() -> None:
    pauses = Pauses()
    script = first_then(lambda: refusal(429, "slow down", **{"Retry-After": "8"}), times=20)
    (reply,), _ = ask(script, pauses=pauses)
    assert told(reply) == ("gut", None)
    assert pauses.taken == [10.0] * 20  # and a quarter, so that not all come back at once


def test_complete_busy_server_is_given_up_when_the_patience_is_spent() -> None:
    pauses = Pauses()
    (reply,), _ = ask(lambda asked: refusal(429, "quota", **{"Retry-After": "300"}), pauses=pauses)
    assert told(reply) == (None, "endpoint")
    assert reply.tries == 3 + 8
    assert sum(pauses.taken) == 10 * 375.0


def test_complete_busy_server_that_names_no_pause_is_waited_for_too() -> None:
    (reply,), _ = ask(first_then(lambda: refusal(429, "slow down"), times=50))
    assert told(reply) == ("gut", None)


@pytest.mark.parametrize(
    ("told_header", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), ("-3", 0.0), ("1e9", 300.0), ("nan", None), ("", None),
        (None, None),
        ("soon", None), ("Fri, 31 Dec 2100 23:59:59 GMT", 300.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0), ("Fri, 99 Foo 1999", None),
    ],
)  # fmt: skip
def test_told_pause_is_seconds_or_a_date(told_header: str | None, seconds: float | None) -> None:
    assert told_pause(told_header) == seconds


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (400, "This model's maximum context length is 4096 tokens.", "context_overflow"),
        (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096",
         "context_overflow"),
        (400, "the request exceeds the available context size", "context_overflow"),
        (422, "`inputs` tokens + `max_new_tokens` must be <= 4096", "context_overflow"),
        (400, "temperature must be a number", "bad_request"),
        (422, "unknown key", "bad_request"),
        (413, "too large", "bad_request"),
        (400, "cannot identify image file", "bad_request"),  # there is none
    ],
)  # fmt: skip
def test_complete_refusal_is_named(status: int, message: str, reason: str) -> None:
    (reply,), server = ask(lambda asked: refusal(status, message))
    assert told(reply) == (None, reason)
    assert reply.message == f"{status} {message}"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "message", "reason", "tries"),
    [
        (400, "cannot identify image file", "image_refused", 1),
        (400, "tiny is not a multimodal model", "image_refused", 1),
        (413, "Request Entity Too Large", "image_refused", 1),
        (415, "no", "image_refused", 1),
        (500, "failed to load image", "image_refused", 8),
        (400, "its image is longer than the maximum model length", "context_overflow", 1),
        (400, "temperature must be a number", "bad_request", 1),
    ],
)  # fmt: skip
def test_complete_refused_picture_is_named(
    status: int, message: str, reason: str, tries: int
) -> None:
    (reply,), server = ask(lambda asked: refusal(status, message), SEEN)
    assert told(reply) == (None, reason)
    assert len(server.asked) == tries


def test_complete_cut_and_refused_answers_say_so() -> None:
    (reply,), _ = ask(lambda asked: completion("und dann", "length"))
    assert reply.completion is not None
    assert reply.completion.is_cut
    (reply,), _ = ask(lambda asked: completion(None, refusal="I cannot"))
    assert reply.completion is not None
    assert reply.completion.refusal == "I cannot"
    (reply,), _ = ask(lambda asked: completion("half", "content_filter"))
    assert reply.completion is not None
    assert reply.completion.refusal == "stopped by the endpoint's content filter"


def test_complete_connection_closed_in_mid_answer_is_lost_and_tried_again() -> None:
    async def run() -> tuple[list[Reply], Place]:
        async def script(asked: Asked) -> web.StreamResponse:
            if asked.number > 2:
                return web.json_response(completion("gut"))
            answer = web.StreamResponse()
            answer.content_length = 1000
            await answer.prepare(requests[-1])
            await answer.write(b'{"choices": [')
            assert requests[-1].transport is not None
            requests[-1].transport.abort()
            return answer

        requests: list[web.Request] = []
        async with serving(script, requests) as server:
            place = Place(server.url)
            async with client_of(place) as client:
                return [await client.complete(call())], place

    (reply,), place = asyncio.run(run())
    assert told(reply) == ("gut", None)
    assert reply.tries == 3
    assert place.seen == [0, 0]
    assert place.starts == [0]


def test_complete_nobody_there_is_the_endpoints_fault_after_ten() -> None:
    async def run() -> list[str | None]:
        place = Place(f"http://127.0.0.1:{free_port()}/v1")
        async with client_of(place) as client:
            found = [(await client.complete(call())).reason for _ in range(9)]
            with pytest.raises(EndpointError, match="failed on 10 requests in a row"):
                await client.complete(call())
            return found

    assert asyncio.run(run()) == ["endpoint"] * 9


def test_complete_slow_server_times_out_three_times() -> None:
    async def script(asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.json_response(completion())

    (reply,), server = ask(script, request_timeout=0.05)
    assert told(reply) == (None, "timed_out")
    assert reply.message == "no answer in 0.05 s"
    assert len(server.asked) == 3


def test_complete_endless_reply_is_no_reply() -> None:
    async def run() -> Reply:
        async def script(asked: Asked) -> web.StreamResponse:
            if asked.number > 1:
                return web.json_response(completion("gut"))
            answer = web.StreamResponse()
            await answer.prepare(requests[-1])
            while True:  # until the client leaves
                await answer.write(b" " * (4 << 20))

        requests: list[web.Request] = []
        async with serving(script, requests) as server, client_of(Place(server.url)) as client:
            return await client.complete(call())

    assert told(asyncio.run(run())) == ("gut", None)


def test_complete_schema_is_left_out_where_the_endpoint_takes_none() -> None:
    schema = {"type": "object"}

    def script(asked: Asked) -> Said:
        return refusal(400, "no such key") if "response_format" in asked.body else completion("{}")

    replies, server = ask(script, call(schema=schema), call(schema=schema), call())
    assert [told(reply) for reply in replies] == [("{}", None)] * 3
    assert ["response_format" in one.body for one in server.asked] == [True, False, False, False]
    _, server = ask(lambda asked: completion("{}"), call(schema=schema))
    assert server.asked[0].body["response_format"]["json_schema"]["schema"] == schema


def test_complete_schema_is_left_out_by_all_that_were_under_way() -> None:
    async def run() -> list[tuple[str | None, str | None]]:
        def script(asked: Asked) -> Said:
            return refusal(400, "no key") if "response_format" in asked.body else completion("{}")

        async with serving(script) as server, client_of(Place(server.url)) as client:
            calls = (client.complete(call(f"{n}", schema={"type": "object"})) for n in range(60))
            return [told(reply) for reply in await asyncio.gather(*calls)]

    assert asyncio.run(run()) == [("{}", None)] * 60


def test_complete_schema_that_was_taken_stays_behind_a_refusal() -> None:
    schema = {"type": "object"}
    replies, server = ask(
        lambda asked: refusal(400, "odd") if asked.number == 2 else completion("{}"),
        *[call(schema=schema)] * 3,
    )
    assert [reply.reason for reply in replies] == [None, "bad_request", None]
    assert all("response_format" in one.body for one in server.asked)


def test_complete_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-geheim")
    (reply,), server = ask(
        lambda asked: completion("Key sk-geheim?", reasoning="sk-geheim"), api_key_env="TEST_KEY"
    )
    assert server.asked[0].headers["Authorization"] == "Bearer sk-geheim"
    assert reply.completion is not None
    assert (reply.completion.content, reply.completion.reasoning) == ("Key ***?", "***")
    (reply,), _ = ask(lambda asked: refusal(400, "sk-geheim is odd"), api_key_env="TEST_KEY")
    assert reply.message == "400 *** is odd"
    with pytest.raises(EndpointError) as raised:
        ask(lambda asked: refusal(401, "sk-geheim is wrong"), api_key_env="TEST_KEY")
    assert "sk-geheim" not in str(raised.value)
    assert "TEST_KEY" in str(raised.value)


def test_client_without_its_key_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)

    async def run() -> None:
        Client(model(api_key_env="TEST_KEY"), Place("http://127.0.0.1:9/v1"))

    with pytest.raises(ValueError, match="api_key_env names TEST_KEY, and the environment has no"):
        asyncio.run(run())


def test_complete_every_try_has_its_own_request_id() -> None:
    _, server = ask(
        first_then(lambda: refusal(500, "later"), times=2), call(key="ab" * 16, first_number=4)
    )
    ids = [one.headers["X-Request-Id"] for one in server.asked]
    assert ids == [f"{'ab' * 16}-{n}" for n in (4, 5, 6)]


def test_busy_time_divides_each_moment_among_those_under_way() -> None:
    now = 0.0
    busy = BusyTime(lambda: now)
    now = 5.0
    first = busy.enter()
    now = 7.0
    second = busy.enter()
    now = 11.0
    assert busy.leave(first) == 2 + 2
    now = 12.0
    assert busy.leave(second) == 2 + 1
    now = 20.0
    third = busy.enter()
    now = 21.0
    assert busy.leave(third) == 1

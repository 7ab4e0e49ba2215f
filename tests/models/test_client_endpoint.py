"""Which failures are a request's own, and which say that the endpoint cannot be used."""

import asyncio
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
    refusal,
    serving,
    told,
)

from pipelines.models.chat import Image, Message, Sampling
from pipelines.models.client import EndpointError, Reply
from pipelines.models.completions import Call

PNG = Image(b"\x89PNG not really")
SEEN = Call(messages=(Message("user", "Was steht hier?", (PNG,)),), sampling=Sampling())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: refusal(401, "no"), "refuses the key"),
        (lambda: refusal(403, "no"), "check `api_key_env` .none is given."),
        (lambda: refusal(404, "no such model"), "knows no chat model 'tiny'"),
        (lambda: refusal(405, "no"), "does not answer chat completions"),
        (lambda: refusal(307, "", Location="https://elsewhere.example/v1"), "sends elsewhere"),
    ],
)
def test_complete_wrong_endpoint_ends_at_once(answer: Callable[[], Said], said: str) -> None:
    with pytest.raises(EndpointError, match=said):
        ask(lambda asked: answer())


def test_complete_no_address_ends_at_once() -> None:
    async def run() -> None:
        async with client_of(Place("http://")) as client:
            await client.complete(call())

    with pytest.raises(EndpointError, match="check `url`"):
        asyncio.run(run())


def test_complete_wrong_key_behind_an_answer_is_of_that_request() -> None:
    replies, _ = ask(
        lambda asked: refusal(401, "no") if asked.number == 2 else completion(), *[call()] * 3
    )
    assert [reply.reason for reply in replies] == [None, "endpoint", None]


def test_complete_ten_bad_requests_in_a_row_are_the_endpoints_fault() -> None:
    with pytest.raises(EndpointError, match=r"failed on 10 requests in a row .last: 400 odd"):
        ask(lambda asked: refusal(400, "odd"), *[call()] * 10)
    replies, _ = ask(
        lambda asked: completion() if asked.number == 10 else refusal(400, "odd"), *[call()] * 19
    )
    assert [reply.reason for reply in replies].count("bad_request") == 18


def test_complete_overflows_and_pictures_of_a_sound_endpoint_never_end_the_run() -> None:
    replies, _ = ask(lambda asked: refusal(400, "maximum context length is 9"), *[call()] * 30)
    assert {reply.reason for reply in replies} == {"context_overflow"}
    replies, _ = ask(
        lambda asked: completion() if asked.number == 1 else refusal(400, "bad image"),
        call(),
        *[SEEN] * 30,
    )
    assert [reply.reason for reply in replies] == [None, *["image_refused"] * 30]


def test_complete_model_that_sees_nothing_ends_the_run() -> None:
    with pytest.raises(EndpointError, match="no multimodal model"):
        ask(lambda asked: refusal(400, "no multimodal model"), *[SEEN] * 10)


def test_complete_quick_failures_wait_for_slow_answers() -> None:
    """Twenty refusals come at once, long before the one good answer that was asked for first."""

    async def run() -> list[str | None]:
        refused = asyncio.Event()

        async def script(asked: Asked) -> web.StreamResponse:
            if asked.user == "good":
                await refused.wait()
                return web.json_response(completion())
            if asked.user == "bad 19":
                refused.set()
            return refusal(400, "odd")

        async with serving(script) as server, client_of(Place(server.url), in_flight=21) as client:
            texts = ["good", *(f"bad {n}" for n in range(20))]
            replies = await asyncio.gather(*(client.complete(call(text)) for text in texts))
            return [reply.reason for reply in replies]

    assert asyncio.run(run()) == [None, *["bad_request"] * 20]


def test_complete_all_in_flight_failing_ends_the_run_once_none_is_left() -> None:
    async def run() -> list[object]:
        script: Script = lambda asked: refusal(400, "odd")  # noqa: E731
        async with serving(script) as server, client_of(Place(server.url), in_flight=8) as client:
            calls = (client.complete(call(f"{n}")) for n in range(50))
            return await asyncio.gather(*calls, return_exceptions=True)

    found = asyncio.run(run())
    assert len([one for one in found if isinstance(one, Reply)]) == 9
    assert len([one for one in found if isinstance(one, EndpointError)]) == 41


def test_complete_bounds_the_requests_in_flight_and_nothing_else_does() -> None:
    async def run() -> tuple[int, int]:
        now = most = 0
        full = asyncio.Event()

        async def script(asked: Asked) -> web.StreamResponse:
            nonlocal now, most
            now += 1
            most = max(most, now)
            if now == 300:
                full.set()
            await full.wait()  # aiohttp's own pool of 100 would wait here for ever
            now -= 1
            return web.json_response(completion())

        async with serving(script) as server, client_of(Place(server.url), in_flight=300) as client:
            replies = await asyncio.gather(*(client.complete(call()) for _ in range(450)))
            return most, sum(reply.completion is not None for reply in replies)

    assert asyncio.run(run()) == (300, 450)


def test_complete_dead_server_is_restarted_once_for_all_and_uses_up_no_try() -> None:
    async def run() -> tuple[list[Reply], Place, list[float]]:
        pauses = Pauses()
        async with serving(lambda asked: completion("gut")) as server:
            place = Place(f"http://127.0.0.1:{free_port()}/v1")

            def restart(seen: int) -> int:
                place.url = server.url  # of its second start
                return seen + 1

            place.restarts = restart
            async with client_of(place, pauses) as client:
                calls = (client.complete(call(f"{n}")) for n in range(40))
                return list(await asyncio.gather(*calls)), place, pauses.taken

    replies, place, pauses = asyncio.run(run())
    assert {told(reply) for reply in replies} == {("gut", None)}
    assert place.seen == [0]
    assert place.starts == [1]
    assert pauses == []


def test_complete_deadly_request_costs_four_restarts_and_no_other_request() -> None:
    async def run() -> tuple[dict[str, str | None], Place]:
        alive = {"connections": set[asyncio.Transport]()}
        requests: list[web.Request] = []

        async def script(asked: Asked) -> web.StreamResponse:
            mine = requests[-1]
            assert mine.transport is not None
            alive["connections"].add(mine.transport)
            if asked.user == "deadly":
                for one in alive["connections"]:
                    one.abort()
                alive["connections"].clear()
                await asyncio.Event().wait()
            for _ in range(30):  # so that others are under way when it dies
                await asyncio.sleep(0)
            alive["connections"].discard(mine.transport)
            return web.json_response(completion())

        async with serving(script, requests) as server:
            place = Place(server.url, restarts=lambda seen: seen + 1)
            async with client_of(place, in_flight=64) as client:
                texts = [f"{n}" for n in range(60)]
                texts.insert(30, "deadly")
                replies = await asyncio.gather(*(client.complete(call(text)) for text in texts))
                return dict(zip(texts, (one.reason for one in replies), strict=True)), place

    reasons, place = asyncio.run(run())
    assert reasons.pop("deadly") == "endpoint"
    assert set(reasons.values()) == {None}
    assert place.seen == [0, 1, 2, 3]


def test_complete_server_that_cannot_be_restarted_ends_the_run_with_its_words() -> None:
    async def run() -> None:
        def fail(seen: int) -> int:
            raise EndpointError("vllm ended: CUDA out of memory")

        async with client_of(Place(f"http://127.0.0.1:{free_port()}", restarts=fail)) as client:
            await client.complete(call())

    with pytest.raises(EndpointError, match="CUDA out of memory"):
        asyncio.run(run())

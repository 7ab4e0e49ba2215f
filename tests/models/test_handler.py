"""Coroutines of several jobs share one loop and one bound; results come in order."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import pytest
from scripted import Place, free_port, model, question

from pipelines.models.chat import Answer
from pipelines.models.echo import EchoServer
from pipelines.models.echo_rules import EchoAnswer, EchoRequest
from pipelines.models.handler import Handler, open_handler
from pipelines.models.settings import ModelConfig
from pipelines.models.upstream import EndpointError


@pytest.fixture
def handler() -> Iterator[Handler]:
    made = Handler(None)
    yield made
    made.close()


def test_map_ordered_results_are_in_order_whoever_ends_first(handler: Handler) -> None:
    async def make(number: int) -> int:
        for _ in range((number * 7919) % 50):
            await asyncio.sleep(0)
        return number * number

    assert list(handler.map_ordered(range(200), make, 16)) == [n * n for n in range(200)]
    assert list(handler.map_ordered([], make)) == []


def test_map_ordered_takes_items_as_there_is_room_in_the_window(handler: Handler) -> None:
    taken: list[int] = []
    most = now = 0

    def items() -> Iterator[int]:
        for number in range(40):
            taken.append(number)
            yield number

    async def make(number: int) -> int:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return number

    for done, number in enumerate(handler.map_ordered(items(), make, 5)):
        assert number == done
        assert len(taken) <= done + 5
    assert 2 <= most <= 5


def test_map_ordered_first_exception_is_raised_and_the_rest_has_ended(handler: Handler) -> None:
    ended: list[str] = []

    async def make(number: int) -> int:
        if number == 7:
            raise KeyError("a bug of ours")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return number

    with pytest.raises(KeyError, match="a bug of ours"):
        list(handler.map_ordered(range(1000), make, 10))
    assert ended == ["cancelled"] * 9


def test_map_ordered_exception_of_a_later_item_does_not_wait_for_its_turn(handler: Handler) -> None:
    def items() -> Iterator[int]:
        yield from (0, 1)
        handler.run(asyncio.sleep(0))  # both have ended by now
        yield 2

    async def make(number: int) -> int:
        if number == 1:
            raise KeyError("a bug of ours")
        return number

    with pytest.raises(KeyError, match="a bug of ours"):
        next(handler.map_ordered(items(), make, 3))


def test_map_ordered_left_early_ends_what_is_under_way(handler: Handler) -> None:
    ended: list[int] = []

    async def make(number: int) -> int:
        try:
            if number:
                await asyncio.Event().wait()
        finally:
            ended.append(number)
        return number

    found = handler.map_ordered(range(1000), make, 4)
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert sorted(ended) == [0, 1, 2, 3]


def test_map_ordered_items_that_fail_end_what_is_under_way(handler: Handler) -> None:
    ended: list[int] = []

    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("the part is damaged")

    async def make(number: int) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)
        return number

    with pytest.raises(OSError, match="the part is damaged"):
        list(handler.map_ordered(items(), make))
    assert sorted(ended) == [0, 1, 2]


def test_map_ordered_remains_found_by_the_loops_own_garbage_collection(handler: Handler) -> None:
    """A generator in a cycle may be ended in the loop's thread, which may not wait for itself."""

    async def wait(number: int) -> int:
        if number:
            await asyncio.Event().wait()
        return number

    async def collect() -> int:
        return gc.collect()

    cycle: list[Any] = [handler.map_ordered(range(3), wait)]
    cycle.append(cycle)
    assert next(cycle[0]) == 0
    gc.disable()
    try:
        del cycle
        assert handler.run(asyncio.wait_for(collect(), 30)) > 0
    finally:
        gc.enable()


def test_map_ordered_of_many_threads_at_once(handler: Handler) -> None:
    async def make(number: int) -> tuple[int, str]:
        await asyncio.sleep(0)
        return number, threading.current_thread().name

    def job(start: int) -> list[tuple[int, str]]:
        return list(handler.map_ordered(range(start, start + 100), make, 8))

    with ThreadPoolExecutor(6) as threads:
        for start, found in enumerate(threads.map(job, range(6))):
            assert found == [(number, "models") for number in range(start, start + 100)]


@pytest.fixture
def asked() -> list[str]:
    """What the server of `url` was asked."""
    return []


@pytest.fixture
def url(asked: list[str]) -> Iterator[str]:
    """An echo server in a thread of its own."""

    def rule(one: EchoRequest) -> EchoAnswer:
        asked.append(one.user)
        return EchoAnswer(one.user.upper())

    server = Handler(None)
    stack = AsyncExitStack()
    serving = EchoServer(rules=[rule]).serving()
    yield server.run(stack.enter_async_context(serving))
    server.run(stack.aclose())
    server.close()


def test_answer_of_several_jobs_shares_the_bound_and_the_connections(
    url: str, asked: list[str]
) -> None:
    handler = Handler(model(url, in_flight=3), Place(url))

    async def make(number: int) -> Answer:
        answer, is_shared = await handler.answer(question(f"f{number}"), f"{number:032x}")
        assert not is_shared
        return answer

    def job(start: int) -> list[str | None]:
        return [one.text for one in handler.map_ordered(range(start, start + 30), make)]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(job, range(0, 120, 30)))
    handler.close()
    assert found == [[f"F{n}" for n in range(start, start + 30)] for start in range(0, 120, 30)]
    assert len(asked) == 120


def test_answer_equal_requests_under_way_are_asked_once(url: str, asked: list[str]) -> None:
    handler = Handler(model(url), Place(url))

    async def make(number: int) -> tuple[str | None, bool]:
        answer, is_shared = await handler.answer(question(f"f{number % 2}"), f"{number % 2:032x}")
        return answer.text, is_shared

    found = list(handler.map_ordered(range(20), make))
    handler.close()
    assert [text for text, _ in found] == ["F0", "F1"] * 10
    assert [shared for _, shared in found] == [False, False, *[True] * 18]
    assert sorted(asked) == ["f0", "f1"]


def test_answer_that_is_cancelled_leaves_the_other_to_ask_itself(url: str) -> None:
    handler = Handler(model(url), Place(url))

    async def both() -> str | None:
        first = asyncio.create_task(handler.answer(question("f"), f"{1:032x}"))
        await asyncio.sleep(0)
        second = asyncio.create_task(handler.answer(question("f"), f"{1:032x}"))
        await asyncio.sleep(0)
        first.cancel()
        answer, is_shared = await second
        assert not is_shared
        return answer.text

    text = handler.run(both())
    handler.close()
    assert text == "F"


def test_answer_without_a_model_is_a_mistake(handler: Handler) -> None:
    with pytest.raises(ValueError, match="there is no model to ask"):
        handler.run(handler.answer(question(), f"{1:032x}"))


def test_answer_dead_endpoint_ends_each_job_with_the_reason() -> None:
    dead = f"http://127.0.0.1:{free_port()}/v1"
    handler = Handler(model(dead), Place(dead), sleep=no_sleep)

    async def make(number: int) -> Answer:
        return (await handler.answer(question(f"{number}"), f"{number:032x}"))[0]

    def job(start: int) -> None:
        with pytest.raises(EndpointError, match="failed on"):
            list(handler.map_ordered(range(start, start + 100), make))

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(job, [0, 100])) == [None, None]
    handler.close()


async def no_sleep(_: float) -> None:
    await asyncio.sleep(0)


def test_open_handler_is_one_for_each_model() -> None:
    one, same = (open_handler(model("http://127.0.0.1:9/v1"), Place("")) for _ in range(2))
    other = open_handler(model("http://127.0.0.1:9/v1", in_flight=7), Place(""))
    nobody = open_handler(None)
    assert one is same
    assert len({one, other, nobody}) == 3
    assert (other.in_flight, nobody.in_flight, nobody.model) == (7, 64, None)
    for each in (one, other):
        each.close()


def test_open_handler_after_it_was_closed_is_a_new_one() -> None:
    told = model("http://127.0.0.1:9/v1", in_flight=9)
    open_handler(told, Place("")).close()
    again = open_handler(told, Place(""))

    async def make(number: int) -> int:
        return number

    assert list(again.map_ordered([1, 2], make)) == [1, 2]
    again.close()


def test_handler_without_its_key_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    before = threading.active_count()
    with pytest.raises(ValueError, match="TEST_KEY"):
        Handler(model(api_key_env="TEST_KEY"), Place(""))
    assert threading.active_count() == before


def test_handler_raises_the_limit_of_open_files_or_says_so() -> None:
    told = ModelConfig(engine="endpoint", model="tiny", url="http://127.0.0.1:9", in_flight=700)
    code = f"""
import resource
from pipelines.models.handler import Handler
from pipelines.models.server import Endpoint
from pipelines.models.settings import ModelConfig
told = ModelConfig.model_validate_json({told.model_dump_json()!r})
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2000))
Handler(told, Endpoint("")).close()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 600))
try:
    Handler(told, Endpoint(""))
except ValueError as error:
    print(error)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said[0] == "956"
    assert said[1].startswith(
        "in_flight needs 956 open files, and this system allows a process 600"
    )


def test_handler_under_way_holds_up_no_exit() -> None:
    """A server that never gets ready: the process ends all the same, when it is interrupted."""
    code = """
import threading
from pipelines.models.chat import Message, Request
from pipelines.models.handler import open_handler
from pipelines.models.settings import ModelConfig
class Never:
    @property
    def url(self):
        asked.set()
        threading.Event().wait()
asked = threading.Event()
handler = open_handler(ModelConfig(engine="endpoint", model="tiny", url="http://x"), Never())
async def make(number):
    return await handler.answer(Request(messages=(Message("user", "?"),)), "0" * 32)
def job():
    list(handler.map_ordered([1], make))
threading.Thread(target=job, daemon=True).start()
asked.wait()
print("ends")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "ends\n"

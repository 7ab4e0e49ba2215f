"""A model that does not answer is told long before its requests are given up."""

import asyncio
import socket
from dataclasses import dataclass

import pytest

from pipelines.models.chat import Message, Sampling
from pipelines.models.client import Client, EndpointError
from pipelines.models.completions import Call
from pipelines.models.settings import ModelConfig
from pipelines.models.waiting import AGAIN_S, FIRST_S, Waiting
from pipelines.watching.watch import Watch, current_watch, listening, tell

URL = "http://127.0.0.1:9/v1"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_failures_are_told_after_a_while_then_seldom_then_the_end() -> None:
    told: list[str] = []
    clock = Clock()
    waiting = Waiting(told.append, clock)
    for clock.now in (0.0, 1.0, FIRST_S - 0.1):
        waiting.note_failure(URL, "connection refused")
    assert told == []
    for clock.now in (4.0, 5.0, 20.0, 4.0 + AGAIN_S):
        waiting.note_failure(URL, "connection refused")
    assert told == [
        f"waiting for the model at {URL}: connection refused, 4 s",
        f"waiting for the model at {URL}: connection refused, 34 s",
    ]
    clock.now = 50.0
    waiting.note_answer(URL)
    assert told[2:] == [f"the model at {URL} answers again, after 50 s"]
    clock.now = 51.0
    waiting.note_failure(URL, "connection refused")
    assert len(told) == 3


def test_an_odd_failure_between_answers_is_not_told() -> None:
    told: list[str] = []
    clock = Clock()
    waiting = Waiting(told.append, clock)
    for clock.now in (0.0, 10.0, 20.0, 30.0):
        waiting.note_failure(URL, "500 out of luck")
        waiting.note_answer(URL)
    assert told == []


@dataclass
class Upstream:
    url: str

    def revive(self, seen: int) -> int:
        return seen

    def answered(self, start: int) -> None:
        pass


def test_client_tells_why_a_dead_endpoint_does_not_answer() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clock = Clock()
    told: list[str] = []
    call = Call(messages=(Message("user", "Wer da?"),), sampling=Sampling())

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    async def run() -> None:
        url = f"http://127.0.0.1:{port}/v1"
        model = ModelConfig(engine="endpoint", model="tiny", url=url)
        client = Client(
            model,
            Upstream(url),
            sleep=sleep,
            draw=lambda least, most: most,
            waiting=Waiting(told.append, clock),
        )
        try:
            await asyncio.gather(*[client.complete(call) for _ in range(10)])
        finally:
            await client.close()

    with pytest.raises(EndpointError):
        asyncio.run(run())
    begin = f"waiting for the model at http://127.0.0.1:{port}/v1: connection refused, "
    assert told
    assert all(line.startswith(begin) for line in told)
    assert float(told[0].removeprefix(begin).removesuffix(" s")) < 15


def test_what_is_told_goes_to_the_stage_that_runs_else_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[str] = []
    with listening(Watch(heard.append)) as watch:
        tell("one")
        assert current_watch() is watch
        watch.say_once(["told once in a process", "told once in a process"])
    assert heard == ["one", "told once in a process"]
    tell("two")
    assert [record.message for record in caplog.records] == ["two"]

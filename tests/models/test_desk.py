"""The desk of a part: nothing is paid for twice, and its recipe gets answers or reasons."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web
from scripted import Asked, Place, Said, completion, free_port, model, question, refusal, serving

from pipelines.models.chat import Answer, Image, Message, Request
from pipelines.models.desk import Desk, open_desk
from pipelines.models.handler import Handler
from pipelines.models.sandbox import CodeRun
from pipelines.models.settings import ModelConfig
from pipelines.models.upstream import EndpointError
from pipelines.workspace.children import CRASHED, ChildFailed, Children, Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

T = TypeVar("T")
PART = PartKey("web.rewritten", 2)


async def no_sleep(_: float) -> None:
    await asyncio.sleep(0)


class Setting:
    """A scripted server, a workspace and a handler."""

    def __init__(self, folder: Path) -> None:
        self.workspace = Workspace.create(str(folder / "w"))
        self.children = Children(Limits(processes=1))
        self.asked: list[str] = []
        self.says: Callable[[Asked], Said] = lambda one: completion(one.user.upper())
        self.loop = Handler(None)
        self._serving = serving(self._script)
        self.url = self.loop.run(self._serving.__aenter__()).url
        self.handler = Handler(self.model, Place(self.url), sleep=no_sleep)

    @property
    def model(self) -> ModelConfig:
        return model(self.url, in_flight=4)

    def _script(self, one: Asked) -> Said:
        self.asked.append(one.user)
        return self.says(one)

    def close(self) -> None:
        self.handler.close()
        self.loop.run(self._serving.__aexit__(None, None, None))
        self.loop.close()
        self.children.close()

    def cook(
        self,
        recipe: Callable[[Desk, str], Awaitable[T]],
        items: list[str],
        part: PartKey = PART,
    ) -> tuple[list[T], Desk]:
        """What a recipe makes of some items at the desk of a part."""
        with open_desk(
            self.model, self.workspace, part, self.children, handler=self.handler
        ) as desk:
            return list(desk.map_ordered(items, lambda item: recipe(desk, item))), desk


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    made = Setting(tmp_path)
    yield made
    made.close()


async def ask(desk: Desk, text: str) -> Answer:
    return await desk.ask(question(text))


def test_ask_second_run_is_answered_from_the_journal(setting: Setting) -> None:
    texts = ["eins", "два", "三"]
    first, desk = setting.cook(ask, texts)
    assert [(one.text, one.from_journal) for one in first] == [
        ("EINS", False), ("ДВА", False), ("三", False),
    ]  # fmt: skip
    paid = desk.usage.to_json()
    assert paid["seconds"] == paid["paid_seconds"]
    assert {**paid, "seconds": 0, "paid_seconds": 0} == {
        "requests": 3, "from_journal": 0, "prompt_tokens": 15, "completion_tokens": 9, "seconds": 0,
        "paid_prompt_tokens": 15, "paid_completion_tokens": 9, "paid_seconds": 0, "reasons": {},
    }  # fmt: skip
    second, desk = setting.cook(ask, [*texts, "vier"])
    assert [(one.text, one.from_journal) for one in second] == [
        ("EINS", True), ("ДВА", True), ("三", True), ("VIER", False),
    ]  # fmt: skip
    assert setting.asked == [*texts, "vier"]
    usage = desk.usage
    assert (usage.requests, usage.from_journal) == (4, 3)
    assert (usage.prompt_tokens, usage.paid_prompt_tokens) == (20, 5)
    assert (usage.completion_tokens, usage.paid_completion_tokens) == (12, 3)
    assert usage.seconds > usage.paid_seconds > 0


def test_ask_equal_requests_of_a_part_are_paid_once(setting: Setting) -> None:
    answers, desk = setting.cook(ask, ["gleich"] * 20)
    assert setting.asked == ["gleich"]
    assert {one.text for one in answers} == {"GLEICH"}
    assert [one.from_journal for one in answers].count(False) == 1
    assert (desk.usage.requests, desk.usage.from_journal) == (20, 19)
    assert (desk.usage.prompt_tokens, desk.usage.paid_prompt_tokens) == (5, 5)


def test_ask_another_attempt_is_another_request(setting: Setting) -> None:
    async def twice(desk: Desk, text: str) -> list[str | None]:
        return [(await desk.ask(question(text, attempt=n))).text for n in range(2)]

    setting.says = lambda one: completion(f"{one.user} {one.number}")
    assert setting.cook(twice, ["wähle"])[0] == [["wähle 1", "wähle 2"]]


def test_ask_what_two_parts_ask_at_once_is_asked_once_and_filed_in_both(setting: Setting) -> None:
    parts = [PartKey("web", 0), PartKey("web", 1)]

    async def both() -> list[Answer]:
        return list(await asyncio.gather(*(ask(desk, "gleich") for desk in desks)))

    opened = [
        open_desk(setting.model, setting.workspace, part, setting.children, handler=setting.handler)
        for part in parts
    ]
    desks = [one.__enter__() for one in opened]
    assert [one.text for one in setting.handler.run(both())] == ["GLEICH"] * 2
    for one in opened:
        one.__exit__(None, None, None)
    assert setting.asked == ["gleich"]
    assert [desk.usage.paid_prompt_tokens for desk in desks] == [5, 0]
    for part in parts:
        (again,), _ = setting.cook(ask, ["gleich"], part)
        assert again.from_journal
    assert setting.asked == ["gleich"]


def test_ask_passing_failure_is_a_reason_and_not_filed(setting: Setting) -> None:
    setting.says = lambda one: refusal(500, "later")
    (failed,), desk = setting.cook(ask, ["eins"])
    assert (failed.text, failed.reason, failed.message) == (None, "endpoint", "500 later")
    assert desk.usage.to_json()["reasons"] == {"endpoint": 1}
    assert setting.workspace.storage.files("answers") == []
    setting.says = lambda one: completion("jetzt")
    assert setting.cook(ask, ["eins"])[0][0].text == "jetzt"


@pytest.mark.parametrize(
    ("said", "reason", "is_filed"),
    [
        (completion("halb", "length"), "truncated", True),
        (completion(None), "empty", True),
        (completion("x", "content_filter"), "refused", True),
        (refusal(400, "maximum context length is 9"), "context_overflow", False),
        (refusal(422, "odd"), "bad_request", False),
    ],
)
def test_ask_what_the_model_answered_is_filed_and_what_cost_nothing_is_not(
    setting: Setting, said: Said, reason: str, is_filed: bool
) -> None:
    def script(one: Asked) -> Said:
        return said if isinstance(said, dict) else refusal(said.status, said.text)  # type: ignore

    setting.says = script
    for number in range(2):
        (answer,), _ = setting.cook(ask, ["eins"])
        assert (answer.reason, answer.from_journal) == (reason, is_filed and number == 1)


def test_ask_dead_endpoint_ends_the_part_and_keeps_what_was_answered(setting: Setting) -> None:
    setting.cook(ask, ["eins"])
    gone = f"http://127.0.0.1:{free_port()}/v1"
    setting.handler.close()
    setting.handler = Handler(setting.model, Place(gone), sleep=no_sleep)
    with pytest.raises(EndpointError, match=r"failed on \d+ requests in a row"):
        setting.cook(ask, [f"neu {n}" for n in range(30)])
    (answer,), _ = setting.cook(ask, ["eins"])
    assert answer.text == "EINS"


def test_ask_picture_enters_the_journal_by_its_digest_only(setting: Setting) -> None:
    async def look(desk: Desk, text: str) -> Answer:
        message = Message("user", "?", (Image(text.encode() * 1000),))
        return await desk.ask(Request(messages=(message,)))

    setting.says = lambda one: completion("Bild")
    setting.cook(look, ["ab", "cd"])
    (path,) = setting.workspace.storage.files("answers")
    assert setting.workspace.storage.size(path) < 600
    (answer, _), _ = setting.cook(look, ["cd", "ab"])
    assert answer.from_journal


def test_ask_recipe_that_raises_leaves_nothing_under_way(setting: Setting) -> None:
    """The job's generator may outlive its desk in a traceback; its requests may not."""
    ended: list[str] = []

    async def wait(desk: Desk, text: str) -> str | None:
        try:
            return (await ask(desk, text)).text
        finally:
            ended.append(text)

    async def script(one: Asked) -> web.StreamResponse:
        if one.user != "a":
            await asyncio.Event().wait()
        return web.json_response(completion("A"))

    setting.says = script
    desk_of = open_desk(
        setting.model, setting.workspace, PART, setting.children, handler=setting.handler
    )
    desk = desk_of.__enter__()
    found = desk.map_ordered(["a", "b", "c"], lambda item: wait(desk, item), 3)
    assert next(found) == "A"
    desk_of.__exit__(None, None, None)
    assert sorted(ended) == ["a", "b", "c"]
    with pytest.raises(RuntimeError, match="the desk is closed"):
        setting.handler.run(ask(desk, "d"))


def test_ask_without_a_model_is_a_mistake_and_the_rest_works(setting: Setting) -> None:
    with open_desk(None, setting.workspace, PART, setting.children) as desk:
        assert desk.model is None
        assert list(desk.map_ordered([3, 4], lambda n: desk.compute(pow, n, 2))) == [9, 16]
        with pytest.raises(ValueError, match="no model to ask"):
            list(desk.map_ordered(["x"], lambda text: ask(desk, text)))
        assert desk.usage.to_json()["requests"] == 0
    assert setting.workspace.storage.files("answers") == []


def test_compute_gives_results_exceptions_and_reasons(setting: Setting) -> None:
    async def work(desk: Desk, text: str) -> object:
        try:
            if text == "die":
                return await desk.compute(os._exit, 9)
            return await desk.compute(int, text)
        except ChildFailed as error:
            return error.reason
        except ValueError as error:
            return str(error)

    found, _ = setting.cook(work, ["17", "neun", "die", "18"])
    assert found == [17, "invalid literal for int() with base 10: 'neun'", CRASHED, 18]


def test_run_code_runs_in_the_sandbox(setting: Setting) -> None:
    async def run(desk: Desk, code: str) -> tuple[str, str]:
        result = await desk.run_code(CodeRun(files={"main.py": code}))
        return result.outcome, result.stdout

    found, _ = setting.cook(run, ["print(6 * 7)", "raise SystemExit(3)"])
    assert found == [("ok", "42\n"), ("failed", "")]


WORKER = """
import sys
from pipelines.models.chat import Message, Request
from pipelines.models.desk import open_desk
from pipelines.models.handler import open_handler
from pipelines.models.settings import ModelConfig
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace
model = ModelConfig.model_validate_json(sys.argv[1])
requests = [Request(messages=(Message("user", f"f{n}"),)) for n in range(300)]
workspace, part = Workspace.create(sys.argv[2]), PartKey("web.rewritten", 2)
with open_desk(model, workspace, part, Children(Limits(processes=1))) as desk:
    list(desk.map_ordered(requests, desk.ask))
"""


def test_ask_worker_killed_in_mid_part_has_its_answers_used_by_the_next(setting: Setting) -> None:
    """Paid for twice is at most what was in flight when it died."""
    workers: list[subprocess.Popen[bytes]] = []

    def script(one: Asked) -> Said:
        if one.number == 150:
            workers[0].kill()
        return completion(one.user.upper())

    setting.says = script
    told = [setting.model.model_dump_json(), setting.workspace.url]
    with subprocess.Popen([sys.executable, "-c", WORKER, *told]) as worker:
        workers.append(worker)
    assert worker.returncode == -signal.SIGKILL
    texts = [f"f{n}" for n in range(300)]
    answers, desk = setting.cook(ask, texts)
    assert [one.text for one in answers] == [text.upper() for text in texts]
    assert set(setting.asked) == set(texts)
    assert len(setting.asked) - 300 <= setting.model.in_flight
    assert desk.usage.from_journal >= 150 - setting.model.in_flight
    assert desk.usage.completion_tokens == 3 * 300

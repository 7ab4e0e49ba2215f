"""Every way in which a model or its server goes wrong, through the whole stack, loses nothing."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from scripted import Place, model

from pipelines.models.chat import Answer, Budget, Image, Message, Request, Sampling
from pipelines.models.desk import open_desk
from pipelines.models.echo import EchoServer
from pipelines.models.echo_rules import EchoAnswer, EchoRequest
from pipelines.models.faults import FAULTS, parse_faults
from pipelines.models.handler import Handler
from pipelines.models.upstream import EndpointError
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

# A picture of one pixel, as Pillow writes it.
PIXEL = Image(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
        "3a7e9b550000000a49444154789c6360000000020001489dafa4"
        "0000000049454e44ae426082"
    )
)
CHILDREN = Children(Limits(processes=1))
"""None is started: nothing here computes."""


async def no_sleep(_: float) -> None:
    await asyncio.sleep(0)


def rule(one: EchoRequest) -> EchoAnswer:
    return EchoAnswer(f"gut {one.user}", "Ich denke nach. " * 9)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(str(tmp_path / "w"))


@pytest.fixture
def loop() -> Iterator[Handler]:
    made = Handler(None)
    yield made
    made.close()


def answers(
    loop: Handler, workspace: Workspace, faults: str, requests: list[Request], **settings: object
) -> list[Answer]:
    """What comes of requests to a server with faults."""
    told = {"in_flight": 16, "thinking": "template", **settings}
    stack = AsyncExitStack()
    server = EchoServer(parse_faults(faults, slow_s=0.0), rules=[rule])
    url = loop.run(stack.enter_async_context(server.serving()))
    handler = Handler(model(url, **told), Place(url), sleep=no_sleep)
    part = PartKey("web", 0)
    try:
        with open_desk(handler.model, workspace, part, CHILDREN, handler=handler) as desk:
            return list(desk.map_ordered(requests, desk.ask))
    finally:
        handler.close()
        loop.run(stack.aclose())


def plain(number: int) -> list[Request]:
    return [
        Request(messages=(Message("user", f"{n}"),), sampling=Sampling(max_tokens=300))
        for n in range(number)
    ]


def seen(number: int) -> list[Request]:
    return [Request(messages=(Message("user", f"{n}", (PIXEL,)),)) for n in range(number)]


ENDS = "ends the run"
WHOLE = {
    # What every answer comes to where each try is hit.
    "nothing": "empty",
    "garbage": None,  # text without sense is text; recipes judge it
    "half_json": None,
    "endless": "truncated",
    "refusal": None,  # in words, which recipes judge
    "slow": None,
    "context_overflow": "context_overflow",
    "http_500": ENDS,
    "http_429": ENDS,
    "wrong_type": ENDS,
    "not_json": ENDS,
    "closes": ENDS,
    "trickles": ENDS,
    "never_ready": ENDS,
    "image_refused": ENDS,
}


def test_faults_are_all_met_here() -> None:
    assert WHOLE.keys() == FAULTS.keys()


@pytest.mark.parametrize(("fault", "ending"), WHOLE.items())
def test_ask_every_try_goes_wrong(
    loop: Handler, workspace: Workspace, fault: str, ending: str | None
) -> None:
    requests = seen(10) if fault == "image_refused" else plain(10)
    settings = {"request_timeout": 0.1} if fault == "trickles" else {}
    if ending == ENDS:
        with pytest.raises(EndpointError, match=r"failed on \d+ requests in a row"):
            answers(loop, workspace, fault, requests, **settings)
        return
    found = answers(loop, workspace, fault, requests, **settings)
    assert {one.reason for one in found} == {ending}
    assert all((one.text is None) == (ending in ("empty", "context_overflow")) for one in found)
    assert all(one.text is None or one.text.encode() for one in found)  # no lone surrogate


@pytest.mark.parametrize("fault", ["http_500", "http_429", "wrong_type", "not_json", "closes"])
def test_ask_three_tries_in_ten_go_wrong_and_all_are_answered(
    loop: Handler, workspace: Workspace, fault: str
) -> None:
    found = answers(loop, workspace, f"{fault}:0.3", plain(150))
    assert [one.text for one in found] == [f"gut {n}" for n in range(150)]
    num_tries = Counter(one.tries for one in found)
    assert num_tries[1] < 130
    assert max(num_tries) <= 8


def test_ask_everything_at_once_loses_no_request(loop: Handler, workspace: Workspace) -> None:
    faults = ",".join(
        f"{name}:0.03" for name in FAULTS if name not in ("trickles", "never_ready", "slow")
    )
    requests = [
        Request(
            messages=(Message("user", f"{n}", (PIXEL,) if n % 3 == 0 else ()),),
            sampling=Sampling(max_tokens=120),
            thinking=(None, "off", "on", Budget(budget=20))[n % 4],
        )
        for n in range(400)
    ]
    found = answers(loop, workspace, faults, requests)
    assert len(found) == 400
    reasons = Counter(one.reason for one in found)
    assert set(reasons) <= {None, "empty", "truncated", "context_overflow", "image_refused"}
    assert reasons[None] > 300
    num_good = 0
    for number, one in enumerate(found):
        assert (one.reason in (None, "truncated")) or one.text is None
        num_good += one.text == f"gut {number}"
    assert num_good > 280
    again = answers(loop, workspace, faults, requests)
    filed = [one.reason in (None, "truncated", "empty") for one in found]
    assert [one.from_journal for one in again] == filed
    assert [(one.text, one.reason) for one in again] == [(one.text, one.reason) for one in found]

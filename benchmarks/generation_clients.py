"""The clients of `generation.py`, and what they ask."""

import asyncio
import json
import random
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar

import aiohttp
from gpu_watch import Busy
from rich.console import Console

from pipelines.models.chat import Answer, Message, Request, Sampling
from pipelines.models.completions import Call, body_of
from pipelines.models.desk import open_desk
from pipelines.models.handler import Handler
from pipelines.models.server import VllmServer, find_vllm
from pipelines.models.settings import ModelConfig
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

T = TypeVar("T")

PROMPTWORDS: Final = 180
"""About 260 tokens (244 to 287) of the tokenizer of `infra/vllm/random_models.py`."""
WARM_UP: Final = 64
"""Requests, at most: kernels are compiled at the first."""
WORDS: Final = tuple(
    "model page table image figure text number value result method data layer token input output "
    "size rate error train test loss curve mean block grid line word cell row column title header "
    "footer note list item graph point scale unit step".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The settings of a run."""

    model: ModelConfig
    requests: int
    rounds: int
    max_tokens: int
    work: Path
    console: Console

    def say(self, line: str) -> None:
        """A line of progress."""
        self.console.print(line, markup=False, highlight=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocked:
    """What a client got."""

    seconds: float
    answered: int
    completion_tokens: int
    gpu: "Busy | None" = None

    @property
    def tokens_per_second(self) -> float:
        """Of what was generated."""
        return self.completion_tokens / self.seconds

    @property
    def answers_per_second(self) -> float:
        """Requests, or pages."""
        return self.answered / self.seconds


def text_requests(bench: Bench, seed: int, count: int | None = None) -> list[Request]:
    """Questions of random words, all different."""
    draw = random.Random(seed)
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=bench.max_tokens, ignore_eos=True)
    return [
        Request(
            messages=(
                Message("user", f"{seed}.{n} {' '.join(draw.choices(WORDS, k=PROMPTWORDS))}"),
            ),
            sampling=sampling,
            thinking="off",
        )
        for n in range(bench.requests if count is None else count)
    ]


def ask_through_desk(
    bench: Bench, handler: Handler, requests: Sequence[Request], workspace: Path
) -> list[Answer]:
    """Answers of tokenmill, each in the journal of the workspace when it is given."""
    children = Children(Limits(processes=1))  # none is started: nothing is computed
    with open_desk(
        bench.model,
        Workspace.open(str(workspace)),
        PartKey("bench", 0),
        children,
        handler=handler,
    ) as desk:
        return list(handler.map_ordered(requests, desk.ask))


def clock_desk(bench: Bench, handler: Handler, requests: Sequence[Request]) -> Clocked:
    """tokenmill, with a journal that is empty."""
    workspace = fresh_workspace(bench)
    started = monotonic()
    answers = ask_through_desk(bench, handler, requests, workspace)
    seconds = monotonic() - started
    check_forced(bench, answers)
    return Clocked(
        seconds=seconds,
        answered=len(answers),
        completion_tokens=sum(answer.completion_tokens for answer in answers),
    )


def check_forced(bench: Bench, answers: Sequence[Answer]) -> None:
    reasons = Counter(answer.reason for answer in answers)
    if set(reasons) - {"truncated", None}:
        raise ValueError(f"not all requests were answered: {dict(reasons)}")


async def post_all(bench: Bench, url: str, bodies: Sequence[bytes]) -> Clocked:
    """A client that does nothing but ask."""
    slots = asyncio.Semaphore(bench.model.in_flight)
    tokens: list[int] = []

    async def post(session: aiohttp.ClientSession, body: bytes) -> None:
        async with slots, session.post(f"{url}/chat/completions", data=body) as response:
            response.raise_for_status()
            tokens.append((await response.json())["usage"]["completion_tokens"])

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=900),
        headers={"Content-Type": "application/json"},
    ) as session:
        started = monotonic()
        await asyncio.gather(*(post(session, body) for body in bodies))
        seconds = monotonic() - started
    return Clocked(seconds=seconds, answered=len(tokens), completion_tokens=sum(tokens))


def bodies_of(model: ModelConfig, requests: Sequence[Request]) -> list[bytes]:
    """What tokenmill sends for requests."""
    switch: Mapping[str, Any] = (
        {"chat_template_kwargs": {"enable_thinking": False}} if model.thinking == "template" else {}
    )
    return [
        body_of(Call(messages=one.messages, sampling=one.sampling, options=switch), model.identity)
        for one in requests
    ]


def clock_vllm_bench(bench: Bench, url: str, requests: Sequence[Request]) -> Clocked:
    """`vllm bench serve` over the same prompts; it reads them as conversations of ShareGPT."""
    folder = Path(tempfile.mkdtemp(dir=bench.work))
    conversations = [
        {"conversations": [{"value": one.messages[0].text}, {"value": "unused, its length is"}]}
        for one in requests
    ]
    (folder / "prompts.json").write_text(json.dumps(conversations))
    extra: dict[str, Any] = {"ignore_eos": True}
    if bench.model.thinking == "template":
        extra["chat_template_kwargs"] = {"enable_thinking": False}
    flags = {
        "backend": "openai-chat",
        "base-url": url.removesuffix("/v1"),
        "endpoint": "/v1/chat/completions",
        "model": bench.model.identity,
        "tokenizer": bench.model.model,
        "dataset-name": "sharegpt",
        "dataset-path": str(folder / "prompts.json"),
        "sharegpt-output-len": str(bench.max_tokens),
        "num-prompts": str(len(requests)),
        "max-concurrency": str(bench.model.in_flight),
        "temperature": "1.0",
        "extra-body": json.dumps(extra),
        "result-dir": str(folder),
        "result-filename": "result.json",
    }
    command = [
        *find_vllm()[:-1],
        "bench",
        "serve",
        "--save-result",
        "--disable-tqdm",
        "--ignore-eos",
    ]
    command += [part for key, value in flags.items() for part in (f"--{key}", value)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode:
        raise ValueError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    told = json.loads((folder / "result.json").read_text())
    if told["completed"] != len(requests):
        raise ValueError(f"vllm bench serve completed {told['completed']} of {len(requests)}")
    return Clocked(
        seconds=told["duration"],
        answered=told["completed"],
        completion_tokens=told["total_output_tokens"],
    )


def in_turns(
    bench: Bench,
    clients: Mapping[str, Callable[[Sequence[T]], Clocked]],
    inputs: Callable[[int], Sequence[T]],
) -> dict[str, list[Clocked]]:
    """Every client once a round, each round beginning with another."""
    found: dict[str, list[Clocked]] = {name: [] for name in clients}
    for number in range(bench.rounds):
        given = inputs(number)
        order = [*clients][number % len(clients) :] + [*clients][: number % len(clients)]
        for name in order:
            clocked = clients[name](given)
            found[name].append(clocked)
            bench.say(
                f"round {number + 1}: {name}: {clocked.answered} answers, "
                f"{clocked.completion_tokens} tokens, {clocked.seconds:.2f} s"
            )
    return found


@contextmanager
def opened(bench: Bench, server: VllmServer) -> Iterator[Handler]:
    handler = Handler(bench.model, server)
    try:
        yield handler
    finally:
        handler.close()


def fresh_workspace(bench: Bench) -> Path:
    folder = Path(tempfile.mkdtemp(dir=bench.work))
    Workspace.create(str(folder / "workspace"))
    return folder / "workspace"


def serves_vllm() -> bool:
    return find_vllm()[-1] == "serve"

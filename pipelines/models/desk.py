"""What a recipe may use while it works on one part: a model, child processes, the sandbox.

The journal is asked before the model is, and holds an answer before anybody sees it; so a part that
is done again pays for nothing twice, and makes the same of the same answers. Equal requests that
are under way at once are one. Work that takes time goes to child processes and code of models into
the sandbox: a recipe's coroutines share one event loop with all others.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final, TypeVar

from pipelines.models.chat import Answer, Request
from pipelines.models.handler import Handler, open_handler
from pipelines.models.journal import FILED, Journal, open_journal
from pipelines.models.sandbox import CodeResult, CodeRun, Sandbox, open_sandbox
from pipelines.models.settings import ModelConfig
from pipelines.models.upstream import EndpointError
from pipelines.workspace.children import Children, default_processes
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class Usage:
    """What a part asked of its model.

    Tokens and seconds are those of every answer that was used, once for each, whichever run paid
    for it: they do not depend on how often a run was broken off. `paid_` are those of this run.
    """

    requests: int = 0
    from_journal: int = 0
    """Of the requests: answered without the model being asked anew."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Of the model's time, each moment divided among the requests in flight in it."""
    paid_prompt_tokens: int = 0
    paid_completion_tokens: int = 0
    paid_seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    """Requests without a usable answer, by reason."""

    def note(self, answer: Answer, *, is_repeated: bool) -> None:
        """Adds an answer; one that this part has used before adds no tokens."""
        self.requests += 1
        self.from_journal += answer.from_journal
        if answer.reason is not None:
            self.reasons[answer.reason] += 1
        if is_repeated:
            return
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        self.seconds += answer.seconds
        if not answer.from_journal:
            self.paid_prompt_tokens += answer.prompt_tokens
            self.paid_completion_tokens += answer.completion_tokens
            self.paid_seconds += answer.seconds

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the ledger."""
        return {
            "requests": self.requests,
            "from_journal": self.from_journal,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "seconds": round(self.seconds, 3),
            "paid_prompt_tokens": self.paid_prompt_tokens,
            "paid_completion_tokens": self.paid_completion_tokens,
            "paid_seconds": round(self.paid_seconds, 3),
            "reasons": dict(sorted(self.reasons.items())),
        }


_FAILED: Final = ("endpoint", "timed_out")


class Desk:
    """Serves the recipe of one part; its coroutines run in the handler's event loop."""

    def __init__(self, handler: Handler, journal: Journal | None, children: Children) -> None:
        self.model: ModelConfig | None = handler.model
        self.usage = Usage()
        self._handler, self._journal, self._children = handler, journal, children
        self._used: set[bytes] = set()
        self._at_work: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    def map_ordered(
        self,
        items: Iterable[T],
        make: Callable[[T], Awaitable[R]],
        window: int | None = None,
    ) -> Iterator[R]:
        """`Handler.map_ordered` of the model; called in the job's thread."""
        return self._handler.map_ordered(items, make, window)

    def check_answered(self) -> None:
        """To be called before a part is committed.

        A request on which the endpoint fails is a reject where it answers others. Where every
        request of a part failed, a small part would be committed as rejects before the endpoint is
        found to be dead.

        Raises:
            EndpointError: No request of the part was answered.
        """
        failed = sum(self.usage.reasons[reason] for reason in _FAILED)
        if failed and failed == self.usage.requests:
            url = self.model.url if self.model is not None else None
            raise EndpointError(
                f"model {self._handler.model.identity if self._handler.model else ''} "
                f"({url or 'started here'}) answered none of the {failed} requests of a part; give "
                "the same command again once it answers: what was answered is kept"
            )

    async def ask(self, request: Request) -> Answer:
        """Asks the model, unless the journal knows the answer.

        Returns:
            An answer, or the reason why there is none: a value in any case.

        Raises:
            EndpointError: The model cannot be asked at all; the part is not to be committed.
            OSError: The answer cannot be filed; the part is not to be committed.
            ValueError: There is no model, or it has no switch for the thinking that is asked for.
        """
        if self.model is None or self._journal is None:
            raise ValueError("this recipe has no model to ask; name one in its item, as `model`")
        key = request.key(self.model.identity)
        with self._working():
            answer = self._journal.find(key) or await self._ask_anew(request, key)
        digest = bytes.fromhex(key)
        self.usage.note(answer, is_repeated=digest in self._used)
        self._used.add(digest)
        return answer

    async def compute(
        self,
        function: Callable[..., T],
        /,
        *args: Any,  # noqa: ANN401 - those of the function
        timeout_s: float = 30.0,
    ) -> T:
        """Calls a function in a child process.

        Args:
            function: Importable by name.
            args: Its arguments; they travel as pickles.
            timeout_s: From its start.

        Raises:
            ChildFailed: Its children crashed, timed out or ran out of memory.
        """
        with self._working():
            return await asyncio.wrap_future(
                self._children.call(function, *args, timeout_s=timeout_s)
            )

    async def run_code(self, run: CodeRun) -> CodeResult:
        """Runs code of a model in the sandbox; at most as many at once as there are cores.

        Raises:
            SandboxError: This machine has no sandbox; says what to install.
        """
        with self._working():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(_threads(), _run_code, run)

    async def _ask_anew(self, request: Request, key: str) -> Answer:
        answer, is_shared = await self._handler.answer(request, key)
        assert self._journal is not None
        if answer.reason in FILED and self._journal.find(key) is None:
            self._journal.file(key, answer)
        return replace(answer, from_journal=True) if is_shared else answer

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Notes the task, so that none outlives the desk."""
        if self._is_closed:
            raise RuntimeError("the desk is closed: its part was given up")
        task = asyncio.current_task()
        assert task is not None
        is_outer = task not in self._at_work
        self._at_work.add(task)
        try:
            yield
        finally:
            if is_outer:
                self._at_work.discard(task)

    async def _stop(self) -> None:
        """Ends what a job that failed has left under way."""
        self._is_closed = True
        for task in self._at_work:
            task.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)


@contextmanager
def open_desk(
    model: ModelConfig | None,
    workspace: Workspace,
    key: PartKey,
    children: Children,
    *,
    handler: Handler | None = None,
) -> Iterator[Desk]:
    """The desk of one part.

    Args:
        model: Whom its recipe asks; None for recipes that ask none.
        workspace: Holds the journal.
        key: The part.
        children: Of this worker.
        handler: Default: that of this process for the model.

    Raises:
        OSError: What was answered cannot be stored.
    """
    handler = open_handler(model) if handler is None else handler
    if handler.model is None:
        desk = Desk(handler, None, children)
        yield desk
        return
    with open_journal(workspace.storage, handler.model.identity, key) as journal:
        desk = Desk(handler, journal, children)
        try:
            yield desk
        finally:
            handler.run(desk._stop())


@cache
def _threads() -> ThreadPoolExecutor:
    """Threads of this process that wait for code."""
    return ThreadPoolExecutor(default_processes(), thread_name_prefix="sandbox")


_opened: list[Sandbox] = []
_opening = threading.Lock()


def _run_code(run: CodeRun) -> CodeResult:
    """Opens the sandbox of this process at the first call."""
    with _opening:
        if not _opened:
            _opened.append(open_sandbox())
    return _opened[0].run(run)

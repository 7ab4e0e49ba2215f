"""Child processes for library work that can crash, hang or eat memory.

Parsers and models are called in children owned by the worker, on Arrow batches, with limits on time
and memory. A child that dies or overruns costs its batch, which is halved until the one
poison record stands alone; that record becomes whatever `on_failure` makes of it, with the reason,
and all others are done as if nothing had happened. The same children use all cores of a laptop,
where the Beam worker itself is one process. The pool is Pebble's, which can kill and replace a
child that hangs; the pools of the standard library break as a whole, as Pebble's does only where a
child is killed while all are idle: then another pool is opened and given the same again. What such
a pool had taken and not yet looked at it would never answer, so that is watched for. Besides
batches, single calls can be made in the children (`Children.call`), from any thread.
"""

import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, fields
from multiprocessing import get_context
from multiprocessing.util import Finalize
from typing import Any, Final, TypeVar

import pyarrow as pa
from pebble import ProcessExpired, ProcessPool

from pipelines.workspace.cores import available_cores

BatchFunction = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Gives one row for each row; importable by name, so that it can travel."""

FailureRow = Callable[[pa.RecordBatch, str, str], pa.RecordBatch]
"""(the one record, reason, message) -> its one row of output."""

CRASHED: Final = "crashed"
TIMED_OUT: Final = "timed_out"
OUT_OF_MEMORY: Final = "out_of_memory"

_TRIES: Final = 3
"""Children that a record must kill before it is given up."""

_BEGUN: Final = "begun"  # attribute of a future: when it was asked for, by the monotonic clock
_POOLS: Final = 5
"""Pools of children that may break in a row, before any of them has done what it was given."""

_EARLY: Final = 0.9  # of its time: what was stopped before that was stopped by another clock
_JUMPS: Final = 100
"""Time-outs in a row that a clock which was set forward may have caused."""

_LOOK_S: Final = 0.5
"""How often it is looked whether a pool still takes work."""

_CLOSED: Final = "the child processes were closed before the call had ended"

T = TypeVar("T")


class ChildFailed(Exception):
    """A call that its child could not end."""

    def __init__(self, reason: str, message: str) -> None:
        """Args:
        reason: CRASHED, TIMED_OUT or OUT_OF_MEMORY.
        message: What was found.
        """
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may use."""

    processes: int
    """Children of one worker."""
    batch_timeout_s: float = 60.0
    """Base allowance of a batch ..."""
    record_timeout_s: float = 1.0
    """... and what each record adds."""
    memory_bytes: int = 4 << 30
    """Private memory that one child may allocate."""
    follows_machine: bool = False
    """Whether `processes` becomes the number of cores where this arrives: those of a worker."""

    def __reduce__(self) -> tuple[Any, ...]:
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return _limits_of_this_machine, (values,)


def _limits_of_this_machine(values: dict[str, Any]) -> Limits:
    if values["follows_machine"]:
        values = {**values, "processes": default_processes()}
    return Limits(**values)


def default_processes() -> int:
    """As many as there are cores that this process may keep busy."""
    return available_cores()


class Children:
    """Runs row-aligned functions over batches in child processes, keeping their order."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._pool: ProcessPool | None = None
        self._opening = threading.Lock()
        self._closings = 0
        self._waiting: set[Future[Any]] = set()
        self._given: set[Future[Any]] = set()
        """What the pool has and has not answered; each pool has a set of its own."""

    def map(
        self,
        function: BatchFunction,
        batches: Iterable[pa.RecordBatch],
        on_failure: FailureRow,
        *,
        extra_s: Callable[[pa.RecordBatch], float] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Applies `function` to each batch.

        Args:
            function: Row-aligned and importable.
            batches: Any number; at most two a child are in flight.
            on_failure: Makes the row of a record whose child died, hung or ran out of memory.
            extra_s: Seconds that a batch may take beyond what the limits allow any batch of its
                size; for work that is slow and not stuck.

        Yields:
            One batch for each batch, in order, with as many rows. A batch without rows is given to
            `function` in this process: there is nothing in it to crash on.

        Raises:
            Exception: Whatever `function` raises: a bug, not bad data.
            RuntimeError: The children were closed meanwhile, or one after the other ends before it
                takes any work.
        """
        call = _Call(function, on_failure, extra_s, self._closings)
        flight: deque[tuple[pa.RecordBatch, Future[bytes]]] = deque()
        for batch in batches:
            flight.append((batch, self._submit(call, batch)))
            if len(flight) >= 2 * self.limits.processes:
                yield self._finish(call, *flight.popleft())
        while flight:
            yield self._finish(call, *flight.popleft())

    def call(
        self,
        function: Callable[..., T],
        /,
        *args: Any,  # noqa: ANN401 - those of the function
        timeout_s: float = 30.0,
    ) -> "Future[T]":
        """Calls `function` in a child, behind what waits there already.

        A call whose child dies is given a fresh one, as often as a record is; one that runs out of
        time is not.

        Args:
            function: Importable by name.
            args: Its arguments; they travel as pickles.
            timeout_s: From its start in the child.

        Returns:
            A future of the result. It raises ChildFailed where the children died, hung or ran out
            of memory, and whatever `function` raises. Cancelling it ends the call.
        """
        result: Future[T] = Future()
        self._waiting.add(result)
        result.add_done_callback(self._waiting.discard)
        self._try_call(_SingleCall(function, args, timeout_s, result, self._closings), 1, 1)
        return result

    def _try_call(self, call: "_SingleCall", number: int, pools: int, jumps: int = 0) -> None:
        begun = time.monotonic()

        def settle(done: Future[Any]) -> None:
            result: Any = None
            failed: Exception | None = None
            try:
                result = done.result()
            except (ProcessExpired, MemoryError) as error:
                if number < _TRIES:
                    return self._try_call(call, number + 1, 1)
                failed = ChildFailed(*self._explain(error, call.timeout_s))
            except FutureTimeout as error:
                if not _is_of_pool(error):
                    return call.settle(None, error)
                if jumps < _JUMPS and time.monotonic() - begun < _EARLY * call.timeout_s:
                    return self._try_call(call, number, pools, jumps + 1)
                failed = ChildFailed(*self._explain(error, call.timeout_s))
            except BrokenProcessPool as error:
                if pools < _POOLS and call.closings == self._closings:
                    return self._try_call(call, number, pools + 1)
                failed = RuntimeError(_CLOSED) if pools < _POOLS else _no_child_lives(error)
                failed.__cause__ = error
            except CancelledError as error:
                failed = RuntimeError(_CLOSED)
                failed.__cause__ = error
            except Exception as error:  # of the function
                failed = error
            return call.settle(result, failed)

        if call.closings != self._closings:  # closed between two tries
            call.settle(None, RuntimeError(_CLOSED))
            return
        future = self._schedule(call.function, call.args, call.timeout_s)
        future.add_done_callback(settle)
        call.result.add_done_callback(lambda ended: future.cancel() if ended.cancelled() else None)

    def close(self) -> None:
        """Ends the children."""
        with self._opening:
            pool, self._pool = self._pool, None
            self._closings += 1
        if pool is not None:
            _end(pool)
        for result in tuple(self._waiting):
            # Pebble leaves what waits in a stopped pool waiting.
            if result.set_running_or_notify_cancel():
                result.set_exception(RuntimeError(_CLOSED))

    def _opened(self) -> tuple[ProcessPool, set[Future[Any]]]:
        """The pool, and where is noted what it was given."""
        with self._opening:
            if self._pool is not None and not self._pool.active:
                # In a thread: this may be one of the pool's own, which it would wait for.
                threading.Thread(target=_end, args=[self._pool], daemon=True).start()
                self._pool = None
            if self._pool is None:
                self._pool = ProcessPool(
                    max_workers=self.limits.processes,
                    initializer=_limit_memory,
                    initargs=[self.limits.memory_bytes],
                    context=get_context("spawn"),
                )
                self._given = set()
                watched = (self._pool, self._given)
                threading.Thread(target=_answer_when_broken, args=watched, daemon=True).start()
            return self._pool, self._given

    def _retry(self, call: "_Call", record: pa.RecordBatch, error: Exception) -> pa.RecordBatch:
        """Gives a record that stands alone further tries, each in a fresh child.

        A child can also die for no fault of the record: the system was short of memory, or somebody
        killed it. A record is given up only when it kills every child that takes it, or when it ran
        out of time alone: limits are many times what honest work takes, and each further try would
        hold up everything behind it for as long again.
        """
        if isinstance(error, FutureTimeout):
            return call.on_failure(record, *self._explain(error, self._allowed_s(call, record)))
        for _ in range(_TRIES - 1):
            try:
                return _from_ipc(self._wait(call, record, self._submit(call, record)))
            except (ProcessExpired, MemoryError) as again:
                error = again
            except FutureTimeout as again:
                error = again
                break
        return call.on_failure(record, *self._explain(error, self._allowed_s(call, record)))

    def _submit(self, call: "_Call", batch: pa.RecordBatch) -> Future[bytes]:
        if call.closings != self._closings:
            raise RuntimeError(_CLOSED)
        if not batch.num_rows:
            done: Future[bytes] = Future()
            done.set_result(_to_ipc(call.function(batch)))
            return done
        args = (call.function, _to_ipc(batch))
        return self._schedule(_call, args, self._allowed_s(call, batch))

    def _schedule(
        self, function: Callable[..., Any], args: tuple[Any, ...], timeout_s: float
    ) -> Future[Any]:
        """Gives work to the pool; to another where this one breaks meanwhile."""
        for _ in range(_POOLS):
            pool, given = self._opened()
            try:
                future: Future[Any] = pool.schedule(function, args=args, timeout=timeout_s)
            except RuntimeError as error:
                broken = error
            else:
                setattr(future, _BEGUN, time.monotonic())
                given.add(future)
                future.add_done_callback(given.discard)
                return future
        raise _no_child_lives(broken)

    def _wait(self, call: "_Call", batch: pa.RecordBatch, future: Future[bytes]) -> bytes:
        """The result of a batch, given again where its pool broke or the clock was set forward.

        Pebble measures by the clock on the wall: a time-out that comes before its time is none.
        """
        begun, pools, jumps = getattr(future, _BEGUN, 0.0), 0, 0
        while True:
            try:
                return future.result()
            except BrokenProcessPool as error:
                pools += 1
                if pools == _POOLS:
                    raise _no_child_lives(error) from error
            except FutureTimeout:
                jumps += 1
                is_early = time.monotonic() - begun < _EARLY * self._allowed_s(call, batch)
                if not is_early or jumps == _JUMPS:
                    raise
            begun = time.monotonic()
            future = self._submit(call, batch)

    def _allowed_s(self, call: "_Call", batch: pa.RecordBatch) -> float:
        limit: float = self.limits.batch_timeout_s + self.limits.record_timeout_s * batch.num_rows
        return limit if call.extra_s is None else limit + float(call.extra_s(batch))

    def _finish(
        self, call: "_Call", batch: pa.RecordBatch, future: Future[bytes]
    ) -> pa.RecordBatch:
        try:
            result = _from_ipc(self._wait(call, batch, future))
        except (ProcessExpired, FutureTimeout, MemoryError) as error:
            return self._bisect(call, batch, error)
        assert result.num_rows == batch.num_rows, f"{call.function} must keep its rows"
        return result

    def _bisect(self, call: "_Call", batch: pa.RecordBatch, error: Exception) -> pa.RecordBatch:
        if batch.num_rows == 1:
            return self._retry(call, batch, error)
        half = batch.num_rows // 2
        halves = [batch.slice(0, half), batch.slice(half)]
        done = [self._finish(call, piece, self._submit(call, piece)) for piece in halves]
        return pa.Table.from_batches(done).combine_chunks().to_batches()[0]

    def _explain(self, error: Exception, allowed_s: float) -> tuple[str, str]:
        if isinstance(error, FutureTimeout):
            return TIMED_OUT, f"took longer than {allowed_s:g} s"
        if isinstance(error, MemoryError):
            return OUT_OF_MEMORY, f"needed more than {self.limits.memory_bytes} bytes"
        return CRASHED, f"its process ended with exit code {getattr(error, 'exitcode', None)}"


@dataclass(frozen=True, slots=True)
class _Call:
    """What `map` was asked for."""

    function: BatchFunction
    on_failure: FailureRow
    extra_s: Callable[[pa.RecordBatch], float] | None
    closings: int
    """How often the children had been closed when this began."""


@dataclass(frozen=True, slots=True)
class _SingleCall:
    """What `call` was asked for."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    timeout_s: float
    result: "Future[Any]"
    closings: int
    """How often the children had been closed when this was asked for."""

    def settle(self, result: object, failed: Exception | None) -> None:
        """Gives the result, or what was raised, to whoever still waits for it."""
        if not self.result.set_running_or_notify_cancel():
            return
        if failed is not None:
            self.result.set_exception(failed)
        else:
            self.result.set_result(result)


def _end(pool: ProcessPool) -> None:
    pool.stop()
    pool.join()


def _answer_when_broken(pool: ProcessPool, given: set[Future[Any]]) -> None:
    """Waits until a pool takes no more work, and answers what it left without an answer.

    Pebble answers what its manager of tasks knows of when a pool breaks, and not what was put in
    the queue before it at that moment.
    """
    while pool.active:
        time.sleep(_LOOK_S)
    time.sleep(_LOOK_S)  # the pool answers what it knows of itself
    for future in tuple(given):
        with suppress(InvalidStateError):  # answered this moment
            future.set_exception(BrokenProcessPool("the pool broke before this began"))


def _no_child_lives(error: Exception) -> RuntimeError:
    return RuntimeError(
        f"child processes end before they take any work, {_POOLS} times in a row ({error}); look "
        "for what kills them: the system's log names those that were killed for want of memory"
    )


def _is_of_pool(error: BaseException) -> bool:
    """Whether a time-out is Pebble's (5.1 and on), and not one that the function raised."""
    return error.args[:1] == ("Task timeout",)


def _call(function: BatchFunction, data: bytes) -> bytes:
    """Runs in the child."""
    try:
        return _to_ipc(function(_from_ipc(data)))
    except TimeoutError as error:  # of a store, say; a bare one would be taken for the pool's
        raise ConnectionError(f"timed out: {error}") from error


def _to_ipc(batch: pa.RecordBatch) -> bytes:
    """An Arrow stream of one batch; unlike a pickle it leaves out what a slice does not show."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _from_ipc(data: bytes) -> pa.RecordBatch:
    with pa.ipc.open_stream(data) as reader:
        return reader.read_next_batch()


def _limit_memory(memory_bytes: int) -> None:
    # Not RLIMIT_AS: compilers and allocators reserve gigabytes of addresses that they never touch.
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:  # the user's own limit, above which none may be set
        memory_bytes = min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


_shared: dict[Limits, Children] = {}
_sharing = threading.Lock()


def shared_children(limits: Limits) -> Children:
    """The children of this process; all jobs of a worker share them."""
    with _sharing:
        if limits not in _shared:
            children = Children(limits)
            _shared[limits] = children
            # Not atexit, which processes started by multiprocessing skip: they would wait for ever
            # for children that nobody told to end.
            Finalize(None, children.close, exitpriority=10)
        return _shared[limits]

"""Child processes for library work that can crash, hang or eat memory.

Parsers and models are called in children owned by the worker, on Arrow batches, with limits on time
and memory. A child that dies or overruns costs its batch, which is halved until the one
poison record stands alone; that record becomes whatever `on_failure` makes of it, with the reason,
and all others are done as if nothing had happened. The same children use all cores of a laptop,
where the Beam worker itself is one process. The pool is Pebble's, which can kill and replace a
child that hangs; the pools of the standard library break as a whole. Besides batches, single calls
can be made in the children (`Children.call`), from any thread.
"""

import os
import resource
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.util import Finalize
from typing import Any, Final, TypeVar

import pyarrow as pa
from pebble import ProcessExpired, ProcessPool

BatchFunction = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Gives one row for each row; importable by name, so that it can travel."""

FailureRow = Callable[[pa.RecordBatch, str, str], pa.RecordBatch]
"""(the one record, reason, message) -> its one row of output."""

CRASHED: Final = "crashed"
TIMED_OUT: Final = "timed_out"
OUT_OF_MEMORY: Final = "out_of_memory"

_TRIES: Final = 3
"""Children that a record must kill before it is given up."""

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


def default_processes() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0))


class Children:
    """Runs row-aligned functions over batches in child processes, keeping their order."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._pool: ProcessPool | None = None
        self._opening = threading.Lock()
        self._waiting: set[Future[Any]] = set()

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
        """
        call = _Call(function, on_failure, extra_s)
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
        self._try_call(self._opened(), _SingleCall(function, args, timeout_s, result), 1)
        return result

    def _try_call(self, pool: ProcessPool, call: "_SingleCall", number: int) -> None:
        def settle(done: Future[Any]) -> None:
            result: Any = None
            failed: Exception | None = None
            try:
                result = done.result()
            except (ProcessExpired, MemoryError) as error:
                if number < _TRIES:
                    return self._try_call(pool, call, number + 1)
                failed = ChildFailed(*self._explain(error, call.timeout_s))
            except FutureTimeout as error:
                failed = ChildFailed(*self._explain(error, call.timeout_s))
            except (CancelledError, BrokenProcessPool) as error:
                failed = RuntimeError(_CLOSED)
                failed.__cause__ = error
            except Exception as error:  # of the function
                failed = error
            return call.settle(result, failed)

        try:
            future = pool.schedule(call.function, args=call.args, timeout=call.timeout_s)
        except RuntimeError:  # closed between two tries
            call.settle(None, RuntimeError(_CLOSED))
            return
        future.add_done_callback(settle)
        call.result.add_done_callback(lambda ended: future.cancel() if ended.cancelled() else None)

    def close(self) -> None:
        """Ends the children."""
        with self._opening:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()
            pool.join()
        for result in tuple(self._waiting):
            # Pebble leaves what waits in a stopped pool waiting.
            if result.set_running_or_notify_cancel():
                result.set_exception(RuntimeError(_CLOSED))

    def _opened(self) -> ProcessPool:
        with self._opening:
            if self._pool is None:
                self._pool = ProcessPool(
                    max_workers=self.limits.processes,
                    initializer=_limit_memory,
                    initargs=[self.limits.memory_bytes],
                    context=get_context("spawn"),
                )
            return self._pool

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
                return _from_ipc(self._submit(call, record).result())
            except (ProcessExpired, MemoryError) as again:
                error = again
            except FutureTimeout as again:
                error = again
                break
        return call.on_failure(record, *self._explain(error, self._allowed_s(call, record)))

    def _submit(self, call: "_Call", batch: pa.RecordBatch) -> Future[bytes]:
        if not batch.num_rows:
            done: Future[bytes] = Future()
            done.set_result(_to_ipc(call.function(batch)))
            return done
        future: Future[bytes] = self._opened().schedule(
            _call, args=[call.function, _to_ipc(batch)], timeout=self._allowed_s(call, batch)
        )
        return future

    def _allowed_s(self, call: "_Call", batch: pa.RecordBatch) -> float:
        limit: float = self.limits.batch_timeout_s + self.limits.record_timeout_s * batch.num_rows
        return limit if call.extra_s is None else limit + float(call.extra_s(batch))

    def _finish(
        self, call: "_Call", batch: pa.RecordBatch, future: Future[bytes]
    ) -> pa.RecordBatch:
        try:
            result = _from_ipc(future.result())
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


@dataclass(frozen=True, slots=True)
class _SingleCall:
    """What `call` was asked for."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    timeout_s: float
    result: "Future[Any]"

    def settle(self, result: object, failed: Exception | None) -> None:
        """Gives the result, or what was raised, to whoever still waits for it."""
        if not self.result.set_running_or_notify_cancel():
            return
        if failed is not None:
            self.result.set_exception(failed)
        else:
            self.result.set_result(result)


def _call(function: BatchFunction, data: bytes) -> bytes:
    """Runs in the child."""
    return _to_ipc(function(_from_ipc(data)))


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

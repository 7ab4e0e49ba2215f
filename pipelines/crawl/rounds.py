"""From one round to the next: what the crawl has found so far, read from committed files alone.

A *pass* is one visit of all that a crawl knows. Within a pass each address is asked for at most
once as a page and once as a sitemap; only what a busy host had no time for, and was not asked for,
comes up again, `MAX_TURNS` times in all. A further pass begins like a crawl of its own, from the
seeds and from what the pass before has fetched, each with what is held of it, so that a server may
say that nothing has changed. What could not be had for a reason that passes (a time-out, a status
of 500 and above) is tried again; what is gone, refused or not wanted is not, unless a page that
changed links to it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.crawl.fetches import PSEUDONYM
from pipelines.crawl.known import KNOWN, address_keys, files_of, merged_rounds
from pipelines.crawl.planning import FOUND, Batches, Sources
from pipelines.crawl.schema import FETCHED, FRONTIER, PAGE, PLANNED, SITEMAP, WAITING
from pipelines.crawl.targets import DEFERRED
from pipelines.workspace.ledger import Entry
from pipelines.workspace.parts import read_batches
from pipelines.workspace.storage import Storage

MAX_TURNS: Final = 3
"""Rounds in which an address may come up that its host has no time for."""
_ASKED_AS: Final = pa.array([PAGE, SITEMAP])
_PASSING: Final = pa.array(
    [
        "connection_failed",
        "host_busy",
        "host_unresponsive",
        "robots_unreachable",
        "timed_out",
        "truncated_body",
        "unreachable_host",
    ]
)
"""Reasons that say nothing of the page; see `visits.REASONS`."""
_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Rounds:
    """The rounds of a crawl that are planned."""

    entries: tuple[Entry, ...]
    """In their order; `part` of each is its number in the crawl."""

    @property
    def last(self) -> Entry:
        """The one that was planned last."""
        return self.entries[-1]

    @property
    def pass_number(self) -> int:
        """Of the last round's pass, from 1; 0 before the first round."""
        return int(self.last.detail["pass"]) if self.entries else 0

    @property
    def of_pass(self) -> tuple[Entry, ...]:
        """The rounds of that pass."""
        return tuple(e for e in self.entries if e.detail["pass"] == self.pass_number)

    @property
    def is_pass_over(self) -> bool:
        """Whether nothing is left to ask for; also before the first round."""
        return not self.entries or not self.last.counts[PLANNED]

    def before(self, part: int) -> "Rounds":
        """Those up to the round of a part."""
        return Rounds(tuple(e for e in self.entries if e.detail["first_part"] <= part))


def first_sources(
    storage: Storage, rounds: Rounds, done: Sequence[Entry], seeds: Iterable[tuple[str, str]]
) -> Sources:
    """What the first round of a pass is planned from.

    Args:
        storage: The workspace's folder.
        rounds: All so far.
        done: Entries of all parts of the last pass, in their order; none before the first pass.
        seeds: (url, kind).
    """
    rows = [(url, kind, 0) for url, kind in seeds]
    again = (batch for entry in done for batch in _asked_again(storage, entry))
    return Sources(
        number=len(rounds.entries),
        found=_chain([_found_rows(rows)], again),
        carried=(),
        reached=(),
        known=lambda: (),
        admitted={PAGE: 0, SITEMAP: 0},
    )


def next_sources(storage: Storage, rounds: Rounds, done: Sequence[Entry]) -> Sources:
    """What a further round of a pass is planned from.

    Args:
        storage: The workspace's folder.
        rounds: All so far.
        done: Entries of all parts of the last round.
    """
    of_pass = rounds.of_pass
    numbers = files_of(len(of_pass))
    return Sources(
        number=len(rounds.entries),
        found=(batch for entry in done for batch in _links(storage, entry)),
        carried=_carried(storage, rounds.last, done),
        reached=(batch for entry in done for batch in _redirects(storage, entry)),
        known=partial(_known, storage, [of_pass[number - 1] for number in numbers]),
        admitted=rounds.last.detail["admitted"],
    )


def earlier_known(storage: Storage, of_pass: Sequence[Entry]) -> Batches:
    """KNOWN rows that the file of the round after these takes in."""
    return _known(storage, [of_pass[number - 1] for number in merged_rounds(len(of_pass) + 1)])


def _chain(*some: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batches in some:
        yield from batches


def _known(storage: Storage, entries: Iterable[Entry]) -> Iterator[pa.RecordBatch]:
    for entry in entries:
        for batch in read_batches(storage, entry.file("known"), batch_rows=1 << 16):
            yield batch.cast(KNOWN)


def _links(storage: Storage, entry: Entry) -> Iterator[pa.RecordBatch]:
    for batch in read_batches(storage, entry.file("links"), batch_rows=1 << 15):
        held = pa.nulls(batch.num_rows, FOUND.field("held").type)
        columns = [batch.column(name) for name in FOUND.names[:-1]]
        found = pa.RecordBatch.from_arrays([*columns, held], schema=FOUND)
        yield found.filter(_standing(found.column("url")))


def _found_rows(rows: Sequence[tuple[str, str, int]], held: Any = None) -> pa.RecordBatch:  # noqa: ANN401 - pyarrow has no types
    """FOUND rows of (url, kind, depth)."""
    urls = [url for url, _, _ in rows]
    hosts, host_keys, url_keys = address_keys(urls)
    columns = [
        pa.array(urls, pa.string()),
        pa.array([kind for _, kind, _ in rows], pa.string()),
        pa.array([depth for _, _, depth in rows], pa.int32()),
        pa.array(hosts, pa.string()),
        pa.array(host_keys),
        pa.array(url_keys),
        pa.nulls(len(rows), FOUND.field("held").type) if held is None else held,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=FOUND)


def _redirects(storage: Storage, entry: Entry) -> Iterator[pa.RecordBatch]:
    """FOUND rows of where a part's redirects led."""
    names = ["url", "final_url", "kind"]
    for batch in read_batches(storage, entry.file("fetches"), names):
        led = pc.fill_null(pc.not_equal(batch.column("final_url"), batch.column("url")), False)
        led = pc.and_(led, pc.is_in(batch.column("kind"), _ASKED_AS))
        led = pc.and_(led, _standing(batch.column("url")))
        some = batch.filter(led)
        columns = (some.column(name).to_pylist() for name in ("final_url", "kind"))
        yield _found_rows([(url, kind, 0) for url, kind in zip(*columns, strict=True)])


def _asked_again(storage: Storage, entry: Entry) -> Iterator[pa.RecordBatch]:
    """FOUND rows of what a part fetched, or may be had another time, with what is held of it."""
    names = ["url", "kind", "depth", "outcome", "reason", "status", "held"]
    for batch in read_batches(storage, entry.file("fetches"), names):
        status = pc.fill_null(batch.column("status"), 0)
        may_pass = pc.or_(
            pc.is_in(batch.column("reason"), _PASSING),
            pc.or_(pc.equal(status, _TOO_MANY_REQUESTS), pc.greater_equal(status, _SERVER_ERROR)),
        )
        wanted = pc.or_(pc.equal(batch.column("outcome"), FETCHED), may_pass)
        wanted = pc.and_(wanted, _standing(batch.column("url")))
        some = batch.filter(pc.and_(wanted, pc.is_in(batch.column("kind"), _ASKED_AS)))
        columns = (some.column(name).to_pylist() for name in ("url", "kind", "depth"))
        yield _found_rows(list(zip(*columns, strict=True)), some.column("held"))


def _carried(storage: Storage, last: Entry, done: Sequence[Entry]) -> Iterator[pa.RecordBatch]:
    """FRONTIER rows that a round leaves to the next: what waits, and what hosts had no time for."""
    deferred = _deferred(storage, done)
    for batch in read_batches(storage, last.file("frontier"), batch_rows=1 << 15):
        batch = batch.cast(FRONTIER)
        state = batch.column("state")
        waits = pc.equal(state, WAITING)
        if len(deferred):
            keys = _keys_of(batch.column("url_key").to_numpy(), batch.column("kind"))
            among = pa.array(np.isin(keys, deferred))
            again = pc.and_(pc.equal(state, PLANNED), among)
            again = pc.and_(again, pc.less(batch.column("turn"), MAX_TURNS - 1))
            turn = pc.add(batch.column("turn"), again.cast(pa.int32()))
            batch = batch.set_column(FRONTIER.names.index("turn"), FRONTIER.field("turn"), turn)
            waits = pc.or_(waits, again)
        waits = pc.and_(waits, _standing(batch.column("url")))
        if pc.any(waits).as_py():
            yield batch.filter(waits)


def _standing(urls: pa.StringArray) -> pa.BooleanArray:
    """Which addresses were not erased: bool[n]."""
    return pc.invert(pc.starts_with(urls, PSEUDONYM))


def _deferred(storage: Storage, done: Sequence[Entry]) -> npt.NDArray[np.uint64]:
    """Keys (see `_keys_of`) of what a round did not ask for, as the hosts were busy; sorted."""
    found: list[npt.NDArray[np.uint64]] = []
    for entry in done:
        reasons = {**entry.detail["reasons"], **entry.detail["sitemaps"]}
        if not any(reason in reasons for reason in DEFERRED):
            continue
        for batch in read_batches(storage, entry.file("fetches"), ["url", "kind", "reason"]):
            some = batch.filter(pc.is_in(batch.column("reason"), pa.array(DEFERRED)))
            _, _, keys = address_keys(some.column("url").to_pylist())
            found.append(_keys_of(keys, some.column("kind")))
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.uint64)


def _keys_of(keys: npt.NDArray[np.uint64], kinds: pa.Array) -> npt.NDArray[np.uint64]:
    """uint64[n]: the hash of an address, with another last bit where it is a sitemap."""
    is_sitemap = pc.equal(kinds, SITEMAP).to_numpy(zero_copy_only=False)
    marked: npt.NDArray[np.uint64] = keys ^ is_sitemap.astype(np.uint64)
    return marked

"""What a round of a crawl asks for: sets of addresses joined and sorted in duckdb, out of memory.

A crawl knows many more addresses than it holds pages. So no address is a Python object here: what
the last round found, what it left waiting and all that is known flow as Arrow batches through a few
statements of SQL, which spill to disk beyond `MEMORY`. Every order is total, so that the plan is a
function of what is read, whatever the number of threads.

The rules. An address is *fresh* when nothing has named it before in this pass: neither a round nor
a redirect; what is a sitemap is no page as well, though pages link to it. Fresh addresses are
admitted by depth, then by hash: `max_pages_per_host` of a host and `max_pages` of all, in a pass;
those beyond are left over for good, and what is admitted stays so. A hash and not the alphabet,
because a limit should take a fair sample of hosts and paths, and because a trap that makes
thousands of neighbours should not push out all that stands behind it. Of what is admitted, a host
gives `HOST_TARGETS` a round, by depth, then by the round that found them, then by hash; the others
wait. Sitemaps have limits of the same size, apart.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.crawl.known import ADMITTED, KNOWN, LED_TO, LEFT_OVER
from pipelines.crawl.schema import (
    FRONTIER,
    HELD,
    LINKS,
    OVER_HOST_PAGES,
    OVER_MAX_PAGES,
    PAGE,
    PLANNED,
    REACHED,
    SITEMAP,
    WAITING,
)

HOST_TARGETS: Final = {PAGE: 500, SITEMAP: 20}
"""Addresses of a host that one round takes, by kind. A part is the unit of what is lost when a
worker dies, and 500 pages are some ten minutes at one request a second."""
PART_HOSTS: Final = 64
"""Hosts of a part; all are visited side by side."""
PART_TARGETS: Final = 2000
"""Addresses of a part, unless one host has more."""
MEMORY: Final = "512MiB"
"""What duckdb may hold; more goes to disk."""
_THREADS: Final = 2  # each has buffers of its own; planning is a second of a round of minutes
_BATCH_ROWS: Final = 1 << 15

FOUND: Final = LINKS.append(pa.field("held", HELD))
"""Rows of what may be asked for; of links `held` is null."""

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a round is planned from."""

    number: int
    """Of the round, within the crawl."""
    found: Batches
    """FOUND rows; an address may stand there several times."""
    carried: Batches
    """FRONTIER rows that are admitted and still to be asked for."""
    reached: Batches
    """FOUND rows of where redirects led; some may be known."""
    known: Callable[[], Batches]
    """Reads KNOWN rows of the pass so far; called twice."""
    admitted: Mapping[str, int]
    """Kind -> addresses admitted in the pass so far."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Most addresses of each kind in a pass."""

    pages: int
    pages_of_host: int


class RoundPlan:
    """What a round does, in the tables of a connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, num_parts: int) -> None:
        self._connection = connection
        self.num_parts = num_parts

    @property
    def counts(self) -> dict[str, int]:
        """Equation: candidates = planned + waiting + over_max_pages_per_host + over_max_pages."""
        found = dict(_all(self._connection, "select state, count(*) from frontier group by state"))
        states = (PLANNED, WAITING, OVER_HOST_PAGES, OVER_MAX_PAGES)
        counts = {state: int(found.get(state, 0)) for state in states}
        return {
            "candidates": sum(counts.values()),
            **counts,
            REACHED: int(found.get(REACHED, 0)),
        }

    @property
    def admitted(self) -> dict[str, int]:
        """Kind -> addresses that this round admitted."""
        found = dict(_all(self._connection, _NUM_ADMITTED))
        return {kind: int(found.get(kind, 0)) for kind in HOST_TARGETS}

    def rows(self) -> Iterator[pa.RecordBatch]:
        """FRONTIER rows: the parts in their order, then what waits, is left over or was reached."""
        for batch in _stream(self._connection, _FRONTIER_ROWS):
            yield _as(batch, FRONTIER)

    def known(self, earlier: Batches) -> Iterator[pa.RecordBatch]:
        """KNOWN rows, sorted: what this round met first, with that of earlier rounds.

        Args:
            earlier: KNOWN rows.
        """
        _register(self._connection, "earlier", KNOWN, earlier)
        for batch in _stream(self._connection, _KNOWN_ROWS):
            yield _as(batch, KNOWN)


@contextmanager
def plan_round(
    sources: Sources, budgets: Budgets, folder: Path, first_part: int
) -> Iterator[RoundPlan]:
    """Decides what a round asks for.

    Args:
        sources: What is known.
        budgets: Limits of the pass.
        folder: Fresh, on a local disk, for what does not fit into memory.
        first_part: Number of the first part.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": _THREADS,
        "temp_directory": str(folder),
        "preserve_insertion_order": False,
    }
    with duckdb.connect(config=settings) as connection:
        connection.execute("set TimeZone = 'UTC'")
        _register(connection, "links", FOUND, sources.found)
        _register(connection, "carried", FRONTIER, sources.carried)
        _register(connection, "redirects", FOUND, sources.reached)
        connection.execute(_FOUND)
        _register(connection, "known", KNOWN, sources.known())
        connection.execute(_FRESH)
        _register(connection, "known", KNOWN, sources.known())
        _execute(connection, _LIMIT_HOSTS, {"limit": budgets.pages_of_host})
        for kind, admitted in sources.admitted.items():
            _limit_all(connection, kind == SITEMAP, budgets.pages - admitted)
        _execute(
            connection,
            _TURNS,
            {
                "number": sources.number,
                "pages": HOST_TARGETS[PAGE],
                "sitemaps": HOST_TARGETS[SITEMAP],
            },
        )
        hosts = connection.sql(_HOSTS).to_arrow_table()
        parts = pack(hosts.column("num").to_numpy())
        placed = pa.table({"host_key": hosts.column("host_key"), "part": parts + first_part})
        connection.register("parts", placed)
        connection.execute(_PLACED)
        yield RoundPlan(connection, int(parts.max(initial=-1)) + 1)


def _limit_all(connection: duckdb.DuckDBPyConnection, is_sitemap: bool, room: int) -> None:
    """Notes as left over what of one kind is beyond the room that a pass still has.

    Where the room ends is found by counting, first by depth, then by the first bits of the hashes:
    sorting all that is fresh would cost more than all else.
    """
    values: dict[str, Any] = {"is_sitemap": is_sitemap}
    depth, inside = _where_it_ends(connection.execute(_DEPTHS, values).fetchall(), max(0, room))
    if depth is None:
        return
    values["depth"] = depth
    found = connection.execute(_STRETCHES, values).fetchall()
    stretch, inside = _where_it_ends(found, inside)
    keys = connection.execute(_IN_STRETCH, values | {"stretch": stretch}).fetchmany(inside + 1)
    url_key, host_key = keys[inside]  # the first that is beyond
    values |= {"url_key": url_key, "host_key": host_key}
    connection.execute(_LIMIT_ALL, values)


def _where_it_ends(sizes: Sequence[tuple[int, int]], room: int) -> tuple[int | None, int]:
    """Of (value, number of addresses), the value in which a room ends, and what is left of it.

    >>> _where_it_ends([(0, 5), (1, 7)], 6), _where_it_ends([(0, 5), (1, 7)], 12)
    ((1, 1), (None, 0))
    """
    for value, size in sizes:
        if room < size:
            return value, room
        room -= size
    return None, room


def pack(sizes: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Numbers of parts of whole hosts, from 0.

    Args:
        sizes: Addresses of each host, in the order of their names; n of them.

    Returns:
        int32[n], ascending.
    """
    parts = np.zeros(len(sizes), np.int32)
    part, num_hosts, num_targets = 0, 0, 0
    for host, size in enumerate(np.asarray(sizes, np.int64).tolist()):
        if num_hosts and (num_hosts == PART_HOSTS or num_targets + size > PART_TARGETS):
            part, num_hosts, num_targets = part + 1, 0, 0
        parts[host] = part
        num_hosts, num_targets = num_hosts + 1, num_targets + size
    return parts


def _execute(connection: duckdb.DuckDBPyConnection, script: str, values: Mapping[str, int]) -> None:
    """Runs statements, each with those of the values that it names."""
    for statement in connection.extract_statements(script):
        named = {name: values[name] for name in statement.named_parameters}
        connection.execute(statement, named)


def _register(
    connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, batches: Batches
) -> None:
    connection.register(name, pa.RecordBatchReader.from_batches(schema, iter(batches)))


def _stream(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    yield from connection.sql(query).to_arrow_reader(_BATCH_ROWS)


def _as(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A batch of duckdb's in our own types; it has no binary of fixed size, and all is nullable."""
    columns = [
        _held(batch.column(field.name)) if field.type == HELD else batch.column(field.name)
        for field in schema
    ]
    types = [HELD if field.type == HELD else field.type for field in schema]
    cast = [column.cast(kind) for column, kind in zip(columns, types, strict=True)]
    return pa.RecordBatch.from_arrays(cast, schema=schema)


def _held(column: pa.StructArray) -> pa.StructArray:
    fields = [column.field(i).cast(field.type) for i, field in enumerate(HELD)]
    return pa.StructArray.from_arrays(fields, fields=list(HELD), mask=column.is_null())


def _all(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


# What was found, each address once; and what redirects led to.
_FOUND: Final = f"""
create temp table found as
    select host_key, url_key, kind = '{SITEMAP}' as is_sitemap, any_value(host) as host,
        any_value(url) as url, min(depth) as depth, any_value(held) as held
    from links group by host_key, url_key, kind;
create temp table led_to as
    select host_key, url_key, kind = '{SITEMAP}' as is_sitemap, any_value(host) as host,
        any_value(url) as url, min(depth) as depth
    from redirects group by host_key, url_key, kind;
create temp table candidates as
    select host_key, url_key from found union select host_key, url_key from led_to;
"""

_FRESH: Final = """
create temp table seen as
    select distinct host_key, url_key, is_sitemap
    from known semi join candidates using (host_key, url_key);
create temp table reached as
    select * from led_to anti join seen using (host_key, url_key, is_sitemap);
create temp table named as
    select host_key, url_key, is_sitemap from seen
    union select host_key, url_key, is_sitemap from reached;
create temp table excluded as
    select host_key, url_key, is_sitemap from named
    union select host_key, url_key, false from named where is_sitemap
    union select host_key, url_key, false from found where is_sitemap;
create temp table fresh as
    select * from found anti join excluded using (host_key, url_key, is_sitemap);
drop table found;
"""

# What is beyond the limit of its host. Only hosts that have too many are ranked: a window over all
# that is fresh would have to fit into memory.
_LIMIT_HOSTS: Final = f"""
create temp table taken as
    select host_key, is_sitemap, count(*) as num
    from known semi join (select distinct host_key from fresh) using (host_key)
    where standing = {ADMITTED} group by host_key, is_sitemap;
create temp table crowded as
    select host_key, is_sitemap, coalesce(any_value(taken.num), 0) as num
    from fresh left join taken using (host_key, is_sitemap)
    group by host_key, is_sitemap having count(*) + coalesce(any_value(taken.num), 0) > $limit;
create temp table beyond as
    select host_key, url_key, is_sitemap, '{OVER_HOST_PAGES}' as state from (
        select host_key, url_key, is_sitemap, num + row_number() over (
            partition by host_key, is_sitemap order by depth, url_key) as place
        from fresh join crowded using (host_key, is_sitemap))
    where place > $limit;
create temp view within as
    select host_key, url_key, is_sitemap, depth
    from fresh anti join beyond using (host_key, url_key, is_sitemap);
"""

_DEPTHS: Final = """
select depth, count(*) as num from within where is_sitemap = $is_sitemap group by depth
order by depth
"""

# Of addresses of one depth, by the first 16 bits of their hashes; then those of one such stretch.
_STRETCHES: Final = """
select url_key >> 48 as stretch, count(*) as num from within
where is_sitemap = $is_sitemap and depth = $depth group by stretch order by stretch
"""
_IN_STRETCH: Final = """
select url_key, host_key from within
where is_sitemap = $is_sitemap and depth = $depth and url_key >> 48 = $stretch
order by url_key, host_key
"""

_LIMIT_ALL: Final = f"""
insert into beyond
    select host_key, url_key, is_sitemap, '{OVER_MAX_PAGES}' from within
    where is_sitemap = $is_sitemap
        and (depth > $depth or (depth = $depth and (url_key, host_key) >= ($url_key, $host_key)));
"""

_TURNS: Final = f"""
create temp table queue as
    select host_key, url_key, kind = '{SITEMAP}' as is_sitemap, host, url, depth, found, turn, held,
        null::varchar as state, false as is_fresh
    from carried
    union all
    select host_key, url_key, is_sitemap, host, url, depth, $number as found, 0 as turn, held,
        state, true as is_fresh
    from fresh left join beyond using (host_key, url_key, is_sitemap);
drop table fresh cascade;
create temp table later as
    select host_key, url_key, is_sitemap, '{WAITING}' as place from (
        select host_key, url_key, is_sitemap, row_number() over (
            partition by host_key, is_sitemap order by depth, found, url_key) as turn_of_host
        from queue semi join (
            select host_key, is_sitemap from queue where state is null
            group by host_key, is_sitemap
            having count(*) > case when is_sitemap then $sitemaps else $pages end)
        using (host_key, is_sitemap) where state is null)
    where turn_of_host > case when is_sitemap then $sitemaps else $pages end;
"""

_HOSTS: Final = """
select host_key, any_value(host) as host, count(*) as num
from queue anti join later using (host_key, url_key, is_sitemap) where state is null
group by host_key order by host, host_key
"""

_PLACED: Final = f"""
create temp view frontier as
    select coalesce(state, place, '{PLANNED}') as state,
        case when coalesce(state, place) is null then parts.part end as part,
        host, url, case when is_sitemap then '{SITEMAP}' else '{PAGE}' end as kind,
        depth, found, turn, host_key, url_key, held, is_fresh
    from queue left join later using (host_key, url_key, is_sitemap)
        left join parts using (host_key)
    union all
    select '{REACHED}', null, host, url, case when is_sitemap then '{SITEMAP}' else '{PAGE}' end,
        depth, 0, 0, host_key, url_key, null, true
    from reached;
"""

_NUM_ADMITTED: Final = f"""
select kind, count(*) from frontier
where is_fresh and state in ('{PLANNED}', '{WAITING}') group by kind
"""

_FRONTIER_ROWS: Final = f"""
select * exclude (is_fresh) from frontier
order by case state when '{PLANNED}' then 0 when '{WAITING}' then 1
    when '{OVER_HOST_PAGES}' then 2 when '{OVER_MAX_PAGES}' then 3 else 4 end,
    part, host, kind = '{PAGE}', depth, found, url
"""

_KNOWN_ROWS: Final = f"""
select host_key, url_key, is_sitemap, standing from earlier
union all
select host_key, url_key, kind = '{SITEMAP}',
    case state when '{PLANNED}' then {ADMITTED} when '{WAITING}' then {ADMITTED}
    when '{REACHED}' then {LED_TO} else {LEFT_OVER} end
from frontier where is_fresh
order by host_key, url_key, is_sitemap
"""

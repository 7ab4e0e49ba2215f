"""What a round asks for, against a plan made the slow way: one Python object an address."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.crawl import planning
from pipelines.crawl.frontier import part_targets, write_frontier, write_known
from pipelines.crawl.known import (
    ADMITTED,
    GROUP_ROWS,
    KNOWN,
    LED_TO,
    KnownUrls,
    address_keys,
    files_of,
    host_key,
    known_of_hosts,
    merged_rounds,
)
from pipelines.crawl.planning import FOUND, Budgets, RoundPlan, Sources, pack, plan_round
from pipelines.crawl.schema import FRONTIER, HELD
from pipelines.crawl.targets import Target
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.storage import Storage

AMPLE = Budgets(10_000, 10_000)
Address = tuple[str, str, int]  # url, kind, depth


def page(host: int, number: int, depth: int = 1, kind: str = "page") -> Address:
    return f"http://h{host:03d}.example/{number:05d}", kind, depth


def found_batch(addresses: Sequence[Address]) -> pa.RecordBatch:
    urls = [url for url, _, _ in addresses]
    hosts, host_keys, url_keys = address_keys(urls)
    columns = {
        "url": urls,
        "kind": [kind for _, kind, _ in addresses],
        "depth": [depth for _, _, depth in addresses],
        "host": hosts,
        "host_key": host_keys,
        "url_key": url_keys,
        "held": pa.nulls(len(urls), HELD),
    }
    return pa.RecordBatch.from_pydict(columns, schema=FOUND)


@contextmanager
def planned(
    folder: Path,
    found: Sequence[Address],
    *,
    reached: Sequence[Address] = (),
    carried: Iterable[pa.RecordBatch] = (),
    known: Sequence[pa.RecordBatch] = (),
    admitted: dict[str, int] | None = None,
    budgets: Budgets = AMPLE,
    number: int = 0,
) -> Iterator[RoundPlan]:
    sources = Sources(
        number=number,
        found=[found_batch(found[:3]), found_batch(found[3:])],
        carried=carried,
        reached=[found_batch(reached)],
        known=lambda: known,
        admitted=admitted or {"page": 0, "sitemap": 0},
    )
    with plan_round(sources, budgets, folder / "duckdb", 7) as plan:
        yield plan


def rows_of(plan: RoundPlan) -> list[dict[str, Any]]:
    return pa.Table.from_batches(plan.rows(), FRONTIER).to_pylist()


def by_state(rows: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["state"], []).append(row["url"])
    return found


def hashed(addresses: Iterable[Address]) -> list[Address]:
    """In the order in which they are admitted."""
    return sorted(addresses, key=lambda one: (one[2], int(address_keys([one[0]])[2][0])))


def slow_plan(found: Sequence[Address], budgets: Budgets, host_targets: int) -> dict[str, Any]:
    """State -> addresses, by the rules as they are told."""
    plan: dict[str, set[str]] = {}
    of_host: Counter[str] = Counter()
    num_admitted = 0
    for url, _, _ in hashed(found):
        host = url.split("/")[2]
        if of_host[host] >= budgets.pages_of_host:
            state = "over_max_pages_per_host"
        elif num_admitted >= budgets.pages:
            state = "over_max_pages"
            of_host[host] += 1  # it has had its place at the host
        else:
            num_admitted += 1
            of_host[host] += 1
            state = "planned" if of_host[host] <= host_targets else "waiting"
        plan.setdefault(state, set()).add(url)
    return plan


TARGETS = st.lists(
    st.builds(page, st.integers(0, 7), st.integers(0, 900), st.integers(0, 3)),
    unique_by=lambda target: target[0],
    min_size=10,
    max_size=100,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    TARGETS,
    st.integers(0, 200),
    st.integers(1, 4),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_a_plan_is_that_of_the_rules_in_whatever_order_links_come(
    tmp_path: Path,
    found: list[Address],
    max_pages: int,
    of_host: int,
    host_targets: int,
    chance: Random,
) -> None:
    budgets = Budgets(max_pages, of_host)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(planning.HOST_TARGETS, "page", host_targets)
        with planned(tmp_path, found, budgets=budgets) as plan:
            rows, counts = rows_of(plan), plan.counts
        again = [*found, *found[::3]]
        chance.shuffle(again)
        with planned(tmp_path, again, budgets=budgets) as plan:
            assert rows_of(plan) == rows
    states = by_state(rows)
    assert {s: set(urls) for s, urls in states.items()} == slow_plan(found, budgets, host_targets)
    assert counts["candidates"] == len(found) == len(rows)
    assert {s: len(urls) for s, urls in states.items()} == {
        state: n for state, n in counts.items() if n and state != "candidates"
    }
    parts = [(row["part"], row["host"]) for row in rows if row["state"] == "planned"]
    assert parts == sorted(parts)
    assert len({host for _, host in parts}) == len(set(parts))  # a host is in one part


def test_parts_are_cut_between_hosts_and_hold_so_many_of_them() -> None:
    assert pack([450] * 9).tolist() == [0] * 4 + [1] * 4 + [2]
    assert pack([5000, 1, 5000]).tolist() == [0, 1, 2]
    assert pack([1] * 130).tolist() == [0] * 64 + [1] * 64 + [2] * 2
    assert pack([]).tolist() == []


def test_what_waits_comes_by_depth_then_by_round_then_by_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(planning.HOST_TARGETS, "page", 4)
    targets = [page(1, number) for number in range(9)]
    with planned(tmp_path, targets) as plan:
        rows, keys = list(plan.rows()), list(plan.known(()))
    first = by_state(pa.Table.from_batches(rows).to_pylist())
    assert first["planned"] == sorted(url for url, _, _ in hashed(targets)[:4])
    waiting = [batch.filter(pa.compute.equal(batch.column("state"), "waiting")) for batch in rows]
    nearer, deeper = page(1, 20, depth=0), page(1, 21, depth=2)
    siblings = [page(1, number) for number in range(22, 30)]
    more = [nearer, deeper, *siblings, targets[3]]
    admitted = {"page": 9, "sitemap": 0}
    with planned(tmp_path, more, carried=waiting, known=keys, admitted=admitted, number=1) as plan:
        second = rows_of(plan)
        assert plan.admitted == {"page": 10, "sitemap": 0}
    assert by_state(second) == {
        "planned": [nearer[0], *sorted(url for url, _, _ in hashed(targets)[4:7])],
        "waiting": [
            *sorted(url for url, _, _ in hashed(targets)[7:]),
            *(url for url, _, _ in siblings),
            deeper[0],
        ],
    }
    assert {row["found"] for row in second} == {0, 1}


def test_known_and_reached_addresses_are_not_asked_for_and_a_sitemap_is_no_page(
    tmp_path: Path,
) -> None:
    with planned(tmp_path, [page(1, 1), page(1, 2)]) as plan:
        keys = list(plan.known(()))
    both = page(1, 5)
    more = [page(1, 1), page(1, 3), page(1, 4), both, (*both[:1], "sitemap", 0)]
    reached = [page(1, 3), page(1, 2), page(2, 9)]
    with planned(tmp_path, more, reached=reached, known=keys) as plan:
        states = by_state(rows_of(plan))
        table = pa.Table.from_batches(plan.known(keys), KNOWN).to_pylist()
    assert states == {
        "planned": [both[0], page(1, 4)[0]],  # sitemaps of a host come first
        "reached": [page(1, 3)[0], page(2, 9)[0]],
    }
    standing = {(row["url_key"], row["is_sitemap"]): row["standing"] for row in table}
    expected = {
        **{(url, False): ADMITTED for url in (page(1, 1)[0], page(1, 2)[0], page(1, 4)[0])},
        **{(url, False): LED_TO for url in (page(1, 3)[0], page(2, 9)[0])},
        (both[0], True): ADMITTED,
    }
    assert standing == {
        (int(address_keys([url])[2][0]), is_map): value for (url, is_map), value in expected.items()
    }


def test_limits_count_what_earlier_rounds_admitted(tmp_path: Path) -> None:
    with planned(tmp_path, [page(1, n) for n in range(3)]) as plan:
        keys = list(plan.known(()))
    more = [page(1, n) for n in range(3, 6)] + [page(2, n) for n in range(4)]
    admitted = {"page": 3, "sitemap": 0}
    with planned(tmp_path, more, known=keys, admitted=admitted, budgets=Budgets(100, 4)) as plan:
        assert {s: len(u) for s, u in by_state(rows_of(plan)).items()} == {
            "planned": 5,
            "over_max_pages_per_host": 2,
        }
    with planned(tmp_path, more, known=keys, admitted=admitted, budgets=Budgets(5, 100)) as plan:
        states = by_state(rows_of(plan))
    assert set(states["planned"]) == {url for url, _, _ in hashed(more)[:2]}
    assert len(states["over_max_pages"]) == 5


def entry_of_files(number: int, files: tuple[FileRef, ...]) -> Entry:
    detail = {"first_part": 7, "parts": 2}
    return Entry(
        job="crawl.frontier", fp="x", source="s", part=number, files=files, counts={}, detail=detail
    )


def test_a_part_reads_its_own_targets_back_with_what_is_held_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "PART_TARGETS", 3)
    storage = Storage(str(tmp_path))
    targets = [page(host, number) for host in (1, 2) for number in range(3)]
    with planned(tmp_path, targets, budgets=Budgets(5, 10)) as plan:
        ref = write_frontier(storage, plan.rows(), "frontier/x/round-00000")
    with planned(tmp_path, targets[::-1], budgets=Budgets(5, 10)) as plan:
        assert write_frontier(storage, plan.rows(), "frontier/x/round-00000") == ref
    entry = entry_of_files(0, (ref,))
    kept = {url for url, _, _ in hashed(targets)[:5]}
    for part, host in ((7, 1), (8, 2)):
        wanted = [Target(*one) for one in targets if one[0] in kept and f"h00{host}" in one[0]]
        assert part_targets(storage, entry, part) == {f"h00{host}.example": wanted}


def test_files_of_rounds_hold_each_key_once_and_few_are_read(tmp_path: Path) -> None:
    for number in range(1, 70):
        rounds = files_of(number)
        spans = [(n - (n & -n), n) for n in rounds]  # (after, up to)
        covered = [n for after, upto in spans for n in range(after + 1, upto + 1)]
        assert sorted(covered) == list(range(1, number + 1))
        assert len(rounds) <= number.bit_length()
        own = {number, *(n for m in merged_rounds(number) for n in range(m - (m & -m) + 1, m + 1))}
        assert own == set(range(number - (number & -number) + 1, number + 1))


def test_a_worker_reads_the_keys_of_its_hosts_from_few_row_groups(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    num_hosts = 40
    urls = [f"http://h{n % num_hosts}.example/{n}" for n in range(3 * GROUP_ROWS)]
    _, host_keys, url_keys = address_keys(urls)
    left_over = pa.array([n % 7 == 0 for n in range(len(urls))])
    table = pa.table(
        {
            "host_key": host_keys,
            "url_key": url_keys,
            "is_sitemap": pa.array([False] * len(urls)),
            "standing": pa.compute.if_else(left_over, 0, 1).cast(pa.uint8()),
        },
        schema=KNOWN,
    ).sort_by([("host_key", "ascending"), ("url_key", "ascending")])
    entry = entry_of_files(0, (write_known(storage, table.to_batches(1000), "frontier/k"),))
    for number in range(num_hosts):  # some end with a row group, some go on in the next
        (one,) = known_of_hosts(storage, [entry], [f"h{number}.example"]).values()
        assert len(one) == sum(n % 7 > 0 for n in range(number, len(urls), num_hosts))
    known = known_of_hosts(storage, [entry], ["h3.example", "h11.example", "other.example"])
    of_host = [url for n, url in enumerate(urls) if n % num_hosts == 3 and n % 7]
    assert len(known["h3.example"]) == len(of_host)
    assert all(url in known["h3.example"] for url in of_host)
    assert "http://h3.example/unknown" not in known["h3.example"]
    assert len(known["other.example"]) == 0
    some: KnownUrls = known["other.example"]
    some.add("http://other.example/new")
    assert "http://other.example/new" in some


def test_keys_of_an_address_go_by_its_host_without_port_or_user() -> None:
    urls = ["http://b.example:8080/x", "https://b.example/x", "http://xn--bcher-kva.example/ß"]
    hosts, host_keys, url_keys = address_keys(urls)
    assert hosts == ["b.example", "b.example", "xn--bcher-kva.example"]
    assert host_keys.tolist() == [host_key(host) for host in hosts]
    assert len(set(url_keys.tolist())) == 3

from collections import Counter
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.crawl.frontier import (
    HOST_TARGETS,
    PART_HOSTS,
    PART_TARGETS,
    Plan,
    make_plan,
    part_targets,
    write_plan,
)
from pipelines.crawl.visits import Target
from pipelines.extract.uris import host_of
from pipelines.workspace.ledger import Entry
from pipelines.workspace.storage import Storage


def page(host: int, number: int, depth: int = 1) -> Target:
    return Target(f"http://h{host:03d}.example/{number:05d}", "page", depth)


TARGETS = st.lists(
    st.builds(page, st.integers(0, 90), st.integers(0, 900), st.integers(0, 3)),
    unique_by=lambda target: target.url,
    max_size=300,
)


def planned(plan: Plan) -> list[Target]:
    return [target for part in plan.parts for target in part]


@settings(max_examples=60, deadline=None)
@given(TARGETS, st.integers(0, 200), st.randoms(use_true_random=False))
def test_every_candidate_is_planned_waits_or_is_over_and_order_does_not_matter(
    targets: list[Target], max_pages: int, chance: Random
) -> None:
    plan = make_plan([], targets, Counter(), max_pages)
    assert sorted(map(repr, [*planned(plan), *plan.waiting, *plan.over])) == sorted(
        map(repr, targets)
    )
    assert len(planned(plan)) + len(plan.waiting) == min(max_pages, len(targets))
    kept = [*planned(plan), *plan.waiting]
    if plan.over and kept:
        assert max((t.depth, t.url) for t in kept) < min((t.depth, t.url) for t in plan.over)
    hosts = [{host_of(target.url) for target in part} for part in plan.parts]
    assert sum(map(len, hosts)) == len(set().union(*hosts))  # a host is in one part
    assert all(len(part) <= PART_HOSTS for part in hosts)
    shuffled = list(targets)
    chance.shuffle(shuffled)
    assert make_plan([], shuffled, Counter(), max_pages) == plan


def test_a_host_gives_so_many_pages_a_round_and_the_others_wait_in_order() -> None:
    targets = [page(1, number) for number in range(HOST_TARGETS["page"] + 7)]
    first = make_plan([], targets, Counter(), 10_000)
    assert planned(first) == targets[: HOST_TARGETS["page"]]
    assert first.waiting == targets[HOST_TARGETS["page"] :]
    deeper, nearer = page(1, 0, depth=2), page(2, 0, depth=0)
    second = make_plan(first.waiting, [deeper, nearer], Counter(page=HOST_TARGETS["page"]), 10_000)
    assert second.parts == [[*first.waiting, deeper, nearer]]


def test_parts_are_cut_between_hosts() -> None:
    targets = [page(host, number) for host in range(9) for number in range(450)]
    plan = make_plan([], targets, Counter(), 10_000)
    assert [len(part) for part in plan.parts] == [1800, 1800, 450]
    assert max(map(len, plan.parts)) <= PART_TARGETS


def test_a_part_reads_its_targets_back_and_sitemaps_come_first(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    maps = [Target("http://h001.example/zz.xml", "sitemap", 0)]
    targets = [page(host, number) for host in (1, 2) for number in range(3)]
    plan = make_plan([], [*targets, *maps], Counter(), 5)
    plan.reached = [Target("http://h001.example/home", "page", 0)]
    plan.parts = [plan.parts[0][:4], plan.parts[0][4:]]
    ref = write_plan(storage, plan, "frontier/x/round-00000", first_part=7)
    assert ref.rows == 8
    entry = Entry(
        job="crawl.frontier",
        fp="x",
        source="s",
        part=0,
        files=(ref,),
        counts=plan.counts,
        detail={"first_part": 7, "parts": 2},
    )
    assert part_targets(storage, entry, 7) == {"h001.example": [*maps, *targets[:3]]}
    assert part_targets(storage, entry, 8) == {"h002.example": targets[3:5]}
    assert plan.counts == {
        "candidates": 7,
        "planned": 6,
        "waiting": 0,
        "over_max_pages": 1,
        "reached": 1,
    }
    assert write_plan(storage, plan, "frontier/x/round-00000", first_part=7) == ref

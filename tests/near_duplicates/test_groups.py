"""Made texts meet their own kind and their seeds, and nothing else."""

import numpy as np
import pyarrow as pa

from pipelines.near_duplicates.buckets import BucketCounts, candidate_pairs
from pipelines.near_duplicates.groups import groups_of, seed_members
from pipelines.near_duplicates.near import NearDuplicates, places_of, rows_at

ID = pa.binary(16)
PROVENANCE = pa.struct(
    [(name, pa.string()) for name in ("kind", "recipe", "model")] + [("parents", pa.list_(ID))]
)


def provenance(*rows: tuple[str | None, str | None, str | None]) -> pa.StructArray:
    names = ("kind", "recipe", "model")
    made = [dict(zip(names, row, strict=True)) | {"parents": None} for row in rows]
    return pa.array(made, PROVENANCE)


def test_groups_are_one_of_people_and_one_of_each_recipe() -> None:
    rows = provenance(
        ("natural", None, None),
        ("transcribed", None, "ocr"),
        ("refined", "clean", "m"),
        ("rewritten", "simple", "m"),
        ("synthetic", "simple", "n"),
        ("synthetic", "textbook", "m"),
        ("synthetic", None, "m"),
        ("synthetic", None, "simple"),
        ("rewritten", None, "m"),
        ("synthetic", None, None),
        (None, "simple", "m"),
        ("natural", "repository", None),
    )
    found = groups_of(rows)
    assert found.dtype == np.uint32
    assert found[[0, 1, 10]].tolist() == [0] * 3
    assert found[3] == found[4] != 0
    assert found[6] == found[8] != 0
    assert len({0, *found[[2, 3, 5, 6, 7, 9, 11]].tolist()}) == 8
    # The bands of one machine meet those of another: it is the same everywhere.
    assert groups_of(rows.slice(3, 2)).tolist() == found[3:5].tolist() == [1544999180] * 2
    assert groups_of(rows.slice(0, 0)).tolist() == []
    assert groups_of(rows.slice(0, 2)).tolist() == [0, 0]


def key(number: int) -> bytes:
    return bytes([number]) * 16


def pairs_of(
    ids: list[int], sizes: list[int | None], groups: list[int], parents: list[list[int] | None]
) -> tuple[set[tuple[int, int]], BucketCounts]:
    """Positions of the texts."""
    named = [None if some is None else [key(one) for one in some] for some in parents]
    # Cut out of longer arrays, as batches are.
    batch = seed_members(
        pa.array([key(99), *map(key, ids)], ID).slice(1),
        places_of(1, 2, np.arange(len(ids))),
        pa.array([1, *sizes], pa.int32()).slice(1),
        pa.array([1, *range(len(ids))], pa.uint64()).slice(1),
        np.array(groups, np.uint32),
        pa.array([[key(98)], *named], pa.list_(ID)).slice(1),
    )
    counts = BucketCounts()
    found = candidate_pairs(pa.Table.from_batches([batch]), NearDuplicates(), counts)
    pairs = {
        pair
        for made in found
        for pair in zip(*(rows_at(side.to_numpy()).tolist() for side in made), strict=True)
    }
    return pairs, counts


def test_seed_members_pair_made_texts_with_their_seeds_alone() -> None:
    found, counts = pairs_of(
        ids=[1, 2, 3, 4, 5],
        sizes=[100, 90, 80, 79, 100],
        groups=[0, 7, 7, 7, 0],
        parents=[None, [1], [1, 1, 5], [1, 42, 3], [1]],
    )
    # 3 is too short for its seed 0, but not for 2; 4 was written by people, whatever it names.
    assert found == {(1, 0), (2, 0), (2, 4), (3, 2)}
    assert counts.members == 0
    assert counts.seed_members == 5 + 1 + 2 + 3
    assert counts.pairs_skipped == 0


def test_seed_members_of_a_text_without_a_set_or_made_of_itself_are_none() -> None:
    found, counts = pairs_of([1, 2, 3], [None, 50, 50], [0, 7, 7], [None, [1, 2], [2]])
    assert found == {(2, 1)}
    assert counts.seed_members == 2 + 1 + 1
    assert pairs_of([], [], [], []) == (set(), BucketCounts())


def test_a_seed_of_thousands_is_compared_with_each_once() -> None:
    n = 3000
    ids = [n.to_bytes(16, "big") for n in range(n)]
    batch = seed_members(
        pa.array(ids, ID),
        places_of(0, 0, np.arange(n)),
        pa.array([50] * n, pa.int32()),
        pa.array([0] * n, pa.uint64()),
        np.array([0] + [7] * (n - 1), np.uint32),
        pa.array([[]] + [[ids[0]]] * (n - 1), pa.list_(ID)),
    )
    counts = BucketCounts()
    made = list(candidate_pairs(pa.Table.from_batches([batch]), NearDuplicates(), counts))
    assert sum(one.num_rows for one in made) == n - 1
    assert {row for one in made for row in rows_at(one.column("higher").to_numpy())} == {0}

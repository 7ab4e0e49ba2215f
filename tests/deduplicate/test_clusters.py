"""Near-duplicates and the exact copies of them become one cluster."""

import pyarrow as pa

from pipelines.deduplicate.clusters import merge_near
from pipelines.deduplicate.exact import DECISION
from pipelines.near_duplicates.stars import NEAR


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def decision(
    row: int,
    cluster: int,
    size: int,
    role: str,
    jaccard: float | None = 1.0,
    level: str | None = None,
) -> dict[str, object]:
    if level is None and role != "representative":
        level = "near" if role == "near_duplicate" else "bytes"
    return {
        "source": 0, "part": row // 10, "row": row % 10, "cluster": key(cluster),
        "cluster_size": size, "duplicate_role": role, "jaccard": jaccard, "level": level,
    }  # fmt: skip


def test_merge_near_copies_go_with_the_text_that_they_equal() -> None:
    exact = [
        decision(0, 50, 3, "representative"),  # of a text that is near another
        decision(1, 50, 3, "duplicate"),
        decision(2, 50, 3, "repeated_record"),
        decision(3, 60, 2, "representative"),  # of a text that has near ones
        decision(4, 60, 2, "duplicate"),
        decision(5, 70, 2, "representative"),  # of a text that has none
        decision(6, 70, 2, "duplicate"),
        decision(7, 80, 3, "duplicate"),  # its representative is in another part
        decision(9, 80, 3, "duplicate", None, "text"),
    ]
    near = [
        decision(0, 60, 6, "near_duplicate", 0.875) | {"id": key(50)},
        decision(3, 60, 6, "representative") | {"id": key(60)},
        decision(8, 60, 6, "near_duplicate", 0.9375) | {"id": key(90)},  # had no copies
        decision(14, 99, 5, "near_duplicate", 0.8125) | {"id": key(80)},  # the other part
    ]
    found = merge_near(
        pa.Table.from_pylist(exact, schema=DECISION), pa.Table.from_pylist(near, schema=NEAR)
    )
    assert found.schema == DECISION
    assert found.to_pylist() == [
        decision(0, 60, 6, "near_duplicate", 0.875),
        decision(1, 60, 6, "duplicate", 0.875),
        decision(2, 60, 6, "repeated_record", 0.875),
        decision(3, 60, 6, "representative"),
        decision(4, 60, 6, "duplicate"),
        decision(5, 70, 2, "representative"),
        decision(6, 70, 2, "duplicate"),
        decision(7, 99, 5, "duplicate", 0.8125),
        decision(9, 99, 5, "duplicate", None, "text"),
        decision(8, 60, 6, "near_duplicate", 0.9375),
    ]


def test_merge_near_of_nothing_changes_nothing() -> None:
    exact = pa.Table.from_pylist(
        [decision(0, 1, 2, "representative"), decision(1, 1, 2, "duplicate")], schema=DECISION
    )
    nothing = NEAR.empty_table()
    assert merge_near(exact, nothing).to_pylist() == exact.to_pylist()
    alone = pa.Table.from_pylist(
        [decision(3, 4, 2, "near_duplicate", 0.75) | {"id": key(5)}], schema=NEAR
    )
    assert merge_near(DECISION.empty_table(), alone).to_pylist() == [
        decision(3, 4, 2, "near_duplicate", 0.75)
    ]

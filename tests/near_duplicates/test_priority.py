"""Which text of a cluster stays: by who wrote it and by its quality; what models wrote apart."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from small_workspace import (
    LIMITS,
    Documents,
    deduplicate,
    extract_of,
    generation_of,
    id_of,
    labels,
    plan_of,
    signed_workspace,
)

from pipelines.deduplicate.plan import DuplicatesPlan, plan_duplicates
from pipelines.deduplicate.transform import steps
from pipelines.near_duplicates.priority import has_generated, provenance_of, quality_of_part
from pipelines.run import run_transform
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile
from pipelines.workspace.workspace import Workspace

WORDS = [f"word{number}" for number in range(120)]
SEED = " ".join(WORDS)
NEAR = " ".join([*WORDS[:-1], "changed"])
ALSO_NEAR = " ".join([*WORDS[:-2], "other", "words"])
KEY = PartKey("web", 0)


def made_by(recipe: str, *parents: bytes) -> dict[str, Any]:
    return {
        "provenance": {
            "kind": "rewritten", "recipe": recipe, "depth": 1, "parents": list(parents)
        }
    }  # fmt: skip


def clusters(workspace: Workspace, plan: DuplicatesPlan) -> dict[bytes, tuple[str, bytes | None]]:
    """id -> role and cluster."""
    return {id_: (role, row["cluster"]) for (id_, role), row in labels(workspace, plan).items()}


def test_texts_of_people_are_found_by_none_and_generated_ones_by_depth(tmp_path: Path) -> None:
    web: Documents = {KEY: [(id_of(1), SEED)]}
    workspace = signed_workspace(tmp_path / "web", web)
    near = plan_of(workspace, web).near
    assert near is not None
    assert not has_generated(workspace, near)
    assert provenance_of(workspace, near, KEY) is None
    made: Documents = {**web, PartKey("made", 0): [(id_of(2), "Other", made_by("r", id_of(1)))]}
    workspace = signed_workspace(tmp_path / "both", made)
    both = plan_of(workspace, made).near
    assert both is not None
    assert has_generated(workspace, both)
    assert provenance_of(workspace, both, KEY) is None
    provenance = provenance_of(workspace, both, PartKey("made", 0))
    assert provenance is not None
    assert provenance.to_pylist() == [
        {"kind": "rewritten", "recipe": "r", "model": None, "parents": [id_of(1)]}
    ]


def test_generated_texts_meet_their_seeds_and_their_recipe_alone(tmp_path: Path) -> None:
    one, two, three, four, stranger = (id_of(f"doc {n}") for n in range(5))
    documents: Documents = {
        KEY: [(one, SEED)],
        PartKey("made", 0): [
            (two, NEAR, made_by("rewrite", one)),  # of its seed
            (three, SEED + " more", made_by("other", stranger)),  # of no seed here
            (four, ALSO_NEAR + " more", made_by("other", stranger)),
        ],
    }
    workspace = signed_workspace(tmp_path / "w", documents)
    found = clusters(workspace, deduplicate(workspace, documents))
    assert found[one] == ("representative", one)
    assert found[two] == ("near_duplicate", one), "people's text stays, though it is as long"
    assert {found[three][0], found[four][0]} == {"representative", "near_duplicate"}
    assert found[three][1] == found[four][1] != one
    natural: Documents = {
        key: [(row[0], row[1]) for row in rows] for key, rows in documents.items()
    }
    workspace = signed_workspace(tmp_path / "natural", natural)
    found = clusters(workspace, deduplicate(workspace, natural))
    assert len({cluster for _, cluster in found.values()}) == 1


def commit_quality(workspace: Workspace, grades: list[tuple[bytes, bool, float]]) -> Generation:
    generation = Generation(job="annotate.quality", payload={"grades": repr(grades)})
    ids, keep, score = (list(column) for column in zip(*grades, strict=True))
    arrays = [pa.array(ids, pa.binary(16)), pa.array(keep), pa.array(score, pa.float32())]
    batch = pa.record_batch(arrays, names=["id", "quality_keep", "quality_score"])
    with PartFile(workspace.storage, batch.schema) as file:
        file.write(batch)
        ref = file.publish("labels", f"labels/quality@{generation.fp}/web", 0)
    counts = {"documents": len(ids), "rows": len(ids)}
    entry = entry_of(generation, KEY, files=(ref,), counts=counts, watch=Stopwatch())
    workspace.ledger.declare(generation)
    workspace.ledger.commit(entry)
    return generation


def plan_with(workspace: Workspace, quality: Generation) -> DuplicatesPlan:
    plan = plan_duplicates(
        workspace,
        {"web": generation_of("signatures", "web")},
        {"web": generation_of("minhash", "web")},
        extract={"web": extract_of("web")},
        quality={"web": quality},
        levels=("text", "near"),
    )
    for generation in plan.generations:
        workspace.ledger.declare(generation)
    return plan


@pytest.mark.parametrize("best", [1, 2])
def test_best_text_stays_and_nothing_is_compared_again(tmp_path: Path, best: int) -> None:
    ids = [id_of(f"doc {n}") for n in range(3)]
    documents: Documents = {KEY: list(zip(ids, [SEED, NEAR, ALSO_NEAR], strict=True))}
    workspace = signed_workspace(tmp_path / "w", documents)
    deduplicate(workspace, documents)
    grades = [(id_, n == best, 0.5) for n, id_ in enumerate(ids)]
    plan = plan_with(workspace, commit_quality(workspace, grades))
    assert plan.near is not None
    found = quality_of_part(workspace, plan.near, KEY)
    assert found is not None
    assert np.argmax(found) == best
    for transform in steps(workspace, plan, [KEY], LIMITS, 1 << 30):
        run_transform(transform, ())
    roles = clusters(workspace, plan)
    assert roles[ids[best]][0] == "representative"
    assert {roles[id_] for n, id_ in enumerate(ids) if n != best} == {("near_duplicate", ids[best])}
    (pairs,) = workspace.ledger.entries(plan.near.pairs)
    assert (pairs.counts["known"], pairs.counts["compared"]) == (3, 0)

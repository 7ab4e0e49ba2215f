"""The documents of a training step: from launch files, shards and maps back to ids.

The expected tokens are laid out here by hand from Megatron's rules, as one long stream a shard;
the shards are made so that a token says which document it belongs to.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from pipelines.launch.steps import StepReader, find_stage, stages_of, step_samples
from pipelines.workspace.ledger import Entry, FileRef
from pipelines.workspace.workspace import Workspace
from token_shards.document_map import document_map
from token_shards.indexed_dataset import IndexedDatasetWriter

LENGTH = 16
BATCH = 4
SEED = 1234
# (stage, steps, sequence length): two phases of one schedule, then a schedule of its own.
STAGES = [("general", 6, LENGTH), ("stem", 5, LENGTH), ("long", 3, 2 * LENGTH)]


@dataclass
class Shard:
    prefix: str
    lengths: list[int]
    ids: list[bytes]
    tokens: npt.NDArray[np.int64]


def write_shard(workspace: Workspace, stage: str, number: int) -> Shard:
    """A shard of documents whose tokens are numbers of their own, and its ledger entry."""
    rng = np.random.default_rng([len(stage), number])
    lengths = rng.integers(3, 40, 30 + 10 * number)
    prefix = f"shards/{stage}@00000000/all/all-{number:05d}"
    keys = np.array(
        [list(hashlib.md5(f"{prefix}{i}".encode()).digest()) for i in range(len(lengths))]
    )
    tokens = 1 + np.repeat(np.arange(len(lengths)), lengths)
    paths = {kind: Path(workspace.storage.path(f"{prefix}.{kind}")) for kind in ("bin", "idx")}
    paths["map"] = Path(workspace.storage.path(f"{prefix}.parquet"))
    paths["bin"].parent.mkdir(parents=True, exist_ok=True)
    with paths["bin"].open("wb") as file:
        writer = IndexedDatasetWriter(file, np.int32)
        writer.add(tokens.astype(np.int32), lengths)
    paths["idx"].write_bytes(writer.index())
    ids = keys.astype(np.uint8)
    table = document_map(ids, np.zeros(len(lengths), np.int32), lengths)
    pq.write_table(table, paths["map"])
    files = tuple(
        FileRef(
            kind=kind,
            path=path.relative_to(workspace.storage.path("")).as_posix(),
            sha256="",
            bytes=path.stat().st_size,
            rows=len(lengths),
        )
        for kind, path in paths.items()
    )
    workspace.ledger.commit(
        Entry(
            job=f"shards.{stage}", fp="00000000", source="all", part=number, files=files, counts={}
        )
    )
    return Shard(prefix, lengths.tolist(), [bytes(key) for key in ids], tokens)


def write_launch(workspace: Workspace, shards: dict[str, list[Shard]], folder: str) -> None:
    """Launch files as `tokenmill launch` writes them, as far as they decide samples."""
    stages = []
    for number, (name, steps, length) in enumerate(STAGES, start=1):
        is_long = name == "long"
        flags = [
            f"--seq-length {length}",
            f"--global-batch-size {BATCH}",
            f"--train-samples {(steps if is_long else 11) * BATCH}",
            "--eval-iters 0",
            f"--seed {SEED}",
        ]
        flags += [] if is_long else ["--phase-transition-iterations 6"]
        blend = {"train": [f"@SHARDS@/{shard.prefix}" for shard in shards[name]], "valid": None}
        stem = f"{number}-{name}"
        workspace.storage.create(f"{folder}/{stem}.args", "\n".join(["# run", *flags]).encode())
        workspace.storage.create(f"{folder}/{stem}.blend.json", json.dumps(blend).encode())
        held = [{"prefix": s.prefix, "tokens": sum(s.lengths)} for s in shards[name]]
        stages.append({"name": stem, "shards": held})
    workspace.storage.create(f"{folder}/lock.json", json.dumps({"stages": stages}).encode())


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, list[Shard]]]:
    workspace = Workspace.create(str(tmp_path_factory.mktemp("steps") / "w"))
    shards = {name: [write_shard(workspace, name, n) for n in range(3)] for name, *_ in STAGES}
    shards["long"] = shards["long"][:1]  # a blend of one prefix is no blend to Megatron
    write_launch(workspace, shards, "launch/tiny@00000000")
    return workspace, shards


def stream(shard: Shard, length: int) -> list[npt.NDArray[np.int64]]:
    """The samples of a shard in the order they are dealt, one epoch."""
    state = np.random.RandomState(SEED)
    order = np.arange(len(shard.lengths), dtype=np.int32)
    state.shuffle(order)
    ends = np.cumsum(shard.lengths)
    documents = [np.arange(ends[d] - shard.lengths[d], ends[d]) for d in order]
    positions = np.concatenate(documents)
    dealt = np.arange((len(positions) - 1) // length, dtype=np.uint32)
    state.shuffle(dealt)
    return [positions[k * length : (k + 1) * length + 1] for k in dealt.tolist()]


def blended(shards: list[Shard], length: int, size: int) -> list[tuple[int, int]]:
    """(shard, sample) of a blend by length."""
    sizes = np.array([(sum(s.lengths) - 1) // length for s in shards], np.float64)
    counts, weights = np.zeros(len(shards), np.int64), sizes / sizes.sum()
    found = []
    for n in range(size):
        shard = int(np.argmax(weights * max(n, 1) - counts))
        found.append((shard, int(counts[shard])))
        counts[shard] += 1
    return found


@pytest.mark.parametrize(("number", "stage"), enumerate(STAGES, start=1))
def test_every_step_reads_what_megatron_deals_it(
    launched: tuple[Workspace, dict[str, list[Shard]]], number: int, stage: tuple[str, int, int]
) -> None:
    workspace, shards = launched
    name, steps, length = stage
    run = find_stage(workspace, str(number))
    assert (run.name, run.steps, run.size) == (name, steps, steps * BATCH)
    dealt = [stream(shard, length) for shard in shards[name]]
    expected = blended(shards[name], length, run.size)
    reader = StepReader(workspace, run)
    for step in range(1, steps + 1):
        batch = step_samples(run, step)
        wanted = expected[(step - 1) * BATCH : step * BATCH]
        assert [(s.shard, s.sample) for s in batch] == wanted
        for sample in batch:
            shard = shards[name][sample.shard]
            assert sample.prefix == shard.prefix
            ranges = reader.ranges(sample)
            read = np.concatenate([np.arange(r.token_start, r.token_end) for r in ranges])
            np.testing.assert_array_equal(read, dealt[sample.shard][sample.sample])
            for one in ranges:
                (document,) = set(shard.tokens[one.token_start : one.token_end].tolist())
                assert one.id == shard.ids[document - 1]


def test_steps_of_a_stage_and_iterations_of_the_log(
    launched: tuple[Workspace, dict[str, list[Shard]]],
) -> None:
    general, stem, long = stages_of(launched[0], "launch/tiny@00000000")
    assert [run.first_step for run in (general, stem, long)] == [0, 6, 0]
    assert stem.step_of(8, is_logged=True) == stem.step_of(2) == 2
    with pytest.raises(
        ValueError,
        match="step 8 of stage 2, stem; it has 5 steps, from 1 on, which Megatron logs as 7 to 11; "
        "for the number in the log, add --logged",
    ):
        stem.step_of(8)
    with pytest.raises(ValueError, match=r"iteration 12 of stage 2, stem; it has 5 .* as 7 to 11$"):
        stem.step_of(12, is_logged=True)
    with pytest.raises(ValueError, match=r"step 0 of stage 1, general; it has 6 steps, from 1 on$"):
        step_samples(general, 0)


def test_a_stage_has_a_number_and_a_name(
    launched: tuple[Workspace, dict[str, list[Shard]]],
) -> None:
    workspace, _ = launched
    assert find_stage(workspace, "2") == find_stage(workspace, "stem")
    assert find_stage(workspace, "2") == find_stage(workspace, "2-stem")
    allowed = r"allowed: 1 \(general\), 2 \(stem\), 3 \(long\); give one"
    with pytest.raises(ValueError, match=f"found stage '4'; {allowed}"):
        find_stage(workspace, "4")


def test_launches_that_differ_only_in_the_model_are_one(tmp_path: Path) -> None:
    workspace = Workspace.create(str(tmp_path / "w"))
    with pytest.raises(LookupError, match=r"has no launch; .* give `tokenmill launch"):
        find_stage(workspace, "1")
    shards = {name: [write_shard(workspace, name, n) for n in range(2)] for name, *_ in STAGES}
    write_launch(workspace, shards, "launch/one@00000000")
    write_launch(workspace, shards, "launch/two@00000000")
    assert find_stage(workspace, "1").name == "general"
    fewer = {name: held[: 1 + (name != "stem")] for name, held in shards.items()}
    write_launch(workspace, fewer, "launch/three@00000000")
    assert find_stage(workspace, "1").name == "general"
    with pytest.raises(ValueError, match=r"stage 'stem' reads other tokens in launch/.* --launch"):
        find_stage(workspace, "stem")
    assert len(find_stage(workspace, "stem", "launch/three@00000000").prefixes) == 1
    with pytest.raises(LookupError, match=r"no file launch/four/lock\.json"):
        find_stage(workspace, "stem", "launch/four")


def test_an_order_that_is_not_replayed_and_a_shard_that_changed_are_refused(tmp_path: Path) -> None:
    workspace = Workspace.create(str(tmp_path / "w"))
    shards = {name: [write_shard(workspace, name, n) for n in range(2)] for name, *_ in STAGES}
    write_launch(workspace, shards, "launch/one@00000000")
    run = find_stage(workspace, "general")
    longer = [Shard(s.prefix, [*s.lengths, 1], s.ids, s.tokens) for s in shards["general"]]
    write_launch(workspace, {**shards, "general": longer}, "launch/two@00000000")
    other = find_stage(workspace, "general", "launch/two@00000000")
    with pytest.raises(ValueError, match="it is not the shard that was trained on"):
        StepReader(workspace, other).ranges(step_samples(run, 1)[0])
    args = Path(workspace.storage.path("launch/one@00000000/2-stem.args"))
    args.write_text(args.read_text() + "\n--dataloader-type cyclic\n")
    with pytest.raises(ValueError, match=r"2-stem\.args: found --dataloader-type cyclic"):
        find_stage(workspace, "general", "launch/one@00000000")


def test_padding_of_a_packed_sequence_belongs_to_no_document(tmp_path: Path) -> None:
    """Sequences of 16, each with documents of 7 and 6 tokens: the last 3 are padding."""
    workspace = Workspace.create(str(tmp_path / "w"))
    shards = {name: [write_shard(workspace, name, n) for n in range(2)] for name, *_ in STAGES}
    first, count = shards["general"][0], 20
    path = Path(workspace.storage.path(first.prefix))
    with path.with_suffix(".bin").open("wb") as file:
        writer = IndexedDatasetWriter(file, np.int32)
        writer.add(np.ones(count * LENGTH, np.int32), np.full(count, LENGTH))
    path.with_suffix(".idx").write_bytes(writer.index())
    keys = np.zeros((2 * count, 16), np.uint8)
    keys[:, 0] = np.arange(2 * count)
    once = np.zeros(2 * count, np.int32)
    rows = np.repeat(np.arange(count), 2)
    packed = np.tile([7, 6], count)
    table = document_map(keys, once, packed, rows=rows, pieces=once, sequence_length=LENGTH)
    pq.write_table(table, path.with_suffix(".parquet"))
    shards["general"] = [Shard(first.prefix, [LENGTH] * count, [], np.ones(count * LENGTH, int))]
    write_launch(workspace, shards, "launch/one@00000000")
    run = find_stage(workspace, "general")
    reader = StepReader(workspace, run)
    for step in range(1, 4):
        for sample in step_samples(run, step):
            first_piece, second, padding, label = reader.ranges(sample)
            assert [r.num_tokens for r in (first_piece, second, padding, label)] == [7, 6, 3, 1]
            row = first_piece.token_start // LENGTH
            assert (first_piece.id, second.id) == (bytes(keys[2 * row]), bytes(keys[2 * row + 1]))
            assert (padding.id, padding.draw, padding.piece) == (None, None, None)
            assert label.id == bytes(keys[2 * (label.token_start // LENGTH)])

"""A launch of real shards, made by hand: a few thousand random tokens in three stages."""

import hashlib
from pathlib import Path

import numpy as np

from pipelines.launch.model_file import load_model
from pipelines.launch.training import Shard, Stage, plan_phases
from pipelines.launch.write import Launch, assemble
from token_shards.indexed_dataset import IndexedDatasetWriter
from token_shards.tokenizer import load_tokenizer
from token_shards.training import train_tokenizer

LENGTH, LONG = 64, 256
PLAN = "mixtures/small@0123456789abcdef/plan.json"


def write_shard(root: Path, prefix: str, lengths: list[int], eod: int) -> Shard:
    """A .bin and .idx of sequences that end with the EOD."""
    stem = root / prefix
    stem.parent.mkdir(parents=True, exist_ok=True)
    ids = np.random.default_rng(len(prefix)).integers(1, 200, sum(lengths)).astype(np.int32)
    ids[np.cumsum(lengths) - 1] = eod
    with open(f"{stem}.bin", "wb") as file:
        writer = IndexedDatasetWriter(file, np.uint16)
        writer.add(ids, np.array(lengths))
        index = writer.index()
    Path(f"{stem}.idx").write_bytes(index)
    data = Path(f"{stem}.bin").read_bytes()
    return Shard(
        prefix=prefix,
        tokens=len(ids),
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        index_sha256=hashlib.sha256(index).hexdigest(),
        index_bytes=len(index),
        sequences=len(lengths),
    )


def write_tiny(
    root: Path, model: str = "qwen3-0.6b", output: Path | None = None
) -> tuple[Launch, Path]:
    """Shards, a plan and the files of a launch below `root`, or in `output`; gives both."""
    root.mkdir(parents=True, exist_ok=True)
    train_tokenizer(["the tide clock in the harbour is wrong"] * 4, 400).save(
        str(root / "tokenizer.json")
    )
    tokenizer = load_tokenizer(root / "tokenizer.json")
    eod = tokenizer.eod_id
    chain = [
        Stage(
            name="general",
            mixture="small",
            sequence_length=LENGTH,
            shards=tuple(write_shard(root, f"shards/a{n}", [37] * 40, eod) for n in range(2)),
            validation=tuple(write_shard(root, f"shards/v{n}", [50] * 9, eod) for n in range(2)),
        ),
        Stage(
            name="stem",
            mixture="small",
            sequence_length=LENGTH,
            shards=(write_shard(root, "shards/b0", [LENGTH] * 12, eod),),
            packing="best_fit",
        ),
        Stage(
            name="long",
            mixture="small",
            sequence_length=LONG,
            shards=(write_shard(root, "shards/c0", [300] * 7, eod),),
            validation=(write_shard(root, "shards/w0", [400] * 2, eod),),
        ),
    ]
    plan = root / PLAN
    plan.parent.mkdir(parents=True)
    plan.write_text("{}")
    shape = load_model(model)
    launch = assemble(
        shape,
        plan_phases(chain, 2, shape.training),
        tokenizer,
        (root / "tokenizer.json").read_bytes(),
        {
            "mixtures": {
                "small": {
                    "folder": str(Path(PLAN).parent),
                    "plan_sha256": hashlib.sha256(b"{}").hexdigest(),
                }
            },
            "shards": {"small": "shards.small@0123456789abcdef"},
        },
        shards_root=None if output is None else str(root),
    )
    folder = output or root / launch.folder
    for path, data in launch.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return launch, folder

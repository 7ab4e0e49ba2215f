"""Reads the shards of a launch with Megatron-LM's own classes, and every sample of its blends.

    PYTHONPATH=Megatron-LM:tokenize python infra/megatron/read_shards.py LAUNCH SHARDS

LAUNCH is a folder that `tokenmill launch` wrote, SHARDS the workspace (or a copy of its shards/).
No GPU is needed. What is checked, for each stage:

1. `IndexedDataset`: every token of every shard, those held out included, is read, sequence by
   sequence; their number and SHA-256 are those of the `.bin` in lock.json.
2. `BlendedMegatronDatasetBuilder` and `GPTDataset` build the training blend as `pretrain_gpt.py`
   does. Every token and label of every sample is compared with what `token_shards.megatron_order`
   says that it must be, which is what `tokenmill trace` and `simulate` go by.

Written against Megatron-LM core_v0.16.1.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
from megatron.core.datasets.indexed_dataset import IndexedDataset
from megatron.core.datasets.utils import get_blend_from_list
from megatron.core.tokenizers import MegatronTokenizer

from token_shards.megatron_blend import blend_by_length
from token_shards.megatron_order import ShardOrder

SEED = 1234  # of the argument files


def read_shard(prefix: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Tokens and lengths of a shard as `IndexedDataset` gives them, and the hash of its bytes."""
    dataset = IndexedDataset(str(prefix))
    state = hashlib.sha256()
    pieces = []
    for row in range(len(dataset)):
        sequence = np.asarray(dataset[row])
        state.update(sequence.tobytes())
        pieces.append(sequence)
    assert list(dataset.document_indices) == list(range(len(dataset) + 1)), prefix
    # A copy, for the array is a view of a file that is unmapped with the dataset.
    return np.concatenate(pieces), np.array(dataset.sequence_lengths), state.hexdigest()


def expected_samples(
    shards: list[tuple[np.ndarray, np.ndarray]], length: int, size: int
) -> Iterator[np.ndarray]:
    """The samples of a blend without weights, by tokenmill's own reckoning."""
    orders = [ShardOrder(lengths, sequence_length=length, seed=SEED) for _, lengths in shards]
    blend = blend_by_length([order.num_samples for order in orders], size)
    for shard, number in zip(*blend.draw(0, blend.size), strict=True):
        ranges = orders[shard].ranges(int(number))
        yield np.concatenate([shards[shard][0][part.start : part.end] for part in ranges])


def check_stage(launch: Path, root: Path, stage: dict[str, Any], tokenizer: Any) -> str:  # noqa: ANN401
    """Checks one stage; gives a line of figures."""
    name, length = stage["name"], stage["sequence_length"]
    blend = json.loads((launch / f"{name}.blend.json").read_text())
    train_prefixes = [prefix.replace("@SHARDS@", str(root)) for prefix in blend["train"]]
    read, tokens_read = {}, 0
    for shard in (*stage["shards"], *stage["validation"]):
        tokens, lengths, sha256 = read_shard(root / shard["prefix"])
        assert (sha256, len(tokens)) == (shard["sha256"], shard["tokens"]), shard["prefix"]
        read[str(root / shard["prefix"])] = (tokens, lengths)
        tokens_read += len(tokens)
    shards = [read[prefix] for prefix in train_prefixes]
    size = stage["steps"] * stage["global_batch_size"]
    config = GPTDatasetConfig(
        random_seed=SEED,
        sequence_length=length,
        blend=None,
        blend_per_split=[get_blend_from_list(train_prefixes), None, None],
        split=None,
        path_to_cache=tempfile.mkdtemp(),
        mmap_bin_files=True,
        tokenizer=tokenizer,
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
        create_attention_mask=False,
    )
    builder = BlendedMegatronDatasetBuilder(GPTDataset, [size, 0, 0], lambda: True, config)
    train = builder.build()[0]
    assert len(train) == size, (len(train), size)
    for number, expected in enumerate(expected_samples(shards, length, size)):
        sample = train[number]
        assert np.array_equal(sample["tokens"].numpy(), expected[:-1]), (name, number)
        assert np.array_equal(sample["labels"].numpy(), expected[1:]), (name, number)
    return f"{name:16} {len(read):>6} {tokens_read:>12,} {size:>9,} {size * length:>14,}  equal"


def main() -> None:
    """Checks all stages of a launch."""
    launch, root = (Path(word).resolve() for word in sys.argv[1:3])
    lock = json.loads((launch / "lock.json").read_text())
    tokenizer = MegatronTokenizer.from_pretrained(
        tokenizer_path=str(launch / "tokenizer"),
        metadata_path={"library": "huggingface"},
        use_fast=True,
    )
    assert tokenizer.eod == lock["tokenizer"]["eod_id"], tokenizer.eod
    rendezvous = f"file://{tempfile.mktemp()}"  # a blend with a cache asks for its rank
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=0, world_size=1)
    lines = [check_stage(launch, root, stage, tokenizer) for stage in lock["stages"]]
    print(f"{'stage':16} shards  tokens read   samples tokens trained  samples")
    print("\n".join(lines))


main()

"""Which texts are compared: those of people with each other, made ones within their recipe.

Thousands of texts that a model made by one recipe resemble each other by its template, and those of
two recipes the same seed; neither is a copy. A refined text, or one that a recipe only arranged
anew, is meant to resemble its parent, of which a mixture takes one form. So texts meet in bands
within their group alone: all that people wrote (natural, transcribed, without a recipe) is one,
each recipe another. Where no recipe is named, the model stands for it, and where none is, the kind.

A made text that hardly changed what it was made of is a copy all the same: each also meets its
seeds, in buckets by the seed's id, in which it is compared with the seed alone.
"""

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.near_duplicates.buckets import BAND, OF_SEEDS
from pipelines.near_duplicates.near import Places

GENERATED: Final = ("rewritten", "synthetic")
"""Kinds of provenance whose words are a model's."""
_MADE: Final = (*GENERATED, "refined")
_MIX: Final = np.uint64(0x9FB21C651E98DF25)


def groups_of(provenance: pa.StructArray) -> npt.NDArray[np.uint32]:
    """The group of each document.

    Args:
        provenance: With fields `kind`, `recipe` and `model`.

    Returns:
        `uint32[n]`: 0 where people wrote the text and no recipe touched it, else a hash that is
        not 0.
    """
    kind, recipe, model = (
        pc.struct_field(provenance, name) for name in ("kind", "recipe", "model")
    )
    by_kind = pc.is_in(kind, value_set=pa.array(_MADE, kind.type))
    is_arranged = pc.and_(pc.equal(kind, "natural"), pc.is_valid(recipe))
    is_made = pc.or_kleene(by_kind, is_arranged).fill_null(False)
    named = [
        pc.binary_join_element_wise(*pair, "")
        for pair in (("recipe ", recipe), ("model ", model), ("kind ", kind))
    ]
    names = pc.if_else(is_made, pc.coalesce(*named), None).dictionary_encode()
    hashes = np.array([0, *map(_hash_of, names.dictionary.to_pylist())], np.uint32)
    number: npt.NDArray[np.int32] = pc.add(names.indices, 1).fill_null(0).to_numpy()
    return hashes[number]


def are_generated(provenance: pa.StructArray) -> npt.NDArray[np.bool_]:
    """Whether the words of each document are a model's.

    Args:
        provenance: With the field `kind`.

    Returns:
        `bool[n]`.
    """
    kind = pc.struct_field(provenance, "kind")
    generated = pc.is_in(kind, value_set=pa.array(GENERATED, kind.type))
    found: npt.NDArray[np.bool_] = generated.to_numpy(zero_copy_only=False)
    return found


def _hash_of(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") or 1


def seed_members(
    ids: pa.FixedSizeBinaryArray,
    places: Places,
    num_shingles: pa.Int32Array,
    further: pa.UInt64Array,
    groups: npt.NDArray[np.uint32],
    parents: pa.ListArray,
) -> pa.RecordBatch:
    """What some texts send into the shuffle to meet their seeds and what was made of them.

    Args:
        ids: Document ids.
        places: As long.
        num_shingles: As long; null where the annotator failed: such a text sends nothing.
        further: As long.
        groups: Of `groups_of`, 0 where the words are not a model's, as long.
        parents: Ids of what each was made of, as long; may be null.

    Returns:
        BAND rows: one under the id of each text, and one under each parent of a generated text,
        however often that is named.
    """
    has_set = num_shingles.is_valid().to_numpy(zero_copy_only=False)
    own = np.flatnonzero(has_set)
    owners = pc.list_parent_indices(parents).to_numpy()
    named = pc.list_flatten(parents)
    wanted = has_set[owners] & (groups[owners] != 0) & named.is_valid().to_numpy(False)
    made = owners[wanted]
    keys = np.concatenate([_words(ids)[own], _words(named)[wanted]])
    hashes = (keys[:, 0] ^ keys[:, 1] * _MIX) | OF_SEEDS
    rows = np.concatenate([own, made])
    is_made = np.repeat([False, True], [len(own), len(made)])
    # One row for each seed that a text names, and none under its own id twice.
    _, first = np.unique(np.stack([hashes, rows.astype(np.uint64)]), axis=1, return_index=True)
    first = np.sort(first)
    rows, hashes, is_made = rows[first], hashes[first], is_made[first]
    columns = [
        hashes,
        places[rows],
        num_shingles.fill_null(0).to_numpy()[rows],
        is_made.astype(np.uint32),
        further.fill_null(0).to_numpy()[rows],
    ]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=BAND)


def _words(keys: pa.FixedSizeBinaryArray) -> npt.NDArray[np.uint64]:
    """uint64[n, 2]; whatever for nulls."""
    data = np.frombuffer(keys.buffers()[1] or b"", ">u8")[2 * keys.offset :]
    return data[: 2 * len(keys)].reshape(-1, 2).astype(np.uint64)

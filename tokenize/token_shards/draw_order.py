"""The order of draws in a shard: pseudo-random, and a function of nothing but what is drawn.

Each draw (document id, draw number) gets a 64-bit hash under the seed, and the draws are sorted by
it. So the order depends neither on the order in which documents came in, nor on workers, machine,
byte order or numpy version (a seeded `Generator.permutation` depends on the first and the last).

The hash chains the output function of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable
pseudorandom number generators", doi:10.1145/2660193.2660195; constants of Vigna's splitmix64.c),
all modulo 2**64:

    mix(x)  = x += 0x9E3779B97F4A7C15
              x  = (x ^ x >> 30) * 0xBF58476D1CE4E5B9
              x  = (x ^ x >> 27) * 0x94D049BB133111EB
              x ^ x >> 31
    hash    = mix(mix(mix(mix(seed) ^ id[0:8]) ^ id[8:16]) ^ draw)    id bytes little-endian

It is not a cryptographic hash and need not be: ids are themselves digests. Two draws in a shard of
10 million share a hash with probability 3e-6; such ties go by id bytes, then draw number.
One million draws take 0.1 s on one core.

The same hash deals the draws of a whole stage out to its shards (`targets`): shard k of n takes the
k-th of n equal ranges of hashes, so all shards one after the other stand in the order of one sort.
"""

import numpy as np
import numpy.typing as npt

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR = np.uint64(0x94D049BB133111EB)
_ID_BYTES = 16


def shuffle_order(
    seed: int, keys: npt.NDArray[np.uint8], repeats: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Gives the order in which all draws of all documents stand in a shard.

    Args:
        seed: In [0, 2**64).
        keys: uint8[num_documents, 16], document ids, each once.
        repeats: int32[num_documents], draws of each document, 0 or more.

    Returns:
        Row into `keys`, int64[num_draws], and draw number of that row counted from 0,
        int32[num_draws].

    Raises:
        ValueError: An argument is out of range or shape, or an id comes twice.
    """
    _check_keys(seed, keys)
    rows, draws = plain_order(repeats, len(keys))
    hashes = _mix(_hash_ids(seed, keys)[rows] ^ draws.astype(np.uint64))
    order = _order(hashes, keys, rows, draws)
    return rows[order], draws[order]


def plain_order(
    repeats: npt.NDArray[np.int32], num_documents: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Gives the draws of all documents as they come, those of one document side by side.

    Args:
        repeats: int32[num_documents], draws of each document, 0 or more.
        num_documents: How many there are.

    Returns:
        As `shuffle_order`.

    Raises:
        ValueError: `repeats` is out of range or shape.
    """
    _check_repeats(repeats, num_documents)
    rows = np.repeat(np.arange(num_documents, dtype=np.int64), repeats)
    first_draws = np.cumsum(repeats, dtype=np.int64) - repeats
    return rows, (np.arange(len(rows), dtype=np.int64) - first_draws[rows]).astype(np.int32)


def order_of_draws(
    seed: int, keys: npt.NDArray[np.uint8], draws: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """Gives the order of single draws, which `shuffle_order` would give the same draws.

    Args:
        seed: In [0, 2**64).
        keys: uint8[num_draws, 16], id of the document of each draw.
        draws: int32[num_draws], which draw of that document.

    Returns:
        int64[num_draws], positions.

    Raises:
        ValueError: An argument is out of range or shape, or a draw comes twice.
    """
    hashes = draw_hashes(seed, keys, draws)
    return _order(hashes, keys, np.arange(len(keys), dtype=np.int64), draws)


def draw_hashes(
    seed: int, keys: npt.NDArray[np.uint8], draws: npt.NDArray[np.int32]
) -> npt.NDArray[np.uint64]:
    """Gives the hash of each draw, uint64[num_draws]; see `order_of_draws`."""
    _check_keys(seed, keys)
    if draws.dtype != np.int32 or draws.shape != (len(keys),):
        raise ValueError(
            f"draws are {draws.dtype}{list(draws.shape)}; {len(keys)} keys take int32[{len(keys)}]"
        )
    return _mix(_hash_ids(seed, keys) ^ draws.astype(np.uint64))


def targets(hashes: npt.NDArray[np.uint64], num_shards: int) -> npt.NDArray[np.int64]:
    """Gives the shard of each draw where the draws of a stage are shuffled over all its shards.

    Args:
        hashes: uint64[num_draws], of `draw_hashes`.
        num_shards: 1 to 2**31.

    Returns:
        int64[num_draws] in [0, num_shards), rising with the hash.
    """
    upper = hashes >> np.uint64(32)
    return ((upper * np.uint64(num_shards)) >> np.uint64(32)).astype(np.int64)


def _order(
    hashes: npt.NDArray[np.uint64],
    keys: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    draws: npt.NDArray[np.int32],
) -> npt.NDArray[np.int64]:
    order = np.argsort(hashes)
    ranked = hashes[order]
    if np.any(ranked[1:] == ranked[:-1]):
        return _order_with_ties(hashes, keys, rows, draws)
    return order


def _check_keys(seed: int, keys: npt.NDArray[np.uint8]) -> None:
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed is {seed}; it must be in [0, 2**64)")
    if keys.dtype != np.uint8 or keys.ndim != 2 or keys.shape[1] != _ID_BYTES:
        raise ValueError(
            f"keys are {keys.dtype}{list(keys.shape)}; document ids come as uint8[n, 16]"
        )


def _check_repeats(repeats: npt.NDArray[np.int32], num_documents: int) -> None:
    if repeats.dtype != np.int32 or repeats.shape != (num_documents,):
        raise ValueError(
            f"repeats are {repeats.dtype}{list(repeats.shape)}; {num_documents} ids take "
            f"int32[{num_documents}]"
        )
    if np.any(repeats < 0):
        row = int(np.argmax(repeats < 0))
        raise ValueError(f"repeats[{row}] is {repeats[row]}; a document has 0 or more draws")


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Gives the SplitMix64 output for each state; arrays wrap modulo 2**64 without a warning."""
    x = x + _GAMMA
    x = (x ^ (x >> np.uint64(30))) * _FIRST_FACTOR
    x = (x ^ (x >> np.uint64(27))) * _SECOND_FACTOR
    return x ^ (x >> np.uint64(31))


def _hash_ids(seed: int, keys: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    halves = np.ascontiguousarray(keys).view("<u8").astype(np.uint64, copy=False)
    seeded = _mix(np.full(len(keys), seed, np.uint64))
    return _mix(_mix(seeded ^ halves[:, 0]) ^ halves[:, 1])


def _order_with_ties(
    hashes: npt.NDArray[np.uint64],
    keys: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    draws: npt.NDArray[np.int32],
) -> npt.NDArray[np.int64]:
    """Sorts by hash, then id bytes, then draw; an id that stands in two rows has no such order."""
    halves = np.ascontiguousarray(keys).view(">u8").astype(np.uint64)[rows]
    order = np.lexsort((draws, halves[:, 1], halves[:, 0], hashes)).astype(np.int64, copy=False)
    high, low, draw = halves[order, 0], halves[order, 1], draws[order]
    same = (high[1:] == high[:-1]) & (low[1:] == low[:-1]) & (draw[1:] == draw[:-1])
    if np.any(same):
        row = rows[order[int(np.argmax(same))]]
        raise ValueError(
            f"document id {keys[row].tobytes().hex()} comes in more than one row; "
            "draws are told apart by id, so give each document once and raise its repeats"
        )
    return order

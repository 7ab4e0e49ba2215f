"""Which texts are held out: a known hash, the share, and what does not matter."""

import hashlib
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.validation.roots import is_validation, root_hash_of


def large(texts: list[str]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def blake(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def test_root_hash_of_a_document_without_root_is_that_of_its_normalised_text() -> None:
    texts = large(["The  Tide,\nclock!", "潮位時計。", "साइकिल"])
    hashes = [blake("the tide clock"), blake("潮位時計"), blake("साइकिल")]
    assert root_hash_of(texts).to_pylist() == hashes
    roots = pa.array([None, b"r" * 16, None], pa.binary(16))
    assert root_hash_of(texts, roots).to_pylist() == [hashes[0], b"r" * 16, hashes[2]]


def test_is_validation_first_eight_bytes_decide_big_endian() -> None:
    ends = b"\xff" * 8
    hashes = [
        bytes(7) + b"\x01" + ends,
        b"\x3f" + b"\xff" * 7 + ends,
        b"\x40" + bytes(7) + ends,  # a quarter of 2^64
        b"\x40" + bytes(15),
        b"\xff" * 16,
    ]
    array = pa.array(hashes, pa.binary(16))
    assert is_validation(array, 0.25).tolist() == [True, True, False, False, False]
    assert is_validation(array.slice(1, 2), 0.25).tolist() == [True, False]
    assert is_validation(array.slice(0, 0), 0.25).tolist() == []


def test_is_validation_keeps_the_share_and_a_larger_share_adds_only() -> None:
    texts = large([f"documento número {n}" for n in range(20_000)])
    hashes = root_hash_of(texts)
    held_out = {share: is_validation(hashes, share) for share in (0.01, 0.1, 0.4)}
    for share, mask in held_out.items():
        sigma = np.sqrt(share * (1 - share) / len(texts))
        assert abs(mask.mean() - share) < 4 * sigma
    assert not (held_out[0.01] & ~held_out[0.1]).any()
    assert not (held_out[0.1] & ~held_out[0.4]).any()


@given(st.lists(st.text(max_size=20), min_size=1, max_size=20), st.randoms())
@settings(max_examples=50, deadline=None)
def test_is_validation_of_a_text_does_not_depend_on_its_neighbours(
    texts: list[str], random: Random
) -> None:
    alone = [is_validation(root_hash_of(large([text])), 0.5)[0] for text in texts]
    order = random.sample(range(len(texts)), len(texts))
    together = is_validation(root_hash_of(large([texts[i] for i in order])), 0.5)
    assert together.tolist() == [alone[i] for i in order]


def test_child_of_a_held_out_text_is_held_out_whatever_it_says() -> None:
    texts = large([f"seed {n}" for n in range(50)])
    parents = root_hash_of(texts)
    children = large([f"something else entirely, {n}" for n in range(50)])
    grandchildren = large([f"and once more, {n}" for n in range(50)])
    of_children = root_hash_of(children, parents)
    of_grandchildren = root_hash_of(grandchildren, of_children)
    held_out = is_validation(parents, 0.3)
    assert held_out.any()
    assert not held_out.all()
    assert is_validation(of_grandchildren, 0.3).tolist() == held_out.tolist()
    assert is_validation(root_hash_of(children), 0.3).tolist() != held_out.tolist()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_is_validation_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"found .*; allowed .* leave"):
        is_validation(root_hash_of(large(["x"])), share)


def test_is_validation_null_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 root hashes are null"):
        is_validation(pa.array([None, bytes(16)], pa.binary(16)), 0.1)

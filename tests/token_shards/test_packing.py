import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_shards.packing import best_fit, cut_at_breaks, num_pieces, pieces

Lengths = npt.NDArray[np.int64]


@pytest.mark.parametrize(
    ("num_tokens", "sequence_length", "expected"),
    [
        (1, 4, [1]),
        (4, 4, [4]),
        (5, 4, [3, 2]),
        (8, 4, [4, 4]),
        (9, 4, [3, 3, 3]),
        (13, 4, [4, 3, 3, 3]),
        (7, 2, [2, 2, 2, 1]),
        (32_769, 32_768, [16_385, 16_384]),
    ],
)
def test_pieces_of_a_document_are_nearly_equal(
    num_tokens: int, sequence_length: int, expected: list[int]
) -> None:
    assert pieces(num_tokens, sequence_length).tolist() == expected


@given(num_tokens=st.integers(1, 10_000), sequence_length=st.integers(2, 300))
def test_pieces_but_the_last_are_longer_than_half_a_sequence(
    num_tokens: int, sequence_length: int
) -> None:
    found = pieces(num_tokens, sequence_length)
    assert found.sum() == num_tokens
    assert found.max() - found.min() <= 1
    assert found.max() <= sequence_length
    assert len(found) == num_pieces(np.array([num_tokens]), sequence_length)[0]
    assert (found[:-1] > sequence_length // 2).all()


@given(num_tokens=st.integers(1, 2_000), sequence_length=st.integers(2, 200), data=st.data())
def test_cut_at_breaks_anywhere_keeps_the_limits(
    num_tokens: int, sequence_length: int, data: st.DataObject
) -> None:
    reach = sequence_length // 16

    def anywhere(first: int, last: int, wanted: int) -> int:
        assert first <= wanted <= last <= first + 2 * reach
        return data.draw(st.integers(first, last))

    found = cut_at_breaks(num_tokens, sequence_length, anywhere)
    assert found.sum() == num_tokens
    assert len(found) == -(-num_tokens // sequence_length)
    assert 1 <= found.min() <= found.max() <= sequence_length
    assert (found[:-1] > sequence_length // 2).all()


def test_cut_at_breaks_moves_to_the_break_and_the_rest_follows() -> None:
    asked = []

    def at(first: int, last: int, wanted: int) -> int:
        asked.append((first, last, wanted))
        return first

    assert cut_at_breaks(90, 32, at).tolist() == [28, 30, 32]
    assert asked == [(28, 32, 30), (58, 60, 60)]
    with pytest.raises(ValueError, match="best_break gave 99 where 28 to 32 were allowed"):
        cut_at_breaks(90, 32, lambda first, last, wanted: 99)


def rooms(lengths: Lengths, bins: Lengths, capacity: int) -> list[int]:
    return sorted((capacity - np.bincount(bins, lengths).astype(int)).tolist())


def slow_best_fit(lengths: list[int], capacity: int) -> list[int]:
    """Rooms of the bins, by looking at every bin for every piece."""
    found: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in found if room >= length]
        if fitting:
            found.remove(min(fitting))
            found.append(min(fitting) - length)
        else:
            found.append(capacity - length)
    return sorted(found)


def test_best_fit_by_hand() -> None:
    lengths = np.array([2, 7, 3, 5, 3], np.int64)
    assert best_fit(lengths, 10).tolist() == [1, 0, 0, 1, 1]
    assert best_fit(np.array([10, 1, 10], np.int64), 10).tolist() == [0, 2, 1]
    assert best_fit(np.zeros(0, np.int64), 10).tolist() == []


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=80), capacity=st.integers(40, 64))
def test_best_fit_is_the_slow_one_and_never_overfills(lengths: list[int], capacity: int) -> None:
    given_lengths = np.array(lengths, np.int64)
    bins = best_fit(given_lengths, capacity)
    assert bins.shape == given_lengths.shape
    assert sorted(set(bins.tolist())) == list(range(int(bins.max()) + 1))
    found = rooms(given_lengths, bins, capacity)
    assert found[0] >= 0
    assert found == slow_best_fit(lengths, capacity)
    # Any two bins together are fuller than one, so there are less than twice the least number.
    assert len(found) < 2 * sum(lengths) / capacity + 1


@given(lengths=st.lists(st.integers(1, 16), min_size=1, max_size=60), seed=st.integers(0, 99))
def test_best_fit_in_another_order_fills_the_same(lengths: list[int], seed: int) -> None:
    one = np.array(lengths, np.int64)
    other = np.random.default_rng(seed).permutation(one)
    assert rooms(one, best_fit(one, 16), 16) == rooms(other, best_fit(other, 16), 16)


def test_best_fit_of_many_documents_pads_less_than_a_hundredth() -> None:
    rng = np.random.default_rng(5)
    lengths = np.clip(rng.lognormal(6.5, 1.2, 100_000), 1, 4096).astype(np.int64)
    bins = best_fit(lengths, 4096)
    least = -(-int(lengths.sum()) // 4096)
    assert least <= bins.max() + 1 <= 1.01 * least


def test_copies_by_hand() -> None:
    lengths = np.array([3, 3, 3, 1, 1], np.int64)
    assert best_fit(lengths, 10).tolist() == [0, 0, 0, 0, 1]
    documents = np.array([7, 7, 7, 2, 2], np.int64)
    assert best_fit(lengths, 10, documents).tolist() == [0, 1, 2, 2, 1]


@given(
    documents=st.lists(st.tuples(st.integers(1, 250), st.integers(1, 5)), min_size=1, max_size=25),
    seed=st.integers(0, 99),
    late=st.booleans(),
)
def test_no_bin_holds_two_pieces_of_a_document(
    documents: list[tuple[int, int]], seed: int, late: bool
) -> None:
    rows, lengths = [], []
    for row, (num_tokens, copies) in enumerate(documents):
        cut = cut_at_breaks(num_tokens, 64, lambda first, last, _: last if late else first)
        rows += [row] * (copies * len(cut))
        lengths += cut.tolist() * copies
    order = np.random.default_rng(seed).permutation(len(rows))
    shuffled, same = np.array(lengths, np.int64)[order], np.array(rows, np.int64)[order]
    bins = best_fit(shuffled, 64, same)
    assert sorted(set(bins.tolist())) == list(range(int(bins.max()) + 1))
    assert rooms(shuffled, bins, 64)[0] >= 0
    pairs = list(zip(bins.tolist(), same.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)


@given(lengths=st.lists(st.integers(1, 16), min_size=1, max_size=60))
def test_documents_that_come_once_are_packed_as_without_numbers(lengths: list[int]) -> None:
    given_lengths = np.array(lengths, np.int64)
    numbers = np.arange(len(lengths), dtype=np.int64)[::-1].copy()
    assert np.array_equal(best_fit(given_lengths, 16, numbers), best_fit(given_lengths, 16))


def test_copies_cost_next_to_no_padding_where_there_are_many_documents() -> None:
    rng = np.random.default_rng(5)
    once = np.clip(rng.lognormal(6.5, 1.2, 30_000), 1, 4096).astype(np.int64)
    rows = np.repeat(np.arange(len(once)), rng.integers(1, 5, len(once)))
    bins = best_fit(once[rows], 4096, rows)
    assert bins.max() <= 1.001 * best_fit(once[rows], 4096).max()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="lengths go from 1 to 5; a bin of 4 tokens takes"):
        best_fit(np.array([1, 5], np.int64), 4)
    with pytest.raises(ValueError, match=r"lengths are int32\[1\]"):
        best_fit(np.array([1], np.int32), 4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"documents are int64\[2\]; best_fit takes one int64 for"):
        best_fit(np.array([1], np.int64), 4, np.array([0, 1]))
    with pytest.raises(ValueError, match="document 0 has 0 tokens; it has at least its EOD"):
        pieces(0, 4)
    with pytest.raises(ValueError, match="sequence_length is 1"):
        pieces(3, 1)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.synthesize.chunks import (
    BYTES_PER_TOKEN,
    Chunking,
    chunked,
    ends_sentence,
    num_tokens,
    partition,
    sentences,
)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One. Two! Is 3.14 three? Yes.", ("One. ", "Two! ", "Is 3.14 three? ", "Yes.")),
        ('He said "go." Then he went.', ('He said "go." ', "Then he went.")),
        ("我来了。你走了！他呢？好", ("我来了。", "你走了！", "他呢？", "好")),
        ("「行く。」と言った。", ("「行く。」", "と言った。")),
        ("यह एक है। वह दो है।", ("यह एक है। ", "वह दो है।")),
        ("هل جاء؟ نعم. جاء", ("هل جاء؟ ", "نعم. ", "جاء")),
        ("ความดีไม่มีจุด", ("ความดีไม่มีจุด",)),
        ("Он пришёл... И ушёл.", ("Он пришёл... ", "И ушёл.")),
        ("", ()),
    ],
)
def test_sentences_end_as_the_script_has_it(text: str, pieces: tuple[str, ...]) -> None:
    assert sentences(text) == pieces


@given(st.text(st.sampled_from(list('ab .!?。।\n\r\u2028é字ไก่ท😀)"')), max_size=300))
def test_pieces_make_up_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text
    pieces = partition(text, 16)
    assert "".join(pieces) == text
    assert all(len(piece.rstrip().encode()) <= 16 * BYTES_PER_TOKEN for piece in pieces)


def test_partition_ends_at_the_blank_line_in_the_second_half() -> None:
    late = "a" * 40 + "\n\n" + "b" * 10 + "\n" + "c" * 30 + "\n"
    assert partition(late, 16) == (late[:42], late[42:])
    early = "a" * 10 + "\n\n" + "b" * 40 + "\n" + "c" * 30 + "\n"
    assert partition(early, 16) == (early[:53], early[53:])


def test_short_lines_are_joined_and_leftovers_are_counted() -> None:
    text = "Menu\n" + "One line of words. " * 3 + "\n" + "Another line of words. " * 3 + "\nEnd"
    chunks = chunked(text, Chunking(tokens=20, min_tokens=5))
    assert chunks.texts == (
        "Menu\n" + "One line of words. " * 2 + "One line of words.",
        "Another line of words. " * 3 + "\nEnd",
    )
    assert (chunks.dropped_segments, chunks.dropped_tokens) == (0, 0)
    least = chunked("Menu\n\n\nToo short", Chunking(tokens=20, min_tokens=5))
    assert least.texts == ()
    assert (least.dropped_segments, least.dropped_tokens) == (1, num_tokens("Menu\n\n\nToo short"))


def test_a_long_line_is_cut_at_sentences_or_dropped() -> None:
    line = "这是一个很长的句子，里面有很多字。" * 6
    plan = Chunking(tokens=30, min_tokens=5)
    assert chunked(line, plan).texts == ("这是一个很长的句子，里面有很多字。" * 2,) * 3
    around = f"A short line of words stands here.\n{line}\nAnd another one stands behind it."
    dropped = chunked(around, plan.model_copy(update={"long_lines": "drop"}))
    # Neighbours of what is left out are not joined over the gap.
    assert dropped.texts == (
        "A short line of words stands here.",
        "And another one stands behind it.",
    )
    assert dropped.dropped_segments == 1
    assert dropped.dropped_tokens == num_tokens(line + "\n")


def test_thai_is_cut_at_spaces_and_never_before_a_mark() -> None:
    phrase = "น้ำในแม่น้ำใสมาก"
    assert partition(f"{phrase} {phrase}", 16) == (f"{phrase} ", phrase)
    pieces = partition("ที่" * 30, 16)
    assert all(piece[0] == "ท" for piece in pieces)
    assert len(pieces) > 3


def test_whether_a_line_ends_a_sentence() -> None:
    assert [
        ends_sentence(line) for line in ("It ends.  ", "完了。", "Page 3", "J. of Things", "")
    ] == [
        True,
        True,
        False,
        False,
        False,
    ]

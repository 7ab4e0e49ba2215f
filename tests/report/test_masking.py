"""What may be printed of a document: masks, visible controls, differences."""

import pytest

from pipelines.report.masking import (
    LINE_CHARS,
    OPENING_LINES,
    Piece,
    Span,
    differences,
    first_difference,
    masked_line,
    masked_passage,
    secrets_of,
    visible,
)


def spans(text: str, *found: tuple[str, str]) -> list[Span]:
    """Byte spans of the first place of each string."""
    data = text.encode()
    starts = [(kind, data.index(string.encode()), len(string.encode())) for kind, string in found]
    return [Span(kind, start, start + length) for kind, start, length in starts]


def told(pieces: tuple[Piece, ...]) -> str:
    return "".join(f"<{p.text}>" if p.masked else p.text for p in pieces)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Пишите ada@x.org сегодня 🙂", "Пишите <email> сегодня 🙂"),
        ("اكتب إلى ada@x.org اليوم", "اكتب إلى <email> اليوم"),
        ("ada@x.org", "<email>"),
        ("港の時計はada@x.orgへ。ada@x.orgへ。", "港の時計は<email>へ。<email>へ。"),
    ],
)
def test_span_is_masked_by_its_bytes_and_wherever_its_string_stands(text: str, wanted: str) -> None:
    pieces, goes_on = masked_passage(text, spans(text, ("email", "ada@x.org")))
    assert (told(pieces), goes_on) == (wanted, False)


def test_span_that_crosses_the_end_of_the_opening_is_masked_whole() -> None:
    text = "a" * 15 + " ada@x.org and more of it"
    pieces, goes_on = masked_passage(text, spans(text, ("email", "ada@x.org")), columns=20)
    assert (told(pieces), goes_on) == ("a" * 15 + " <email>", True)


def test_second_mention_on_the_edge_of_the_opening_is_masked_whole() -> None:
    text = "ada@x.org " + "b" * 10 + " ada@x.org " + "c" * 50
    pieces, _ = masked_passage(text, spans(text, ("email", "ada@x.org")), columns=20)
    assert "ada" not in told(pieces)


def test_spans_that_overlap_or_cut_a_character_mask_all_they_touch() -> None:
    text = "xé🙂yz"
    whole = [Span("key", 2, 4), Span("email", 3, 7)]  # from inside é to the end of the emoji
    assert told(masked_passage(text, whole)[0]) == "x<key+email>yz"
    assert told(masked_passage(text, [Span("key", 0, 99)])[0]) == "<key>"


def test_passage_from_the_middle_shifts_the_spans() -> None:
    text = "ж" * 30 + " ada@x.org " + "ж" * 3
    found = spans(text, ("email", "ada@x.org"))
    assert told(masked_passage(text, found, start=28)[0]) == "жж <email> жжж"
    assert told(masked_passage(text, found, start=33)[0]).strip("ж ") in ("<email>",)
    assert told(masked_passage(text, found, start=41)[0]) == "жжж"


def test_openings_take_as_much_room_in_wide_scripts_and_lists_end_early() -> None:
    assert told(masked_passage("字" * 50, [], columns=20)[0]) == "字" * 10
    assert told(masked_passage("a" * 50, [], columns=20)[0]) == "a" * 20
    pieces, goes_on = masked_passage("w\n" * 100, [])
    assert told(pieces).count("\n") == OPENING_LINES - 1
    assert goes_on


def test_nobody_looked_so_what_looks_like_an_address_is_masked() -> None:
    pieces, _ = masked_passage("mail ada@x.org or see x.org", [], guess=True)
    assert told(pieces) == "mail <address> or see x.org"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("https://x.org/?to=ada@x.org&a=1", "https://x.org/?to=[address]&a=1"),
        ("https://x.org/?to=ada%40x.org", "https://x.org/?to=[address]"),
        ("https://ada:secret@x.org/a", "https://[address]/a"),
        ("https://medium.example/@ada/post", "https://medium.example/@ada/post"),
        ("two\nlines\u202edesrever", "two lines[U+202E]desrever"),
        ("call 555 0100 now", "call [phone] now"),
    ],
)
def test_line_masks_addresses_and_found_strings(line: str, wanted: str) -> None:
    assert masked_line(line, {"555 0100": "phone"}) == wanted


def test_long_line_is_cut() -> None:
    assert len(masked_line("x" * 5000)) == LINE_CHARS
    assert len(masked_line(":" * 100_000 + "@")) == LINE_CHARS


def test_found_strings_of_one_or_two_letters_do_not_mask_every_word() -> None:
    assert secrets_of("at ab12", [Span("key", 0, 2), Span("key", 3, 7)]) == {"ab12": "key"}


def test_controls_are_spelt_out_and_honest_marks_stay() -> None:
    assert visible("a\x00\x1b\u202e\u2066b\n\tc") == "a[U+0000][U+001B][U+202E][U+2066]b\n\tc"
    assert visible("ء\u200f!\u200e") == "ء\u200f!\u200e"


def test_differences_mark_words_and_keep_masks() -> None:
    one = (Piece("the tide of "), Piece("email", masked=True), Piece(" is high 港の時"))
    other = (Piece("the tide of "), Piece("email", masked=True), Piece(" is low 港と時"))
    left, right = differences(one, other)
    assert [p.text for p in left if p.differs] == ["high", "の"]
    assert [p.text for p in right if p.differs] == ["low", "と"]
    assert [p.text for p in left if p.masked] == ["email"]
    assert "".join(p.text for p in left) == "".join(p.text for p in one)


@pytest.mark.parametrize(
    ("one", "other", "place"),
    [("abc", "abd", 2), ("abc", "abc", 3), ("", "x", 0), ("ab", "abc", 2)],
)
def test_first_difference_is_found_by_halving(one: str, other: str, place: int) -> None:
    assert first_difference(one, other) == place
    assert first_difference(one * 1 + "z" * 999, one + "z" * 999) == len(one) + 999

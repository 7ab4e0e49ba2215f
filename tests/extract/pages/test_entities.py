import html
import html.entities
import random

import numpy as np
import pytest

from pipelines.extract.pages.entities import MAX_GROWTH, decoded


def text_of(written: str, *, in_attribute: bool = False) -> str:
    data = np.frombuffer(written.encode(), np.uint8)
    return decoded(data, 0, data.size, in_attribute=in_attribute)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("Tom &amp; Käthe &lt;b&gt;", "Tom & Käthe <b>"),
        ("&#8212;&#x2014;&#X2014;&#8212 x", "———— x"),
        ("&notit;&notin;&not", "¬it;∉¬"),
        ("&CounterClockwiseContourIntegral;", "∳"),
        ("&NotEqualTilde;&nGt;", "≂̸≫⃒"),
        ("&amp;amp; &AMP;lt;", "&amp; &lt;"),
        ("&#128;&#150;&#x99;&#x81;", "€–™\x81"),
        ("&#0;&#xD800;&#1114112;&#99999999999999999999;", "\ufffd\ufffd\ufffd\ufffd"),
        ("&#x1F600;&#128512;", "😀😀"),
        ("&;&#;&#x;&#xg;& &nosuch;&", "&;&#;&#x;&#xg;& &nosuch;&"),
        ("&copy2024 &frac12x", "©2024 ½x"),
        ("δοκιμή &alpha;", "δοκιμή α"),
    ],
)
def test_references_of_a_text_are_decoded(written: str, text: str) -> None:
    assert text_of(written) == text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("?a=1&copy=2&lt=3&ampb", "?a=1&copy=2&lt=3&ampb"),
        ("?a=1&amp;copy=2&copy;", "?a=1&copy=2©"),
        ("&copy &notin; &not", "© ∉ ¬"),
        ("&notit;", "&notit;"),
    ],
)
def test_names_without_semicolon_are_kept_in_attributes(written: str, text: str) -> None:
    assert text_of(written, in_attribute=True) == text


def test_every_name_of_the_standard_is_known() -> None:
    for name, value in html.entities.html5.items():
        assert text_of(f"&{name}") == value
        assert len(value.encode()) <= MAX_GROWTH * (len(name) + 1)


def test_references_are_those_that_the_standard_library_finds() -> None:
    choose = random.Random(5)
    names = list(html.entities.html5)
    for _ in range(3000):
        parts = ["&", "&#", ";", "a", " ", "=", "é", choose.choice(names), choose.choice(names)[:3]]
        written = "".join(choose.choices(parts, k=8)) + f"&#{choose.randrange(160, 0xD800)}"
        assert text_of(written) == html.unescape(written)


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    data = np.frombuffer(b"a\xff&amp;\xe2\x82", np.uint8)
    assert decoded(data, 0, data.size) == "a\ufffd&\ufffd"
    assert decoded(data, 1, 7) == "\ufffd&"

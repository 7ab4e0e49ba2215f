"""What an author wrote comes through the Markdown of the engine unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.extract.engines import main_text
from pipelines.extract.pages.dom import parse
from pipelines.extract.unescape import unescape

PARAGRAPHS = [
    r"See [1] and [citation needed]; snake_case_name, 2*3*4, a~b, a < b, `tick.",
    r"C:\new\[old] and \_ stay, and so does a final backslash \ here.",
    "# not a heading, just a number sign",
    "- not a list, only a dash",
    "1. not a list, only a number",
    "It costs $5 for [one] and $6 for a_b.",
    "港の時計 [トップ | 温泉] は十五分進んでいる_です。🙂",
]


def page(*paragraphs: str) -> str:
    escaped = (p.replace("&", "&amp;").replace("<", "&lt;") for p in paragraphs)
    filler = "A sentence that is long enough for the engine to see the main text of a page here."
    body = "".join(f"<p>{p}</p><p>{filler}</p>" for p in escaped)
    return f"<html><body><article><h1>Head</h1>{body}</article></body></html>"


@pytest.mark.parametrize("engine", ["trafilatura", "trafilatura-fast"])
@pytest.mark.parametrize("paragraph", PARAGRAPHS)
def test_paragraph_with_special_characters_comes_through(engine: str, paragraph: str) -> None:
    html = page(paragraph)
    assert paragraph in main_text(parse(html.encode()), engine).text.splitlines()


def test_code_and_formulas_keep_their_backslashes() -> None:
    text = "a\\_b `c\\_d` $x\\_1 \\alpha$ e\\_f\n```\ng\\_h\n```\n$$\\_$$ i\\_j"
    assert unescape(text) == "a_b `c\\_d` $x\\_1 \\alpha$ e_f\n```\ng\\_h\n```\n$$\\_$$ i_j"


@given(st.text(alphabet="ab[]_*~< .\n", max_size=40))
def test_text_without_backslashes_is_left_alone(text: str) -> None:
    assert unescape(text) == text

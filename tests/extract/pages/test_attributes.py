import random

import numpy as np
import pytest
from resiliparse.parse.html import HTMLTree

from pipelines.extract.pages.attributes import attribute, attribute_name, find_attribute
from pipelines.extract.pages.dom import parse


@pytest.mark.parametrize(
    ("tag", "name", "value"),
    [
        ("<a href=x>", "href", "x"),
        ("<a HREF = 'x y'>", "href", "x y"),
        ('<a title="a>b" href=x>', "href", "x"),
        ("<a href=/x/>", "href", "/x/"),
        ("<a href='x'title=y>", "title", "y"),
        ("<a data-href=x href=y>", "href", "y"),
        ("<a href=x href=y>", "href", "x"),
        ("<a checked href>", "checked", ""),
        ("<a checked href>", "href", ""),
        ("<a href= >", "href", ""),
        ("<a href=''>", "href", ""),
        ("<a =x href=y>", "=x", ""),
        ("<a ==x>", "=", "x"),
        ("<a/href=x>", "href", "x"),
        ("<a\nhref\n=\nx\n>", "href", "x"),
        ("<a title='href=x'>", "href", None),
        ("<a href='?a=1&amp;b&copy=2'>", "href", "?a=1&b&copy=2"),
        ("<a lang=Ελληνικά>", "lang", "Ελληνικά"),
        ("<a>", "href", None),
    ],
)
def test_attribute_is_read_as_browsers_do(tag: str, name: str, value: str | None) -> None:
    assert attribute(parse(tag.encode()), 1, name) == value


def test_absent_and_empty_values_are_told_apart() -> None:
    data = np.frombuffer(b" hidden id=x", np.uint8)
    assert find_attribute(data, 0, 12, attribute_name("hidden")) == (7, 7)
    assert find_attribute(data, 0, 12, attribute_name("id")) == (11, 12)
    assert find_attribute(data, 0, 12, attribute_name("class")) == (-1, -1)


def test_mutated_tags_have_the_attributes_that_lexbor_finds() -> None:
    choose = random.Random(11)
    pieces = ["href", "title", "=", "=", "'", '"', " ", " ", "/", "x", "b&amp;c", "\n", "é", "&lt"]
    num_found = 0
    for _ in range(2000):
        page = "<p " + "".join(choose.choices(pieces, k=choose.randrange(1, 14))) + ">text</p>"
        dom = parse(page.encode())
        paragraph = HTMLTree.parse(page).body.first_child
        if len(dom) == 1:
            assert paragraph is None  # the tag is not closed before the page ends
            continue
        for name in ("href", "title", "x"):
            expected = paragraph.getattr(name)
            assert attribute(dom, 1, name) == expected, page
            num_found += expected is not None
    assert num_found > 400

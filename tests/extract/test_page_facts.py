"""What a page says of itself, and where it leads."""

import numpy as np
import pytest

from pipelines.extract.page_facts import PageFacts, outlinks, read_page_facts
from pipelines.extract.pages.dom import TAG, parse
from pipelines.extract.uris import canonical_uri

BASE = "https://example.org/a/b.html?q"


def facts(page: str) -> PageFacts:
    return read_page_facts(parse(page.encode()))


def test_head_of_a_page_is_read() -> None:
    found = facts(
        "<html lang=pt_BR><head><title> Olá\n mundo &amp; mais </title>"
        "<meta name=Author content='Zé'><meta name=author content=other>"
        "<meta property='article:published_time' content=2024-05-01></head><body>x"
    )
    assert found.language == "pt-br"
    assert found.meta == {"title": "Olá mundo & mais", "author": "Zé", "date": "2024-05-01"}


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<svg><title>icon</title></svg><title>page</title>", "page"),
        ("<title></title><meta property=og:title content=x>", "x"),
        ("<head><title></title><meta property=og:title content=x></head>", "x"),
        ("<head><meta name='og&#x3A;title' content=x></head>", "x"),
        ("<head></head><div><meta property=og:title content=x></div>", None),
        ("<meta property=og:title content='x &lt; y'><p>z", "x < y"),
        ("<p>z<meta property=og:title content=x>", None),
        ("<head><noscript><meta property=og:title content=x></noscript></head>", None),
    ],
)
def test_title_is_that_of_the_page(page: str, title: str | None) -> None:
    assert facts(page).meta.get("title") == title


def test_language_is_stated_by_the_page_or_its_body() -> None:
    assert facts("<html xml:lang=sr-Latn><body lang=en>x").language == "sr-latn"
    assert facts("<body lang=el>x").language == "el"
    assert facts("<meta http-equiv=Content-Language content='de, en'>x").language == "de"
    assert facts("Warning: x<html lang=fi>").language == "fi"
    assert facts("<p lang=en>x").language is None


def test_date_of_a_time_element_counts_where_no_field_states_one() -> None:
    assert facts("<time datetime=2001>x</time>").meta == {}
    assert facts("<time datetime=2001 pubdate>x</time>").meta == {"date": "2001"}
    page = "<time itemprop=datePublished datetime=2002>x</time><time pubdate datetime=2003>"
    assert facts(page).meta == {"date": "2002"}


CC = "https://creativecommons.org/licenses/by/4.0/"


@pytest.mark.parametrize(
    ("page", "license_"),
    [
        (f"<a href=/terms>t</a><link rel='x license' href='{CC}'>", CC),
        ("<a rel=license href=' '>t</a><a rel=license href=/l>", "/l"),
        (f"<p>This page: <a href='{CC}'>CC BY</a></p>", CC),
        (f"<p>Photo: Anna, <a href='{CC}'>CC BY</a></p>", None),
        (f"<a href='{CC}'>a</a><a href='{CC.replace('by', 'by-sa')}'>b</a>", None),
        (f"<a href='/go?to={CC}'>a</a>", None),
    ],
)
def test_licence_is_the_marked_link_or_the_only_one(page: str, license_: str | None) -> None:
    assert facts(page).license == license_


def test_licence_fields_and_json_are_kept_apart() -> None:
    found = facts(
        "<head><meta name=DC:rights content='All rights reserved'>"
        "<meta name=dcterms.license content='CC BY 4.0'>"
        '<script type="application/ld+json">{broken "license"</script>'
        '<script type="application/ld+json">{"@graph": [{"@type": "ImageObject", "license": "no"},'
        '{"@type": ["NewsArticle"], "license": {"@id": "https://l.example/"}}]}</script></head>'
    )
    assert found.meta == {"license_meta": "CC BY 4.0", "license_jsonld": "https://l.example/"}


def json_page(block: str) -> str:
    return f'<head><script type="application/ld+json">{block}</script></head><body>x'


@pytest.mark.parametrize(
    ("block", "meta"),
    [
        (
            '{"@type": "NewsArticle", "author": {"@type": "Person", "name": "Zo\u00eb &amp; Li"},'
            ' "datePublished": "2024-05-01T08:00:00+02:00"}',
            {"author": "Zoë & Li", "date": "2024-05-01T08:00:00+02:00"},
        ),
        ('{"@type": ["WebPage"], "author": "山田 太郎"}', {"author": "山田 太郎"}),
        (
            '[{"@type": "BlogPosting", "author": [{"name": "A"}, "B", {"name": ["C"]}, 4, "A"]}]',
            {"author": "A; B; C"},
        ),
        (
            '{"@graph": [{"@type": "WebSite", "author": "the firm", "datePublished": "1999"},'
            ' {"@type": "Article", "author": {"@id": "#ana"}, "datePublished": "2020-01-02"},'
            ' {"@type": "Person", "@id": "#ana", "name": "Ana"}]}',
            {"author": "Ana", "date": "2020-01-02"},
        ),
        ('{"@type": "Comment", "author": "c", "datePublished": "2020"}', {}),
        ('{"@type": "Article", "author": {"name": "https://example.org/ana"}}', {}),
        ('{"@type": "Article", "author": {"url": "/ana"}, "datePublished": 2020}', {}),
        ('{"@type": "Article", "author": "x"', {}),
    ],
)
def test_author_and_date_are_read_from_json(block: str, meta: dict[str, str]) -> None:
    assert facts(json_page(block)).meta == meta


def test_fields_of_the_head_count_before_json_and_json_before_the_body() -> None:
    block = '{"@type": "Article", "author": "Json", "datePublished": "2002"}'
    body = "<a rel=author>Link</a><time pubdate datetime=2003>x</time>"
    assert facts(json_page(block) + body).meta == {"author": "Json", "date": "2002"}
    head = "<meta name=author content=Field><meta name=date content=2001>"
    page = head + json_page(block) + body
    assert facts(page).meta == {"author": "Field", "date": "2001"}


@pytest.mark.parametrize(
    ("body", "author"),
    [
        ("<p>by <a href=/zoe rel='nofollow author'>Zoë <b>Öz</b></a>", "Zoë Öz"),
        ("<a rel=author href=/x><img src=x></a><a rel=author>Second</a>", "Second"),
        ("<a rel=coauthor>x</a><a title='rel=author'>y</a><p>author</p>", None),
        ("<link rel=author href=/humans.txt>", None),
        ("<a rel=author href=/x>https://example.org/x</a>", None),
        (f"<a rel=author>{'long ' * 30}</a>", None),
        ("<span itemprop=author>Ana</span>", "Ana"),
        ("<div><meta itemprop=author content='Ana'></div>", "Ana"),
        (
            "<div itemprop='creator author' itemscope itemtype='https://schema.org/Person'>"
            "<img><a itemprop=url href=/a>more</a><b itemprop=name>Ana</b></div>",
            "Ana",
        ),
        (
            "<div itemprop=author itemscope itemtype='https://schema.org/Person'>"
            "<meta itemprop=name content=Ana>all of Ana</div>",
            "Ana",
        ),
        (
            "<div itemscope itemtype='https://schema.org/Comment'><i itemprop=author>C</i></div>"
            "<div itemscope itemtype='https://schema.org/BlogPosting'><i itemprop=author>D</i>",
            "D",
        ),
        ("<a rel=author>Link</a><i itemprop=author>Item</i>", "Link"),
    ],
)
def test_author_is_read_from_the_body(body: str, author: str | None) -> None:
    assert facts(f"<body>{body}").meta.get("author") == author


@pytest.mark.parametrize(
    ("body", "date"),
    [
        ("<meta itemprop=datePublished content=2024-05-01>", "2024-05-01"),
        ("<div><meta itemprop=datePublished content=2024-05-01></div>", "2024-05-01"),
        ("<span itemprop=datePublished datetime=2024-05-01>May</span>", "2024-05-01"),
        ("<span itemprop='dateCreated datePublished'>1. Mai <b>2024</b></span>", "1. Mai 2024"),
        ("<time itemprop=datePublished>5 May 2024</time>", "5 May 2024"),
        ("<span itemprop=datePublished>yesterday</span>", None),
        ("<abbr itemprop=datePublished>10:52</abbr>", None),
        ("<span itemprop=dateModified>2024</span>", None),
        (
            "<div itemscope itemtype='https://schema.org/Comment'>"
            "<time itemprop=datePublished>2025</time></div><p itemprop=datePublished>2024</p>",
            "2024",
        ),
    ],
)
def test_date_is_read_from_the_body(body: str, date: str | None) -> None:
    assert facts(f"<body><p>x</p>{body}").meta.get("date") == date


def test_author_that_is_an_address_is_none() -> None:
    for url in ("https://www.facebook.com/ana", "//example.org/ana", "www.example.org", "/ana"):
        page = f"<meta property=article:author content='{url}'><meta name=dc.creator content=Ana>"
        assert facts(page).meta == {"author": "Ana"}
        assert facts(f"<meta name=author content='{url}'>").meta == {}


def test_page_of_many_statements_keeps_all() -> None:
    metas = "<meta name=author content=''>" * 1000
    found = facts(f"<head>{metas}<meta name=dc.creator content=last></head>")
    assert found.meta == {"author": "last"}


def links(page: str, base: str | None = BASE) -> list[str]:
    dom = parse(page.encode())
    return outlinks(dom, np.ones(len(dom), np.bool_), base)


def test_outlinks_are_absolute_canonical_and_unique() -> None:
    page = (
        "<a href=/x>1</a><a href='https://Example.org/x#top'>2</a><a href=y.html>3</a>"
        "<a href=#top>4</a><a href=''>5</a><a href=mailto:a@b.c>6</a><a href='javascript:x()'>7</a>"
        "<a href='//h.example'>8</a><a href='/a/../c?b&amp;d=%7e'>9</a><a href='http://[x'>10</a>"
        "<a href='https://ü.example/ä b'>11</a><a>12</a><area href=/x/>"
    )
    assert links(page) == [
        "https://example.org/x",
        "https://example.org/a/y.html",
        "https://h.example/",
        "https://example.org/c?b&d=~",
        "https://xn--tda.example/%C3%A4%20b",
        "https://example.org/x/",
    ]


def test_outlinks_are_those_in_what_is_kept() -> None:
    dom = parse(b"<nav><a href=/n>n</a></nav><p><a href=/p>p <b>q</b></a> <a href=/r>r</a></p>")
    keep = np.zeros(len(dom), np.bool_)
    keep[int(np.flatnonzero(dom.tag == TAG["b"])[0]) + 1] = True
    assert outlinks(dom, keep, BASE) == ["https://example.org/p"]
    assert outlinks(dom, np.zeros_like(keep), BASE) == []


def test_outlinks_follow_the_base_of_the_page() -> None:
    page = "<base href=/docs/><a href=x>1</a><a href=/y>2</a>"
    assert links(page) == ["https://example.org/docs/x", "https://example.org/y"]
    assert links(page, None) == []
    assert links("<a href='https://a.example/x'>1</a>", None) == ["https://a.example/x"]


def test_outlinks_end_at_a_thousand() -> None:
    page = "".join(f"<a href=/{i}>x</a>" for i in range(1500))
    assert links(page) == [f"https://example.org/{i}" for i in range(1000)]


@pytest.mark.parametrize(
    "href",
    [
        "/a//b",
        "/a/./b",
        "/a/..",
        "/.x",
        "/a.b/",
        "/?x=1&y",
        "/x?",
        "/~a_b-c.d",
        "/a;b",
        "/%41",
        "/",
    ],
)
def test_plain_links_are_canonical_as_they_are(href: str) -> None:
    url = "https://example.org" + href
    assert links(f"<a href='{href}'>x</a>") == [canonical_uri(url)]
    assert links(f"<a href='{url}'>x</a>") == [canonical_uri(url)]


def test_long_odd_links_take_no_time() -> None:
    assert len(links("<a href='/" + "a-" * 50_000 + "\u00e4'>x</a>")) == 1

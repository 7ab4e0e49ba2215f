"""The rules that need no server: addresses, directives, links, sitemaps, pauses."""

import asyncio
import gzip
import ipaddress
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from pipelines.crawl.addresses import CheckedResolver, PrivateAddress, is_public
from pipelines.crawl.exchange import retry_after_s
from pipelines.crawl.links import FOUND_IN, find_links, read_page
from pipelines.crawl.robots import Directives, header_directives, parse_robots
from pipelines.crawl.sitemaps import (
    MAX_SITEMAP_ENTRIES,
    BrokenSitemap,
    Sitemap,
    parse_sitemap,
)


@pytest.mark.parametrize(
    "address",
    """127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1
    239.1.1.1 240.0.0.1 255.255.255.255 192.0.2.1 198.18.0.1 :: ::1 fe80::1 fc00::1 fd12::1 ff02::1
    fec0::1 2001:db8::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::127.0.0.1 2002:7f00:1:: 64:ff9b::10.0.0.1
    64:ff9b:1::1 168.63.129.16 100.100.100.200 192.0.0.192 192.88.99.1 fd00:ec2::254 3fff::1 5f00::1
    2001:0:4136:e378:8000:63bf:3fff:fdd2 100::1 2002:a9fe:a9fe:: 64:ff9b::a9fe:a9fe
    ::ffff:169.254.169.254 ::169.254.169.254""".split(),
)
def test_private_and_special_addresses_are_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    """8.8.8.8 193.0.6.139 2001:4860:4860::8888 ::ffff:8.8.8.8 2002:808:808:: 64:ff9b::8.8.8.8
    """.split(),
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_the_resolver_gives_the_address_it_checked_and_asks_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that answers otherwise the second time (DNS rebinding) is not asked again."""
    answers = [["93.184.216.34", "10.0.0.1"], ["127.0.0.1"]]

    def rebinding(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", (address, port)) for address in answers.pop(0)]

    async def resolve() -> None:
        resolver = CheckedResolver(allow_private=False)
        for _ in range(2):
            found = await resolver.resolve("a.example", 80)
            assert [(item["host"], item["port"]) for item in found] == [("93.184.216.34", 80)]
        with pytest.raises(PrivateAddress, match=r"a\.example is at 127\.0\.0\.1"):
            await CheckedResolver(allow_private=False).resolve("a.example", 80)

    monkeypatch.setattr("pipelines.crawl.addresses.socket.getaddrinfo", rebinding)
    asyncio.run(resolve())


@pytest.mark.parametrize(
    ("values", "noindex", "nofollow"),
    [
        (["noindex"], True, False),
        (["all", "NOFOLLOW , noarchive"], False, True),
        (["none"], True, True),
        (["googlebot: noindex", "tokenmill: nofollow"], False, True),
        (["*: noindex"], True, False),
        (["max-snippet: 20, noindex"], True, False),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], False, False),
        ([], False, False),
    ],
)
def test_x_robots_tag(values: list[str], noindex: bool, nofollow: bool) -> None:
    assert header_directives(values) == Directives(noindex, nofollow)


def test_robots_txt_with_a_byte_order_mark_and_broken_bytes() -> None:
    rules = parse_robots(b"\xef\xbb\xbfUser-Agent: *\r\nDisallow: /\xff\xfe\nDisallow: /a$\n")
    assert rules.refusal("http://a.example/a") is not None
    assert rules.refusal("http://a.example/ab") is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Thu, 01 Jan 2015 00:01:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        (None, None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, datetime(2026, 1, 1, tzinfo=UTC)) == seconds


def test_links_without_a_base_and_in_broken_markup() -> None:
    html = (
        "<a href=a>1<a href='//b.example:80/x/../y'>2<table><a href=\"\n /t\n/u \">3<base href=zz>"
    )
    found = read_page(html, "http://a.example/d/e")
    assert list(found.links) == [
        "http://a.example/d/a",
        "http://b.example/y",
        "http://a.example/t/u",
    ]
    assert found.directives == Directives()


def test_pages_that_are_hard_to_parse_give_their_links() -> None:
    deep = "<div>" * 1500 + "<a href=deep>x</a>"
    declared = '<?xml version="1.0" encoding="utf-16"?><html><a href="\u00e9">x</a>'
    for html, link in ((deep, "deep"), (declared, "%C3%A9"), ("\ud800<a href=s>", "s")):
        assert list(read_page(html, "http://a.example/").links) == [f"http://a.example/{link}"]
    for html in ("", " \n", "no markup", "<!-- only -->", "\x00", "<"):
        assert read_page(html, "http://a.example/").links == {}


SITEMAP = '<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'


def test_sitemaps_in_all_forms() -> None:
    urls = ("http://a.example/1?a=1&b=2", "http://a.example/привет")
    entries = "".join(f"<url><loc> {u.replace('&', '&amp;')}\n</loc></url>" for u in urls)
    expected = Sitemap(urls, is_index=False, num_over=0)
    assert parse_sitemap(f"{SITEMAP}{entries}</urlset>".encode()) == expected
    assert parse_sitemap(f"{SITEMAP}{entries}</urlset>".replace("&amp;", "&").encode()) == expected
    wide = f'<?xml version="1.0" encoding="UTF-16"?><urlset>{entries}</urlset>'
    assert parse_sitemap(wide.encode("utf-16")) == expected
    assert parse_sitemap(f"<urlset>{entries}</urlset>".encode("utf-16-le")) == expected
    cut = parse_sitemap(f"{SITEMAP}{entries}<url><loc>http://a.exa".encode())
    assert cut.entries == urls
    assert cut.broken is not None
    assert parse_sitemap("\r\n".join(urls).encode()) == expected
    members = gzip.compress(SITEMAP.encode(), mtime=0) + gzip.compress(
        f"{entries}</urlset>".encode(), mtime=0
    )
    assert parse_sitemap(members) == expected
    index = "<sitemapindex><sitemap><loc>http://a.example/2.xml</loc></sitemap></sitemapindex>"
    assert parse_sitemap(index.encode()) == Sitemap(("http://a.example/2.xml",), True, 0)
    image = "<url><loc>http://a.example/p</loc><image><loc>http://a.example/i</loc></image></url>"
    assert parse_sitemap(f"<urlset>{image}</urlset>".encode()).entries == ("http://a.example/p",)


def test_sitemaps_with_small_mistakes_are_read_whole() -> None:
    urls = ("http://a.example/1?a=1&b=2", "http://a.example/2?a=1&amp;b")
    first, second = "http://a.example/1?a=1&b=2", "http://a.example/2?a=1&amp;amp;b"
    alternate = '<xhtml:link rel="alternate" hreflang="ru" href="http://a.example/ru"/>'
    undeclared = f"<url><loc>{first}</loc>{alternate}</url><url><loc>{second}</loc></url>"
    expected = Sitemap(urls, is_index=False, num_over=0)
    assert parse_sitemap(f"{SITEMAP}{undeclared}</urlset>".encode()) == expected
    prefixed = undeclared.replace("url>", "sm:url>").replace("loc>", "sm:loc>")
    assert parse_sitemap(f"<sm:urlset>{prefixed}</sm:urlset>".encode()) == expected
    cdata = f"<url><loc><![CDATA[{urls[0]}]]></loc></url><url><loc>{second}</loc></url>"
    assert parse_sitemap(f"{SITEMAP}{cdata}</urlset>".encode()) == expected
    comment = f"{SITEMAP}<!-- <![CDATA[ & -->{undeclared}</urlset>"
    assert parse_sitemap(comment.encode()) == expected
    for before in (b"\r\n \n", b"\xef\xbb\xbf\n", b"\n\xef\xbb\xbf"):
        assert parse_sitemap(before + f"{SITEMAP}{undeclared}</urlset>".encode()) == expected
    cut = parse_sitemap(f"{SITEMAP}{undeclared}<url><loc><![CDATA[http://a.example/3?&".encode())
    assert cut.entries == urls
    assert cut.broken is not None


def test_what_no_rule_foresaw_costs_a_page_its_own_links_alone() -> None:
    page = {"kind": "page", "charset": None, "url": "http://a.example/", "payload": b"<a href=b>"}
    urlset = b"<urlset><url><loc>c</loc></url></urlset>"
    rows = [
        page | {"payload": None},  # stands for what a reader has no answer to
        page,
        page | {"kind": "sitemap", "payload": None},
        page | {"kind": "sitemap", "payload": urlset},
    ]
    found = find_links(pa.RecordBatch.from_pylist(rows, schema=FOUND_IN)).to_pylist()
    told = [(row["links"], row["reason"]) for row in found]
    assert told == [
        ([], "unparsed"),
        (["http://a.example/b"], None),
        ([], "broken_sitemap"),
        (["http://a.example/c"], None),
    ]
    assert found[0]["message"].startswith("AttributeError: ")


def test_entries_beyond_the_limit_are_counted() -> None:
    lines = "\n".join(f"http://a.example/{n}" for n in range(MAX_SITEMAP_ENTRIES + 3))
    sitemap = parse_sitemap(lines.encode())
    assert (len(sitemap.entries), sitemap.num_over) == (MAX_SITEMAP_ENTRIES, 3)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html><body>404</body></html>", "broken_sitemap"),
        (b"just a text", "broken_sitemap"),
        (b"", "broken_sitemap"),
        (gzip.compress(b"<urlset/>", mtime=0)[:-6], "truncated_body"),
        (b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 30, "bad_encoding"),
        (gzip.compress(b" " * (51 << 20), mtime=0), "unpacked_too_large"),
    ],
)
def test_what_is_no_sitemap_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(BrokenSitemap) as caught:
        parse_sitemap(body)
    assert caught.value.reason == reason


def test_a_sitemap_opens_no_files_and_expands_no_entities() -> None:
    declared = (
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname"><!ENTITY f "http://b.example/">]>'
    )
    body = "<urlset><url><loc>http://a.example/&e;</loc></url><url><loc>&f;</loc></url></urlset>"
    sitemap = parse_sitemap((declared + body).encode())
    assert sitemap.entries == ("http://a.example/&e;", "&f;")

"""What servers do to crawlers: each trap is told by its reason, and the crawl goes on."""

import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crawling import POLITE, Crawled, die_of_poison, read_by_ours
from hostile_server import HostileServer, Reply, reply

from pipelines.config import CrawlConfig
from pipelines.crawl.job import CrawlJob
from pipelines.workspace.children import Children
from pipelines.workspace.schema import payload_digest
from pipelines.workspace.workspace import Workspace

RunCrawl = Callable[..., Crawled]
SEED = "http://a.example/"


def links(*paths: str) -> bytes:
    return reply("".join(f'<a href="{path}">x</a>' for path in paths))


def endless_body() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    while True:
        yield b"<p>on and on</p>" * 4096


def endless_chunks() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"10000\r\n" + bytes(0x10000) + b"\r\n"


def endless_header() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(100_000):
        yield b"X-%d: y\r\n" % number * 50


def bomb() -> bytes:
    """A million times what is sent: 64 MiB of blanks in 64 KiB, packed again."""
    packed = gzip.compress(gzip.compress(b" " * (64 << 20), 9), 9)
    return reply(gzip.decompress(packed), Content_Encoding="gzip")


def broken_chunks() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield b"5\r\n<p>a \r\n"
    yield b""


def cut_short() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n<p>half"
    yield b""


def no_answer() -> Iterator[bytes]:
    yield b""


PAGE = gzip.compress(b"<p>" + b"never ends " * 500)
TRAPS: dict[str, tuple[Reply | Callable[[], Reply], str]] = {
    "endless": (endless_body, "too_large"),
    "chunks": (endless_chunks, "too_large"),
    "declared": (reply("x", Content_Length="99999999999"), "too_large"),
    "bomb": (bomb, "unpacked_too_large"),
    "loop": (reply(status="302 Found", Location="/loop"), "redirect_loop"),
    "ping": (reply(status="302 Found", Location="/pong"), "redirect_loop"),
    "outside": (reply(status="301 Moved", Location="http://10.0.0.1/x"), "out_of_scope_redirect"),
    "file": (reply(status="301 Moved", Location="file:///etc/passwd"), "out_of_scope_redirect"),
    "nowhere": (reply(status="301 Moved"), "http_status_301"),
    "cut": (cut_short, "truncated_body"),
    "broken-chunks": (broken_chunks, "truncated_body"),
    "silent": (no_answer, "connection_failed"),
    "long-field": (reply("x", X_Long="y" * 100_000), "huge_header"),
    "many-fields": (endless_header, "huge_header"),
    "not-http": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "broken_http"),
    "not-gzip": (reply(b"\x1f\x8b" + bytes(40), Content_Encoding="gzip"), "bad_encoding"),
    "half-gzip": (reply(PAGE[:-20], Content_Encoding="gzip"), "truncated_body"),
    "strange": (reply("x", Content_Encoding="quux"), "bad_encoding"),
    "picture": (reply(b"\x89PNG", Content_Type="image/png"), "not_asked_media_type"),
    "hidden": (reply(b"\x89PNG\r\n\x1a\n", Content_Type=""), "not_asked_media_type"),
    "gone": (reply("x", "410 Gone"), "http_status_410"),
    "empty": (reply("", "204 No Content", Content_Length=""), "http_status_204"),
    "unwanted": (reply("<p>x", X_Robots_Tag="noarchive, NoIndex"), "noindex"),
    "no-address": (reply(status="301 Moved", Location="http://[bad/"), "out_of_scope_redirect"),
    "far-future": (
        reply("x", "503 Busy", Retry_After="Thu, 01 Jan 2026 00:00:30 +9999999999999999999"),
        "http_status_503",
    ),
    "unwanted-meta": (reply("<meta name=Robots content='none'>"), "noindex"),
}


def test_every_trap_is_told_by_its_reason_and_good_pages_between_are_kept(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    good = {f"good-{name}": f"<p>after {name}" for name in TRAPS}
    server.on(SEED, links(*TRAPS, *good))
    server.on("http://a.example/pong", reply(status="302 Found", Location="/ping"))
    for name, (answer, _) in TRAPS.items():
        server.on(f"{SEED}{name}", answer)
        server.on(f"{SEED}good-{name}", reply(good[f"good-{name}"]))
    crawled = run_crawl(SEED, max_body_bytes=1 << 20)
    expected = {name: reason for name, (_, reason) in TRAPS.items()}
    assert crawled.outcomes() == {"": "fetched", **expected, **dict.fromkeys(good, "fetched")}
    kept = {(f"{SEED}{name}", payload_digest(page.encode())) for name, page in good.items()}
    assert {page for page in crawled.pages if page[0] != SEED} == kept
    assert crawled.faults() == []


def test_endless_links_end_at_max_pages_and_the_rest_is_counted(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    server.on(SEED, links("1", "2"))
    for number in range(1, 40):
        server.on(f"{SEED}{number}", links(f"{number * 2}", f"{number * 2 + 1}"))
    crawled = run_crawl(SEED, max_pages=12)
    assert len(crawled.outcomes()) == 12
    rounds = crawled.job.rounds(crawled.workspace).entries
    planned = [entry.counts["planned"] for entry in rounds]
    over = sum(entry.counts["over_max_pages"] for entry in rounds)
    assert planned == [1, 2, 3, 6, 0]  # n links to 2n and 2n + 1, and 2 was known
    linked = {row["url"] for row in crawled.links}
    assert over == len(linked | {SEED}) - 12
    assert crawled.faults() == []


def test_an_infinite_calendar_ends_at_the_budget_of_its_host(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    def calendar(path: str) -> bytes:
        day = int(path.rpartition("=")[2] or 0)
        days = [f"/calendar?day={day + step}" for step in (1, 2, 30, 365)]
        return links(*days, f"calendar/{day}/calendar/{day}/calendar/{day}/calendar/{day}/")

    server.fallback = calendar
    server.on("http://b.example/", reply("<p>b"))
    hosts = ["a.example", "b.example"]
    seeds = (f"{SEED}calendar?day=0", "http://b.example/")
    crawled = run_crawl(*seeds, allow_private=hosts, max_pages_per_host=30)
    outcomes = Counter(row["url"].split("/")[2] for row in crawled.rows if row["kind"] == "page")
    assert outcomes == {"a.example": 30, "b.example": 1}
    rounds = crawled.job.rounds(crawled.workspace).entries
    over = sum(entry.counts["over_max_pages_per_host"] for entry in rounds)
    assert over == len({row["url"] for row in crawled.links} - {seeds[0]}) - 29
    dropped = sum(
        (Counter(entry.detail["links_not_followed"]) for entry in crawled.entries), Counter()
    )
    assert dropped == {"trap": 30}
    assert crawled.faults() == []


def test_sitemaps_that_name_each_other_end(server: HostileServer, run_crawl: RunCrawl) -> None:
    def index(*names: str) -> bytes:
        items = "".join(f"<sitemap><loc>{SEED}{name}</loc></sitemap>" for name in names)
        return reply(f"<sitemapindex>{items}</sitemapindex>", Content_Type="text/xml")

    server.on(f"{SEED}robots.txt", reply(f"Sitemap: {SEED}m0.xml\nSitemap: {SEED}m0.xml"))
    for number in range(9):
        names = [f"m{(number + step) % 9}.xml" for step in range(4)]
        server.on(f"{SEED}m{number}.xml", index(*names))
    server.on(SEED, reply("<p>x"))
    crawled = run_crawl(SEED)
    expected = {f"m{number}.xml": "fetched" for number in range(4)}
    assert crawled.outcomes("sitemap") == expected
    assert crawled.outcomes() == {"": "fetched"}
    assert crawled.entries[-1].detail["links_not_followed"] == {"index_in_index": 12}
    assert crawled.faults() == []


def test_a_redirect_does_not_lead_to_a_private_address(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    """Not even to a host of the scope, for what it is named and where it is are two things."""
    inside = [f"http://{host}:{server.port}/" for host in ("127.0.0.1", "localhost")]
    server.on(SEED, links("0", "1"))
    for number, url in enumerate(inside):
        server.on(f"{SEED}{number}", reply(status="302 X", Location=url))
    hosts = ["a.example", "127.0.0.1", "localhost"]
    crawled = run_crawl(SEED, hosts=hosts, allow_private=["a.example"])
    expected = {"": "fetched", "0": "redirect_to_other_host", "1": "redirect_to_other_host"}
    assert crawled.outcomes() == expected | dict.fromkeys(inside, "private_address")
    assert {host for host, _ in server.asked} == {"a.example"}


def test_pages_in_other_languages_are_neither_kept_nor_followed(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    de, fr = '<html lang="de-CH">', '<html lang="fr">'
    page = (
        '<a href="de">1</a><a href="fr">2</a><a href="marked" hreflang="fr">3</a><a href="http">4'
        '</a><link rel="alternate" hreflang="de" href="/alt"><link rel="alternate" href="/feed">'
    )
    server.on(SEED, reply(de + page))
    server.on(f"{SEED}de", reply(de + "<p>Wort"))
    server.on(f"{SEED}fr", reply(fr + '<p>mot<a href="from-fr">'))
    server.on(f"{SEED}http", reply("<p>mot", Content_Language="fr"))
    server.on(f"{SEED}alt", reply("<p>Wort"))
    crawled = run_crawl(SEED, languages=["de"])
    assert crawled.outcomes() == {
        "": "fetched",
        "de": "fetched",
        "fr": "other_language",
        "http": "other_language",
        "alt": "fetched",
    }
    kept = {row["uri"] for path in crawled.archives for row in read_by_ours(path)}
    assert kept - {None} == {SEED, f"{SEED}de", f"{SEED}alt"}
    assert [entry.detail["links_not_followed"] for entry in crawled.entries] == [
        {"other_language": 1},
        {"other_language": 1},
    ]
    assert crawled.faults() == []


def test_pages_that_ask_not_to_train_models_are_left_out(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    server.on(SEED, links("tag", "meta", "tdm", "free"))
    server.on(f"{SEED}tag", reply('<a href="from-tag">x', X_Robots_Tag="noai"))
    server.on(f"{SEED}meta", reply('<meta name="robots" content="noimageai">'))
    server.on(f"{SEED}tdm", reply('<meta name="tdm-reservation" content="1">'))
    server.on(f"{SEED}free", reply('<meta name="tdm-reservation" content="0">'))
    server.on(f"{SEED}from-tag", reply("<p>x"))
    crawled = run_crawl(SEED)
    assert crawled.outcomes() == {
        "": "fetched",
        "tag": "noai",
        "meta": "noai",
        "tdm": "tdm_reserved",
        "free": "fetched",
        "from-tag": "fetched",
    }
    kept = {row["uri"] for path in crawled.archives for row in read_by_ours(path)}
    assert kept - {None} == {SEED, f"{SEED}free", f"{SEED}from-tag"}
    assert crawled.faults() == []


def test_depth_ends_where_it_is_told_to(server: HostileServer, run_crawl: RunCrawl) -> None:
    server.on(SEED, links("1"))
    for number in range(1, 6):
        server.on(f"{SEED}{number}", links(f"{number + 1}"))
    crawled = run_crawl(SEED, max_depth=3)
    assert {row["url"]: row["depth"] for row in crawled.rows if row["kind"] == "page"} == {
        SEED: 0,
        f"{SEED}1": 1,
        f"{SEED}2": 2,
        f"{SEED}3": 3,
    }
    assert crawled.entries[-1].detail["links_not_followed"] == {"too_deep": 1}


def test_redirects_are_followed_within_the_host_and_handed_on_to_others(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    server.on(SEED, links("1", "far", "end", "closed", "again"))
    for number in range(1, 9):
        server.on(f"{SEED}{number}", reply(status="307 X", Location=f"{number + 1}"))
    server.on(f"{SEED}9", reply("<p>the end of nine"))
    server.on(f"{SEED}end", reply(status="308 X", Location="/final"))
    server.on(f"{SEED}again", reply(status="308 X", Location="/final"))
    server.on(f"{SEED}final", reply("<p>final"))
    server.on(f"{SEED}far", reply(status="301 X", Location="http://b.example/there"))
    server.on(f"{SEED}closed", reply(status="301 X", Location="/secret"))
    server.on(f"{SEED}robots.txt", reply("User-agent: *\nDisallow: /secret"))
    server.on("http://b.example/there", reply("<p>there"))
    hosts = ["a.example", "b.example"]
    crawled = run_crawl(SEED, hosts=hosts, allow_private=hosts, max_redirects=5)
    assert crawled.outcomes() == {
        "": "fetched",
        "1": "too_many_redirects",
        "far": "redirect_to_other_host",
        "again": "fetched",
        "end": "redirect_to_known",
        "closed": "robots_denied",
        "http://b.example/there": "fetched",
    }
    final = {row["url"]: row["final_url"] for row in crawled.rows if row["outcome"] == "fetched"}
    assert final[f"{SEED}again"] == f"{SEED}final"
    assert "/secret" not in server.paths("a.example")
    (row,) = [r for r in crawled.rows if r["url"] == "http://b.example/there"]
    assert row["depth"] == 1
    assert crawled.faults() == []


def test_where_a_redirect_led_is_not_asked_for_in_a_later_round(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    server.on(SEED, reply(status="302 X", Location="/home"))
    server.on(f"{SEED}home", links("/home", "/", "/other"))
    server.on(f"{SEED}other", links("/home", "/back"))
    server.on(f"{SEED}back", reply(status="302 X", Location="/home"))
    crawled = run_crawl(SEED)
    expected = {"": "fetched", "other": "fetched", "back": "redirect_to_known"}
    assert crawled.outcomes() == expected
    assert server.paths("a.example").count("/home") == 1


def test_private_addresses_are_refused_unless_the_host_is_named(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    """`localhost` is resolved by the system, the others are addresses already."""
    private = [
        f"http://localhost:{server.port}/",
        f"http://127.0.0.1:{server.port}/",
        f"http://[::1]:{server.port}/",
        f"http://[::ffff:127.0.0.1]:{server.port}/",
        f"http://0.0.0.0:{server.port}/",
        "http://169.254.169.254/latest/meta-data",
    ]
    crawled = run_crawl(*private, allow_private=[])
    assert set(crawled.outcomes().values()) == {"private_address"}
    assert len(crawled.outcomes()) == len(private)
    assert server.asked == []


def test_an_address_may_be_named_as_a_private_host(
    server: HostileServer, tmp_path: Path, children: Children
) -> None:
    seed = f"http://127.0.0.1:{server.port}/"
    server.on("http://127.0.0.1/", reply("<p>here"))
    workspace = Workspace.create(str(tmp_path))
    config = {**POLITE, "seeds": [seed], "allow_private": ["127.0.0.1"]}
    job = CrawlJob("web", CrawlConfig.model_validate(config))
    (key,) = job.next_round(workspace)
    job.run(workspace, key, children)
    assert Crawled(workspace, job).pages == {(seed, payload_digest(b"<p>here"))}


def test_a_page_that_kills_the_parser_is_kept_without_its_links(
    server: HostileServer, run_crawl: RunCrawl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.crawl.harvest.find_links", die_of_poison)
    server.on(f"{SEED}poison", reply("poison <a href=lost>x</a>"))
    server.on(f"{SEED}good", links("found"))
    crawled = run_crawl(f"{SEED}poison", f"{SEED}good")
    assert crawled.outcomes() == {
        "poison": "fetched",
        "good": "fetched",
        "found": "http_status_404",
    }
    assert crawled.entries[0].detail["links_not_followed"] == {"unparsed": 1}
    assert crawled.faults() == []


def test_what_is_no_page_is_none_for_extraction_either(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    """Sitemaps and rules that are sent as text would become documents."""
    urls = f"<urlset><url><loc>{SEED}a</loc></url></urlset>"
    server.on(f"{SEED}robots.txt", reply(status="301 X", Location="/rules"))
    server.on(f"{SEED}rules", reply(f"Sitemap: {SEED}m1\nSitemap: {SEED}m2\nSitemap: {SEED}m3"))
    server.on(f"{SEED}m1", reply(urls, Content_Type="text/plain"))
    server.on(f"{SEED}m2", reply(urls, Content_Type=""))
    server.on(f"{SEED}m3", reply(urls, Content_Type="application/xml"))
    server.on(SEED, reply("<p>x"))
    server.on(f"{SEED}a", reply("<p>a"))
    crawled = run_crawl(SEED)
    assert crawled.outcomes("sitemap") == {"m1": "fetched", "m2": "fetched", "m3": "fetched"}
    rows = [row for path in crawled.archives for row in read_by_ours(path)]
    assert {row["uri"] for row in rows if row["outcome"] == "asked"} == {SEED, f"{SEED}a"}
    assert f"{SEED}m3" in {row["uri"] for row in rows}
    assert crawled.faults() == []


def test_bodies_are_kept_as_they_were_sent(server: HostileServer, run_crawl: RunCrawl) -> None:
    page = "<p>Привет, мир".encode("koi8-r")
    packed = gzip.compress(page, mtime=0)
    chunked = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (9, packed[:9], len(packed) - 9, packed[9:])
    server.on(SEED, links("gzip", "deflate", "close"))
    server.on(
        f"{SEED}gzip",
        reply(chunked, Content_Encoding="gzip", Transfer_Encoding="chunked", Content_Length=""),
    )
    server.on(f"{SEED}deflate", reply(zlib.compress(page), Content_Encoding="deflate"))
    server.on(
        f"{SEED}close",
        lambda: iter([b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + page, b""]),
    )
    crawled = run_crawl(SEED)
    digest = payload_digest(page)
    assert {f"{SEED}{name}": digest for name in ("gzip", "deflate", "close")}.items() <= dict(
        crawled.pages
    ).items()
    rows = [row for path in crawled.archives for row in read_by_ours(path)]
    payloads = {row["uri"]: row["payload"] for row in rows if row["outcome"] == "asked"}
    assert payloads[f"{SEED}gzip"] == page
    with gzip.open(crawled.archives[1]) as file:
        assert packed in file.read()

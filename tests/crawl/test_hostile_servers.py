"""What servers do to crawlers: each trap is told by its reason, and the crawl goes on."""

import gzip
import threading
import zlib
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


def test_an_answer_that_never_comes_ends_at_the_timeout(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    released = threading.Event()

    def slow_header() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-"
        released.wait(20)

    def slow_body() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n<p>"
        released.wait(20)

    server.on(SEED, links("header", "body", "good"))
    server.on(f"{SEED}header", slow_header)
    server.on(f"{SEED}body", slow_body)
    server.on(f"{SEED}good", reply("<p>good"))
    try:
        crawled = run_crawl(SEED, timeout=0.3)
    finally:
        released.set()
    expected = {"": "fetched", "header": "timed_out", "body": "timed_out", "good": "fetched"}
    assert crawled.outcomes() == expected


def test_a_busy_server_is_asked_again_when_it_says_so(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    busy = reply("later", "429 Too Many Requests", Retry_After="0")
    tomorrow = reply("later", "503 Service Unavailable", Retry_After="86400")
    server.on(SEED, links("busy", "tomorrow", "lost", "always"))
    server.on(f"{SEED}busy", busy, busy, reply("<p>at last"))
    server.on(f"{SEED}tomorrow", tomorrow, reply("<p>too early"))
    server.on(f"{SEED}lost", no_answer, no_answer, reply("<p>found"))
    server.on(f"{SEED}always", reply("x", "500 Oops"))
    crawled = run_crawl(SEED, retries=2)
    assert crawled.outcomes() == {
        "": "fetched",
        "busy": "fetched",
        "tomorrow": "http_status_503",
        "lost": "fetched",
        "always": "http_status_500",
    }
    assert server.paths("a.example").count("/tomorrow") == 1
    assert server.paths("a.example").count("/always") == 3
    tries = {row["url"]: row["tries"] for row in crawled.rows}
    assert tries[f"{SEED}busy"] == 3


def test_a_dead_host_is_given_up_and_says_so(server: HostileServer, run_crawl: RunCrawl) -> None:
    paths = [f"p{number:02d}" for number in range(12)]
    server.on(SEED, links(*paths))
    for path in paths:
        server.on(f"{SEED}{path}", no_answer)
    crawled = run_crawl(SEED)
    reasons = [crawled.outcomes()[path] for path in paths]
    assert reasons == ["connection_failed"] * 8 + ["host_unresponsive"] * 4
    assert crawled.faults() == []


def test_endless_links_end_at_max_pages_and_the_rest_is_counted(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    server.on(SEED, links("1", "2"))
    for number in range(1, 40):
        server.on(f"{SEED}{number}", links(f"{number * 2}", f"{number * 2 + 1}"))
    crawled = run_crawl(SEED, max_pages=12)
    assert len(crawled.outcomes()) == 12
    planned = [entry.counts["planned"] for entry in crawled.job.rounds(crawled.workspace)]
    over = sum(e.counts["over_max_pages"] for e in crawled.job.rounds(crawled.workspace))
    assert planned == [1, 2, 3, 6, 0]  # n links to 2n and 2n + 1, and 2 was known
    linked = {row["url"] for row in crawled.links}
    assert over == len(linked | {SEED}) - 12
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


def test_what_stands_behind_a_body_does_not_poison_the_next_answer(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    smuggled = reply("<p>smuggled")
    server.on(SEED, links("long", "short", "t1", "t2"))
    server.on(f"{SEED}long", reply("<p>long") + smuggled)
    server.on(f"{SEED}short", reply("<p>four", Content_Length="4") + smuggled)
    server.on(f"{SEED}t1", reply("<p>one"))
    server.on(f"{SEED}t2", reply("<p>two"))
    digests = dict(run_crawl(SEED, retries=2).pages)
    assert digests[f"{SEED}long"] == payload_digest(b"<p>long")
    assert digests[f"{SEED}t1"] == payload_digest(b"<p>one")
    assert digests[f"{SEED}t2"] == payload_digest(b"<p>two")
    # Told as broken where all arrives at once; else HTTP says that the body is these four bytes.
    assert digests.get(f"{SEED}short") in (None, payload_digest(b"<p>f"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply("x", "500 Oops"), "robots_unreachable"),
        (reply("x", "429 Too Many Requests"), "robots_unreachable"),
        (no_answer, "robots_unreachable"),
        (reply("User-agent: *\nDisallow: /"), "robots_denied"),
        (reply("User-agent: tokenmill\nDisallow: /\n\nUser-agent: *\nAllow: /"), "robots_denied"),
        (reply("User-agent: *\nCrawl-delay: 3600"), "crawl_delay_too_long"),
        (reply(status="301 X", Location="http://[bad/"), "robots_unreachable"),
        (reply("Sitemap: http://[bad/sitemap.xml\nUser-agent: *\nAllow: /"), "fetched"),
        (reply("x", "403 Forbidden"), "fetched"),
        (reply("User-agent: other\nDisallow: /"), "fetched"),
        (reply(status="301 X", Location="/rules.txt"), "robots_denied"),
        (reply("User-agent: *\nDisallow: /\n" + "#" * 600_000), "robots_denied"),
    ],
)
def test_robots_txt_decides(
    server: HostileServer,
    run_crawl: RunCrawl,
    answer: Reply | Callable[[], Reply],
    reason: str,
) -> None:
    server.on(f"{SEED}robots.txt", answer)
    server.on(f"{SEED}rules.txt", reply("User-agent: *\nDisallow: /"))
    server.on(SEED, reply("<p>x"))
    crawled = run_crawl(SEED)
    assert crawled.outcomes() == {"": reason}
    assert server.paths("a.example").count("/") == (reason == "fetched")
    assert crawled.faults() == []


def test_of_an_endless_robots_txt_the_beginning_counts_and_nothing_is_archived(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    def endless_rules() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
        yield b"User-agent: *\nDisallow: /no\n"
        while True:
            yield b"# and so on\n" * 4096

    server.on(f"{SEED}robots.txt", endless_rules)
    server.on(SEED, links("no", "yes"))
    server.on(f"{SEED}yes", reply("<p>yes"))
    crawled = run_crawl(SEED)
    assert crawled.outcomes() == {"": "fetched", "no": "robots_denied", "yes": "fetched"}
    assert crawled.outcomes("robots") == {"robots.txt": "too_large"}
    uris = {row["uri"] for path in crawled.archives for row in read_by_ours(path)}
    assert uris == {None, SEED, f"{SEED}yes"}
    assert crawled.faults() == []


def test_robots_txt_that_lies_on_another_host_is_read_there(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    there = "http://www.a.example/robots.txt"
    server.on(f"{SEED}robots.txt", reply(status="301 X", Location=there))
    server.on(there, reply("User-agent: *\nDisallow: /no"))
    server.on(SEED, links("no"))
    crawled = run_crawl(SEED, allow_private=["a.example", "www.a.example"])
    assert crawled.outcomes() == {"": "fetched", "no": "robots_denied"}
    assert server.paths("www.a.example") == []
    assert crawled.faults() == []


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

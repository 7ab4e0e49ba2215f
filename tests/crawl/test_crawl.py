"""A crawl as a whole: what is asked for, in which order, how politely, and what is written."""

import asyncio
import gzip
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from crawling import (
    Crawled,
    crawl,
    job_of,
    read_by_fastwarc,
    read_by_ours,
    read_by_warcio,
    run_part,
)
from hostile_server import HostileServer, reply

from pipelines.crawl.check import check_crawl
from pipelines.crawl.job import CrawlJob, crawled_files
from pipelines.crawl.known import address_keys
from pipelines.crawl.planning import HOST_TARGETS
from pipelines.workspace.children import Children
from pipelines.workspace.parts import read_table
from pipelines.workspace.schema import payload_digest
from pipelines.workspace.workspace import Workspace

RunCrawl = Callable[..., Crawled]
SEED = "http://a.example/"
HERE = Path(__file__).parent
PAGES = {
    "ru": "<p>Часы у причала спешат на четверть часа",
    "ja": "<p>港の時計は十五分進んでいる🙂",
    "ar": "<p>ساعة المد في الميناء تخطئ بربع ساعة",
}


def links(*paths: str) -> str:
    return "".join(f'<a href="{path}">x</a>' for path in paths)


def serve_small_site(server: HostileServer, host: str = "a.example") -> None:
    """Robots, a sitemap, pages in three scripts, one of them linked, a missing one."""
    root = f"http://{host}/"
    server.on(f"{root}robots.txt", reply(f"Sitemap: {root}map.xml", Content_Type="text/plain"))
    locations = "".join(f"<url><loc>{root}{name}</loc></url>" for name in PAGES)
    xmlns = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    urls = f"<urlset {xmlns}>{locations}</urlset>"
    server.on(f"{root}map.xml", reply(urls, Content_Type="application/xml"))
    server.on(root, reply(links("ru", "missing")))
    for name, page in PAGES.items():
        server.on(f"{root}{name}", reply(gzip.compress(page.encode()), Content_Encoding="gzip"))


def test_every_reader_finds_in_the_archive_what_the_fetches_say(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    serve_small_site(server)
    crawled = run_crawl(SEED)
    expected = {(f"{SEED}{name}", payload_digest(page.encode())) for name, page in PAGES.items()}
    expected.add((SEED, payload_digest(links("ru", "missing").encode())))
    assert crawled.pages == expected
    others = {"http://a.example/robots.txt", "http://a.example/map.xml"}
    warcio = [record for path in crawled.archives for record in read_by_warcio(path)]
    found = {(uri, digest) for kind, uri, digest in warcio if kind == "response"}
    assert {page for page in found if page[0] not in others} == expected
    ours = [row for path in crawled.archives for row in read_by_ours(path)]
    asked = {(row["uri"], row["digest"]) for row in ours if row["outcome"] == "asked"}
    assert {page for page in asked if page[0] not in others} == expected
    assert not [row for row in ours if row["outcome"] == "rejected"]
    fast = [record for path in crawled.archives for record in read_by_fastwarc(path)]
    names = [[(kind, uri) for kind, uri, _ in records] for records in (warcio, fast)]
    assert names[0] == names[1]
    kinds = Counter(kind for kind, _, _ in warcio)
    assert kinds["request"] == kinds["response"]
    assert kinds["warcinfo"] == len(crawled.archives)
    assert sum(kinds.values()) == sum(entry.counts["records"] for entry in crawled.entries)
    assert crawled.faults() == []


def test_offsets_of_fetches_cut_the_record_out_of_the_archive(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    serve_small_site(server)
    crawled = run_crawl(SEED)
    for entry, path in zip(crawled.entries, crawled.archives, strict=True):
        data = Path(path).read_bytes()
        fetches = read_table(crawled.workspace.storage, entry.file("fetches")).to_pylist()
        rows = [row for row in fetches if row["outcome"] == "fetched"]
        places = {(row["uri"], row["offset"], row["length"]) for row in read_by_ours(path)}
        assert {(row["final_url"], row["offset"], row["length"]) for row in rows} <= places
        for row in rows:
            member = gzip.decompress(data[row["offset"] : row["offset"] + row["length"]])
            assert member.startswith(b"WARC/1.1\r\nWARC-Type: response\r\n")


def test_a_record_tells_address_time_request_and_the_header_as_sent(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    head = b"HTTP/1.1 200 Tr\xc3\xa8s bien\r\nX-Odd:  caf\xc3\xa9\r\ncontent-type: text/html\r\n"
    server.on(SEED, head + b"Content-Length: 4\r\n\r\n<p>x")
    (path,) = run_crawl(SEED).archives
    text = gzip.decompress(Path(path).read_bytes())
    assert head.replace(b":  caf", b": caf") + b"Content-Length: 4\r\n\r\n<p>x" in text
    response = text[text.index(b"WARC-Type: response") :]
    assert response.index(b"WARC-IP-Address: 127.0.0.1\r\n") < response.index(b"\r\n\r\n")
    assert b"WARC-Target-URI: http://a.example/\r\n" in text
    sent = server.heads[-1].replace("\r\n", "\n").replace("\n", "\r\n").encode()
    assert sent in text
    assert b"\r\nUser-Agent: tokenmill/" in text
    assert b"(+crawler@test.example)\r\n" in text
    assert b"WARC-Truncated" not in text


@pytest.mark.parametrize(
    ("languages", "field"),
    [(["deu_Latn", "fr"], "Accept-Language: de, fr, *;q=0.1"), ([], None)],
)
def test_servers_that_negotiate_are_told_the_languages(
    server: HostileServer, run_crawl: RunCrawl, languages: list[str], field: str | None
) -> None:
    server.on(SEED, reply(b"<p>x"))
    run_crawl(SEED, languages=languages)
    told = [line for line in server.heads[-1].splitlines() if line.startswith("Accept-Language")]
    assert told == ([field] if field else [])


def test_one_request_at_a_time_to_a_host_and_hosts_side_by_side(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    hosts = [f"h{number}.example" for number in range(4)]
    for host in hosts:
        server.on(f"http://{host}/", reply(links(*(f"p{n}" for n in range(6)))))
        for number in range(6):
            server.on(f"http://{host}/p{number}", reply(f"<p>{host} {number}"))
    # Answers of robots.txt are held until all four hosts have asked: only side by side they can.
    meeting = threading.Barrier(len(hosts))
    met = Counter[str]()

    def wait_for_all() -> None:
        if server.asked[-1][1] == "/robots.txt" and met["all"] < len(hosts):
            met["all"] += 1
            meeting.wait(10)

    server.on_request = wait_for_all
    crawled = run_crawl(*(f"http://{host}/" for host in hosts))
    assert server.most_at_once == dict.fromkeys(hosts, 1)
    assert server.together >= len(hosts)
    assert len(crawled.pages) == 4 * 7
    assert {entry.part: entry.counts["asked"] for entry in crawled.entries} == {0: 4, 1: 24}


@pytest.mark.parametrize(
    ("robots", "settings", "least", "most"),
    [
        ("", {"delay": 1000}, 900, 1000),
        ("User-agent: *\nCrawl-delay: 50", {"delay": 1}, 40, 50),
        ("User-agent: *\nCrawl-delay: 50", {"delay": 1000}, 900, 1000),
        ("User-agent: other\nCrawl-delay: 50", {"delay": 1}, -1, 1),
    ],
)
def test_the_longer_pause_is_kept_between_two_requests(
    server: HostileServer,
    run_crawl: RunCrawl,
    pauses: list[float],
    robots: str,
    settings: dict[str, object],
    least: float,
    most: float,
) -> None:
    server.on(f"{SEED}robots.txt", reply(robots))
    server.on(SEED, reply("<p>x"))
    server.on(f"{SEED}b", reply("<p>b"))
    run_crawl(SEED, f"{SEED}b", obey_ai_policy=False, **settings)
    assert server.asked == [("a.example", path) for path in ("/robots.txt", "/", "/b")]
    assert pauses[0] == 0
    assert all(least < pause <= most for pause in pauses[1:])
    assert len(pauses) == 3


def test_pauses_grow_with_each_try_unless_the_server_names_one(
    server: HostileServer, run_crawl: RunCrawl, pauses: list[float]
) -> None:
    busy = reply("x", "503 Busy")
    server.on(SEED, busy, busy, reply("x", "429 Slow down", Retry_After="25"), reply("<p>x"))
    crawled = run_crawl(SEED, delay=5, retries=3, obey_ai_policy=False)
    assert crawled.outcomes() == {"": "fetched"}
    expected = [0, 5, 10, 20, 25]
    assert all(want - 4 < pause <= want for want, pause in zip(expected, pauses, strict=True))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What lanes would have waited; nobody waits."""
    asked: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        asked.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    return asked


def test_links_follow_base_and_nofollow_and_stay_in_scope(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    page = """
        <base href="/deep/er/"><base href="/not-this/">
        <a href="one">1</a> <a href="../two#part">2</a> <A HREF="/two">2 again</A>
        <a href="three" rel="noopener NoFollow">3</a> <area href="?q=ä b">
        <a href="mailto:x@a.example">m</a> <a href="javascript:void(0)">j</a>
        <a href="http://user:secret@a.example/">u</a> <a href="http://other.example/">o</a>
        <iframe src="frame"></iframe> <a href="http://[broken">b</a> <a>no</a>
        <meta http-equiv="Refresh" content="5; url='/next'">"""
    server.on(SEED, reply(page))
    server.on(f"{SEED}deep/two", reply(links("unseen"), X_Robots_Tag="nofollow"))
    server.on(f"{SEED}two", reply('<meta name="robots" content="nofollow">' + links("unseen")))
    crawled = run_crawl(SEED)
    assert set(crawled.outcomes()) == {
        "",
        "deep/er/one",
        "deep/two",
        "two",
        "deep/er/?q=%C3%A4%20b",
        "deep/er/frame",
        "next",
    }
    assert crawled.entries[0].detail["links_not_followed"] == {
        "has_credentials": 1,
        "not_http": 2,
        "out_of_scope": 1,
    }
    assert crawled.entries[1].detail["links_not_followed"] == {"nofollow_page": 2}


def test_links_of_a_page_that_asks_not_to_be_used_are_followed(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    server.on(SEED, reply('<meta name="robots" content="noindex, follow">' + links("a", "b")))
    server.on(f"{SEED}a", reply(links("c"), X_Robots_Tag="noindex"))
    server.on(f"{SEED}b", reply("<p>b", X_Robots_Tag="otherbot: noindex"))
    server.on(f"{SEED}c", reply("<p>c"))
    crawled = run_crawl(SEED)
    expected = {"": "noindex", "a": "noindex", "b": "fetched", "c": "fetched"}
    assert crawled.outcomes() == expected
    records = [record for path in crawled.archives for record in read_by_fastwarc(path)]
    uris = {uri for kind, uri, _ in records if kind == "response"}
    assert uris == {f"{SEED}b", f"{SEED}c"}
    assert crawled.faults() == []


def test_sitemaps_of_robots_txt_are_read_through_an_index_in_gzip(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    index = f"<sitemapindex><sitemap><loc>{SEED}one.xml.gz</loc></sitemap></sitemapindex>"
    locations = f"<url><loc>{SEED}a</loc></url><url><loc>http://other.example/</loc></url>"
    server.on(f"{SEED}robots.txt", reply(f"Sitemap: {SEED}index.xml\nDisallow: /no"))
    server.on(f"{SEED}index.xml", reply(index, Content_Type="text/xml"))
    packed = gzip.compress(f"<urlset>{locations}</urlset>".encode())
    server.on(f"{SEED}one.xml.gz", reply(packed, Content_Type="application/x-gzip"))
    server.on(SEED, reply(links("index.xml")))
    server.on(f"{SEED}a", reply("<p>a"))
    crawled = run_crawl(SEED)
    assert crawled.outcomes("sitemap") == {"index.xml": "fetched", "one.xml.gz": "fetched"}
    assert crawled.outcomes() == {"": "fetched", "a": "fetched"}
    assert [row["depth"] for row in crawled.rows if row["url"] == f"{SEED}a"] == [0]
    assert server.paths("a.example").count("/index.xml") == 1
    without = run_crawl(SEED, sitemaps=False)
    assert without.outcomes() == {"": "fetched", "index.xml": "not_asked_media_type"}


def test_a_seed_may_be_a_sitemap_and_broken_ones_say_so(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    bomb = gzip.compress(b"<urlset>" + b" " * (60 << 20))
    server.on(f"{SEED}good.xml", reply(f"<urlset><url><loc>{SEED}a</loc></url></urlset>"))
    server.on(f"{SEED}bomb.xml.gz", reply(bomb))
    server.on(f"{SEED}page.xml", reply("<html><p>Not found</html>"))
    server.on(f"{SEED}a", reply("<p>a"))
    names = ("good.xml", "bomb.xml.gz", "page.xml", "gone.xml")
    crawled = run_crawl(*(f"{SEED}{name}" for name in names))
    assert crawled.outcomes("sitemap") == {
        "good.xml": "fetched",
        "bomb.xml.gz": "unpacked_too_large",
        "page.xml": "broken_sitemap",
        "gone.xml": "http_status_404",
    }
    assert crawled.outcomes() == {"a": "fetched"}
    assert crawled.faults() == []


def test_hosts_in_other_scripts_are_one_with_their_punycode(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    server.on("http://xn--bcher-kva.example/", reply(links("http://BÜCHER.example/straße")))
    server.on("http://xn--bcher-kva.example/stra%C3%9Fe", reply("<p>ß"))
    crawled = run_crawl("http://Bücher.example", hosts=["bücher.example"])
    uris = {"http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/stra%C3%9Fe"}
    assert {uri for uri, _ in crawled.pages} == uris


def test_a_wildcard_stands_for_all_hosts_below(server: HostileServer, run_crawl: RunCrawl) -> None:
    seed, hosts = "http://www.site.example/", ["www.site.example", "deep.en.site.example"]
    urls = [f"http://{host}/x" for host in (*hosts, "site.example", "notsite.example")]
    server.on(seed, reply(links(*urls)))
    crawled = run_crawl(seed, hosts=["*.site.example"], allow_private=hosts)
    assert set(crawled.outcomes()) == {"", "x", "http://deep.en.site.example/x"}
    assert crawled.entries[0].detail["links_not_followed"] == {"out_of_scope": 2}


@pytest.mark.parametrize("limit", [{"max_pages": 9}, {"max_pages_per_host": 9}])
def test_a_large_host_is_taken_in_several_rounds(
    server: HostileServer,
    run_crawl: RunCrawl,
    monkeypatch: pytest.MonkeyPatch,
    limit: dict[str, object],
) -> None:
    monkeypatch.setitem(HOST_TARGETS, "page", 4)
    paths = [f"p{number:02d}" for number in range(10)]
    server.on(SEED, reply(links(*paths)))
    crawled = run_crawl(SEED, obey_ai_policy=False, **limit)
    counts = [entry.counts for entry in crawled.job.rounds(crawled.workspace).entries]
    assert [count["planned"] for count in counts] == [1, 4, 4, 0]
    assert [count["waiting"] for count in counts] == [0, 4, 0, 0]
    assert [count[f"over_{next(iter(limit))}"] for count in counts] == [0, 2, 0, 0]
    hashed = sorted(paths, key=lambda path: address_keys([SEED + path])[2][0])
    asked = ["", *sorted(hashed[:4]), *sorted(hashed[4:8])]
    assert server.paths("a.example") == [f"/{path}" for path in asked]
    assert crawled.faults() == []


def test_equal_servers_give_equal_archives_but_for_dates(
    server: HostileServer, tmp_path: Path, children: Children
) -> None:
    names = [f"h{number}.example" for number in range(5)]
    for name in names:
        serve_small_site(server, name)
    hosts = [f"http://{name}/" for name in names]
    one = crawl(tmp_path / "one", server.port, hosts, children, {})
    two = crawl(tmp_path / "two", server.port, hosts, children, {"delay": 0.003, "retries": 3})
    assert one.job.generation == two.job.generation
    assert [undated(path) for path in one.archives] == [undated(path) for path in two.archives]
    assert [e.file("links").sha256 for e in one.entries] == [
        e.file("links").sha256 for e in two.entries
    ]
    volatile = {"seconds", "offset", "length", "held"}  # held names records by their dates
    rows = [
        [{k: v for k, v in row.items() if k not in volatile} for row in crawled.rows]
        for crawled in (one, two)
    ]
    assert rows[0] == rows[1]


def undated(path: str) -> list[bytes]:
    """Lines of an archive without those that hold a date or depend on one."""
    dated = (b"WARC-Date", b"WARC-Record-ID", b"WARC-Concurrent-To", b"WARC-Block-Digest")
    lines = gzip.decompress(Path(path).read_bytes()).split(b"\r\n")
    return [line for line in lines if not line.startswith(dated)]


def test_a_killed_crawl_goes_on_and_ends_in_the_same_pages(
    server: HostileServer, tmp_path: Path, children: Children
) -> None:
    seeds = ["http://a.example/", "http://b.example/"]
    for host in ("a.example", "b.example"):
        serve_small_site(server, host)
    clean = crawl(tmp_path / "clean", server.port, seeds, children, {})
    for when in ("before", "after"):
        folder = tmp_path / when
        settings = json.dumps({"folder": str(folder), "port": server.port, "seeds": seeds})
        command = [sys.executable, str(HERE / "killed_crawl.py"), settings, when, "4"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        killed = subprocess.run(command, env=environment, check=False)
        assert killed.returncode == -9
        job = job_of(server.port, seeds, {})
        held = Workspace.open(str(folder)).ledger.entries(job.generation)
        kept = {entry.part: entry.file("warc").sha256 for entry in held}
        assert len(kept) == (1 if when == "before" else 2)
        again = crawl(folder, server.port, seeds, children, {})
        assert again.pages == clean.pages
        assert [e.part for e in again.entries] == [e.part for e in clean.entries]
        assert kept.items() <= {e.part: e.file("warc").sha256 for e in again.entries}.items()
        assert again.faults() == []


def test_planning_a_round_twice_gives_the_same_parts(
    server: HostileServer, tmp_path: Path, children: Children
) -> None:
    serve_small_site(server)
    workspace, job = Workspace.create(str(tmp_path / "w")), job_of(server.port, [SEED], {})
    keys = job.next_round(workspace)
    assert keys == job.next_round(workspace)
    assert len(job.rounds(workspace).entries) == 1
    run_part(workspace, job, keys[0], children)
    first = job.next_round(workspace)
    files = [ref.path for ref in job.rounds(workspace).last.files]
    assert [path.split("-")[0] for path in files] == [f"frontier/web@{job.frontier.fp}/round"] * 2
    entry = [p for p in workspace.storage.files("ledger") if p.endswith("part-00001.json")]
    for gone in (*files, *entry):
        workspace.storage.remove(gone)
    assert job.next_round(workspace) == first
    assert all(workspace.storage.exists(path) for path in files)


def test_files_are_listed_for_extraction(server: HostileServer, run_crawl: RunCrawl) -> None:
    serve_small_site(server)
    crawled = run_crawl(SEED)
    listed = crawled_files(crawled.workspace, crawled.job)
    for item in listed:
        assert Path(item.url).name == item.file
        assert item.format == "warc"
        assert item.bytes == Path(item.url).stat().st_size
        assert item.digest() == crawled.workspace.storage.sha256(f"raw/web/{item.file}")
    assert [item.file[:10] for item in listed] == [f"part-0000{n}" for n in range(len(listed))]


def test_the_audit_notices_a_fetch_without_its_record(
    server: HostileServer, run_crawl: RunCrawl
) -> None:
    serve_small_site(server)
    crawled = run_crawl(SEED)
    entry = max(crawled.entries, key=lambda e: e.counts["fetched"])
    row = next(r for r in crawled.rows if r["final_url"] == f"{SEED}ja")
    path = Path(crawled.workspace.storage.path(entry.file("warc").path))
    data = path.read_bytes()
    path.write_bytes(data[: row["offset"]] + data[row["offset"] + row["length"] :])
    faults = list(check_crawl(crawled.workspace, entry))
    assert len(faults) == 3
    assert f"1 of {SEED}ja were fetched and are not in the archive" in faults[-1]
    path.write_bytes(
        data[: row["offset"]]
        + gzip.compress(
            gzip.decompress(data[row["offset"] : row["offset"] + row["length"]]).replace(
                b"OK", b"KO"
            )
        )
        + data[row["offset"] + row["length"] :]
    )
    (fault,) = check_crawl(crawled.workspace, entry)
    assert "another digest than it says" in fault


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"seeds": ["ftp://a.example/"]}, r"seed 'ftp://a.example/' cannot be fetched \(not_http"),
        ({"seeds": ["http://b.example/"]}, r"out_of_scope.*add its host to `hosts`"),
        ({"hosts": ["http://a.example/"]}, r"found the host 'http://a.example/'.*no scheme"),
        ({"allow_private": ["a.example:80"]}, r"found the host 'a.example:80'"),
        ({"contact": "x\r\nEvil: yes"}, "contact"),
    ],
)
def test_mistakes_in_the_settings_are_told_before_any_request(
    settings: dict[str, object], told: str
) -> None:
    given = {"hosts": ["a.example"], "allow_private": ["a.example"], **settings}
    seeds = given.pop("seeds", [SEED])
    with pytest.raises(ValueError, match=told):
        job_of(80, seeds, given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("connect", "told"),
    [
        ({"a.example": "localhost:80"}, "an IP address and a port"),
        ({"a.example": "127.0.0.1"}, "an IP address and a port"),
        ({"a.example": "127.0.0.1:99999"}, "an IP address and a port"),
        ({"b.example": "10.0.0.1:80"}, "allows that only to hosts in `allow_private`"),
        ({"A.Example": "127.0.0.1:80"}, "write 'a.example'"),
    ],
)
def test_mistakes_in_connect_are_told(connect: dict[str, str], told: str) -> None:
    config = job_of(80, [SEED], {}).config
    with pytest.raises(ValueError, match=told):
        CrawlJob("web", config, connect)


def test_only_what_decides_the_pages_enters_the_generation(server: HostileServer) -> None:
    base = job_of(80, [SEED], {})
    same = [{"delay": 9}, {"timeout": 1}, {"retries": 5}, {"contact": "other@test.example"}]
    other = [{"max_pages": 5}, {"max_depth": 1}, {"sitemaps": False}, {"hosts": ["*.example"]}]
    assert {job_of(81, [SEED], s).generation.fp for s in same} == {base.generation.fp}
    assert base.generation.fp not in {job_of(80, [SEED], s).generation.fp for s in other}

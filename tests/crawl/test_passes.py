"""Further passes: what is asked for again, what has changed, what is gone, and takedowns."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from crawling import Crawled, crawl, read_by_fastwarc, read_by_ours, read_by_warcio
from hostile_server import HostileServer, reply

from pipelines.crawl.site_server import serve_site
from pipelines.workspace.children import Children
from pipelines.workspace.schema import payload_digest
from pipelines.workspace.takedown import entries_of, take_down
from pipelines.workspace.workspace import Workspace

SITE = "http://site.example/"
TEXTS = {
    "ru.html": "<p>Часы у причала спешат на четверть часа",
    "ja.html": "<p>港の時計は十五分進んでいる🙂",
    "ar.html": "<p>ساعة المد في الميناء تخطئ بربع ساعة",
    "el.html": "<p>Το ρολόι του λιμανιού πάει μπροστά",
}
NEW = "<p>Το ρολόι του λιμανιού διορθώθηκε χθες <a href='hi.html'>हिन्दी</a>"
HINDI = "<p>बंदरगाह की घड़ी पंद्रह मिनट आगे चलती है"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    links = "".join(f'<a href="{name}">x</a>' for name in (*TEXTS, "missing.html"))
    (folder / "index.html").write_text(links)
    return folder


@pytest.fixture
def crawl_site(site: Path, tmp_path: Path, children: Children) -> Iterator[Callable[..., Crawled]]:
    with serve_site(site, "site.example") as port:

        def run(**settings: object) -> Crawled:
            return crawl(tmp_path / "w", port, [SITE], children, settings)

        yield run


def asked(crawled: Crawled, number: int) -> list[dict[str, Any]]:
    """Rows of the pages of a pass."""
    parts = [n for n, entry in enumerate(crawled.entries) if entry.detail["pass"] == number]
    rows = iter(crawled.rows)
    of_part = [[next(rows) for _ in range(entry.counts["rows"])] for entry in crawled.entries]
    return [row for part in parts for row in of_part[part] if row["kind"] == "page"]


def test_a_second_pass_keeps_what_changed_and_refers_to_what_did_not(
    site: Path, crawl_site: Callable[..., Crawled]
) -> None:
    first = crawl_site()
    assert len(first.pages) == 5
    assert first.outcomes()["missing.html"] == "http_status_404"
    (site / "el.html").write_text(NEW, encoding="utf-8")
    (site / "hi.html").write_text(HINDI, encoding="utf-8")
    (site / "ar.html").unlink()
    assert crawl_site().entries == first.entries  # the pass is over, and only one was asked for
    second = crawl_site(passes=2)
    assert second.job.generation == first.job.generation
    assert second.entries[: len(first.entries)] == first.entries
    rows = {row["url"].removeprefix(SITE): row for row in asked(second, 2)}
    assert {path: (row["reason"], row["revisit"]) for path, row in rows.items()} == {
        "": (None, "server-not-modified"),
        "ru.html": (None, "server-not-modified"),
        "ja.html": (None, "server-not-modified"),
        "el.html": (None, None),
        "ar.html": ("http_status_404", None),
        "hi.html": (None, None),  # found in the new version of a page
    }
    assert rows["el.html"]["digest"] == payload_digest(NEW.encode())
    total = Counter[str]()
    for entry in second.entries[len(first.entries) :]:
        total.update(entry.counts)
    assert (total["asked"], total["fetched"], total["not_fetched"]) == (6, 5, 1)
    assert (total["revisits"], total["gone"]) == (3, 1)
    assert second.faults() == []


def test_revisits_are_read_by_others_and_extraction_does_not_ask_for_them(
    site: Path, crawl_site: Callable[..., Crawled]
) -> None:
    crawl_site()
    (site / "el.html").write_text(NEW.replace("hi.html", "ru.html"), encoding="utf-8")
    crawled = crawl_site(passes=2)
    ours = [row for path in crawled.archives for row in read_by_ours(path)]
    outcomes = Counter((row["outcome"], row["reason"]) for row in ours)
    assert outcomes["not_asked", "warc_revisit"] == 4
    pages = [row["uri"] for row in ours if row["outcome"] == "asked"]
    assert Counter(pages) == {SITE: 1, f"{SITE}el.html": 2} | {
        f"{SITE}{name}": 1 for name in ("ru.html", "ja.html", "ar.html")
    }
    for read in (read_by_warcio, read_by_fastwarc):
        kinds = Counter(kind for path in crawled.archives for kind, _, _ in read(path))
        assert kinds["revisit"] == 4
        assert kinds["response"] + kinds["revisit"] == kinds["request"]


def test_what_is_held_is_carried_from_pass_to_pass(
    site: Path, crawl_site: Callable[..., Crawled]
) -> None:
    first = {row["url"]: row["held"] for row in crawl_site().rows if row["kind"] == "page"}
    (site / "ru.html").write_text(NEW, encoding="utf-8")
    crawl_site(passes=2)
    crawled = crawl_site(passes=3)
    third = {row["url"]: row["held"] for row in asked(crawled, 3)}
    assert third[f"{SITE}ja.html"] == first[f"{SITE}ja.html"]
    assert third[f"{SITE}ru.html"]["record_id"] != first[f"{SITE}ru.html"]["record_id"]
    assert third[f"{SITE}ru.html"]["digest"] == payload_digest(NEW.encode())
    assert {row["revisit"] for row in asked(crawled, 3)} == {"server-not-modified"}
    assert crawled.faults() == []


def test_the_same_bytes_from_a_server_without_validators_are_a_revisit_too(
    server: HostileServer, tmp_path: Path, children: Children
) -> None:
    seed = "http://a.example/"
    server.on(seed, reply("<p>x<a href='b'>b</a>"))
    server.on(f"{seed}b", reply("<p>b1"), reply("<p>b2"))
    crawl(tmp_path / "w", server.port, [seed], children, {})
    crawled = crawl(tmp_path / "w", server.port, [seed], children, {"passes": 2})
    rows = {row["url"]: (row["status"], row["revisit"]) for row in asked(crawled, 2)}
    assert rows == {seed: (200, "identical-payload-digest"), f"{seed}b": (200, None)}
    assert crawled.faults() == []


def test_what_failed_for_a_time_is_asked_for_again_and_what_is_refused_is_not(
    server: HostileServer, tmp_path: Path, children: Children
) -> None:
    seed = "http://a.example/"
    server.on(seed, reply("<a href='busy'>1</a><a href='gone'>2</a><a href='mine'>3</a>"))
    server.on(f"{seed}busy", reply("x", "500 No"), reply("<p>now"))
    server.on(f"{seed}mine", reply('<meta name="robots" content="noindex"><p>mine'))
    first = crawl(tmp_path / "w", server.port, [seed], children, {})
    outcomes = {"": "fetched", "busy": "http_status_500", "mine": "noindex"}
    assert first.outcomes() == outcomes | {"gone": "http_status_404"}
    crawled = crawl(tmp_path / "w", server.port, [seed], children, {"passes": 2})
    assert {row["url"]: row["reason"] for row in asked(crawled, 2)} == {
        seed: None,
        f"{seed}busy": None,
    }


def test_what_a_busy_host_had_no_time_for_comes_up_three_times(
    server: HostileServer, tmp_path: Path, children: Children
) -> None:
    seed = "http://a.example/"
    paths = [f"p{number:02d}" for number in range(12)]
    server.fallback = lambda path: reply("later", "503 Service Unavailable")
    server.on(f"{seed}robots.txt", reply(""))
    server.on(seed, reply("".join(f'<a href="{path}">x</a>' for path in paths)))
    settings: dict[str, object] = {"obey_ai_policy": False}
    crawled = crawl(tmp_path / "w", server.port, [seed], children, settings)
    # Three addresses a round are refused, the others are not asked for, until their turns are over.
    assert server.paths("a.example") == ["/", *(f"/{path}" for path in paths[:9])]
    busy = dict.fromkeys(paths[:9], "http_status_503") | dict.fromkeys(paths[9:], "host_busy")
    assert crawled.outcomes() == {"": "fetched", **busy}
    assert [entry.counts["asked"] for entry in crawled.entries] == [1, 12, 9, 6]
    rounds = crawled.job.rounds(crawled.workspace).entries
    assert [entry.counts["planned"] for entry in rounds] == [1, 12, 9, 6, 0]
    assert crawled.faults() == []


def test_what_is_taken_down_is_never_asked_for_again(
    site: Path, tmp_path: Path, crawl_site: Callable[..., Crawled]
) -> None:
    crawl_site()
    storage = Workspace.open(str(tmp_path / "w")).storage
    take_down(storage, entries_of(["https://site.example/ja.html"]), "a letter")
    (site / "index.html").write_text('<a href="ja.html">x</a><a href="ja.html/below">x</a>')
    crawled = crawl_site(passes=2)
    rows = {row["url"].removeprefix(SITE): row for row in asked(crawled, 2)}
    assert {path: row["reason"] for path, row in rows.items()} == {
        "ja.html": "taken_down",
        **dict.fromkeys(("", "ru.html", "ar.html", "el.html")),
    }
    assert (rows["ja.html"]["tries"], rows["ja.html"]["status"]) == (0, None)
    dropped = [entry.detail["links_not_followed"] for entry in crawled.entries]
    assert sum(one.get("taken_down", 0) for one in dropped) == 2
    third = crawl_site(passes=3)
    assert f"{SITE}ja.html" not in {row["url"] for row in asked(third, 3)}
    assert third.faults() == []


def test_a_host_that_is_taken_down_is_not_even_asked_for_its_robots_txt(
    server: HostileServer, tmp_path: Path, children: Children
) -> None:
    seeds = ["http://a.example/", "http://b.example/"]
    for seed in seeds:
        server.on(seed, reply("<p>x"))
    workspace = Workspace.create(str(tmp_path / "w"))
    take_down(workspace.storage, entries_of(["b.example"]), "")
    crawled = crawl(tmp_path / "w", server.port, seeds, children, {})
    assert crawled.outcomes() == {"": "fetched", "http://b.example/": "taken_down"}
    assert {host for host, _ in server.asked} == {"a.example"}

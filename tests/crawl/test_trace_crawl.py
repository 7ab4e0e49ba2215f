"""Tracing an address that gave no document: the crawl says what became of it."""

from collections.abc import Callable

import pytest
import typer
from crawling import Crawled
from hostile_server import HostileServer, reply
from typer.testing import CliRunner

from pipelines.commands import tracing


def trace(crawled: Crawled, what: str) -> str:
    app = typer.Typer()
    tracing.register(app)
    args = [crawled.workspace.url, what]
    return CliRunner().invoke(app, args, catch_exceptions=False).output.strip()


def test_what_became_of_each_address_is_told(
    server: HostileServer, run_crawl: Callable[..., Crawled]
) -> None:
    root = "http://a.example/"
    server.on(f"{root}robots.txt", reply("User-agent: *\nDisallow: /private/"))
    paths = ("private/forbidden.html", "missing.html", "old/часы", "new")
    server.on(root, reply("".join(f'<a href="/{path}">x</a>' for path in paths)))
    server.on(f"{root}old/%D1%87%D0%B0%D1%81%D1%8B", reply("", "302 Found", Location="/clock"))
    server.on(f"{root}clock", reply("<p>Часы у причала спешат на четверть часа"))
    server.on(f"{root}new", reply("<p>港の時計は十五分進んでいる"))
    crawled = run_crawl(root)
    forbidden = f"{root}private/forbidden.html: not fetched, robots_denied"
    for what in (f"{root}private/forbidden.html", "a.example/private/forbidden.html"):
        assert trace(crawled, what).startswith(forbidden)
    assert trace(crawled, "forbidden.html").startswith(forbidden)
    assert trace(crawled, "missing.html") == f"{root}missing.html: not fetched, http_status_404"
    old = trace(crawled, "old/часы")
    assert old.startswith(f"{root}old/%D1%87%D0%B0%D1%81%D1%8B: fetched as a page, status 200")
    assert f"after a redirect to {root}clock" in old
    assert trace(crawled, "clock") == old  # an address is also found by where it led
    with pytest.raises(ValueError, match="found no document"):
        trace(crawled, "bidden.html")

"""`tokenmill crawl` without a corpus, `forget` on what it leaves, and how commands end."""

import re
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from pipelines.cli import ending
from pipelines.commands import audit, crawl, forget
from pipelines.config import ConfigError
from pipelines.crawl.site_server import serve_site
from pipelines.run import run_transform

HOST = "site.example"
PAGES = {
    "index.html": '<a href="a.html">A</a> <a href="час/b.html">B</a> <a href="none.html">C</a>',
    "a.html": "<p>A page about a tide clock.",
    "час/b.html": '<meta charset="utf-8"><p>Страница о часах.',
}


def call(*args: str) -> str:
    app = typer.Typer()
    app.callback()(lambda: None)
    for module in (crawl, forget, audit):
        module.register(app)
    result = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def arguments(port: int) -> list[str]:
    """Of a crawl of the host, which is at the port."""
    return [
        *("crawl", "--seed", f"http://{HOST}/", "--contact", "crawler@test.example"),
        *("--connect", f"{HOST}=127.0.0.1:{port}", "--option", f"allow_private=[{HOST}]"),
        *("--option", "delay=0.001", "--processes", "1"),
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Arguments of `crawl` that lead to a site of three pages and a dead link."""
    folder = tmp_path_factory.mktemp("site")
    for name, text in PAGES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    with serve_site(folder, HOST) as port:
        yield arguments(port)


@pytest.fixture(scope="module")
def crawled(site: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("crawled") / "out"
    return out, call(*site, "--output", str(out))


def test_what_was_asked_for_is_told_and_archived(crawled: tuple[Path, str]) -> None:
    out, told = crawled
    assert "\n4 addresses asked for in 2 rounds = 3 fetched + 1 not; 0.00 MB\n" in told
    assert "\nNot fetched: http_status_404 1\n" in told
    assert "Put off" not in told
    rows = [
        row for path in out.glob("fetches/*/*.parquet") for row in pq.read_table(path).to_pylist()
    ]
    pages = {row["url"]: row["outcome"] for row in rows if row["kind"] == "page"}
    assert pages == {
        f"http://{HOST}/": "fetched",
        f"http://{HOST}/a.html": "fetched",
        f"http://{HOST}/%D1%87%D0%B0%D1%81/b.html": "fetched",
        f"http://{HOST}/none.html": "not_fetched",
    }
    assert len(list(out.glob("raw/crawl/*.warc.gz"))) == 2, "one of each round"


def test_a_further_call_asks_for_nothing(site: list[str], crawled: tuple[Path, str]) -> None:
    out, told = crawled
    assert call(*site, "--output", str(out)) == told


class BusyOnce(BaseHTTPRequestHandler):
    """A page of three links; the first of them that is asked for is refused for an hour."""

    was_busy = False

    def do_GET(self) -> None:
        body = b""
        if self.path == "/":
            self.send_response(200)
            body = b"<a href=x>1</a><a href=y>2</a><a href=z>3</a>"
        elif self.path not in ("/x", "/y", "/z"):
            self.send_response(404)
        elif not BusyOnce.was_busy:
            BusyOnce.was_busy = True
            self.send_response(503)
            self.send_header("Retry-After", "3600")
        else:
            self.send_response(200)
            body = b"<p>here"
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def test_addresses_that_are_put_off_are_counted_apart(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BusyOnce) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        told = call(*arguments(server.server_address[1]), "--output", str(tmp_path / "out"))
        server.shutdown()
        thread.join()
    assert "\n4 addresses asked for in 3 rounds = 3 fetched + 1 not; 0.00 MB\n" in told
    assert "\nPut off, as their hosts were busy: 2; " in told
    assert "\nNot fetched: http_status_503 1\n" in told


def test_archives_that_hold_what_is_forgotten_are_named(crawled: tuple[Path, str]) -> None:
    out, _ = crawled
    told = call("forget", f"{HOST}/a.html", "--workspace", str(out))
    (line,) = [line for line in told.splitlines() if "raw/" in line]
    found = re.fullmatch(
        r"1 record under what this call adds in (raw/crawl/part-00001-\w+\.warc\.gz), .*", line
    )
    assert found is not None, line
    assert (out / found[1]).is_file()
    whole = call("forget", HOST, "--workspace", str(out))
    assert len(re.findall(r" records? under what this call adds in raw/crawl/", whole)) == 2
    assert "0 faults" in call("audit", str(out))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--contact", "   "], r"contact: found '   '; allowed: an e-mail address or URL"),
        (["--option", "block_lists=a.txt"], r"block_lists: found 'a\.txt'.*a list, .*\['a\.txt'\]"),
        (["--seed", f"http://{'a' * 64}.example/"], r"cannot be fetched \(bad_url\)"),
        (["--seed", "http://a..example/"], r"cannot be fetched \(bad_url\)"),
    ],
)
def test_mistakes_are_named(
    site: list[str], tmp_path: Path, given: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call(*site, *given, "--output", str(tmp_path / "out"))


def fail(_: int, error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (
            UnicodeDecodeError("ascii", b"\xe2", 0, 1, "ordinal not in range(128)"),
            1,
            "'ascii' codec can't decode byte 0xe2 in position 0: ordinal not in range(128)",
        ),
        (ValueError("found x; allowed: y"), 1, "found x; allowed: y"),
        (OSError(5, "Input/output error"), 1, "OSError: [Errno 5] Input/output error"),
        (KeyError("name"), 1, '"name"'),
        (KeyboardInterrupt(), 130, None),
    ],
)
def test_errors_out_of_a_running_pipeline_are_failures_told_in_whole_words(
    error: BaseException, code: int, told: str | None
) -> None:
    with pytest.raises((ValueError, LookupError, RuntimeError)) as caught:
        run_transform(beam.Create([1]) | beam.Map(partial(fail, error=error)), [])
    found = ending(caught.value)
    assert found[0] == code
    assert told is None or found[1] == f"error: {told}"


def test_errors_before_a_pipeline_runs_are_mistakes() -> None:
    assert ending(ConfigError("corpus.yaml: wrong")) == (2, "error: corpus.yaml: wrong")
    assert ending(RuntimeError()) == (1, "error: RuntimeError")

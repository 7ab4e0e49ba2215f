"""Lists of paths as Common Crawl publishes them, over a folder, an object store and HTTP."""

import gzip
import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
from warcio.statusandheaders import StatusAndHeaders  # type: ignore[import-untyped]
from warcio.warcwriter import WARCWriter  # type: ignore[import-untyped]

from pipelines.config import SourceConfig, load_corpus
from pipelines.extract.path_lists import COMMON_CRAWL, SourceError, read_path_list
from pipelines.extract.records import InputRange, ReadSettings, read_records
from pipelines.extract.sources import list_source
from pipelines.workspace.inventory import Listed

WARC = "crawl-data/CC-MAIN-2025-05/segments/17.29/warc/CC-MAIN-00000.warc.gz"
WET = "crawl-data/CC-MAIN-2025-05/segments/17.29/wet/CC-MAIN-00000.warc.wet.gz"


def archive(kind: str, *texts: str) -> bytes:
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=True)
    for number, text in enumerate(texts):
        http = StatusAndHeaders("200 OK", [("Content-Type", "text/html")], protocol="HTTP/1.1")
        record = writer.create_warc_record(
            f"http://a.example/{number}",
            kind,
            payload=io.BytesIO(text.encode()),
            http_headers=http if kind == "response" else None,
            warc_content_type="application/http; msgtype=response"
            if kind == "response"
            else "text/plain",
        )
        writer.write_record(record)
    return out.getvalue()


FILES = {
    WARC: archive("response", "<p>Привет, мир</p>", "<p>你好，世界</p>"),
    WET: archive("conversion", "Dobrý den", "Good morning"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "mirror" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    (tmp_path / "wet.paths").write_text(f"{WET}\n")
    (tmp_path / "warc.paths.gz").write_bytes(gzip.compress(f"{WET}\n\n{WARC}\n{WET}\n".encode()))
    return tmp_path


class Handler(SimpleHTTPRequestHandler):
    """Files with their sizes, in ranges."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()
        piece = data[int(asked[1]) : int(asked[2]) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(piece)))
        self.send_header("Content-Range", f"bytes {asked[1]}-{asked[2]}/{len(data)}")
        self.end_headers()
        self.wfile.write(piece)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def listed(path: Path | str, **settings: Any) -> list[Listed]:  # noqa: ANN401
    source = SourceConfig(name="cc", path=str(path), **settings)
    return list_source(source, part_bytes=256 << 20)


def rows(items: list[Listed]) -> list[dict[str, Any]]:
    asked = [InputRange(url=one.url, file=one.file, format=one.format) for one in items]
    return [
        row for one in asked for b in read_records(one, ReadSettings()) for row in b.to_pylist()
    ]


def shown(items: list[Listed]) -> list[tuple[str, str, int]]:
    return [(one.file, one.format, one.bytes) for one in items]


EXPECTED = [(WARC, "warc", len(FILES[WARC])), (WET, "wet", len(FILES[WET]))]


def test_list_over_a_folder_names_files_by_their_lines(folder: Path) -> None:
    found = listed(folder / "warc.paths.gz", base=str(folder / "mirror"))
    assert shown(found) == EXPECTED
    read = rows(found)
    assert [row["file"] for row in read] == [WARC, WARC, WET, WET]
    assert [row["payload"] for row in read[:2]] == [
        "<p>Привет, мир</p>".encode(),
        "<p>你好，世界</p>".encode(),
    ]
    assert [row["text"] for row in read[2:]] == ["Dobrý den", "Good morning"]


def test_list_over_http_gives_the_same_records(folder: Path) -> None:
    local = rows(listed(folder / "warc.paths.gz", base=str(folder / "mirror")))
    with served(folder) as url:
        found = listed(f"{url}/warc.paths.gz", base=f"{url}/mirror/")
        assert shown(found) == EXPECTED
        assert all(one.stamp for one in found)
        assert rows(found) == local


def test_list_over_an_object_store_gives_the_same_records(folder: Path) -> None:
    store = fsspec.filesystem("memory")
    for name, data in FILES.items():
        store.pipe(f"/cc/{name}", data)
    try:
        found = listed(folder / "warc.paths.gz", base="memory://cc/")
        assert shown(found) == EXPECTED
        assert rows(found) == rows(listed(folder / "warc.paths.gz", base=str(folder / "mirror")))
    finally:
        store.rm("/cc", recursive=True)


def test_include_chooses_lines_before_anything_is_asked_for(folder: Path) -> None:
    (folder / "mirror" / WARC).unlink()
    found = listed(folder / "warc.paths.gz", base=str(folder / "mirror"), include=("**/wet/*",))
    assert [one.file for one in found] == [WET]
    with pytest.raises(SourceError, match=r"leave no path of .*warc\.paths\.gz"):
        listed(folder / "warc.paths.gz", base=str(folder / "mirror"), include=("*.pdf",))


def test_without_a_base_the_files_are_those_of_common_crawl(folder: Path) -> None:
    places = read_path_list(SourceConfig(name="cc", path=str(folder / "wet.paths")))
    assert [(one.file, one.url) for one in places] == [(WET, COMMON_CRAWL + WET)]


def test_a_file_that_is_absent_is_told_with_the_way_out(folder: Path) -> None:
    with pytest.raises(SourceError, match=rf"names {WARC}, and .* is not there.*`include`"):
        listed(folder / "warc.paths.gz", base=str(folder))
    with served(folder) as url, pytest.raises(SourceError, match="is not there or not readable"):
        listed(folder / "wet.paths", base=url)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"/etc/passwd\n", "holds '/etc/passwd'; a list of paths has one path on each line"),
        (b"a/../../b.warc.gz\n", "relative to `base`"),
        (b"https://example.org/a.warc.gz\n", "relative to `base`"),
        (gzip.compress(b"a.warc.gz\n" * 99, mtime=0)[:-9], "cannot be read as a list of paths"),
        (b"\xff\xfe\x00", "cannot be read as a list of paths"),
    ],
)
def test_broken_lists_are_told(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.paths").write_bytes(content)
    with pytest.raises(SourceError, match=re.escape(message)):
        listed(tmp_path / "x.paths", base=str(tmp_path))
    with pytest.raises(SourceError, match="FileNotFoundError"):
        listed(tmp_path / "y.paths", base=str(tmp_path))


def test_base_belongs_to_lists_and_is_relative_to_the_corpus_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a file that ends in \.paths or \.paths\.gz"):
        SourceConfig(name="cc", path="a.warc.gz", base="mirror")
    path = tmp_path / "corpus.yaml"
    path.write_text(
        "name: corpus\ntokenizer: t.json\nmixtures: [m.yaml]\n"
        "sources:\n  - {name: cc, path: warc.paths.gz, base: mirror}\n"
        "  - {name: s3, path: wet.paths, base: 's3://commoncrawl/'}\n"
    )
    config = load_corpus(path)
    assert [source.base for source in config.sources] == [
        str(tmp_path / "mirror"),
        "s3://commoncrawl/",
    ]

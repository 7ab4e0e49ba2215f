import http.client
import os
from pathlib import Path

import pytest

from pipelines.crawl.site_server import find_file, serve_site


def get(
    port: int, path: str, host: str = "site.example", method: str = "GET"
) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.headers["Content-Type"], answer.read()
    connection.close()
    return found


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "sub dir").mkdir(parents=True)
    (site / "index.html").write_text("<p>Добро пожаловать", encoding="utf-8")
    (site / "sub dir" / "index.html").write_text("<p>sub")
    (site / "страница.html").write_text("<p>page", encoding="utf-8")
    (site / "empty.txt").write_bytes(b"")
    (site / "map.xml").write_text("<urlset/>")
    (site / "paper.PDF").write_bytes(b"%PDF-1.7")
    (site / "data.bin").write_bytes(b"\x00")
    (tmp_path / "secret.txt").write_text("secret")
    return site


def test_files_are_served_under_the_name_of_the_host(site: Path) -> None:
    page = "<p>Добро пожаловать".encode()
    with serve_site(site, "site.example") as port:
        assert get(port, "/") == (200, "text/html", page)
        assert get(port, "/index.html?x=1") == (200, "text/html", page)
        assert get(port, "/sub%20dir/") == (200, "text/html", b"<p>sub")
        escaped = "/%D1%81%D1%82%D1%80%D0%B0%D0%BD%D0%B8%D1%86%D0%B0.html"
        assert get(port, escaped) == (200, "text/html", b"<p>page")
        assert get(port, "/empty.txt") == (200, "text/plain", b"")
        assert get(port, "/map.xml") == (200, "application/xml", b"<urlset/>")
        assert get(port, "/paper.PDF") == (200, "application/pdf", b"%PDF-1.7")
        assert get(port, "/data.bin")[1] == "application/octet-stream"
        assert get(port, "/", method="HEAD") == (200, "text/html", b"")
        assert get(port, "/", host=f"SITE.example:{port}")[0] == 200
        assert get(port, "/", host="other.example")[0] == 404
        assert get(port, "/sub%20dir")[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/sub%20dir/..%2f..%2fsecret.txt",
        "//etc/passwd",
        "/link.txt",
        "/nul%00.txt",
        "secret.txt",
        "/" + "a" * 5000,
    ],
)
def test_nothing_outside_the_folder_is_served(site: Path, path: str) -> None:
    os.symlink(site.parent / "secret.txt", site / "link.txt")
    assert find_file(site.resolve(), path) is None


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="is no folder"),
        serve_site(tmp_path / "none", "a.example"),
    ):
        pass


def test_who_holds_a_page_is_told_that_it_has_not_changed(site: Path) -> None:
    def ask(port: int, etag: str) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {"Host": "site.example", "If-None-Match": etag}
        connection.request("GET", "/index.html", headers=headers)
        answer = connection.getresponse()
        found = answer.status, answer.headers["ETag"], answer.read()
        connection.close()
        return found

    page = (site / "index.html").read_bytes()
    with serve_site(site, "site.example") as port:
        status, etag, body = ask(port, '"other"')
        assert (status, body) == (200, page)
        assert ask(port, etag) == (304, etag, b"")
        (site / "index.html").write_bytes(page + b"!")
        status, changed, body = ask(port, etag)
        assert (status, body) == (200, page + b"!")
        assert changed != etag

"""Conditional requests and revisit records, visit by visit, as three readers see them."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from crawling import POLITE
from fastwarc.warc import ArchiveIterator
from hostile_server import HostileServer, reply
from visiting import SEED, visit_host
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from pipelines.config import CrawlConfig
from pipelines.crawl.archive import Validators
from pipelines.crawl.scope import scope_of
from pipelines.crawl.visits import judge_page
from pipelines.extract.http_message import decode_body, parse_response
from pipelines.workspace.schema import payload_digest

PAGE = "<p>Часы у причала спешат на четверть часа"
NOT_MODIFIED = b'HTTP/1.1 304 Not Modified\r\nETag: W/"2"\r\n\r\n'
PROFILE = "http://netpreserve.org/warc/1.1/revisit/"


def first_pass(folder: Path, server: HostileServer, paths: list[str]) -> dict[str, Validators]:
    """Visits once; path -> what is held."""
    folder.mkdir()
    visited = visit_host(folder, server.port, paths)
    held = {path: visited.of(path).held for path in paths}
    return {path: one for path, one in held.items() if one is not None}


def fields_of(path: Path, kind: str) -> list[dict[str, str]]:
    """WARC fields of the records of a type."""
    with path.open("rb") as file:
        return [
            dict(record.rec_headers.headers)
            for record in WarcioIterator(file)
            if record.rec_type == kind
        ]


def test_what_is_held_names_the_record_that_holds_the_payload(
    server: HostileServer, tmp_path: Path
) -> None:
    packed = gzip.compress(PAGE.encode(), mtime=0)
    server.on(f"{SEED}a", reply(packed, Content_Encoding="gzip", ETag='"1"', Last_Modified="x y"))
    held = first_pass(tmp_path / "one", server, ["a"])["a"]
    (record,) = [
        one
        for one in fields_of(tmp_path / "one" / "draft.warc.gz", "response")
        if one["WARC-Target-URI"] == f"{SEED}a"
    ]
    assert held == Validators(
        etag='"1"',
        last_modified="x y",
        digest=payload_digest(PAGE.encode()),
        sent_digest=record["WARC-Payload-Digest"],
        record_id=record["WARC-Record-ID"],
        record_date=held.record_date,
        record_uri=f"{SEED}a",
    )
    assert record["WARC-Date"] == held.record_date.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_page_that_has_not_changed_is_a_revisit_that_refers_to_the_first(
    server: HostileServer, tmp_path: Path
) -> None:
    server.on(f"{SEED}a", reply(PAGE, ETag='"1"', Last_Modified="then"), lambda: NOT_MODIFIED)
    held = first_pass(tmp_path / "one", server, ["a"])
    visited = visit_host(tmp_path, server.port, ["a"], held=held)
    visit = visited.of("a")
    sent = server.heads[-1].lower()
    assert 'if-none-match: "1"\r\n' in sent
    assert "if-modified-since: then\r\n" in sent
    assert (visit.outcome, visit.status, visit.num_bytes) == ("fetched", 304, 0)
    assert visit.revisit_profile == "server-not-modified"
    assert visit.held == replace(held["a"], etag='W/"2"')
    assert visit.digest == payload_digest(PAGE.encode())
    assert visited.kinds()[-2:] == [("revisit", f"{SEED}a"), ("request", f"{SEED}a")]
    (record,) = fields_of(visited.archive, "revisit")
    assert record["WARC-Profile"] == f"{PROFILE}server-not-modified"
    assert record["WARC-Refers-To"] == held["a"].record_id
    assert record["WARC-Refers-To-Target-URI"] == f"{SEED}a"
    assert record["WARC-Refers-To-Date"] == f"{held['a'].record_date:%Y-%m-%dT%H:%M:%S.%fZ}"
    assert record["WARC-Payload-Digest"] == held["a"].sent_digest
    with visited.archive.open("rb") as file:
        (found,) = [
            r
            for r in ArchiveIterator(file, parse_http=False)
            if r.verify_block_digest() and r.headers["WARC-Type"] == "revisit"
        ]
    assert found.headers["WARC-Record-ID"] == record["WARC-Record-ID"]


def test_the_block_of_a_revisit_is_the_header_that_came(
    server: HostileServer, tmp_path: Path
) -> None:
    server.on(f"{SEED}a", reply(PAGE), reply(PAGE, X_Second="yes"))
    held = first_pass(tmp_path / "one", server, ["a"])
    visited = visit_host(tmp_path, server.port, ["a"], held=held)
    visit = visited.of("a")
    assert visit.extent is not None
    data = visited.archive.read_bytes()[visit.extent.start : visit.extent.response_end]
    block = gzip.decompress(data).partition(b"\r\n\r\n")[2]
    length = len(PAGE.encode())
    assert block == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\nX-Second: yes"
        b"\r\n\r\n\r\n\r\n" % length
    )
    assert visit.num_bytes == length


@pytest.mark.parametrize(
    ("second", "is_revisit"),
    [
        (reply(PAGE), True),
        (reply(PAGE + "."), False),
        (reply(gzip.compress(PAGE.encode(), mtime=0), Content_Encoding="gzip"), False),
        (reply(PAGE, X_Robots_Tag="noindex"), False),
        (reply("x", "404 Not Found"), False),
    ],
)
def test_only_the_same_bytes_of_the_same_address_are_a_revisit(
    server: HostileServer, tmp_path: Path, second: bytes, is_revisit: bool
) -> None:
    """The same text in another encoding has another digest, so it is a response of its own."""
    server.on(f"{SEED}a", reply(PAGE), second)
    held = first_pass(tmp_path / "one", server, ["a"])
    visited = visit_host(tmp_path, server.port, ["a"], held=held)
    visit = visited.of("a")
    assert visit.is_revisit == is_revisit
    profiles = [one["WARC-Profile"] for one in fields_of(visited.archive, "revisit")]
    assert profiles == [f"{PROFILE}identical-payload-digest"] * is_revisit
    assert "if-none-match" not in server.heads[-1].lower()  # it never sent an ETag
    if visit.outcome != "fetched" or is_revisit:
        assert visit.held == held["a"]
    else:
        assert visit.held is not None
        assert visit.held.record_id != held["a"].record_id
        assert visit.held.digest == visit.digest


def test_equal_pages_of_two_addresses_are_two_responses(
    server: HostileServer, tmp_path: Path
) -> None:
    for path in ("a", "b"):
        server.on(f"{SEED}{path}", reply(PAGE))
    visited = visit_host(tmp_path, server.port, ["a", "b"])
    assert [uri for kind, uri in visited.kinds() if kind == "response"] == [f"{SEED}a", f"{SEED}b"]


def test_a_redirect_is_asked_anew_and_its_target_by_its_validators(
    server: HostileServer, tmp_path: Path
) -> None:
    server.on(f"{SEED}a", reply(status="302 X", Location="/b", ETag='"of a"'))
    server.on(f"{SEED}b", reply(PAGE, ETag='"of b"'), lambda: NOT_MODIFIED)
    held = first_pass(tmp_path / "one", server, ["a"])
    assert held["a"].record_uri == f"{SEED}b"
    visited = visit_host(tmp_path, server.port, ["a"], held=held)
    assert visited.of("a").revisit_profile == "server-not-modified"
    assert "if-none-match" not in server.heads[-2].lower()
    assert 'if-none-match: "of b"' in server.heads[-1].lower()


def test_304_to_a_plain_request_is_no_page(server: HostileServer, tmp_path: Path) -> None:
    server.on(f"{SEED}a", lambda: NOT_MODIFIED)
    assert visit_host(tmp_path, server.port, ["a"]).outcomes() == {"a": "http_status_304"}


@pytest.mark.parametrize("etag", ['"ä"', '"' + "x" * 2000 + '"', '"\x07"'])
def test_validators_that_cannot_be_sent_back_are_not(
    server: HostileServer, tmp_path: Path, etag: str
) -> None:
    server.on(f"{SEED}a", reply(PAGE, ETag=etag))
    held = first_pass(tmp_path / "one", server, ["a"])
    assert held.get("a") is None or held["a"].etag is None


def test_a_revisit_of_a_revisit_refers_to_the_response(
    server: HostileServer, tmp_path: Path
) -> None:
    server.on(f"{SEED}a", reply(PAGE, ETag='"1"'), lambda: NOT_MODIFIED, reply(PAGE))
    held = first_pass(tmp_path / "one", server, ["a"])
    second = visit_host(tmp_path, server.port, ["a"], held=held).of("a").held
    assert second is not None
    (tmp_path / "three").mkdir()
    third = visit_host(tmp_path / "three", server.port, ["a"], held={"a": second})
    assert third.of("a").revisit_profile == "identical-payload-digest"
    (record,) = fields_of(third.archive, "revisit")
    assert record["WARC-Refers-To"] == held["a"].record_id


def test_a_response_record_is_whole(server: HostileServer, tmp_path: Path) -> None:
    packed = gzip.compress(PAGE.encode(), mtime=0)
    server.on(f"{SEED}a", reply(packed, Content_Encoding="gzip"))
    visited = visit_host(tmp_path, server.port, ["a"])
    extent = visited.of("a").extent
    assert extent is not None
    data = visited.archive.read_bytes()[extent.start : extent.response_end]
    block = gzip.decompress(data).partition(b"\r\n\r\n")[2].removesuffix(b"\r\n\r\n")
    assert decode_body(parse_response(block), max_bytes=1 << 20) == PAGE.encode()


def test_the_header_of_304_is_kept_as_it_came(server: HostileServer, tmp_path: Path) -> None:
    server.on(f"{SEED}a", reply(PAGE, ETag='"1"'), lambda: NOT_MODIFIED)
    held = first_pass(tmp_path / "one", server, ["a"])
    visited = visit_host(tmp_path, server.port, ["a"], held=held)
    extent = visited.of("a").extent
    assert extent is not None
    data = visited.archive.read_bytes()[extent.start : extent.response_end]
    assert gzip.decompress(data).partition(b"\r\n\r\n")[2] == NOT_MODIFIED + b"\r\n\r\n"


def test_what_is_left_out_of_the_archive_in_the_end_is_not_held(
    server: HostileServer, tmp_path: Path
) -> None:
    """A page may say only in its text that it is not to be used."""
    server.on(f"{SEED}a", reply(PAGE), reply("<meta name=robots content=noindex>"))
    held = first_pass(tmp_path / "one", server, ["a"])
    visit = visit_host(tmp_path, server.port, ["a"], held=held).of("a")
    assert visit.held != held["a"]
    config = CrawlConfig.model_validate({**POLITE, "seeds": [SEED]})
    says = {"noindex": True, "nofollow": False, "noai": False, "tdm_reserved": None}
    row = {**says, "language": None}
    assert judge_page(visit, row, scope_of(config), config)
    assert (visit.outcome, visit.reason) == ("not_fetched", "noindex")
    assert visit.held == held["a"]

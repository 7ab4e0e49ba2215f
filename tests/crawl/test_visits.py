"""One host's visit: every trap ends with its reason, and a busy host is spared."""

import base64
import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hostile_server import RESET, HostileServer, Reply, reply
from visiting import HOST, SEED, visit_host

from pipelines.crawl.targets import DEFERRED, REASONS
from pipelines.workspace.schema import payload_digest

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BOMB = b" " * (8 << 20)
# The same in brotli (RFC 7932), packed once by its reference encoder: there is none here.
BROTLI_BOMB = base64.b64decode("y///PwAkQOKxQHLv/wY=")


def early_hints() -> Iterator[bytes]:
    while True:
        yield b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 50


def endless_chunk_extension() -> Iterator[bytes]:
    yield CHUNKED + b"5;"
    for _ in range(100):
        yield b"x" * 65536
    yield b""


def endless_trailers() -> Iterator[bytes]:
    yield CHUNKED + b"5\r\n<p>ab\r\n0\r\n"
    for _ in range(100):
        yield b"X-A: b\r\n" * 1000


def redirect(to: str, **fields: str) -> bytes:
    return reply(status="302 Found", Location=to, **fields)


TRAPS: dict[str, tuple[Reply | Callable[[], Reply], str]] = {
    "cookie-wall": (redirect("/cookie-wall", Set_Cookie="seen=1"), "redirect_loop"),
    "fragment": (redirect("/fragment#x"), "redirect_loop"),
    "http-0.9": (b"<html>hello</html>", "broken_http"),
    "http-2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "broken_http"),
    "reset": (lambda: iter([RESET]), "connection_failed"),
    "reset-body": (lambda: iter([HEAD + b"Content-Length: 9\r\n\r\n<p>", RESET]), "truncated_body"),
    "two-lengths": (HEAD + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\n<p>ab12", "broken_http"),
    "less-than-none": (HEAD + b"Content-Length: -1\r\n\r\n<p>ab", "broken_http"),
    "both-lengths": (CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n0\r\n\r\n", "broken_http"),
    "chunk-less-than-none": (CHUNKED + b"-5\r\n<p>ab\r\n0\r\n\r\n", "broken_http"),
    "chunk-extension": (endless_chunk_extension, "truncated_body"),
    "trailers": (endless_trailers, "huge_header"),
    "nul": (HEAD + b"X-A: \x00b\r\nContent-Length: 0\r\n\r\n", "broken_http"),
    "upgrade": (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "status"),
    "part": (reply("<p>x", "206 Partial Content"), "status"),
    "gzip": (reply(gzip.compress(BOMB), Content_Encoding="gzip"), "unpacked_too_large"),
    "gzip-twice": (
        reply(gzip.compress(gzip.compress(BOMB)), Content_Encoding="gzip, gzip"),
        "unpacked_too_large",
    ),
    "deflate": (reply(zlib.compress(BOMB), Content_Encoding="deflate"), "unpacked_too_large"),
    "zstd": (reply(zstandard.compress(BOMB), Content_Encoding="zstd"), "unpacked_too_large"),
    "brotli": (reply(BROTLI_BOMB, Content_Encoding="br"), "unpacked_too_large"),
    "to-mail": (redirect("http://a.example:25/"), "out_of_scope_redirect"),
    "to-data": (redirect("data:text/html,x"), "out_of_scope_redirect"),
    "to-password": (redirect("http://u:p@a.example/"), "out_of_scope_redirect"),
    "to-excluded": (redirect("/private/x"), "out_of_scope_redirect"),
    "to-far": (redirect("/" + "x" * 60_000), "out_of_scope_redirect"),
}


def test_every_trap_ends_with_its_reason_and_good_pages_between_are_kept(
    server: HostileServer, tmp_path: Path
) -> None:
    paths = [path for name in TRAPS for path in (name, f"good-{name}")]
    for name, (answer, _) in TRAPS.items():
        server.on(f"{SEED}{name}", answer)
        server.on(f"{SEED}good-{name}", reply(f"<p>after {name}"))
    visited = visit_host(
        tmp_path, server.port, paths, max_body_bytes=1 << 20, exclude=["a.example/private/**"]
    )
    reasons = {name: reason for name, (_, reason) in TRAPS.items()}
    reasons |= {"upgrade": "http_status_101", "part": "http_status_206"}
    reasons |= {f"good-{name}": "fetched" for name in TRAPS}
    assert visited.outcomes() == reasons
    assert {uri for kind, uri in visited.kinds()} == {f"{SEED}good-{name}" for name in TRAPS}
    assert not any("\r\ncookie:" in head.lower() for head in server.heads)


def test_time_ends_what_does_not_end_itself(server: HostileServer, tmp_path: Path) -> None:
    """A byte now and then is no answer: the whole of it has one time limit."""
    released = threading.Event()

    def trickle(start: bytes, byte: bytes) -> Callable[[], Iterator[bytes]]:
        def answer() -> Iterator[bytes]:
            yield start
            while not released.wait(0.02):
                yield byte

        return answer

    server.on(f"{SEED}hints", early_hints)
    server.on(f"{SEED}header", trickle(b"HTTP/1.1 200 OK\r\nX-A: ", b"y"))
    server.on(f"{SEED}body", trickle(HEAD + b"Content-Length: 9999\r\n\r\n<p>", b"y"))
    server.on(f"{SEED}chunks", trickle(CHUNKED, b"1\r\ny\r\n"))
    server.on(f"{SEED}whole", reply("<p>whole"))
    names = ["hints", "header", "body", "chunks"]
    try:
        visited = visit_host(tmp_path, server.port, [*names, "whole"], timeout=0.2)
    finally:
        released.set()
    assert visited.outcomes() == {**dict.fromkeys(names, "timed_out"), "whole": "fetched"}


def test_queries_that_change_nothing_are_a_trap(server: HostileServer, tmp_path: Path) -> None:
    server.fallback = lambda path: reply("<p>all the same" if "same" in path else f"<p>{path}")
    same = [f"same?n={n}" for n in range(25)]
    other = [f"list?n={n}" for n in range(25)]
    visited = visit_host(tmp_path, server.port, [*same, "same", *other])
    expected = dict.fromkeys(same[:20], "fetched") | dict.fromkeys(same[20:], "trap")
    assert visited.outcomes() == expected | dict.fromkeys(["same", *other], "fetched")
    assert "/same?n=20" not in server.paths(HOST)


def test_a_host_that_refuses_three_addresses_is_left_alone(
    server: HostileServer, tmp_path: Path
) -> None:
    server.fallback = lambda path: reply("later", "503 Service Unavailable")
    server.on(f"{SEED}good", reply("<p>good"))
    paths = ["a", "b", "good", "c", "d", "e", "f", "good"]
    visited = visit_host(tmp_path, server.port, paths)
    reasons = [visit.reason or visit.outcome for visit in visited.visits if visit.kind == "page"]
    busy = "http_status_503"
    assert reasons == [busy, busy, "fetched", busy, busy, busy, "host_busy", "host_busy"]
    assert server.paths(HOST) == [f"/{path}" for path in paths[:6]]
    assert all(visit.tries == 0 for visit in visited.visits if visit.reason in DEFERRED)


def test_a_host_that_wants_a_long_pause_is_left_alone_at_once(
    server: HostileServer, tmp_path: Path
) -> None:
    slow = reply("slower", "429 Too Many Requests", Retry_After="3600")
    server.on(f"{SEED}a", slow)
    visited = visit_host(tmp_path, server.port, ["a", "b"], retries=5)
    assert visited.outcomes() == {"a": "http_status_429", "b": "host_busy"}
    assert visited.of("a").tries == 1
    assert visited.of("b").message == "it asks for a pause of 3600 s"


def test_a_host_whose_answers_take_all_the_time_is_left_alone(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.crawl.visits._MAX_ANSWERING_S", 0.0)
    server.fallback = lambda path: reply("<p>x")
    visited = visit_host(tmp_path, server.port, ["a", "b"])
    assert visited.outcomes() == {"a": "fetched", "b": "host_busy"}
    assert server.paths(HOST) == ["/a"]


def test_the_pause_grows_while_a_host_is_busy_and_shrinks_again(
    server: HostileServer, tmp_path: Path
) -> None:
    busy = reply("x", "503 Busy", Retry_After="0")
    server.on(f"{SEED}a", busy, busy, reply("<p>a"))
    server.on(f"{SEED}b", reply("<p>b"))
    visited = visit_host(tmp_path, server.port, ["a"], retries=2, delay=0.001)
    pace = visited.lanes.of(HOST).pace
    assert visited.outcomes() == {"a": "fetched"}
    assert pace.pause_s >= pace.least_s == 0.001


def test_what_is_blocked_or_taken_down_is_not_asked_for(
    server: HostileServer, tmp_path: Path
) -> None:
    """Nor is the host's robots.txt, where the list names all that is wanted."""
    server.fallback = lambda path: reply("<p>x")
    server.on(f"{SEED}moved", redirect("/listed/page"))
    server.on(f"{SEED}gone", redirect("/down"))
    blocked = tmp_path / "list.txt"
    blocked.write_text("# a list\nhttp://a.example/listed\n||b.example^\n")
    down = pa.array(["a.example/down"], pa.large_string())
    lists = {"block_lists": [str(blocked)], "taken_down": down}
    first = visit_host(tmp_path, server.port, ["listed/a", "down?x"], **lists)
    assert first.outcomes() == {"listed/a": "block_list", "down?x": "taken_down"}
    assert server.asked == []
    second = visit_host(tmp_path, server.port, ["listedX", "moved", "gone"], **lists)
    expected = {"listedX": "fetched", "moved": "block_list", "gone": "taken_down"}
    assert second.outcomes() == expected
    assert server.paths(HOST) == ["/listedX", "/moved", "/gone"]


def test_plain_texts_in_other_languages_are_not_kept(server: HostileServer, tmp_path: Path) -> None:
    for name, language in (("de", "de-AT"), ("fr", "fr"), ("both", "fr, de"), ("none", "")):
        text = reply("Wort", Content_Type="text/plain", Content_Language=language)
        server.on(f"{SEED}{name}", text)
    visited = visit_host(
        tmp_path, server.port, ["de", "fr", "both", "none"], languages=["deu_Latn"]
    )
    assert visited.outcomes() == {
        "de": "fetched",
        "fr": "other_language",
        "both": "fetched",
        "none": "fetched",
    }


def test_every_reason_has_words() -> None:
    assert all(text and not text.endswith(".") for text in REASONS.values())
    assert set(DEFERRED) <= set(REASONS)


@pytest.mark.parametrize("path", ["robots.txt", "ai.txt", ".well-known/tdmrep.json"])
def test_a_site_without_an_end_to_its_rules_is_visited_all_the_same(
    server: HostileServer, tmp_path: Path, path: str
) -> None:
    def endless() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nUser-agent: *\nDisallow: /no\n"
        while True:
            yield b"# and so on\n" * 4096

    server.on(f"{SEED}{path}", endless)
    server.on(f"{SEED}yes", reply("<p>yes"))
    visited = visit_host(tmp_path, server.port, ["yes"])
    assert visited.outcomes() == {"yes": "fetched"}
    (rules,) = [visit for visit in visited.visits if visit.url == f"{SEED}{path}"]
    assert rules.reason in ("too_large", "broken_policy")
    assert {uri for _, uri in visited.kinds()} == {f"{SEED}yes"}


def test_http_and_https_of_a_site_are_asked_for_their_rules_once(
    server: HostileServer, tmp_path: Path
) -> None:
    """Two ports stand for the two schemes, for both are other origins of the host."""
    other = f"http://{HOST}:8080/"
    server.on(f"{SEED}robots.txt", *_moved_then("robots.txt", b"User-agent: *\nDisallow: /no"))
    server.fallback = lambda path: reply("<p>x")
    server.on(f"{SEED}a", redirect(f"{other}b"))
    server.on(f"{SEED}c", redirect(f"{other}no"))
    visited = visit_host(tmp_path, server.port, ["a", "c"])
    assert visited.outcomes() == {"a": "fetched", "c": "robots_denied"}
    assert visited.of("a").final_url == f"{other}b"
    rules = [path for _, path in server.asked if path not in server.paths(HOST)]
    assert rules == ["/robots.txt", "/robots.txt", "/ai.txt", "/.well-known/tdmrep.json"]


def _moved_then(path: str, body: bytes) -> tuple[Reply, ...]:
    """An answer that leads to the other port, and the one that stands there."""
    return redirect(f"http://{HOST}:8080/{path}"), reply(body, Content_Type="text/plain")


def test_sitemaps_train_nothing_unless_the_whole_site_is_reserved(
    server: HostileServer, tmp_path: Path
) -> None:
    server.on(f"{SEED}ai.txt", reply("User-Agent: *\nDisallow: *.xml", Content_Type="text/plain"))
    server.fallback = lambda path: reply("<urlset/>", Content_Type="text/xml")
    some = visit_host(tmp_path, server.port, ["map.xml"], kind="sitemap")
    assert some.outcomes("sitemap") == {"map.xml": "fetched"}
    server.on(f"{SEED}ai.txt", reply("User-Agent: *\nDisallow: /", Content_Type="text/plain"))
    none = visit_host(tmp_path, server.port, ["map.xml"], kind="sitemap")
    assert none.outcomes("sitemap") == {"map.xml": "ai_txt_denied"}


def no_answer() -> Iterator[bytes]:
    yield b""


def test_a_busy_server_is_asked_again_when_it_says_so(
    server: HostileServer, tmp_path: Path
) -> None:
    busy = reply("later", "429 Too Many Requests", Retry_After="0")
    tomorrow = reply("later", "503 Service Unavailable", Retry_After="86400")
    server.on(f"{SEED}busy", busy, busy, reply("<p>at last"))
    server.on(f"{SEED}lost", no_answer, no_answer, reply("<p>found"))
    server.on(f"{SEED}always", reply("x", "500 Oops"))
    server.on(f"{SEED}tomorrow", tomorrow, reply("<p>too early"))
    visited = visit_host(tmp_path, server.port, ["always", "busy", "lost", "tomorrow"], retries=2)
    assert visited.outcomes() == {
        "busy": "fetched",
        "tomorrow": "http_status_503",
        "lost": "fetched",
        "always": "http_status_500",
    }
    asked = {path: server.paths(HOST).count(f"/{path}") for path in visited.outcomes()}
    assert asked == {"busy": 3, "tomorrow": 1, "lost": 3, "always": 3}
    assert visited.of("busy").tries == 3


def test_a_dead_host_is_given_up_and_says_so(server: HostileServer, tmp_path: Path) -> None:
    server.fallback = lambda path: iter([b""])
    paths = [f"p{number:02d}" for number in range(12)]
    reasons = list(visit_host(tmp_path, server.port, paths).outcomes().values())
    assert reasons == ["connection_failed"] * 8 + ["host_unresponsive"] * 4


def test_what_stands_behind_a_body_does_not_poison_the_next_answer(
    server: HostileServer, tmp_path: Path
) -> None:
    smuggled = reply("<p>smuggled")
    server.on(f"{SEED}long", reply("<p>long") + smuggled)
    server.on(f"{SEED}short", reply("<p>four", Content_Length="4") + smuggled)
    server.on(f"{SEED}t1", reply("<p>one"))
    server.on(f"{SEED}t2", reply("<p>two"))
    visited = visit_host(tmp_path, server.port, ["long", "t1", "short", "t2"], retries=2)
    digests = {path: visited.of(path).digest for path in ("long", "t1", "short", "t2")}
    assert digests["long"] == payload_digest(b"<p>long")
    assert digests["t1"] == payload_digest(b"<p>one")
    assert digests["t2"] == payload_digest(b"<p>two")
    # Told as broken where all arrives at once; else HTTP says that the body is these four bytes.
    assert digests["short"] in (None, payload_digest(b"<p>f"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply("x", "500 Oops"), "robots_unreachable"),
        (reply("x", "429 Too Many Requests"), "host_busy"),
        (no_answer, "robots_unreachable"),
        (reply("User-agent: *\nDisallow: /"), "robots_denied"),
        (reply("User-agent: tokenmill\nDisallow: /\n\nUser-agent: *\nAllow: /"), "robots_denied"),
        (reply("User-agent: *\nCrawl-delay: 3600"), "crawl_delay_too_long"),
        (redirect("http://[bad/"), "robots_unreachable"),
        (reply("Sitemap: http://[bad/sitemap.xml\nUser-agent: *\nAllow: /"), "fetched"),
        (reply("x", "403 Forbidden"), "fetched"),
        (reply("User-agent: other\nDisallow: /"), "fetched"),
        (redirect("/rules.txt"), "robots_denied"),
        (reply("User-agent: *\nDisallow: /\n" + "#" * 600_000), "robots_denied"),
        (reply(b"\x1f\x8b\x08" + bytes(range(256)) * 40), "fetched"),
        (reply(gzip.compress(BOMB), Content_Encoding="gzip"), "fetched"),
        (reply("x", Content_Encoding="quux"), "robots_unreachable"),
        # A pattern for which a matcher that tries all ways would need longer than there is time.
        (reply("User-agent: *\nDisallow: /" + "*a" * 2000 + "*b$"), "fetched"),
    ],
)
def test_robots_txt_decides(
    server: HostileServer,
    tmp_path: Path,
    answer: Reply | Callable[[], Reply],
    reason: str,
) -> None:
    server.on(f"{SEED}robots.txt", answer)
    server.on(f"{SEED}rules.txt", reply("User-agent: *\nDisallow: /"))
    server.fallback = lambda path: reply("<p>x")
    visited = visit_host(tmp_path, server.port, ["a" * 5000], obey_ai_policy=False)
    assert visited.outcomes() == {"a" * 5000: reason}
    assert server.paths(HOST).count("/" + "a" * 5000) == (reason == "fetched")


def test_of_an_endless_robots_txt_the_beginning_counts(
    server: HostileServer, tmp_path: Path
) -> None:
    def endless_rules() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
        yield b"User-agent: *\nDisallow: /no\n"
        while True:
            yield b"# and so on\n" * 4096

    server.on(f"{SEED}robots.txt", endless_rules)
    server.on(f"{SEED}yes", reply("<p>yes"))
    visited = visit_host(tmp_path, server.port, ["no", "yes"])
    assert visited.outcomes() == {"no": "robots_denied", "yes": "fetched"}
    assert visited.outcomes("robots") == {"robots.txt": "too_large"}
    assert {uri for _, uri in visited.kinds()} == {f"{SEED}yes"}


def test_robots_txt_that_lies_on_another_host_is_read_there(
    server: HostileServer, tmp_path: Path
) -> None:
    there = "http://www.a.example/robots.txt"
    server.on(f"{SEED}robots.txt", redirect(there))
    server.on(there, reply("User-agent: *\nDisallow: /no"))
    hosts = ["a.example", "www.a.example"]
    visited = visit_host(tmp_path, server.port, ["no"], allow_private=hosts)
    assert visited.outcomes() == {"no": "robots_denied"}
    assert [path for host, path in server.asked if host != HOST] == ["/robots.txt"]


def test_robots_txt_is_not_read_where_nothing_may_be_asked_for(
    server: HostileServer, tmp_path: Path
) -> None:
    """Nor are the other rules of a site; what is not known of robots.txt denies everything."""
    server.fallback = lambda path: reply("<p>x")
    blocked = tmp_path / "list.txt"
    blocked.write_text("listed.example\n")
    lists = {
        "block_lists": [str(blocked)],
        "taken_down": pa.array(["down.example"], pa.large_string()),
        "allow_private": [HOST, "listed.example", "down.example"],
    }
    server.on(f"{SEED}robots.txt", redirect("http://listed.example/robots.txt"))
    visited = visit_host(tmp_path, server.port, ["x"], **lists)
    assert visited.outcomes() == {"x": "robots_unreachable"}
    assert visited.outcomes("robots") == {"robots.txt": "block_list"}
    server.on(f"{SEED}robots.txt", reply("User-agent: *\nAllow: /"))
    server.on(f"{SEED}ai.txt", redirect("http://down.example/ai.txt"))
    again = visit_host(tmp_path, server.port, ["x"], **lists)
    assert again.outcomes() == {"x": "fetched"}
    assert again.outcomes("policy")["ai.txt"] == "taken_down"
    assert {host for host, _ in server.asked} == {HOST}

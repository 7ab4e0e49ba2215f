"""What sites say against training: each way of saying it is heard, and nothing else is."""

from pathlib import Path

import pytest
from hostile_server import HostileServer, reply
from visiting import HOST, SEED, visit_host

from pipelines.crawl.ai_policy import (
    AiPolicy,
    BrokenPolicy,
    answer_refusal,
    parse_ai_txt,
    parse_tdmrep,
    usage_rules,
)
from pipelines.crawl.links import read_page

DRAFT_EXAMPLE = """
User-Agent: *
Allow: /
Disallow: /never/
Content-Usage: train-ai=n
Content-Usage: /ai-ok/ train-ai=y

User-Agent: ExampleBot
Allow: /
Content-Usage: train-ai=y
"""


def usage(robots_txt: str, path: str) -> bool:
    """Whether a robots.txt lets a path train models."""
    policy = AiPolicy(usage=usage_rules(robots_txt, "tokenmill"))
    return policy.refusal(f"{SEED}{path}") is None


@pytest.mark.parametrize(
    ("robots_txt", "path", "allowed"),
    [
        (DRAFT_EXAMPLE, "test", False),
        (DRAFT_EXAMPLE, "ai-ok/test", True),
        (DRAFT_EXAMPLE.replace("ExampleBot", "TokenMill"), "test", True),
        ("User-agent: *\nContent-Signal: ai-train=no, search=yes", "", False),
        ("User-agent: *\nContent-Signal: search=yes, ai-train=yes", "", True),
        ("User-agent: *\nContent-Signal: search=no, ai-input=no", "", True),
        ("Content-Signal: ai-train=no\nUser-agent: *\nAllow: /", "", False),
        ("User-agent: GPTBot\nContent-Signal: ai-train=no", "", True),
        ("User-agent: GPTBot\nUser-agent: *\nContent-Signal: ai-train=no", "", False),
        ("User-agent: *\nContent-Signal: ai-train=no\n\nUser-agent: tokenmill\nAllow: /", "", True),
        ("User-agent: *\ncontent-usage:/a*z$ train-ai=n # why", "abz", False),
        ("User-agent: *\ncontent-usage:/a*z$ train-ai=n", "abzy", True),
        ("User-agent: *\nContent-Usage: train-ai=y\nContent-Usage: train-ai=n", "", False),
        ("User-agent: *\nContent-Usage: ai=n, train-ai=y", "", True),
        ("User-agent: *\nContent-Usage: tdm=n", "", False),
        ("User-agent: *\nContent-Usage: search=n", "", True),
        ("User-agent: *\nDisallow: /no\n# Content-Signal: ai-train=no", "", True),
        ("", "", True),
    ],
)
def test_usage_lines_of_robots_txt(robots_txt: str, path: str, allowed: bool) -> None:
    assert usage(robots_txt, path) == allowed


@pytest.mark.parametrize(
    ("ai_txt", "allowed", "denied"),
    [
        ("User-Agent: *\nDisallow: /\nDisallow: *", "", "/ /a /a.html /b.txt"),
        ("User-Agent: *\nAllow: *.txt\nDisallow: *.html", "/b.txt /c.pdf", "/ /a /a.html /d/?q"),
        ("User-Agent: *\nDisallow: *.jpg\nDisallow: *.png", "/ /a /a.html", "/a.jpg"),
        ("User-Agent: *\nDisallow: /private/", "/ /a", "/private/x"),
        ("User-Agent: tokenmill\nDisallow:\n\nUser-Agent: *\nDisallow: /", "/ /a", ""),
        ("User-Agent: other\nDisallow: /", "/ /a", ""),
    ],
)
def test_ai_txt(ai_txt: str, allowed: str, denied: str) -> None:
    policy = AiPolicy(ai_txt=parse_ai_txt(ai_txt.encode()), product="tokenmill")
    refused = ("ai_txt_denied", "its ai.txt disallows the path")
    for path in allowed.split():
        assert policy.refusal(f"http://a.example{path}") is None, path
    for path in denied.split():
        assert policy.refusal(f"http://a.example{path}") == refused, path


def test_the_first_rule_of_tdmrep_json_that_matches_counts() -> None:
    rules = b"""[
        {"location": "/free/*.html$", "tdm-reservation": 0},
        {"location": "/free/", "tdm-reservation": 1, "tdm-policy": "https://a.example/p.json"},
        {"location": "/text", "tdm-reservation": "1"},
        {"tdm-reservation": 1}, "junk", {"location": 5, "tdm-reservation": 1},
        {"location": "/none"}]"""
    policy = AiPolicy(tdm=parse_tdmrep(rules))
    refused = {
        path: policy.refusal(f"http://a.example/{path}")
        for path in ("free/a.html", "free/a.htm", "text/b", "none", "")
    }
    assert refused == {
        "free/a.html": None,
        "free/a.htm": ("tdm_reserved", "tdmrep.json reserves /free/"),
        "text/b": ("tdm_reserved", "tdmrep.json reserves /text"),
        "none": None,
        "": None,
    }


@pytest.mark.parametrize(
    "body",
    [b"<!doctype html><p>no such page", b"", b"\x00\xff" * 50, b'{"location": "/"}', b"[" * 9**5],
)
def test_what_is_no_policy_is_none(body: bytes) -> None:
    with pytest.raises(BrokenPolicy):
        parse_ai_txt(body)
    with pytest.raises(BrokenPolicy):
        parse_tdmrep(body)


def test_a_location_that_is_no_text_breaks_the_policy(
    server: HostileServer, tmp_path: Path
) -> None:
    body = rb'[{"location": "/\ud800", "tdm-reservation": 1}]'
    with pytest.raises(BrokenPolicy, match="no text"):
        parse_tdmrep(body)
    server.on(f"{SEED}.well-known/tdmrep.json", reply(body, Content_Type="application/json"))
    server.fallback = lambda path: reply("<p>x")
    visited = visit_host(tmp_path, server.port, ["a", "b"])
    assert visited.outcomes() == {"a": "fetched", "b": "fetched"}
    assert visited.outcomes("policy")[".well-known/tdmrep.json"] == "broken_policy"
    assert [path for _, path in server.asked].count("/.well-known/tdmrep.json") == 1


def test_a_location_cannot_bring_rules_of_its_own() -> None:
    rules = b'[{"location": "/a\\nDisallow: /b", "tdm-reservation": 1}]'
    policy = AiPolicy(tdm=parse_tdmrep(rules))
    assert policy.refusal(f"{SEED}b") is None
    assert policy.refusal(f"{SEED}a") is not None


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (("tdm-reservation", "1"), "tdm_reserved"),
        (("tdm-reservation", "0"), None),
        (("tdm-policy", "https://a.example/p.json"), None),
        (("content-usage", "train-ai=n"), "noai"),
        (("content-usage", "train-ai=?0;x=1"), "noai"),
        (("content-usage", "search=n"), None),
        (("content-signal", "ai-train=no"), "noai"),
    ],
)
def test_fields_of_an_answer(field: tuple[str, str], reason: str | None) -> None:
    refusal = answer_refusal([("content-type", "text/html"), field])
    assert (refusal and refusal[0]) == reason


def test_meta_tags() -> None:
    page = """<html lang=" pt-BR "><meta name=ROBOTS content="noarchive, NoAI">
        <meta http-equiv=content-language content=fr><meta name="tdm-reservation" content=1>"""
    found = read_page(page, SEED)
    assert found.directives.noai
    assert not found.directives.noindex
    assert (found.language, found.tdm_reserved) == ("pt-BR", True)
    assert read_page("<meta name=tdm-reservation content=0>", SEED).tdm_reserved is False
    plain = read_page("<meta http-equiv=Content-Language content=de>", SEED)
    assert (plain.language, plain.tdm_reserved, plain.directives.noai) == ("de", None, False)


def test_each_way_of_saying_it_is_obeyed_and_counted(server: HostileServer, tmp_path: Path) -> None:
    tdm = '[{"location": "/tdm", "tdm-reservation": 1}]'
    robots = "User-agent: *\nAllow: /\nContent-Usage: /usage train-ai=n"
    server.on(f"{SEED}robots.txt", reply(robots, Content_Type="text/plain"))
    ai_txt = "User-Agent: *\nDisallow: /ai"
    server.on(f"{SEED}ai.txt", reply(ai_txt, Content_Type="text/plain"))
    server.on(f"{SEED}.well-known/tdmrep.json", reply(tdm, Content_Type="application/json"))
    server.fallback = lambda path: reply("<p>x")
    server.on(f"{SEED}tag", reply("<p>x", X_Robots_Tag="noimageai"))
    server.on(f"{SEED}field", reply("<p>x", tdm_reservation="1"))
    paths = ["usage/a", "ai/b", "tdm/c", "tag", "field", "free"]
    visited = visit_host(tmp_path, server.port, paths)
    assert visited.outcomes() == {
        "usage/a": "noai",
        "ai/b": "ai_txt_denied",
        "tdm/c": "tdm_reserved",
        "tag": "noai",
        "field": "tdm_reserved",
        "free": "fetched",
    }
    assert server.paths(HOST) == ["/tag", "/field", "/free"]
    rules = [path for _, path in server.asked if path not in server.paths(HOST)]
    assert rules == ["/robots.txt", "/ai.txt", "/.well-known/tdmrep.json"]
    expected = {"ai.txt": "fetched", ".well-known/tdmrep.json": "fetched"}
    assert visited.outcomes("policy") == expected
    deaf = visit_host(tmp_path, server.port, paths, obey_ai_policy=False)
    assert set(deaf.outcomes().values()) == {"fetched"}
    assert deaf.outcomes("policy") == {}


def test_a_site_that_has_no_policy_is_asked_once_without_retries(
    server: HostileServer, tmp_path: Path
) -> None:
    server.on(f"{SEED}ai.txt", reply("x", "500 Oops"))
    server.on(f"{SEED}.well-known/tdmrep.json", reply("<html>hello"))
    server.fallback = lambda path: reply("<p>x")
    visited = visit_host(tmp_path, server.port, ["a", "b"], retries=3)
    assert visited.outcomes() == {"a": "fetched", "b": "fetched"}
    expected = {"ai.txt": "http_status_500", ".well-known/tdmrep.json": "broken_policy"}
    assert visited.outcomes("policy") == expected
    assert [path for _, path in server.asked].count("/ai.txt") == 1


def test_what_robots_txt_forbids_is_not_asked_for_its_policy(
    server: HostileServer, tmp_path: Path
) -> None:
    server.on(f"{SEED}robots.txt", reply("User-agent: *\nDisallow: /no\nDisallow: /ai.txt"))
    server.fallback = lambda path: reply("<p>x")
    assert visit_host(tmp_path, server.port, ["no"]).outcomes() == {"no": "robots_denied"}
    assert [path for _, path in server.asked] == ["/robots.txt"]
    visit_host(tmp_path, server.port, ["yes"])
    asked = [path for _, path in server.asked[1:]]
    assert asked == ["/robots.txt", "/.well-known/tdmrep.json", "/yes"]

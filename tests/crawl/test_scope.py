"""Which addresses are followed (globs, traps, languages, block lists), and how fast."""

import html
from pathlib import Path
from urllib.parse import urljoin

import pyarrow as pa
import pytest
import yaml
from crawling import POLITE
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.config import CrawlConfig, load_corpus
from pipelines.crawl.block_lists import BlockList
from pipelines.crawl.languages import LanguageRanges
from pipelines.crawl.links import read_page
from pipelines.crawl.pace import MAX_PAUSE_S, Pace
from pipelines.crawl.scope import Scope, scope_of, url_glob
from pipelines.extract.uris import canonical_uri

SEED = "http://a.example/"


def scope(**settings: object) -> Scope:
    return scope_of(CrawlConfig.model_validate({**POLITE, "seeds": [SEED], **settings}))


@pytest.mark.parametrize(
    ("pattern", "matched", "others"),
    [
        ("a.example/docs/**", "docs/ docs/x docs/x/y?z=/", "docs doc/x"),
        ("a.example/*", "x x?y=z", "x/y x?y=/"),
        ("*.example/**/ru/*", "b/ru/x", "ru/x b/ru/x/y"),
        ("a.example/часы/*", "%D1%87%D0%B0%D1%81%D1%8B/x", "x/x"),
        ("A.Example/a.b", "a.b", "axb"),
        ("a.example/x?y=*", "x?y=1 x?y=", "x x1y=1 x?y=/"),
        ("a.example:8080/**", "", "x"),
    ],
)
def test_globs_match_addresses_without_their_scheme(
    pattern: str, matched: str, others: str
) -> None:
    glob = url_glob(pattern)
    for path in matched.split():
        assert glob.fullmatch(f"a.example/{path}"), path
    for path in others.split():
        assert not glob.fullmatch(f"a.example/{path}"), path


@pytest.mark.parametrize("pattern", ["https://a.example/x", "a.example", ""])
def test_what_is_no_glob_over_addresses_is_told(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"found the glob .*; allowed: host and path"):
        url_glob(pattern)


def test_globs_are_about_pages_and_seeds_must_fit_them() -> None:
    made = scope(include=["a.example/", "a.example/d/**"], exclude=["**/no/**"])
    urls = [f"{SEED}{path}" for path in ("", "d/a", "d/no/a", "e", "map.xml")]
    assert made.refusals(urls) == [None, None, "excluded", "not_included", "not_included"]
    assert made.refusals(urls, "sitemap") == [None] * 5
    with pytest.raises(ValueError, match=r"seed 'http://a\.example/' cannot be.*\(not_included\)"):
        scope(include=["a.example/d/**"])
    assert scope(seeds=[f"{SEED}map.xml"], include=["a.example/d/**"])


@pytest.mark.parametrize(
    ("path", "is_trap"),
    [
        ("x/x/x", False),
        ("x/x/x/x", True),
        ("a/b/a/b/a/b/a/b", True),
        ("a/b/a/b/a/b/a", False),
        ("2024/01/01/01/page", False),
        ("a/1/2/3/1/2/3/1/2/3/1/2/3/z", True),
        ("/".join(str(n) for n in range(40)), False),
        ("/".join(str(n) for n in range(41)), True),
        ("?a=1&a=1&a=1", False),
        ("?a=1&b=2&a=1&a=1&a=1", True),
        ("?" + "&".join(f"f[]={n}" for n in range(60)), False),
        ("//////", True),
    ],
)
def test_addresses_that_show_that_they_are_traps(path: str, is_trap: bool) -> None:
    assert scope().refusal(f"{SEED}{path}") == ("trap" if is_trap else None)


@given(st.lists(st.sampled_from("abc"), max_size=14))
def test_a_path_is_a_trap_where_a_group_stands_four_times(segments: list[str]) -> None:
    expected = any(
        segments[start : start + 4 * size] == segments[start : start + size] * 4
        for size in range(1, 5)
        for start in range(len(segments) - 4 * size + 1)
    )
    url = SEED + "/".join(segments)
    assert (scope().refusal(url) == "trap") == expected


def test_what_is_no_address_to_follow() -> None:
    urls = {
        "http://a.example:25/": "bad_port",
        "http://a.example:8443/": None,
        "ftp://a.example/": "not_http",
        "http://u@a.example/": "has_credentials",
        "http://b.example/": "out_of_scope",
        "http://a.example:99999/": "bad_url",
        SEED + "x" * 8000: "too_long",
    }
    assert scope().refusals(list(urls)) == list(urls.values())


def test_hosts_that_no_name_server_can_know_are_no_addresses() -> None:
    urls = {
        f"http://{'a' * 63}.example/": None,
        f"http://{'a' * 64}.example/": "bad_url",
        "http://b..example/": "bad_url",
        "http://.example/": "bad_url",
        "http://www.example./": None,
        "http://127.0.0.1/": None,
        "http://[::1]/": None,
    }
    made = scope(hosts=["a.example", "*.example", "127.0.0.1", "::1"])
    assert made.refusals([canonical_uri(url) for url in urls]) == list(urls.values())
    with pytest.raises(ValueError, match=r"seed 'http://a\.\.example/' .*\(bad_url\)"):
        scope(seeds=["http://a..example/"])


LANGUAGES = [
    ("de", "de-AT De_ch deu", "en de-x nl"),
    ("pt-BR", "pt pt-BR", "pt-PT es"),
    ("zho_Hant", "zh zh-TW zh-Hant-HK", "zh-CN zh-Hans ja"),
    ("nob_Latn", "nb no", "nn da"),
    ("no", "nb nn no nob", "da"),
    ("arz_Arab", "ar ar-EG arz", "ary fa"),
    ("ar", "ar arz ary ara", "fa"),
    ("heb_Hebr", "he iw", "yi"),
    ("jpn_Jpan", "ja ja-JP", "zh"),
    ("kmr", "kmr", "ku tr"),
]


@pytest.mark.parametrize(("wanted", "taken", "refused"), LANGUAGES)
def test_languages(wanted: str, taken: str, refused: str) -> None:
    ranges = LanguageRanges([wanted])
    assert [tag for tag in taken.split() if not ranges.take(tag)] == []
    assert [tag for tag in refused.replace("de-x", "").split() if ranges.take(tag)] == []
    for silent in (None, "", "x-default", "english please", "??"):
        assert ranges.take(silent)
    assert ranges.take(f"{refused.split()[0]}, {taken.split()[0]}")


def test_what_is_no_language_is_told() -> None:
    with pytest.raises(ValueError, match="languages: found 'German'; allowed: BCP 47 tags"):
        scope(languages=["German"])
    assert scope(languages=["zho_Hans", "pt-BR"]).languages.accepted == "zh-hans, pt-br, *;q=0.1"
    assert scope().languages.accepted is None


def test_links_carry_the_language_that_they_announce() -> None:
    page = """<a href=a hreflang=fr>1</a><a href=b hreflang=fr>2</a><a href=b>3</a>
        <a href=c>4</a><a href=c hreflang=de>5</a><link rel=alternate hreflang=ja href=d>
        <link rel=alternate href=feed><link rel=stylesheet hreflang=de href=e><a href=/a>6</a>
        <a href=f hreflang=de rel=nofollow>7</a>"""
    assert read_page(page, SEED).links == {
        f"{SEED}a": None,
        f"{SEED}b": None,
        f"{SEED}c": None,
        f"{SEED}d": "ja",
    }


_PIECES = st.sampled_from(
    "http:// https:// // / . .. a B9 é %41 %zz ? # & = ; b.example B.example:80 c.example. c:80 @ "
    "[::1] - _ ~ ' * ! + , | ^ \\ { mailto: x-1".split(" ")
)


@example("/../a", SEED)
@example("/a/./b", SEED)
@example("//b.example/x", SEED)
@example("http://b.example", SEED)
@example("https://b.example?q#f", SEED)
@example("/a;", SEED)
@example("http://B.example:80/", SEED)
@example("/a%7Eb", SEED)
@example("/x/y?z=1#top", SEED)
@example("http://b.example./", SEED)
@given(
    st.lists(_PIECES, max_size=8).map("".join),
    st.sampled_from(
        [SEED, f"{SEED}d/e?f", "https://b.example:8443/x/", "http://[::1]/y", "ftp://c/z"]
    ),
)
def test_the_short_way_to_a_canonical_address_leads_where_the_long_one_does(
    href: str, base: str
) -> None:
    try:
        joined = urljoin(base, href) if href else None
    except ValueError:
        joined = None
    expected = [canonical_uri(joined)] if joined else []
    found = read_page(f'<a href="{html.escape(href)}">', base).links
    assert list(found) == expected


def test_block_lists_take_hosts_domains_and_addresses(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("0.0.0.0 bad.example\n")
    (tmp_path / "filters").write_text("! EasyList\n||ads.example^\nhttps://c.example/x/y\n")
    down = pa.array(["bad.example", "d.example/p"], pa.large_string())
    blocked = BlockList.of([str(tmp_path / "hosts"), str(tmp_path / "filters")], down)
    reasons = {
        "http://bad.example/": "taken_down",
        "https://www.bad.example:8443/x": "taken_down",
        "http://notbad.example/": None,
        "http://deep.ads.example/x?y": "block_list",
        "http://c.example/x/y/z": "block_list",
        "http://c.example/x/yz": None,
        "http://d.example/p?q": "taken_down",
        "http://d.example/": None,
    }
    assert blocked.refusals(list(reasons)) == list(reasons.values())
    assert [blocked.refusal(url) for url in reasons] == list(reasons.values())
    same = BlockList.of([str(tmp_path / "hosts"), str(tmp_path / "filters")])
    assert blocked.digest == same.digest is not None
    (tmp_path / "hosts").write_text("0.0.0.0 other.example\n")
    fresh = BlockList.of([str(tmp_path / "hosts"), str(tmp_path / "filters")])
    assert fresh.digest != same.digest
    assert fresh.refusal("http://other.example/") == "block_list"
    assert BlockList.of([]).refusals(list(reasons)) == [None] * len(reasons)
    with pytest.raises(ValueError, match="cannot be read"):
        BlockList.of([str(tmp_path / "missing")])


def test_block_lists_are_found_beside_corpus_yaml(tmp_path: Path) -> None:
    crawl = {"seeds": [SEED], "contact": "x@a.example", "block_lists": ["l.txt", "/etc/l.txt"]}
    sources = [{"name": "web", "crawl": crawl}]
    path = tmp_path / "corpus.yaml"
    path.write_text(yaml.safe_dump({"name": "x", "sources": sources, "tokenizer": "t.json"}))
    (source,) = load_corpus(path).sources
    assert source.crawl is not None
    assert source.crawl.block_lists == (str(tmp_path / "l.txt"), "/etc/l.txt")


def test_a_blocked_seed_is_no_mistake_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a.example\n")
    made = scope(block_lists=[str(tmp_path / "list")])
    assert made.refusal(SEED) == "block_list"
    assert made.block_lists_digest == BlockList.of([str(tmp_path / "list")]).digest


def test_a_busy_host_is_asked_more_slowly_and_then_as_before() -> None:
    pace = Pace(1.0)
    pace.answered(0.2)
    assert pace.pause_s == 1.0
    pauses = []
    for _ in range(8):
        pace.refused(None)
        pauses.append(pace.pause_s)
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    after = []
    while pace.pause_s > 1.0:
        pace.answered(0.2)
        after.append(pace.pause_s)
    assert after[:2] == [59.75, 59.5]
    assert pace.pause_s == 1.0


def test_the_pause_that_a_host_names_is_enough() -> None:
    pace = Pace(5.0)
    pace.refused(7.0)
    assert pace.pause_s == 7.0
    pace.refused(0.0)
    assert pace.pause_s == 7.0
    pace.refused(3600.0)
    assert pace.pause_s == 14.0


def test_an_answer_that_is_much_slower_than_usual_slows_the_crawl_down() -> None:
    pace = Pace(1.0)
    for _ in range(5):
        pace.answered(0.5)
    pace.answered(4.0)
    assert pace.pause_s == 1.5
    pace.answered(0.5)
    assert pace.pause_s == 1.5 - 0.25 * 1.2
    slow = Pace(1.0)
    for _ in range(9):
        slow.answered(9.0)  # as it always is
    assert slow.pause_s == 1.0


@given(
    st.floats(0, 90),
    st.lists(st.one_of(st.none(), st.floats(0, 1e4), st.just("refused")), max_size=60),
)
def test_the_pause_is_never_shorter_than_asked_for(least: float, events: list[object]) -> None:
    pace = Pace(0.0)
    pace.require(least)
    for event in events:
        if event == "refused" or event is None:
            pace.refused(1e6 if event is None else None)
        else:
            assert isinstance(event, float)
            pace.answered(event)
        assert least <= pace.pause_s <= max(MAX_PAUSE_S, least)

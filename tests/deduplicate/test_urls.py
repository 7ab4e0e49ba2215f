"""Addresses: what counts as one page, and which fetch of it represents it."""

import random
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.deduplicate.urls import (
    _PLAIN,
    TRACKING,
    URL_MEMBER,
    comparison_form,
    find_url_clusters,
    url_keys,
    url_members,
)
from pipelines.extract.uris import canonical_uri

PAGE = "example.com/a/b?id=7&x"


@pytest.mark.parametrize(
    "uri",
    [
        "http://example.com/a/b?id=7&x",
        "https://example.com/a/b?id=7&x",
        "https://www.example.com/a/b?id=7&x",
        "HTTPS://WWW.Example.COM:443/a/./b?id=7&x#part",
        "http://example.com:80/c/../a/b?id=7&x",
        "https://example.com/%61/b?id=7&x",
        "https://example.com/a/b?utm_source=a&id=7&utm_Campaign=b&x&fbclid=1&_ga=2",
        "https://example.com/a/b?id=7&&x&",
        "https://example.com/a/b?id=7&x&gclid",
        "https://example.com/a/b?id=7&x&utm%5Fsource=1",
        "  https://example.com/a/b?id=7&x\n",
    ],
)
def test_comparison_form_of_one_page(uri: str) -> None:
    assert comparison_form(uri) == PAGE


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.com/a/b/?id=7&x",
        "https://example.com/A/b?id=7&x",
        "https://example.com/a/b?x&id=7",
        "https://example.com/a/b?id=7&x=",
        "https://example.com/a/b?id=8&x",
        "https://example.com/a/b",
        "https://example.com:8080/a/b?id=7&x",
        "https://m.example.com/a/b?id=7&x",
        "https://example.org/a/b?id=7&x",
        "https://user@example.com/a/b?id=7&x",
        "https://example.com/a/b?id=7&x&ref=1",
        "https://example.com/a/b;utm_source=1?id=7&x",
    ],
)
def test_comparison_form_of_another_page(uri: str) -> None:
    assert comparison_form(uri) not in (PAGE, None)


def test_comparison_form_known_values() -> None:
    assert comparison_form("https://www.a.org?utm_source=x") == "a.org/"
    assert comparison_form("http://www.com/?") == "www.com/"
    assert comparison_form("http://bücher.example/ü") == "xn--bcher-kva.example/%C3%BC"
    assert comparison_form("http://[::1]:8080/x") == "[::1]:8080/x"


@pytest.mark.parametrize(
    "uri", ["", "a/b.html", "/a", "file:///a", "urn:isbn:1", "ftp://a.org/x", "http:///x", "http:x",
            "http://[broken/x", "mailto:a@b.org"]
)  # fmt: skip
def test_comparison_form_of_no_web_address_is_none(uri: str) -> None:
    assert comparison_form(uri) is None


NAMES = st.sampled_from(
    ["a", "id", "UTM_x", "utm_source", "gclid", "", "x.y", "/", "b?c", *TRACKING]
)
QUERIES = st.lists(
    st.tuples(NAMES, st.sampled_from(["", "=", "=1", "=a=b", "=%41", "=é"])), max_size=4
)
HOSTS = [
    "a.org",
    "www.a.org",
    "www.com",
    "a",
    "A.org",
    "a.org.",
    "a_b.org",
    "a.org:80",
    "a.org:443",
    "a.org:81",
]
PATHS = [
    "",
    "/",
    "/a",
    "/a/",
    "//a",
    "/.a",
    "/a/../b",
    "/a.b",
    "/%7ea",
    "/a%2Fb",
    "/a b",
    "/[x]",
    "/~a,b",
]


@given(
    st.sampled_from(["http://", "https://", "HTTP://", "ftp://"]),
    st.sampled_from(HOSTS),
    st.sampled_from(PATHS),
    QUERIES,
    st.sampled_from(["", "#x", "?"]),
)
def test_comparison_form_fast_and_slow_ways_agree(
    scheme: str, host: str, path: str, query: list[tuple[str, str]], end: str
) -> None:
    uri = f"{scheme}{host}{path}" + ("?" if query else "") + "&".join(map("".join, query)) + end
    form = comparison_form(uri)
    if _PLAIN.fullmatch(uri):
        assert canonical_uri(uri) in (uri, uri.removesuffix("?"))
        # A fragment keeps an address from the fast way, and is left out in the slow one.
        assert form == comparison_form(f"{uri}#")
        assert form == comparison_form(f"{uri}#slow")
    if form is not None:
        # Port 80 is kept where it was said of https.
        assert form in (comparison_form(f"http://{form}"), comparison_form(f"https://{form}"))


def test_url_keys_are_equal_where_the_forms_are() -> None:
    uris = ["http://a.org/x", None, "https://www.a.org/x", "a.org/x", "http://a.org/y"]
    keys = url_keys(pa.array(uris)).to_pylist()
    assert [key is None for key in keys] == [False, True, False, True, False]
    assert keys[0] == keys[2] != keys[4]
    assert url_keys(pa.array([], pa.string())).to_pylist() == []


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_url_members_leave_out_what_has_no_address() -> None:
    documents = pa.table(
        {
            "id": pa.array([key(1), key(2), key(3)], pa.binary(16)),
            "uri": ["http://a.org", "file:///x", "https://a.org/"],
            "fetched_at": pa.array(
                [None, None, datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)],
                pa.timestamp("us", tz="UTC"),
            ),
        }
    )
    batch = url_members(documents, source=4, part=5)
    assert batch.schema == URL_MEMBER
    rows = batch.to_pylist()
    assert rows[0].pop("key") == rows[1].pop("key")
    assert rows == [
        {"id": key(1), "fetched_at": -(2**63), "source": 4, "part": 5, "row": 0},
        {"id": key(3), "fetched_at": 2_000_000, "source": 4, "part": 5, "row": 2},
    ]
    nothing = url_members(documents.slice(1, 1), 0, 0)
    assert find_url_clusters(pa.Table.from_batches([nothing])).num_rows == 0


def test_find_url_clusters_latest_fetch_represents_in_any_order() -> None:
    never = -(2**63)
    rows = [  # (page, id, fetched, row) and its role
        ((1, 5, 30, 0), "duplicate"),
        ((1, 9, 40, 1), "representative"),
        ((1, 5, 20, 2), "repeated_record"),
        ((1, 9, 10, 3), "repeated_record"),
        ((1, 2, never, 4), "duplicate"),
        ((2, 8, 40, 5), "duplicate"),
        ((2, 7, 40, 6), "representative"),
        ((3, 1, 40, 7), None),
    ]
    members = [
        {"key": key(page), "id": key(id_), "fetched_at": time, "source": 0, "part": 0, "row": row}
        for (page, id_, time, row), _ in rows
    ]
    for seed in range(5):
        random.Random(seed).shuffle(members)
        found = find_url_clusters(pa.Table.from_pylist(members, schema=URL_MEMBER)).to_pylist()
        assert [(r["row"], r["duplicate_role"]) for r in found] == [
            (member[3], role) for member, role in rows if role
        ]
        assert [r["cluster"] for r in found] == [key(9)] * 5 + [key(7)] * 2
        assert {r["jaccard"] for r in found} == {r["level"] for r in found} == {None}

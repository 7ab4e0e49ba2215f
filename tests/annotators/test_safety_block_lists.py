"""Block lists in the formats of the usual lists, and which URLs they have."""

import gzip
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from annotators.safety.addresses import comparable_urls
from annotators.safety.annotator import Safety
from annotators.safety.block_lists import read_block_list
from annotators.safety.entry_index import build_index, find_entries

TEXTS = pa.array([""], pa.large_string())


def _listed(folder: Path, content: str, name: str = "list.txt") -> set[str]:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return set(read_block_list(path).keys.to_pylist())


def test_hosts_file(tmp_path: Path) -> None:
    content = (
        "# a comment\n127.0.0.1 localhost\n::1 localhost ip6-localhost\n0.0.0.0 0.0.0.0\n"
        "0.0.0.0 Ads.Example.com  tracker.example.org # both\n0.0.0.0\tbücher.example\n"
    )
    assert _listed(tmp_path, content) == {
        "0.0.0.0",
        "ads.example.com",
        "tracker.example.org",
        "xn--bcher-kva.example",
    }


def test_plain_list_and_urls(tmp_path: Path) -> None:
    content = (
        "\ufeffexample.com\r\n*.wild.example\r\n.squid.example\n.xxx\n"
        "https://www.Example.org/Bad/?q=1#x\n"
    )
    assert _listed(tmp_path, content) == {
        "example.com",
        "wild.example",
        "squid.example",
        "xxx",
        "www.example.org/bad/?q=1",
    }


def test_entries_with_www_stay_whole_and_block_no_domain_above_them(tmp_path: Path) -> None:
    content = "www.com\nwww.co.uk\nwww.\nwww.a.example\nb.example\n"
    keys = sorted(_listed(tmp_path, content))
    assert keys == ["b.example", "www.a.example", "www.co.uk", "www.com"]
    urls = ["http://shop.com/", "http://x.co.uk", "http://a.example", "http://www.b.example/x"]
    forms = comparable_urls(pa.array(urls, pa.string())).to_pylist()
    assert [_found(keys, form) for form in forms] == [None, None, None, "b.example"]


def test_addresses_are_entries_and_networks_are_not(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(
        "[Adblock Plus 2.0]\n[2001:DB8:0::2]\n10.0.0.0/8\n2001:db8::/32\n10.0.0.1\n[abc]\n"
        "10.0.0.2/bad\n",
        encoding="utf-8",
    )
    entries = read_block_list(path)
    assert set(entries.keys.to_pylist()) == {"[2001:db8::2]", "10.0.0.1", "10.0.0.2/bad"}
    assert (entries.num_lines, entries.num_unread) == (6, 3)
    assert set(entries.examples) == {"10.0.0.0/8", "2001:db8::/32", "[abc]"}


def test_adblock_filters_name_pages_and_hosts_only(tmp_path: Path) -> None:
    path = tmp_path / "filters.txt"
    path.write_text(
        "[Adblock Plus 2.0]\n! Title: x\n||ads.example^\n||doc.example^$document,popup\n"
        "||part.example^$third-party\n@@||good.example^\n||path.example/bad^\n"
        "example.com##.banner\n/banner[0-9]+/\n||wild*.example^\n",
        encoding="utf-8",
    )
    entries = read_block_list(path)
    assert set(entries.keys.to_pylist()) == {"ads.example", "doc.example", "path.example/bad"}
    assert (entries.num_lines, entries.num_unread) == (8, 5)
    assert "@@||good.example^" in entries.examples


def test_dnsmasq(tmp_path: Path) -> None:
    assert _listed(
        tmp_path, "address=/a.example/0.0.0.0\nserver=/b.example/\nlocal=/c.example/\n"
    ) == {
        "a.example",
        "b.example",
        "c.example",
    }


def _ut1(folder: Path) -> Path:
    for category, file, content in (
        ("adult", "domains", "bad.example\n"),
        ("adult", "urls", "shared.example/~bad\n"),
        ("games/online", "domains", "play.example\n"),
    ):
        (folder / category).mkdir(parents=True, exist_ok=True)
        (folder / category / file).write_text(content, encoding="utf-8")
    (folder / "adult" / "usage").write_text("black\n", encoding="utf-8")
    return folder


def test_ut1_folder_and_archive_have_categories(tmp_path: Path) -> None:
    folder = _ut1(tmp_path / "blacklists")
    entries = read_block_list(folder)
    found = dict(zip(entries.keys.to_pylist(), entries.categories.to_pylist(), strict=True))
    assert found == {
        "bad.example": "adult",
        "shared.example/~bad": "adult",
        "play.example": "games/online",
    }
    archive = tmp_path / "adult.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder / "adult", "adult")
    packed_entries = read_block_list(archive)
    assert set(packed_entries.keys.to_pylist()) == {"bad.example", "shared.example/~bad"}
    assert set(packed_entries.categories.to_pylist()) == {"adult"}


def test_packed_list(tmp_path: Path) -> None:
    path = tmp_path / "list.gz"
    path.write_bytes(gzip.compress(b"example.com\n"))
    assert read_block_list(path).keys.to_pylist() == ["example.com"]


def test_empty_and_damaged_lists_are_refused(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.txt"
    nothing.write_text("# only\n@@||good.example^\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"has no entry: none of its 1 lines, such as '@@"):
        read_block_list(nothing)
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(gzip.compress(b"example.com\n" * 9000)[:-20])
    with pytest.raises(ValueError, match="cannot be read"):
        read_block_list(damaged)
    with pytest.raises(ValueError, match="does not exist"):
        Safety(block_lists={"mine": tmp_path / "absent"})
    with pytest.raises(ValueError, match="has no entry"):
        Safety(block_lists={"mine": nothing}).check()


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("HTTPS://User:pw@WWW.Example.COM.:8080/A/b/?Q=1#frag", "www.example.com/a/b/?q=1"),
        ("http://a.example\\@b.example/x", "a.example/@b.example/x"),
        ("http:\\\\a.example\\x", "a.example/x"),
        ("http://u@v@a.example/", "a.example"),
        ("http://[2001:0DB8::0:1]/x", "[2001:db8::1]/x"),
        ("http://[1::2::3]/x", None),
        ("http://example.com", "example.com"),
        ("http://example.com/", "example.com"),
        ("http://example.com?q", "example.com/?q"),
        ("//例え.テスト/x", "xn--r8jz45g.xn--zckzah/x"),
        ("http://[::1]:80/x", "[::1]/x"),
        ("http://10.0.0.1/x", "10.0.0.1/x"),
        ("file.html", None),
        ("mailto:a@b.example", None),
        ("http:///x", None),
        ("http://a b.example/", None),
        ("", None),
        (None, None),
    ],
)
def test_comparable_form(url: str | None, form: str | None) -> None:
    assert comparable_urls(pa.array([url], pa.string())).to_pylist() == [form]


def _found(keys: list[str], url: str) -> str | None:
    array = pa.array(keys, pa.large_string())
    lists = np.zeros(len(keys), np.int16)
    index = build_index(array, lists, lists)
    place = int(find_entries(index, pa.array([url], pa.large_string()))[0])
    return (
        None
        if place < 0
        else bytes(index.data[index.offsets[place] : index.offsets[place + 1]]).decode()
    )


@pytest.mark.parametrize(
    ("keys", "url", "rule"),
    [
        (["b.example"], "a.b.example/x", "b.example"),
        (["b.example"], "ab.example", None),
        (["a.b.example"], "b.example", None),
        (["b.example/x"], "a.b.example/x/y?z", "b.example/x"),
        (["b.example/x"], "b.example/xylophone", None),
        (["b.example/x"], "b.example/x?q", "b.example/x"),
        (["b.example/x/y?z"], "b.example/x/y?z", "b.example/x/y?z"),
        (["b.example/x/y?z"], "b.example/x/y", None),
        (["b.example", "b.example/x"], "b.example/x", "b.example/x"),
        (["xxx"], "site.xxx/y", "xxx"),
        (["example"], "example.com", None),
        (["x"], "", None),
    ],
)
def test_entries_end_at_labels_and_segments(keys: list[str], url: str, rule: str | None) -> None:
    assert _found(keys, url) == rule


def test_deep_paths_end() -> None:
    deep = "b.example/" + "/".join("abcdefghijklmnopqrstuvwxyz0123456789")
    assert _found([deep], deep) == deep
    assert _found(["b.example/a/b"], deep) == "b.example/a/b"


def test_index_agrees_with_a_set() -> None:
    chance = np.random.default_rng(1)
    words = np.array(["a", "b", "cc", "d-d", "e1"])
    keys = sorted({".".join(chance.choice(words, chance.integers(1, 4))) for _ in range(60)})
    listed = set(keys)
    array = pa.array([*keys, *keys[:9]], pa.large_string())
    numbers = np.zeros(len(array), np.int16)
    index = build_index(array, numbers, numbers)
    assert len(index.hashes) == len(keys)
    urls = [".".join(chance.choice(words, chance.integers(1, 6))) for _ in range(400)]
    found = find_entries(index, pa.array(urls, pa.large_string()))
    for url, place in zip(urls, found.tolist(), strict=True):
        labels = url.split(".")
        above = [".".join(labels[at:]) for at in range(len(labels))]
        assert (place >= 0) == any(one in listed for one in above), url


def test_annotator_says_which_list_decides(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("b.example\n", encoding="utf-8")
    folder = _ut1(tmp_path / "ut1")
    annotator = Safety(block_lists={"own": tmp_path / "own.txt", "ut1": folder}, lexicons={})
    annotator.check()
    urls = [
        "http://a.b.example/",
        "http://www.bad.example/x",
        "http://fine.example/",
        None,
        "x.html",
    ]
    texts = pa.array([""] * len(urls), pa.large_string())
    labels = {"url": pa.array(urls, pa.string()), "language": pa.nulls(len(urls), pa.string())}
    assert annotator(texts, labels).to_pylist() == [
        _row(True, "own", None, "b.example"),
        _row(True, "ut1", "adult", "bad.example"),
        _row(False),
        _row(None),
        _row(None),
    ]


def _row(blocked: bool | None, *values: str | None) -> dict[str, object]:
    unjudged = {"safety": None, "safety_score": None}
    names = ("block_list", "block_category", "block_rule")
    listed = dict(zip(names, values or (None,) * 3, strict=True))
    return {**unjudged, "blocked": blocked, **listed}


def test_without_lists_nothing_is_said() -> None:
    annotator = Safety(lexicons={})
    labels = {"url": pa.array(["http://bad.example/"]), "language": pa.array(["eng_Latn"])}
    assert annotator(TEXTS, labels).to_pylist() == [_row(None)]
    assert (
        annotator(TEXTS.slice(0, 0), {key: one.slice(0, 0) for key, one in labels.items()}).num_rows
        == 0
    )

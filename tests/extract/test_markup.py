import random
import unicodedata
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from pipelines.config import ExtractConfig
from pipelines.extract import engines
from pipelines.extract.markup import extract_records
from pipelines.extract.rows import Record, to_batches
from pipelines.extract.text import tidy
from pipelines.workspace.schema import ASKED, EXTRACTED

RUSSIAN = (
    "Погода сегодня была солнечной, и мы долго гуляли по старому городу вдоль реки. "
    "Вечером в театре играли новую пьесу, о которой много писали в газетах этой весной. "
)
ENGLISH = (
    "The river rose during the night and by morning the lower meadows stood under water. "
    "Nobody in the village could remember such a flood, not even the oldest of the farmers. "
)
JAPANESE = (
    "昨日は天気がとてもよかったので、友達と一緒に公園へ行って花を見ました。"
    "そのあと駅の近くの小さな店で、温かいうどんを食べて家に帰りました。"
)
ALL = engines.ENGINES
HIGH = bytes(128 + i % 128 for i in range(256))


def page(body: str, head: str = "<title>A page</title>", lang: str = "en") -> str:
    menu = "<nav><ul><li><a href='/'>Home</a></li><li><a href='/b'>Contact us</a></li></ul></nav>"
    return (
        f"<!DOCTYPE html><html lang='{lang}'><head>{head}</head><body>{menu}"
        f"<main><article>{body}</article></main><footer><p>All rights</p></footer></body></html>"
    )


def asked(payload: bytes | None = None, **fields: Any) -> Record:  # noqa: ANN401
    fields = {"media_type": "text/html", **fields}
    return Record(file="f", offset=0, length=1, outcome=ASKED, payload=payload, **fields)


def extract(*records: Record, engine: str) -> list[dict[str, Any]]:
    batch = pa.Table.from_batches(list(to_batches(records))).combine_chunks().to_batches()[0]
    extracted = extract_records(
        batch, settings=ExtractConfig.model_validate({"html_engine": engine})
    )
    assert extracted.schema == EXTRACTED
    assert extracted.num_rows == len(records)
    return [row | {"meta": dict(row["meta"] or [])} for row in extracted.to_pylist()]


@pytest.mark.parametrize("engine", ALL)
@pytest.mark.parametrize(
    ("text", "charset", "declared"),
    [
        (RUSSIAN, "windows-1251", "utf-8"),
        (RUSSIAN, "utf-8", "iso-8859-1"),
        (JAPANESE, "shift_jis", None),
        (ENGLISH, "ascii", "utf-8"),
    ],
)
def test_main_text_of_a_page_is_found_in_its_charset(
    engine: str, text: str, charset: str, declared: str | None
) -> None:
    data = page(f"<p>{text}</p>" * 3, "<title>T</title>").encode(charset)
    (row,) = extract(asked(data, charset=declared), engine=engine)
    assert text.strip() in row["text"]
    assert "Contact us" not in row["text"]
    assert row["reason"] is None
    assert row["extractor"] == engines.engine_name("fast" if engine == "auto" else engine)
    assert row["media_type"] == "text/html"


@pytest.mark.parametrize("engine", ["trafilatura", "trafilatura-fast"])
def test_headings_lists_code_and_tables_are_marked_as_in_markdown(engine: str) -> None:
    body = (
        f"<h2>Flood</h2><p>{ENGLISH}</p><ul><li>boats</li><li>ropes</li></ul>"
        f"<pre><code>x = 1\nif x:\n    y = 2</code></pre><p>{ENGLISH}</p>"
        "<table><tr><th>Year</th><th>Level</th></tr><tr><td>1999</td><td>4.5 m</td></tr></table>"
        f"<p>{ENGLISH} <a href='http://x.example/'>more</a></p>"
    )
    (row,) = extract(asked(page(body).encode()), engine=engine)
    assert "## Flood" in row["text"]
    assert "- boats\n- ropes" in row["text"]
    assert "x = 1\nif x:\n    y = 2" in row["text"]
    assert "| 1999 | 4.5 m |" in row["text"]
    assert "x.example" not in row["text"]


def test_facts_of_a_page_are_read() -> None:
    head = (
        "<title> The \n Flood </title><meta name='Author' content='Zoë Ōe'>"
        "<meta property='article:published_time' content='2024-05-06'>"
    )
    body = f"<p>{ENGLISH}</p><a rel='nofollow license' href='https://l.example/by'>x</a>"
    (row,) = extract(asked(page(body, head, "pt_BR").encode()), engine="resiliparse")
    assert row["meta"] == {
        "charset": "utf-8",
        "title": "The Flood",
        "author": "Zoë Ōe",
        "date": "2024-05-06",
        "license_link": "https://l.example/by",
        "outlinks": "https://l.example/by",
    }
    assert row["declared_language"] == "pt-br"
    assert row["license"] == "https://l.example/by"


CC_BY = "https://creativecommons.org/licenses/by/4.0/"


@pytest.mark.parametrize(
    ("links", "license"),
    [
        ([CC_BY, CC_BY], CC_BY),
        ([CC_BY, "//creativecommons.org/publicdomain/zero/1.0/"], None),
        (["https://x.example/creativecommons.org/licenses/by"], None),
        (["https://creativecommons.org/about"], None),
        ([], None),
    ],
)
def test_creative_commons_link_counts_where_it_is_the_only_one(
    links: list[str], license: str | None
) -> None:
    body = f"<p>{ENGLISH}</p>" + "".join(f"<a href='{link}'>cc</a>" for link in links)
    (row,) = extract(asked(page(body).encode()), engine="resiliparse")
    assert row["license"] == license


@pytest.mark.parametrize("engine", ALL)
def test_result_does_not_depend_on_what_was_seen_before(engine: str) -> None:
    data = page(f"<p>{ENGLISH}</p>" * 4).encode()
    alone = extract(asked(data), engine=engine)[0]
    many = extract(*[asked(data) for _ in range(12)], engine=engine)
    assert "The river rose" in alone["text"]
    assert many == [alone] * 12


@pytest.mark.parametrize("engine", ALL)
def test_text_keeps_the_normalization_form_of_its_author(engine: str) -> None:
    text = unicodedata.normalize("NFD", "Crème brûlée à la façon d'Orléans, déjà goûtée l'été. ")
    (row,) = extract(asked(page(f"<p>{text * 4}</p>").encode()), engine=engine)
    assert text.strip() in row["text"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (asked(b"<html><body></body></html>"), "no_text"),
        (asked(b"\x89PNG\r\n\x1a\n" + bytes(range(256))), "not_text"),
        (asked(b"%PDF-1.7 <html>"), "not_text"),
        (asked(bytes(range(256)) * 20, media_type="text/plain"), "not_text"),
        (
            asked(random.Random(1).randbytes(2000).translate(HIGH), media_type="text/plain"),
            "undecodable",
        ),
        (asked(b" \n ", media_type="text/plain"), "no_text"),
        (asked(text=" \x00 "), "no_text"),
    ],
)
def test_record_without_text_is_rejected_with_its_reason(record: Record, reason: str) -> None:
    (row,) = extract(record, engine="trafilatura-fast")
    assert (row["text"], row["reason"]) == (None, reason)
    assert row["message"]


@pytest.mark.parametrize("engine", ALL)
@pytest.mark.parametrize(
    "data",
    [
        b"<div>" * 20_000 + ENGLISH.encode() + b"</div>" * 20_000,
        b"<",
        b"<html" + b" a" * 50_000,
        b"<html><p>\x00" + ENGLISH.encode(),
        b"<?xml version='1.0' encoding='utf-32'?><html><body><p>" + ENGLISH.encode() * 4,
        b"<html><![CDATA[" + b"<!--" * 1000,
        b"<html><frameset><frame src=x></frameset></html>",
        page("<table>" * 400 + ENGLISH).encode(),
    ],
    ids=["deep", "bracket", "attributes", "nul", "xml", "cdata", "frames", "tables"],
)
def test_odd_page_gives_a_text_or_a_reason(engine: str, data: bytes) -> None:
    good = asked(page(f"<p>{ENGLISH}</p>").encode())
    odd, after = extract(asked(data), good, engine=engine)
    assert (odd["text"] is None) == (odd["reason"] is not None)
    assert ENGLISH.strip() in after["text"]


@pytest.mark.parametrize("error", [SystemExit(2), RecursionError("deep"), ValueError("odd")])
def test_error_of_a_parser_is_a_reject_with_its_message(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("trafilatura.bare_extraction", fail)
    (row,) = extract(asked(page("<p>x</p>").encode()), engine="trafilatura")
    assert row["reason"] == "extract_error"
    assert row["message"] == f"{type(error).__name__}: {error}"
    assert row["meta"]["title"] == "A page"


def test_xml_declaration_of_another_charset_does_not_decode_twice() -> None:
    data = "<?xml version='1.0' encoding='windows-1251'?>" + page(f"<p>{RUSSIAN}</p>" * 3)
    rows = [extract(asked(data.encode()), engine=engine)[0] for engine in ALL]
    assert all(RUSSIAN.strip() in row["text"] for row in rows)


def test_text_under_the_name_of_a_page_and_page_under_the_name_of_a_text() -> None:
    text = asked(RUSSIAN.encode("koi8-r"), charset="koi8-r")
    markup = asked(page(f"<p>{ENGLISH}</p>").encode(), media_type="text/plain")
    plain, found = extract(text, markup, engine="trafilatura-fast")
    assert (plain["text"], plain["extractor"]) == (RUSSIAN.rstrip(), "plain-text/1")
    assert (plain["media_type"], plain["meta"]) == ("text/plain", {"charset": "koi8-r"})
    assert found["media_type"] == "text/html"
    assert "<p>" not in found["text"]


@pytest.mark.parametrize(
    "data",
    [
        b"<?xml version='1.0'?>\n<rss version='2.0'><channel><title>News</title></channel></rss>",
        b"\xef\xbb\xbf<feed xmlns='http://www.w3.org/2005/Atom'><title>News</title></feed>",
        b"<?xml version='1.0'?><?xml-stylesheet href='s.xsl'?><!-- made --><urlset><url/></urlset>",
        "<?xml version='1.0'?><sitemapindex></sitemapindex>".encode("utf-16"),
        b"<rdf:RDF xmlns='http://purl.org/rss/1.0/'><item/></rdf:RDF>",
    ],
    ids=["rss", "atom", "sitemap", "index", "rdf"],
)
def test_feed_and_sitemap_are_no_pages(data: bytes) -> None:
    (row,) = extract(asked(data), engine="fast")
    assert (row["text"], row["reason"]) == (None, "not_a_page")
    assert row["message"].startswith("the bytes are a feed or a sitemap (<")


def test_page_that_quotes_a_feed_is_a_page() -> None:
    (row,) = extract(asked(page(f"<p>{ENGLISH}</p><rss>").encode()), engine="fast")
    assert row["text"].endswith(ENGLISH.strip())


def test_text_with_a_lone_bracket_stays_a_text() -> None:
    text = "if a < b and\n    b <= c:"
    plain, wide, markup = extract(
        asked(text.encode()), asked(text.encode("utf-16")), asked(b"x <i>y</i>"), engine="fast"
    )
    assert (plain["text"], plain["media_type"]) == (text, "text/plain")
    assert (wide["text"], wide["media_type"]) == (text, "text/plain")
    assert (markup["text"], markup["media_type"]) == ("x y", "text/html")


def test_given_text_is_only_tidied() -> None:
    (row,) = extract(asked(text="a  \r\n\x00b\u00e9e\u0301\r\n\r\n"), engine="resiliparse")
    assert row["text"] == "a\nb\u00e9e\u0301"


def test_tidy_leaves_inner_blanks_indents_and_emoji() -> None:
    assert tidy("\n  a  b\t\n\n\n\tc\ud800 🦜\u3000\r") == "  a  b\n\n\n\tc\ufffd 🦜"
    assert tidy("") == ""


def test_unknown_engine_says_which_there_are() -> None:
    (batch,) = to_batches([asked(b"x")])
    with pytest.raises(ValueError, match="choose one of auto, fast, trafilatura, "):
        extract_records(batch, settings=ExtractConfig.model_construct(html_engine="lynx"))


def _no_rows() -> pa.RecordBatch:
    (batch,) = to_batches([asked(b"x")])
    return batch.slice(0, 0)


@pytest.mark.parametrize("make", [_no_rows])
def test_no_records_give_no_rows(make: Callable[[], pa.RecordBatch]) -> None:
    assert extract_records(make(), settings=ExtractConfig(html_engine="resiliparse")).num_rows == 0

import gzip
import json
import os
from pathlib import Path

import pytest

from pipelines.extract.charset import codec_of_label, decode, decode_bytes, meta_charset

RUSSIAN = "Привет, как дела? Это простой русский текст о погоде и природе."
JAPANESE = "こんにちは世界、これは日本語の文章です。東京は日本の首都です。"
CHINESE = "今天天气很好，我们去公园散步，看到了很多花。"
KOREAN = "안녕하세요 세계, 오늘은 날씨가 좋습니다"
GERMAN = "Überraschung für Müller: schöne Grüße aus Köln, große Straße"
POLISH = "Zażółć gęślą jaźń, proszę bardzo, święta Bożego Narodzenia"
GREEK = "Καλημέρα κόσμε, τι κάνεις σήμερα;"
ARABIC = "مرحبا بالعالم كيف حالك اليوم"
THAI = "สวัสดีชาวโลก วันนี้อากาศดี"
EMOJI = "🦜 ok"

WRITTEN = [
    (RUSSIAN, "windows-1251", "windows-1251"),
    (RUSSIAN, "koi8-r", "koi8-r"),
    (JAPANESE, "shift_jis", "shift-jis"),
    (JAPANESE, "euc-jp", "euc-jp"),
    (JAPANESE, "iso-2022-jp", "iso2022-jp"),
    (CHINESE, "gb18030", "gb18030"),
    (KOREAN, "euc-kr", "euc-kr"),
    (GERMAN, "latin-1", "windows-1252"),
    (POLISH, "cp1250", "windows-1250"),
    (GREEK, "iso-8859-7", "iso-8859-7"),
    (ARABIC, "cp1256", "windows-1256"),
    (THAI, "tis-620", "windows-874"),
    (RUSSIAN, "utf-8", "utf-8"),
    (EMOJI, "utf-8", "utf-8"),
]
NO_CHARSETS = (
    "idna punycode undefined unicode_escape raw_unicode_escape utf-7 utf_8_sig cp437 cp037 palmos "
    "charmap mbcs oem base64 utf-16-le utf-32 ebcdic-cp-us"
).split()
WRONG = [None, "utf-8", "iso-8859-1", "us-ascii", "windows-1252", "no-such-charset"]


def page(text: str) -> str:
    return f"<html><head><title>x</title></head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize(("text", "charset", "name"), WRITTEN)
def test_page_declared_rightly_is_decoded_so(text: str, charset: str, name: str) -> None:
    decoded = decode(page(text).encode(charset), http=charset)
    assert (decoded.text, decoded.charset.removesuffix("-hkscs")) == (page(text), name)


@pytest.mark.parametrize("declared", WRONG)
@pytest.mark.parametrize(("text", "charset", "name"), WRITTEN)
def test_page_declared_wrongly_is_decoded_as_it_is(
    text: str, charset: str, name: str, declared: str | None
) -> None:
    assert decode(page(text).encode(charset), http=declared).text == page(text)


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_mark_is_believed_before_any_declaration(mark: str) -> None:
    decoded = decode(page(RUSSIAN).encode(mark), http="windows-1251")
    assert (decoded.text, decoded.source) == (page(RUSSIAN), "bom")


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be"])
def test_utf16_without_mark_is_seen_by_its_nuls(charset: str) -> None:
    assert decode(page(EMOJI).encode(charset)).text == page(EMOJI)


def test_declaration_of_the_page_counts_where_http_is_silent() -> None:
    head = '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">'
    decoded = decode((head + RUSSIAN).encode("koi8-r"))
    assert (decoded.text, decoded.charset, decoded.source) == (head + RUSSIAN, "koi8-r", "meta")


def test_http_is_believed_before_the_page_if_it_fits() -> None:
    head = '<meta charset="windows-1251">'
    decoded = decode((head + RUSSIAN).encode("koi8-r"), http="koi8-r")
    assert (decoded.text, decoded.source) == (head + RUSSIAN, "http")


def test_http_that_gives_mojibake_yields_to_the_page() -> None:
    head = '<meta charset="koi8-r">'
    decoded = decode((head + RUSSIAN).encode("koi8-r"), http="windows-1251")
    assert (decoded.text, decoded.source) == (head + RUSSIAN, "meta")


def test_utf8_cut_within_a_character_stays_utf8() -> None:
    decoded = decode(RUSSIAN.encode()[:-2], http="iso-8859-1", is_html=False)
    assert (decoded.text, decoded.charset) == (RUSSIAN[:-2] + "\ufffd", "utf-8")


FRENCH = "Le café était fermé, et l'hôtel d'à côté aussi: où dîner après le théâtre ?"
DUTCH = "De coördinator van de commissie zei dat het één keer té veel was, alsof het niets was."
SWEDISH = "Kyrkoherden åkte över fjällen till häradsrätten för att få höra på målet."
SPANISH = "¿Qué pasó mañana? El niño pequeño soñó con un avión y una montaña."


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("<p>The café is closed</p>".encode() + b"\x93", "<p>The café is closed</p>\ufffd"),
        ("<p>é</p>".encode() + b"\xe9<p>", "<p>é</p>\ufffd<p>"),
        ("<p>price\u00a0: 3</p>".encode() + b"\x80", "<p>price\u00a0: 3</p>\ufffd"),
        (
            "é\ufffd and \ufffd of another hand".encode() + b"\xff",
            "é\ufffd and \ufffd of another hand\ufffd",
        ),
    ],
)
def test_declared_utf8_with_one_broken_byte_stays_utf8(data: bytes, text: str) -> None:
    assert decode(data, http="utf-8").text == text
    meta = b"<meta charset=utf-8>"
    assert decode(meta + data).text == meta.decode() + text


@pytest.mark.parametrize("text", [FRENCH, DUTCH, SWEDISH, SPANISH, GERMAN])
@pytest.mark.parametrize("declared", [None, "utf-8"])
def test_western_page_is_windows_1252(text: str, declared: str | None) -> None:
    decoded = decode(page(text).encode("cp1252"), http=declared)
    assert (decoded.text, decoded.charset) == (page(text), "windows-1252")


@pytest.mark.parametrize("declared", [None, "utf-8", "iso-8859-1"])
def test_cut_within_the_last_character_is_no_damage(declared: str | None) -> None:
    whole = "plain text, one é, and 水"
    for length in (1, 2):
        data = whole.encode()[:-length]
        decoded = decode(data, http=declared, is_html=False)
        assert (decoded.text, decoded.charset) == (whole[:-1] + "\ufffd", "utf-8")
    assert decode("le café".encode("latin-1"), http=declared, is_html=False).text == "le café"


def test_gbk_text_that_is_utf8_by_chance_stays_what_it_is_declared_as() -> None:
    data = "联通".encode("gbk").replace(b"\xc1\xaa", b"\xc2\xaa")  # both readings are valid
    assert data.decode("utf-8")
    assert decode(data, http="gbk", is_html=False).charset == "gb18030"


def test_french_in_latin1_keeps_its_words() -> None:
    text = "Élève où ça naïf déjà été, garçon français à l'hôtel près de la forêt"
    assert decode(text.encode("latin-1"), http="iso-8859-1", is_html=False).text == text


def test_bytes_without_any_text_are_decoded_too() -> None:
    assert decode(b"").text == ""
    assert decode(b"\xff\xfe\x00\xd8").text == "\ufffd"


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("ISO-8859-1", "cp1252"),
        (" GB2312 ", "gb18030"),
        ("x-sjis", "cp932"),
        ("utf-16", None),
        ("rot13", None),
        ("hex", None),
        ("", None),
        ("nonsense\x00", None),
        ("latin1", "cp1252"),
        ("cp950", "cp950"),
        ("macintosh", "mac-roman"),
        *((label, None) for label in NO_CHARSETS),
    ],
)
def test_labels_mean_what_browsers_take_them_for(label: str, codec: str | None) -> None:
    assert codec_of_label(label) == codec


def test_charset_of_an_xml_declaration_is_found() -> None:
    assert meta_charset(b'<?xml version="1.0" encoding="Shift_JIS"?><html>') == "shift_jis"
    assert meta_charset(b"<html><p>charset=utf-8") is None


@pytest.mark.parametrize(("text", "charset", "name"), WRITTEN)
@pytest.mark.parametrize("declared", WRONG)
def test_bytes_of_a_page_are_its_text_in_utf8(
    text: str, charset: str, name: str, declared: str | None
) -> None:
    data = page(text).encode(charset)
    decoded = decode(data, http=declared)
    found = decode_bytes(data, http=declared)
    assert found.data == decoded.text.encode()
    assert (found.charset, found.source) == (decoded.charset, decoded.source)


def test_bytes_that_are_utf8_come_back_as_they_are() -> None:
    data = page(RUSSIAN).encode()
    assert decode_bytes(data).data is data
    assert decode_bytes(b"\xef\xbb\xbf" + data).data == data
    assert decode_bytes(data[:-2] + b"\xd0").data == data[:-2] + "\ufffd".encode()


@pytest.mark.parametrize("label", NO_CHARSETS)
@pytest.mark.parametrize("text", [page(RUSSIAN), page("plain"), "<p>xn--a-\u00fc.\u20ac"])
def test_what_is_no_charset_of_pages_changes_nothing(label: str, text: str) -> None:
    for data in (text.encode(), text.encode("cp1251", "replace")):
        assert decode(data, http=label) == decode(data)
        meta = f"<meta charset={label}>".encode() + data
        assert decode(meta).text == meta.decode(decode(data).charset)


_WESTERN = (
    "cat_Latn dan_Latn deu_Latn eng_Latn eus_Latn fin_Latn fra_Latn glg_Latn ita_Latn nld_Latn "
    "nob_Latn nno_Latn por_Latn spa_Latn swe_Latn"
).split()
_WRITTEN_IN = {
    "cp1250": ["pol_Latn", "ces_Latn", "slv_Latn", "hun_Latn"],
    "iso8859-2": ["pol_Latn", "ces_Latn", "hun_Latn"],
    "cp1251": ["rus_Cyrl", "bul_Cyrl", "ukr_Cyrl", "bel_Cyrl"],
    "koi8-r": ["rus_Cyrl"],
    "cp1253": ["ell_Grek"],
    "cp1254": ["tur_Latn"],
    "cp1255": ["heb_Hebr"],
    "cp1256": ["arb_Arab", "pes_Arab"],
    "cp874": ["tha_Thai"],
    "euc_jp": ["jpn_Jpan"],
    "cp932": ["jpn_Jpan"],
    "cp949": ["kor_Hang"],
    "big5": ["zho_Hant", "yue_Hant"],
    "gb18030": ["zho_Hans"],
    "cp1252": _WESTERN,
}


def _sentences() -> dict[str, list[str]]:
    """Language -> its sentences, of two sets of translations."""
    folder = Path(os.environ.get("TOKENMILL_DATA", Path(__file__).parents[3] / "shared" / "data"))
    paths = [folder / "langid" / f"{name}.jsonl.gz" for name in ("ntrex128", "sib200_floresdev")]
    if not all(path.exists() for path in paths):
        pytest.skip("sentences of many languages are not part of the repository")
    found: dict[str, list[str]] = {}
    for path in paths:
        own: dict[str, list[str]] = {}
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for row in map(json.loads, file):
                own.setdefault(row["lang"], []).append(row["text"])
        for language, texts in own.items():
            found.setdefault(language, []).extend(texts[:60])
    return found


def test_real_sentences_without_a_charset_are_read_in_theirs() -> None:
    sentences = _sentences()
    right: dict[str, list[bool]] = {}
    for charset, languages in _WRITTEN_IN.items():
        for language in languages:
            texts = sentences[language]
            for first in range(0, len(texts), 20):
                data = page("</p><p>".join(texts[first : first + 20])).encode(charset, "ignore")
                if not data.isascii():
                    text = data.decode(charset)
                    right.setdefault(charset, []).append(decode(data).text == text)
    for charset in _WRITTEN_IN.keys() - {"cp1252"}:
        assert all(right[charset]), charset
    assert sum(right["cp1252"]) >= 0.95 * len(right["cp1252"]) > 60

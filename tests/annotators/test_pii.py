"""Personal data: a hand-written set in several scripts, of what is found and what is left alone.

In each text the spans stand between the marks ⟦ and ⟧ with the kind before: `⟦email:ann@a.org⟧`.
Addresses, numbers and keys are made up, or those that vendors print in their documentation.
"""

import re

import pyarrow as pa
import pytest

from annotators.pii.annotator import KINDS, Pii
from mixtures.spec import REDACTABLE, REDACTION_LABELS

_MARK = re.compile("⟦([a-z_]+):(.*?)⟧", re.DOTALL)

EMAILS = [
    "Write to ⟦email:ann.lee+news@mail.example.org⟧.",
    "(⟦email:o'brien@uni-köln.de⟧) or '⟦email:x@y.co.uk⟧'",
    "请联系⟦email:wang_fang@163.com⟧。谢谢",
    "メール：⟦email:sato@nic.co.jp⟧まで",
    "البريد ⟦email:info@site.com.eg⟧، شكرا",
    "Почта: ⟦email:иван@почта.рф⟧, ⟦email:a.b@mail.ru⟧;",
    "mailto:⟦email:ANN@EXAMPLE.COM⟧?subject=x",
    "me@⟦email:you@host.com⟧"[3:],
    "Reach ⟦email:me@host.com⟧.Please do not call. Or ⟦email:you@host.org⟧Write soon",
    "See ⟦email:ann@xn--bcher-kva.example⟧ 🙂",
]
NUMBERS = [
    "IBAN ⟦iban:DE89 3704 0044 0532 0130 00⟧ BIC X, ⟦iban:GB82WEST12345698765432⟧",
    "⟦iban:DE89370400440532013000⟧ ⟦iban:GB29NWBK60161331926819⟧ ⟦iban:DE89370400440532013000⟧",
    "⟦iban:DE89 3704 0044 0532 0130 00⟧ ⟦iban:GB29 NWBK 6016 1331 9268 19⟧ end",
    "REF AB12 3456 7890 ⟦iban:DE89 3704 0044 0532 0130 00⟧-⟦iban:GB82WEST12345698765432⟧",
    "الآيبان ⟦iban:SA03 8000 0000 6080 1016 7519⟧",
    "SSN ⟦national_id:123-45-6789⟧ or ⟦national_id:123-45-6788⟧ (SSN)",
    "CPF ⟦national_id:111.444.777-35⟧; ⟦national_id:11.222.333/0001-81⟧",
    "आधार ⟦national_id:२३४१ २३४१ २३४६⟧ है",
    "个人⟦national_id:11010519491231002X⟧，", "ИНН ⟦national_id:7707083893⟧/770701001",
    "NI number ⟦national_id:AB 12 34 56 C⟧ C", "c.f. ⟦national_id:rccmnl83s18d969h⟧",
    "C.F. ⟦national_id:RCC MNL 83S18 D969H⟧", "PAN: ⟦national_id:ABCPE1234F⟧.",
]  # fmt: skip
IPS = [
    "from ⟦ip:93.184.216.34⟧ to 192.168.0.1 and 10.0.0.1",
    "http://⟦ip:151.101.1.140⟧:8080/x, ping ⟦ip:8.8.8.8⟧",
    "blocked ⟦ip:66.249.64.13⟧/24, (⟦ip:185.199.110.153⟧).",
    "访问 ⟦ip:114.114.114.114⟧ 即可",
    "AAAA ⟦ip:2606:2800:220:1:248:1893:25c8:1946⟧ and [⟦ip:2a00:1450:4001:81b::200e⟧]:443",
]
PHONES = [
    "Call ⟦phone:(555) 123-4567⟧ or ⟦phone:212-736-5000⟧ or ⟦phone:+1 650.253.0000⟧",
    "Tél. ⟦phone:01 42 68 53 00⟧, fax ⟦phone:+33 1 42 68 53 01⟧",
    "Büro: ⟦phone:030 901820⟧, mobil ⟦phone:+49 (0)151 23456789⟧",
    "London ⟦phone:020 7946 0018⟧",
    "电话：⟦phone:010-62781234⟧，手机 ⟦phone:13812345678⟧",
    "東京 ⟦phone:03-3261-8326⟧ / 携帯 ⟦phone:090-1234-5678⟧",
    "тел. ⟦phone:8 (495) 123-45-67⟧ или ⟦phone:+7 916 123-45-67⟧",
    "هاتف: ⟦phone:+٢٠ ٢ ٢٧٣٥ ١٢٣٤⟧",
    "تلفن ⟦phone:۰۲۱-۸۸۷۷۶۶۵۵⟧ است",
    "फ़ोन: ⟦phone:+91 98765 43210⟧, मोबाइल ⟦phone:९८७६५ ४३२१०⟧",
    "Tel: ⟦phone:0871 527 8792⟧ *\nTel: 0871 527 8800Whether it is open",
    "São Paulo, ⟦phone:(11) 98765-4321⟧",
]
CARDS = [
    "Paid with ⟦card:4111 1111 1111 1111⟧, thanks",
    "⟦card:5555-5555-5555-4444⟧; ⟦card:3782 822463 10005⟧",
    "Visa card number: ⟦card:4012888888881881⟧",
    "信用卡 ⟦card:6200 0000 0000 0005⟧。",
    "カード番号：⟦card:3530 1113 3330 0000⟧",
    "Visa ⟦card:4012888888881881⟧ ⟦card:4111111111111111⟧ ⟦card:378282246310005⟧, thanks",
    "cards 4012888888881881 4111111111111112 by number",  # a table: not all are cards
]
PEM_BODY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"] * 3)
JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0."
    "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
)
GITHUB = "ghp_" + "aB3dE6gH9j" * 3 + "3RK3bW"  # with its checksum
KEYS = [
    "aws_access_key_id = ⟦key:AKIA" + "2B3C4D5E6F7GHIJK⟧",
    'aws_secret_access_key="⟦key:wJalrXUtnFEMI/K7MDENG/bPxRfiCY3z9Qp1Zk2v⟧"',
    f"git clone https://⟦key:{GITHUB}⟧@github.com/a/b",
    f"GITHUB_TOKEN={'⟦key:github_pat_' + 'A1b2C3d4E5' * 2 + 'F6_' + 'g7H8i9' * 9 + 'J0k1L⟧'}",
    "slack ⟦key:xoxb" + "-123456789012-abcDEF123ghiJKL456⟧!",
    "key=⟦key:AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q⟧&v=1",
    "stripe: '⟦key:sk_live" + "_4eC39HqLyjWDarjtT1zdp7dc⟧'",
    "OPENAI_API_KEY=⟦key:sk-proj" + "-a1B2c3D4e5F6g7H8i9J0k1L2m3N4⟧",
    f"Authorization: Bearer ⟦key:{JWT}⟧",
    f"⟦key:-----BEGIN RSA PRIVATE KEY-----\n{PEM_BODY}\n-----END RSA PRIVATE KEY-----⟧\nend",
    f"⟦key:-----BEGIN DSA PRIVATE KEY-----\nDEK-Info: AES-128-CBC,00\n\n{PEM_BODY}\n"
    "-----END DSA PRIVATE KEY-----⟧",
    f"⟦key:-----BEGIN PRIVATE KEY-----\n{PEM_BODY}⟧\n\nAnd then the page went on in prose.",
    "password: '⟦key:9fK2x7Qw4Lm8Zt3Vb6⟧'",
    "密钥 api_key=⟦key:3f9a1c7e5b2d8064af13c95e7b20d486⟧。",
]
NOTHING = [
    "user@localhost icon@2x.png foo@bar @name a@b x@y.z obj@slot.value npm i react@18.2.0",
    "ftp://user:pass@host.com/ git@github.com:a/b.git @user@mastodon.social",
    "private 10.1.2.3, 172.16.5.4, 127.0.0.1, 169.254.1.1, 192.0.2.7, 198.51.100.4, 203.0.113.9",
    "version 12.4.71.2, v2.14.0.33, Chrome/91.0.12.124, Skype 7.40.0.103, section 1.2.3.4, 1.2.3.4",
    "1.3.6.1.4.1.311 is an OID; 300.1.2.3 and 01.02.03.04 are nothing",
    "at 10:30:45, std::vector ab::cd fe80::1 ::1 2001:db8::1 year 2006::\n\n  code",
    "1914-1918, 2013-05-12, 05/12/2013, 12.05.2013 10:30, 2013-05-12 10:30:45, 20130512",
    "ISBN 978-3-16-148410-0, ISBN 0-306-40615-2, ISSN 0317-8471, doi 10.1000/182",
    "Order no. 212-736-5000; ref: 01 42 68 53 00",
    "48.8566140, 2.3522219 and +48.8566140 and lat 51.5073509",
    "+44 0000 000000, +1 000 000 0000 and +49 000 0000000",
    "$1,234,567.89 and 12,345,678 and 0.1234567 and 1234567890123 and 3.14159265358979",
    "pi = 3.1415926535, 6.02214076e23, 2**64 = 18446744073709551616, x+4915112345678",
    "4111 1111 1111 1112 fails; 4111111111111111 without a word; 94111 1111 1111 1111 1",
    "order 1234 5678 9012 3456; 0000 0000 0000 0000; id 6011000990139424",
    "token = decode_v2_token_4(x); token: user_v2_auth_name_4; password: correct_horse_battery",
    "secret = your_api_key_12ab34",
    "sha 9fceb02d0ae598e95dc970b74767f19372d61af8 uuid 123e4567-e89b-12d3-a456-426614174000",
    "a-very-long-slug-of-a-page-2019-12 sk-folding-cube-animation-container AKIA123",
    "aws_access_key_id = AKIAIOSFODNN7EXAMPLE",
    "token " + GITHUB[:-1] + "0",
    "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
    "-----BEGIN PUBLIC KEY-----\n" + PEM_BODY + "\n-----END PUBLIC KEY-----",
    "Всего 12345678 рублей, 第１２３４５６７号, ١٢٣٤٥٦٧ كتاب, १२३४५६७",
]


def find(texts: list[str]) -> pa.RecordBatch:
    return Pii()(pa.array(texts, pa.large_string()), {})


def marked(text: str, spans: list[dict[str, object]]) -> str:
    """Puts the marks into a text where its spans are."""
    data, out, position = text.encode(), b"", 0
    for span in spans:
        start, end = int(str(span["start"])), int(str(span["end"]))
        assert position <= start < end <= len(data)
        found = f"⟦{span['kind']}:{data[start:end].decode()}⟧"
        out += data[position:start] + found.encode()
        position = end
    return (out + data[position:]).decode()


@pytest.mark.parametrize("text", EMAILS + IPS + PHONES + CARDS + NUMBERS + KEYS)
def test_what_is_there_is_found_to_the_byte(text: str) -> None:
    plain = _MARK.sub(r"\2", text)
    (spans,) = find([plain]).column("pii").to_pylist()
    assert marked(plain, spans) == text


@pytest.mark.parametrize("text", NOTHING)
def test_what_only_looks_so_is_left_alone(text: str) -> None:
    (spans,) = find([text]).column("pii").to_pylist()
    assert marked(text, spans) == text


def test_columns_are_as_declared_and_counts_are_those_of_the_spans() -> None:
    texts = [_MARK.sub(r"\2", text) for text in EMAILS + NOTHING + KEYS] + ["", "🙂"]
    found = find(texts)
    assert found.schema == Pii.columns
    assert found.column("pii_count").to_pylist() == [
        len(s) for s in found.column("pii").to_pylist()
    ]
    assert sum(found.column("pii_count").to_pylist()) == sum(
        len(_MARK.findall(text)) for text in EMAILS + KEYS
    )
    assert find([]).num_rows == 0


def test_spans_do_not_depend_on_the_batch_nor_on_slices() -> None:
    texts = [_MARK.sub(r"\2", text) for text in EMAILS + IPS + PHONES + CARDS + NUMBERS + KEYS]
    whole = find(texts).column("pii").to_pylist()
    assert [find([text]).column("pii").to_pylist()[0] for text in texts] == whole
    array = pa.array(["ann@a.org", *texts, "no"], pa.large_string())
    assert Pii()(array.slice(1, len(texts)), {}).column("pii").to_pylist() == whole


def test_joined_texts_keep_their_spans_sorted_and_apart() -> None:
    text = "\n".join(_MARK.sub(r"\2", one) for one in EMAILS + IPS + CARDS + KEYS)
    (spans,) = find([text]).column("pii").to_pylist()
    assert {span["kind"] for span in spans} == {"email", "ip", "card", "key"}
    assert marked(text, spans) == "\n".join(EMAILS + IPS + CARDS + KEYS)


def test_many_windows_are_all_read() -> None:
    (spans,) = find(["a@b.co " * 5000]).column("pii").to_pylist()
    assert [span["start"] for span in spans] == list(range(0, 35_000, 7))


def test_many_spans_of_one_text_are_told_apart() -> None:
    text = "123-45-6789\n" * 2000 + "١٢٣-٤٥-٦٧٨٩\n" * 2000
    (spans,) = find([text]).column("pii").to_pylist()
    plain = [(12 * row, 12 * row + 11) for row in range(2000)]
    other = [(24_000 + 21 * row, 24_000 + 21 * row + 20) for row in range(2000)]
    assert [(span["start"], span["end"]) for span in spans] == plain + other


def test_no_text_is_too_strange() -> None:
    texts = [
        "",
        " \n\t",
        "0" * 300_000,
        "🙂" * 1000,
        "\0" * 50,
        "a\u0301\u0302\u0303" * 500,
        "12 " * 9000,
    ]
    texts += [
        "ﬁ Ａ１Ｂ２ ßAB12",
        "éé-ABC 12D34 E567F",
        "AB",
        "DE8",
        "1",
        "-----BEGIN",
        "@",
        ":::",
        "ghp_",
    ]
    assert find(texts).column("pii_count").to_pylist() == [0] * len(texts)


def test_other_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="null"):
        Pii()(pa.array(["a", None], pa.large_string()), {})


def test_mixtures_name_the_kinds_and_the_labels_set_that_there_are() -> None:
    assert REDACTABLE == KINDS
    assert Pii.columns.names[0] == Pii.name == REDACTION_LABELS

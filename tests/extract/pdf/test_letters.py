"""Texts that nobody can have written, beside texts in many languages that somebody did."""

import pytest

from pipelines.extract.pdf.letters import strange_share

PLAIN = {
    "English": "All human beings are born free and equal in dignity and rights.",
    "Czech": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.",
    "Vietnamese": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
    "Polish, one word": "Szczebrzeszyn",
    "Russian": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "Greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια.",
    "Arabic": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق.",
    "Persian": "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند.",
    "Hebrew": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "Chinese": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "Chinese, traditional": "人人生而自由，在尊嚴和權利上一律平等。",
    "Japanese": "すべての人間は、生まれながらにして自由であり、尊厳と権利とについて平等である。",
    "Korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "Georgian": "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით.",
    "formulas": "f(x) = x² + 2xy + y², where Δx → 0 and ∑ k³ = (∑ k)²; cf. ISBN 0-306-40615-2.",
    "code": "for (int i = 0; i < n; ++i) { xs[i] = mtx.lock() ? sqrt(pts[i]) : 0; }",
    "emoji and mixed words": "OK 👍 — iPhone用ケース, Wi-Fi対応, COVID-19 и др.",
    "nothing": "",
    "numbers": "1 234 567,89 %",
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_people_write_is_not_strange(name: str) -> None:
    assert strange_share(PLAIN[name]) == 0.0


def _shifted(text: str, by: int) -> str:
    return "".join(chr(ord(c) + by) if c.isalpha() else c for c in text)


SENTENCES = PLAIN["English"] + " They are endowed with reason and conscience and should act so."
GARBLED = {
    "a shifted alphabet": _shifted(SENTENCES, -1),
    "shifted the other way": _shifted(SENTENCES.lower().replace("y", ""), 2),
    "Cyrillic as Latin-1": "Îãëàâëåíèå è ïðåäèñëîâèå",
    "Hangul for Cyrillic": "킜킰톁톁킰 킜킰톁톈톂킰킱 킘킷킼 킛킸톁톂 킴킾킺톃킼",
    "UTF-16 with its bytes swapped": "Multicolor Black Pure Cyan".encode("utf-16-le").decode(
        "utf-16-be"
    ),
    "ideographs by chance": "嘆囈貭鍔嘆囈貭鍔",
    "scripts by chance": "ଋҨǥƹ̽ୡȥဎഁୡࣧҨဌʾဎಱ̽ೌȥਮΝ੧ͱʸဏʤҨഁԱɐಱҨǥ" * 2,
}


@pytest.mark.parametrize("name", GARBLED)
def test_what_a_wrong_map_gives_is_strange(name: str) -> None:
    assert strange_share(GARBLED[name]) > 0.5


def test_half_a_strange_page_is_strange_by_half() -> None:
    mixed = PLAIN["Russian"] * 3 + GARBLED["a shifted alphabet"]
    letters = sum(map(str.isalpha, GARBLED["a shifted alphabet"])) / sum(map(str.isalpha, mixed))
    assert strange_share(mixed) == pytest.approx(letters, abs=0.02)


def test_lone_surrogates_are_read() -> None:
    assert strange_share("ab\ud800cd") == 0.0

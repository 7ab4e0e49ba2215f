"""What repeats as no person writes it, in many scripts, and what only looks like it."""

import random

import pytest

from pipelines.models.refusals import refuses
from pipelines.models.repetition import repetition

STILL = "The mill stands still."
LONG = "The miller had asked the mayor for a new wheel in the spring of that year."
TURN = "turned and turned on, "


def between(sentence: str, joint: str = " ", others: str = "A. B. C. D. E.") -> str:
    """A sentence five times, and another one behind each."""
    return joint.join(f"{sentence}{joint}{other}" for other in others.split())


LOOPS = {
    "a line three times": f"The mill.\n{STILL}\n{STILL}\n\n{STILL}\nThe end.",
    "a short line twelve times": "word\n" * 12,
    "a row nine times": "| a | b |\n| --- | --- |\n" + "| 12 | 40 |\n" * 9,
    "cells of HTML": "<tr><td>12</td><td>40</td></tr>\n" * 9,
    "a sentence five times": between(LONG),
    "a sentence over the ends of lines": between(LONG, "\n"),
    "a sentence in two layouts": f"{LONG} A. {LONG} B. " + between(LONG.replace(" ", "\n"))[:230],
    "a character": "The sum is 1." + "0" * 350 + " and more",
    "blanks": "a" + " " * 350 + "b",
    "a syllable at the end": "He laughed: " + "ha" * 31,
    "a phrase at the end": "The wheel " + TURN * 10 + "turned and",
    "two sentences in turn": "So it goes. " + f"{LONG} {STILL}\n" * 5,
    "Chinese, a line": "磨坊主人去城里买新的轮子。\n" + "水车停了很久。\n" * 3,
    "Chinese, a sentence": between(
        "磨坊主人在那年春天请求镇长为磨坊换上一个新的水车轮子。", "", "一。 二。 三。 四。 五。"
    ),
    "Japanese, at the end": "水車が" + "回って、" * 31,
    "Hindi": between("चक्की वाले ने उस साल वसंत में महापौर से एक नया पहिया माँगा था।"),
    "Arabic": between("هل طلب الطحان من رئيس البلدية عجلة جديدة للطاحونة في ربيع ذلك العام؟"),
    "Burmese": between("စက်ပိုင်ရှင်သည် ထိုနှစ်နွေဦးတွင် မြို့တော်ဝန်ထံ ဘီးအသစ်တစ်ခု တောင်းခံခဲ့သည်။", "", "က။ ခ။ ဂ။ ဃ။ င။"),
    "Amharic": between(
        "ወፍጮ ቤቱ ባለቤት በዚያ ዓመት ጸደይ ከንቲባውን አዲስ መንኰራኵር እንዲሰጡት ጠየቀ።", "", "ሀ። ለ። ሐ። መ። ሠ።"
    ),
    "Thai, without full stops": between(
        "เจ้าของโรงสีขอกังหันน้ำใหม่จากนายกเทศมนตรีในฤดูใบไม้ผลิปีนั้น", " ", "กก ขข คค งง จจ"
    ),
    "Khmer": between("ម្ចាស់រោងម៉ាស៊ីនបានស្នើសុំកង់ថ្មីពីអភិបាលក្រុងនៅនិទាឃរដូវនៃឆ្នាំនោះ។", "", "ក។ ខ។ គ។ ឃ។ ង។"),
}
TEXTS = {
    "empty": "",
    "a line twice": f"{STILL}\n{STILL}\nThe end.",
    "a refrain": "\n".join(f"Verse {n}\nRow, row, row your boat\nGently" for n in range(6)),
    "eleven short lines": "- x\n" * 11 + "end",
    "eight equal rows": "| a | b |\n| --- | --- |\n" + "| 12 | 40 |\n" * 8,
    "leaders": "\n".join(f"Chapter {n} {'.' * 120} {n * 17}" for n in range(1, 20)),
    "lines to sign on": "Name\n" + "_" * 120,
    "leaders with blanks": "Signature " + ". " * 90,
    "a sentence four times": " ".join([LONG, "One.", LONG, "Two.", LONG, "Three.", LONG, "Four."]),
    "a short sentence often": "No answer. Yes. " + "No answer. Why? Well. No answer. " * 3,
    "a number": "1" + "0" * 100 + "\nis a googol.",
    "Chinese, short": "水。水。水。火。",
    "Thai, a phrase": "เจ้าของโรงสี ขอกังหัน เจ้าของโรงสี ขอน้ำ เจ้าของโรงสี ขอข้าว เจ้าของโรงสี เจ้าของโรงสี รอ",
    "twenty-nine times a syllable": "He laughed: " + "ha" * 29 + "!",
    "tables with one head": "| a | b |\n| --- | --- |\n| 1 | 2 |\n\nText.\n\n" * 4,
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_are_found(name: str) -> None:
    assert repetition(LOOPS[name]) is not None


@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_none(name: str) -> None:
    assert repetition(TEXTS[name]) is None


def test_it_says_what_repeats() -> None:
    assert repetition(f"{STILL}\n" * 3) == f"the same line 3 times running: '{STILL}'"
    assert repetition("x" * 350) == "the same character 350 times running: 'x'"
    told = repetition("The wheel " + TURN * 10)
    assert told is not None
    assert told.startswith("it ends in 10 times the same: '")


def test_a_loop_stays_one_wherever_it_is_cut() -> None:
    unit = "and the wheel turned on "
    whole = LONG + " " + unit * 30
    for end in range(len(LONG) + 1 + len(unit) * 11, len(whole), 7):
        assert repetition(whole[:end]) is not None


def test_words_in_any_order_never_repeat() -> None:
    chance = random.Random(7)
    words = ["mill", "wheel", "river", "stone", "flour", "sack", "\n", ". "]
    for _ in range(50):
        assert repetition(" ".join(chance.choices(words, k=400))) is None


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't assist with that.",
        "I\u2019m unable to read this image.",
        "**Es tut mir leid**, das Bild kann ich nicht lesen.",
        "Je suis désolé, je ne peux pas lire cette page.",
        "Lo siento, no puedo ayudar.",
        "К сожалению, я не могу прочитать страницу.",
        "很抱歉,我无法读取这张图片。",
        "申し訳ありませんが、読めません。",
        "عذرًا، لا أستطيع قراءة الصفحة.",
        "मुझे खेद है, मैं यह नहीं पढ़ सकता।",
    ],
)
def test_refusals_in_many_languages(answer: str) -> None:
    assert refuses(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "The sorry state of the mill was known to all.",
        "I'm sorry, she wrote, that you could not come to the mill. " * 8,
        "Canterbury Tales",
        "Ich kann mich an die Mühle erinnern.",
    ],
)
def test_texts_that_do_not_refuse(answer: str) -> None:
    assert not refuses(answer)

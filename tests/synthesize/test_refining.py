"""Refined documents: what passes stands in place of its piece, the rest stays."""

import pytest

from pipelines.models.chat import Answer, Request
from tests.synthesize.asking import made, passage_of, seed

PAGES = {
    "eng_Latn": (
        "The river rises in the hills to the north of the town and flows th-\nrough three lakes "
        "before it reaches the sea in\nthe year 1984.\n",
        "The river rises in the hills to the north of the town and flows through three lakes "
        "before "
        "it reaches the sea in the year 1984.",
    ),
    "zho_Hans": (
        "这条河发源于城北的山区，流经三个\n湖泊之后注入大海。春天水位很高，\n船只可以一直开到古老的石桥。\n",
        "这条河发源于城北的山区，流经三个湖泊之后注入大海。春天水位很高，船只可以一直开到古老的石桥。",
    ),
    "arb_Arab": (
        "ينبع النهر من التلال الواقعة شمال\nالمدينة ويمر عبر ثلاث بحيرات قبل\nأن يصل إلى البحر "
        "عام ١٩٨٤.\n",
        "ينبع النهر من التلال الواقعة شمال المدينة ويمر عبر ثلاث بحيرات قبل أن يصل إلى البحر عام "
        "١٩٨٤.",
    ),
    "hin_Deva": (
        "यह नदी शहर के उत्तर की पहाड़ियों से\nनिकलती है और समुद्र तक पहुँचने से\nपहले तीन झीलों से होकर बहती है।\n",
        "यह नदी शहर के उत्तर की पहाड़ियों से निकलती है और समुद्र तक पहुँचने से पहले तीन झीलों से होकर बहती है।",
    ),
    "tha_Thai": (
        "แม่น้ำสายนี้ไหลมาจากภูเขาทางเหนือ\nของเมืองและผ่านทะเลสาบสามแห่ง\nก่อนลงสู่ทะเล\n",
        "แม่น้ำสายนี้ไหลมาจากภูเขาทางเหนือของเมืองและผ่านทะเลสาบสามแห่งก่อนลงสู่ทะเล",
    ),
    "rus_Cyrl": (
        "Река берёт начало в холмах к северу от го-\nрода и протекает через три озера,\nпрежде чем "
        "впасть в море.\n",
        "Река берёт начало в холмах к северу от города и протекает через три озера, прежде чем "
        "впасть в море.",
    ),
}
RAW, GOOD = PAGES["eng_Latn"]


@pytest.mark.parametrize("language", PAGES)
def test_a_faithful_answer_replaces_its_piece(language: str) -> None:
    raw, refined = PAGES[language]
    result, (asked,) = made(
        "refine_ocr", seed(f"\n {raw}\n", language), lambda _: f"\n{refined}\n\n"
    )
    assert passage_of(asked) == raw.strip()
    assert [one.message for one in result.rejects] == []
    (draft,) = result.drafts
    assert draft.text == f"\n {refined}\n\n"
    assert (draft.media_type, draft.language) == ("text/markdown", language)
    assert draft.meta == {"refined_share": "1.0000"}


def test_a_piece_that_fails_stays_raw() -> None:
    text = f"{RAW}\nSecond. {RAW}\nThird. {RAW}"

    def answer(request: Request) -> str:
        first = passage_of(request).split()[0]
        body = GOOD if first == "The" else f"{first} {GOOD}"
        return body.replace("1984", "1985") if first == "Second." else body

    result, asked = made("refine_ocr", seed(text), answer, {"chunk_tokens": 45})
    assert len(asked) == 3
    assert (result.units, result.accepted) == (3, 2)
    (draft,) = result.drafts
    assert draft.text == f"{GOOD}\n\nSecond. {RAW}\nThird. {GOOD}\n"
    assert [one.reason for one in result.rejects] == ["numbers_lost"]
    assert result.figures["chunks"] == 3
    assert result.figures["failed_chunks"] == 1


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "empty"),
        (Answer(text="The river", reason="truncated", message="cut"), "truncated"),
        ("I'm sorry, but I can't read this.", "refused"),
        (GOOD + "\n" + "And on and on.\n" * 9, "repeating"),
        (GOOD[:60], "length_ratio"),
        (
            GOOD.replace("three lakes before it reaches", "many valleys until he finds"),
            "low_containment",
        ),
        (GOOD.replace("1984", "1984 or thereabouts"), "text_invented"),
        (GOOD.replace("1984", "198"), "numbers_lost"),
        (GOOD.replace("year 1984", "year 1984, 7"), "numbers_invented"),
    ],
)
def test_an_unfaithful_answer_leaves_no_document(said: str | Answer, reason: str) -> None:
    result, _ = made("refine_ocr", seed(RAW), lambda _: said)
    assert [one.reason for one in result.rejects] == [reason]
    assert not result.drafts
    assert result.figures["documents"] == 0


def test_the_limits_of_fidelity_are_the_recipes() -> None:
    shorter = GOOD.replace(" and flows through three lakes", "")
    strict = {"fidelity": {"min_kept": 0.6}}
    result, _ = made("refine_ocr", seed(RAW), lambda _: shorter, strict)
    assert [one.reason for one in result.rejects] == ["text_dropped"]
    lenient = {"fidelity": {"min_kept": 0.6, "max_dropped": 30}}
    result, _ = made("refine_ocr", seed(RAW), lambda _: shorter, lenient)
    assert [draft.text for draft in result.drafts] == [shorter + "\n"]


def test_a_text_that_is_too_short_is_not_asked_about() -> None:
    result, asked = made("refine_ocr", seed("Page 3\n"), lambda _: "Page 3")
    assert asked == []
    assert [one.reason for one in result.rejects] == ["no_chunk"]
    assert made("refine_ocr", seed(""), lambda _: "")[0].units == 1

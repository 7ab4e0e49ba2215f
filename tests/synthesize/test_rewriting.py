"""What is made of answers: texts in several scripts, and a reject for every way to fail."""

import pytest

from pipelines.models.chat import REASONS, Answer, Request
from pipelines.synthesize.recipe import Draft, Made
from tests.synthesize.asking import made, passage_of, seed

ENGLISH = (
    "The river rises in the hills to the north of the town and flows through three lakes before it "
    "reaches the sea. In spring the water is high, and ships can go up as far as the old bridge."
)
SAID = (
    "North of the town there are hills where the river begins. It passes three lakes on its way to "
    "the sea. When the water is high in spring, boats sail up to the bridge, which is an old one."
)
TEXTS = {
    "eng_Latn": (ENGLISH, SAID),
    "zho_Hans": (
        "这条河发源于城北的山区，流经三个湖泊之后注入大海。春天水位很高，船只可以一直开到古老的石桥。",
        "河水从城市北面的山里流出，途中穿过三座大湖，最后汇入海洋。到了春季，因为水涨得高，船能够驶到那座老桥下面。",
    ),
    "arb_Arab": (
        "ينبع النهر من التلال الواقعة شمال المدينة ويمر عبر ثلاث بحيرات قبل أن يصل إلى البحر. "
        "وفي الربيع "
        "يرتفع الماء فتصل السفن إلى الجسر القديم.",
        "في شمال المدينة تلال يبدأ منها النهر، ثم يعبر بحيرات ثلاثا في طريقه إلى البحر الكبير. "
        "وعندما يعلو "
        "الماء في فصل الربيع تستطيع السفن أن تبلغ جسرا قديما.",
    ),
    "hin_Deva": (
        "यह नदी शहर के उत्तर की पहाड़ियों से निकलती है और समुद्र तक पहुँचने से पहले तीन झीलों से "
        "होकर बहती है। "
        "वसंत में पानी ऊँचा होता है और जहाज़ पुराने पुल तक जा सकते हैं।",
        "शहर के उत्तर में पहाड़ियाँ हैं जहाँ से नदी शुरू होती है। समुद्र के रास्ते में वह तीन "
        "झीलें पार करती है। "
        "जब वसंत में पानी बढ़ जाता है तब जहाज़ उस पुल तक पहुँचते हैं जो पुराना है।",
    ),
    "tha_Thai": (
        "แม่น้ำสายนี้ไหลมาจากภูเขาทางเหนือของเมืองและผ่านทะเลสาบสามแห่งก่อนลงสู่ทะเล "
        "ในฤดูใบไม้ผลิน้ำจะสูงและเรือสามารถแล่นไปถึงสะพานเก่าได้",
        "ทางทิศเหนือของเมืองมีภูเขาซึ่งเป็นต้นกำเนิดของสายน้ำ "
        "จากนั้นน้ำผ่านบึงใหญ่สามแห่งแล้วออกทะเล "
        "เมื่อถึงหน้าร้อนที่น้ำขึ้นมาก เรือก็แล่นขึ้นมาจนถึงสะพานโบราณ",
    ),
    "rus_Cyrl": (
        "Река берёт начало в холмах к северу от города и протекает через три озера, прежде чем "
        "впасть "
        "в море. Весной вода стоит высоко, и корабли доходят до старого моста.",
        "К северу от города есть холмы, где начинается река. По пути к морю она минует три "
        "озера. Когда "
        "весной вода поднимается, суда могут подняться до моста, который очень стар.",
    ),
}
SMALL = {"chunks": {"min_tokens": 10}, "accept": {"min_document_tokens": 10}}


def rewrite(said: str | Answer, text: str = ENGLISH, language: str | None = "eng_Latn") -> Made:
    return made("rephrase_medium", seed(text, language), lambda _: said, SMALL)[0]


def draft_of(result: Made) -> Draft:
    assert [one.message for one in result.rejects] == []
    (draft,) = result.drafts
    return draft


@pytest.mark.parametrize("language", TEXTS)
def test_an_answer_without_its_opening_is_the_document(language: str) -> None:
    text, said = TEXTS[language]
    draft = draft_of(rewrite(f"**Rewritten text:**\n\n{said}\n", text, language))
    assert draft.text == said
    assert draft.language == language
    assert draft.parents == (b"0123456789abcdef",)
    assert float(draft.meta["novelty"]) > 0.5
    assert draft.request is not None
    assert draft.prompt_hash is not None


def test_the_prompt_holds_passage_and_language() -> None:
    braces = "{language} " + ENGLISH
    result, (asked,) = made(
        "rephrase_medium", seed(braces, None), lambda _: f"Rewritten text: {SAID} {SAID}"
    )
    assert asked.messages[1].text == f"Language: English\n\n<passage>\n{braces}\n</passage>"
    assert asked.messages[0].text.startswith("You rewrite passages in plain, careful prose")
    assert asked.thinking == "off"
    assert draft_of(result).language is None


@pytest.mark.parametrize("reason", REASONS)
def test_what_the_model_says_itself_is_the_reason(reason: str) -> None:
    result = rewrite(Answer(text=None, reason=reason, message="so it is"))
    assert [(one.reason, one.message) for one in result.rejects] == [(reason, "so it is")]
    assert not result.drafts


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (" \n ", "empty"),
        ("I'm sorry, but I can't help with that.", "refused"),
        (f"Sure! Here it is. {SAID}", "no_opening"),
        ("Rewritten text: A river.", "too_short"),
        ("Rewritten text: " + SAID + "\n" + "And so it goes on.\n" * 20, "repeating"),
        ("Rewritten text: " + SAID + " " + TEXTS["eng_Latn"][0] + SAID, "length_ratio"),
        ("Rewritten text: " + TEXTS["rus_Cyrl"][1], "language_changed"),
        ("Rewritten text: " + SAID + " It was 1890, 1891, 1902 and 2011.", "numbers_invented"),
        ("Rewritten text: " + ENGLISH, "too_near_to_seed"),
        ("Rewritten text: " + "\udcff", "too_short"),
    ],
)
def test_a_bad_answer_is_a_reject(said: str, reason: str) -> None:
    result = rewrite(said)
    assert [one.reason for one in result.rejects] == [reason]
    assert not result.drafts


def test_an_apology_of_the_passage_is_no_refusal() -> None:
    text = "I'm sorry that you could not come. " + ENGLISH
    said = "Rewritten text: I'm sorry you missed it. " + SAID
    assert draft_of(rewrite(said, text)).text.startswith("I'm sorry you missed it.")


def test_chunks_that_fail_are_missing_and_counted() -> None:
    text = "\n\n".join([ENGLISH, "Second. " + ENGLISH, "Third. " + ENGLISH])

    def answer(request: Request) -> str:
        first = passage_of(request).split()[0]
        return SAID if first == "Second." else f"Rewritten text: {first} {SAID}"

    options = {"chunks": {"tokens": 60, "min_tokens": 10}}
    result, asked = made("rephrase_medium", seed(text), answer, options)
    assert len(asked) == 3
    assert (result.units, result.accepted) == (3, 2)
    (draft,) = result.drafts
    assert draft.text == f"The {SAID}\n\nThird. {SAID}"
    assert draft.meta["chunks"] == "2/3"
    assert [one.reason for one in result.rejects] == ["no_opening"]
    assert result.figures["documents"] == 1
    assert result.figures["novelty_sum"] == float(draft.meta["novelty"])


def test_each_sample_is_a_document_with_its_attempt() -> None:
    def answer(request: Request) -> str:
        return f"Rewritten text: {SAID} {'Indeed. ' * request.attempt}"

    options = {**SMALL, "samples": 3}
    result, asked = made("rephrase_medium", seed(ENGLISH), answer, options)
    assert [request.attempt for request in asked] == [0, 1, 2]
    assert len({request.key("m") for request in asked}) == 3
    assert [draft.attempt for draft in result.drafts] == [0, 1, 2]
    assert [draft.text.count("Indeed.") for draft in result.drafts] == [0, 1, 2]


def test_a_seed_without_a_chunk_is_one_reject_and_no_request() -> None:
    result, asked = made("rephrase_medium", seed("Menu"), lambda _: "")
    assert asked == []
    assert [one.reason for one in result.rejects] == ["no_chunk"]
    assert result.figures["dropped_tokens"] == 1


def test_a_document_that_stays_short_is_rejected_with_all_its_chunks() -> None:
    options = {"chunks": {"min_tokens": 10}, "accept": {"min_document_tokens": 500}}
    result, _ = made("rephrase_medium", seed(ENGLISH), lambda _: f"Rewritten text: {SAID}", options)
    assert [one.reason for one in result.rejects] == ["document_too_short"]


PAIRS = """Here they are:
**Q:** Where does the river begin?
**A:** In the hills
that lie north of the town.

Q：How many lakes lie on its way to the sea?
A: It passes three of them.
Q: A question without an answer?
Q: What happens in spring?
A: The water is high, so that boats reach the old bridge."""


def test_pairs_are_read_without_their_marks() -> None:
    options = {**SMALL, "chunks": {"tokens": 300, "min_tokens": 10}}
    result, _ = made("rephrase_qa", seed(ENGLISH), lambda _: PAIRS, options)
    assert draft_of(result).text == (
        "Where does the river begin?\nIn the hills\nthat lie north of the town.\n\n"
        "How many lakes lie on its way to the sea?\nIt passes three of them.\n\n"
        "What happens in spring?\nThe water is high, so that boats reach the old bridge."
    )
    assert result.figures["pairs"] == 3


def test_pairs_stand_behind_their_passage_and_few_are_kept() -> None:
    options = {
        "accept": {"min_document_tokens": 10},
        "shape": {"pairs": {"tokens_per_pair": 45}},
    }
    result, _ = made("diverse_qa", seed(ENGLISH), lambda _: PAIRS, options)
    draft = draft_of(result)
    # 47 tokens: one pair.
    assert draft.text.startswith(ENGLISH + "\n\n")
    assert draft.text[len(ENGLISH) + 2 :].split("\n")[0].endswith("?")
    assert result.figures["pairs"] == 1
    again, _ = made("diverse_qa", seed(ENGLISH), lambda _: PAIRS, options)
    assert draft_of(again).text == draft.text


def test_steps_stand_between_question_and_answer() -> None:
    said = (
        "Q: Why do ships reach the bridge only in spring?\nR: The water is high in spring. Ships "
        "need "
        "deep water. The bridge lies far up the river.\nA: Because only then is the water deep "
        "enough."
    )
    options = {
        "chunks": {"min_tokens": 10},
        "accept": {"min_document_tokens": 10, "min_tokens": 20},
    }
    result, _ = made("question_answer", seed(ENGLISH), lambda _: said, options)
    lines = draft_of(result).text.split("\n")
    assert lines[0] == "Why do ships reach the bridge only in spring?"
    assert lines[1].startswith("The water is high in spring.")
    assert lines[2] == "Because only then is the water deep enough."


def test_answers_without_pairs_or_points_are_rejects() -> None:
    for recipe, reason in (("rephrase_qa", "no_pairs"), ("knowledge_list", "not_a_list")):
        result, _ = made(recipe, seed(ENGLISH), lambda _: SAID, SMALL)
        assert [one.reason for one in result.rejects] == [reason]


def test_a_list_has_one_form() -> None:
    said = (
        "Here are the facts:\n1. The river begins in hills that lie\n   north of the town.\n"
        "• Three lakes lie on its way to the sea.\n- Ships reach the bridge when water is high."
    )
    result, _ = made("knowledge_list", seed(ENGLISH), lambda _: said, SMALL)
    draft = draft_of(result)
    assert draft.text == (
        "- The river begins in hills that lie north of the town.\n"
        "- Three lakes lie on its way to the sea.\n- Ships reach the bridge when water is high."
    )
    assert draft.media_type == "text/markdown"


def test_a_textbook_keeps_its_heading() -> None:
    said = f"```markdown\n# The river\n\n{SAID}\n```"
    options = {"chunks": {"min_tokens": 10}, "accept": {"min_document_tokens": 9, "min_tokens": 9}}
    of = seed(ENGLISH, meta={"title": "Our {river}"})
    result, (asked,) = made("textbook", of, lambda _: said, options)
    assert "Title of the page: Our {river}" in asked.messages[1].text
    assert draft_of(result).text == f"# The river\n\n{SAID}"

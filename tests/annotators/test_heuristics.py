"""Signals against a plain-Python reference on strings, and the decisions made of them."""

import os
import re
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.heuristics.annotator import Heuristics
from annotators.heuristics.languages import languages
from annotators.heuristics.rules import DEFAULT_RULES, RULES, THRESHOLDS
from annotators.heuristics.signals import SIGNALS

ALONE = "।😀。"
EDGE = "!#"
TERMINAL = "।!。"
HAN_TOKENS_PER_WORD = 1.8

PROSE = (
    "The river rises in the hills and runs to the sea, and the people of the valley have lived "
    "with it for centuries. In spring it floods the meadows; in summer it is hardly a stream.\n"
    "Farmers built low walls that still stand today. Their children learned to read the sky, and "
    "to be ready when the clouds came over the western ridge.\nNobody knows who built the bridge.\n"
)


def annotate(
    texts: list[str], languages: Sequence[str | None], **options: object
) -> pa.RecordBatch:
    labels = {"language": pa.array(languages, pa.string())}
    return Heuristics(**options)(pa.array(texts, pa.large_string()), labels)  # type: ignore[arg-type]


def tokens_of(text: str) -> list[str]:
    """Splits a text over the small alphabet of these tests."""
    tokens: list[str] = []
    for run in re.split(f"([{ALONE}中])|\\s+", text):
        if not run or run.isspace():
            continue
        inside = run.strip(EDGE)
        if not inside:
            tokens.extend(run)
            continue
        start = run.index(inside)
        tokens.extend([*run[:start], inside, *run[start + len(inside) :]])
    return tokens


def duplicates(entries: list[str]) -> tuple[int, int]:
    again = [entry for i, entry in enumerate(entries) if entry in entries[:i]]
    return len(again), sum(map(len, again))


def duplicate_ngram_characters(tokens: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    total = i = 0
    while i <= len(tokens) - n:
        gram = tuple(tokens[i : i + n])
        if gram in seen:
            total += len("".join(gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return total


def top_ngram_characters(tokens: list[str], n: int, size: int) -> int:
    grams = Counter(tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1))
    if not grams:
        return 0
    gram, count = grams.most_common(1)[0]
    return (len("".join(gram)) + n - 1) * count


def reference(text: str) -> dict[str, float]:
    """Gives the Gopher and FineWeb signals of a text over the small alphabet."""
    tokens = tokens_of(text)
    surplus = tokens.count("中") - tokens.count("中") / HAN_TOKENS_PER_WORD
    num_tokens = len(tokens) - surplus
    words = [token for token in tokens if token.strip(ALONE + EDGE)]
    num_words = len(words) - surplus
    num_letters = sum(any(map(str.isalpha, token)) for token in tokens) - surplus
    size = max(1, len(text))
    per_word = len(tokens) / num_tokens if surplus else 1.0
    split = text.splitlines()
    lines = re.split("\n+", text)
    paragraphs = re.split("\n{2,}", text.strip())
    full = [line for line in text.split("\n") if line.strip()]
    signals = {
        "gopher_num_characters": len(text),
        "gopher_num_words": int(num_words + 0.5),
        "gopher_mean_word_length": sum(map(len, words)) / num_words if words else 0,
        "gopher_hash_ratio": text.count("#") / num_tokens if tokens else 0,
        "gopher_alpha_words": num_letters / num_tokens if tokens else 0,
        "gopher_bullet_lines": sum(x.lstrip()[:1] == "-" for x in split) / max(1, len(split)),
        "gopher_dup_line_frac": duplicates(lines)[0] / len(lines),
        "gopher_dup_line_char_frac": duplicates(lines)[1] / size,
        "gopher_dup_para_frac": duplicates(paragraphs)[0] / len(paragraphs),
        "gopher_dup_para_char_frac": duplicates(paragraphs)[1] / size,
        "fineweb_num_lines": len(full),
        "fineweb_line_punct_ratio": sum(x[-1] in TERMINAL for x in full) / max(1, len(full)),
        "fineweb_short_line_ratio": sum(len(x) <= 30 for x in full) / max(1, len(full)),
        "fineweb_char_dup_ratio": duplicates(full)[1] / max(1, len(text.replace("\n", ""))),
        "fineweb_new_line_ratio": text.count("\n") / max(1, num_tokens),
    }
    for n in (2, 3, 4):
        characters = top_ngram_characters(tokens, n, int(n * per_word + 0.5))
        signals[f"gopher_top_{n}_gram"] = characters / size
    for n in range(5, 11):
        characters = duplicate_ngram_characters(tokens, int(n * per_word + 0.5))
        signals[f"gopher_dup_{n}_gram"] = characters / size
    return signals


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.text("ab éZ \n!#।😀。中", max_size=80), min_size=1, max_size=4))
def test_signals_any_text_agree_with_plain_python(texts: list[str]) -> None:
    batch = annotate(texts, ["und"] * len(texts))
    for row, text in zip(batch.to_pylist(), texts, strict=True):
        expected = reference(text)
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\n\n\n",
        "a\n\na\n\nb",
        "a\n\na\nb\n\na\n\na\nb",
        "a b Z aa bb a b aa bb",  # two top 2-grams: the first to stand in the text counts
        "a b aa bb aa bb a b",
        "\na\n",
        "  \n a \n",
        "  a b\n\na b\n\nb",  # the first paragraph begins behind the spaces
        "a b Z aa bb a b Z aa bb é",
        "one two one two one two " * 4,
        "中" * 40,
    ],
)
def test_signals_edge_cases_agree_with_plain_python(text: str) -> None:
    row = annotate([text], ["und"]).to_pylist()[0]
    expected = reference(text)
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_signals_ellipses_and_bullets_are_counted() -> None:
    row = annotate(["- one...\n• two…\nthree......\nfour"], [None]).to_pylist()[0]
    assert row["gopher_bullet_lines"] == 0.5
    assert row["gopher_ellipsis_lines"] == 0.75
    # 4 ellipses; tokens: - one ... | bullet two ellipsis | three ...... | four
    assert row["gopher_ellipsis_ratio"] == pytest.approx(4 / 9)


def test_signals_c4_rules_look_at_lines_that_survive() -> None:
    text = (
        "This page uses cookies for you.\nThis needs JavaScript to work.\nA good line. And more!\n"
        "No end here\nshort.\nEnds in dots...\nA cited fact stands here.[12]\n"
        "Lorem IPSUM here it is."
    )
    row = annotate([text], ["eng_Latn"], rules=["c4"]).to_pylist()[0]
    assert row["c4_num_lines"] == 8
    assert row["c4_policy_lines"] == row["c4_javascript_lines"] == row["c4_short_lines"] == 1 / 8
    assert row["c4_terminal_punct_lines"] == 6 / 8
    assert row["c4_num_sentences"] == 4
    assert (row["c4_lorem_ipsum"], row["c4_curly_bracket"]) == (True, False)
    assert row["quality_reason"] == "c4_lorem_ipsum"


def test_signals_c4_curly_bracket_counts_in_full_lines_only() -> None:
    texts = ["if (x) { return; }", "Write {x} for the value."]
    found = annotate(texts, ["eng_Latn"] * 2)["c4_curly_bracket"].to_pylist()
    assert found == [False, True]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One is here. Two is here! Is it?", 3),
        ("Mr. Smith, e.g. J. Smith, paid 3.50 to the U.S. bank.", 1),
        ('He said (in a low voice.) "Go home now." Then he left.', 3),
        ("Wait... what is this?! No, really.", 2),
        ("这是第一句。这是第二句！", 2),
        ("No end in this line\nA full line ends here.", 1),
    ],
)
def test_signals_c4_sentences_end_at_marks_that_are_words(text: str, count: int) -> None:
    assert annotate([text], ["eng_Latn"])["c4_num_sentences"].to_pylist() == [count]


@pytest.mark.parametrize("mark", ["[12]", "[edit]", "[citation needed]", "[3][edit]", "[]"])
def test_signals_c4_citations_behind_a_line_do_not_hide_its_end(mark: str) -> None:
    texts = [f"A fact stands here.{mark}", f"A fact stands here{mark}"]
    found = annotate(texts, ["eng_Latn"] * 2)["c4_terminal_punct_lines"].to_pylist()
    assert found == [1, 0]


@pytest.mark.parametrize(
    "phrase",
    ["JavaScript", "Terms of Use", "privacy POLICY", "cookie policy", "use of cookies"],
)
def test_signals_c4_phrase_is_found_at_both_ends_of_a_text(phrase: str) -> None:
    for text in (f"{phrase} is what it is.", f"This is about {phrase}"):
        row = annotate([text, text.replace("i", "1").replace("o", "0")], ["eng_Latn"] * 2)
        columns = ("c4_javascript_lines", "c4_policy_lines")
        assert [sum(row[name].to_pylist()[i] for name in columns) for i in range(2)] == [1, 0]


def test_rules_c4_paragraph_asks_for_three_long_lines() -> None:
    long, short = "b" * 200, "b" * 199
    texts = ["\n".join(lines) for lines in ([long] * 3, [long, long, short], [short] * 9, [""])]
    batch = annotate(texts, ["und"] * 4, rules=["c4_paragraph"])
    assert batch["c4_long_lines"].to_pylist() == [3, 2, 0, 0]
    assert batch["quality_keep"].to_pylist() == [True, False, False, False]


ODD = {
    "empty": "",
    "white space": " \t\n\u3000\r\x0b" * 50,
    "digits": "0123456789" * 100,
    "emoji": "😀👍🏽👨‍👩‍👧‍👦🇩🇪" * 100,
    "nul": "\x00" * 1000,
    "nul between": "a\x00b c\x00\n" * 100,
    "zalgo": "z\u0301\u0302\u0303\u0316\u0323" * 500,
    "marks": "!?.,;:-_/\\()[]{}<>|~#'\"" * 50,
    "dots": "." * 5000 + " .. . ...." * 100,
    "mixed": "abc中文ไทยكلمةहिन्दी" * 100,
    "one mark at the end": "word." * 1000,
    "brackets": "[1][edit]]]][" * 100,
    "not characters": "\ufdd0\ufffe\U0010ffff\ue000\u200b\ufeff" * 100,
}


@pytest.mark.parametrize("name", ODD)
def test_annotator_odd_text_gets_a_row_like_any_other(name: str) -> None:
    rules = list(RULES)
    for code in ("eng_Latn", "zho_Hans", "tha_Thai", None):
        row = annotate([ODD[name]], [code], rules=rules).to_pylist()[0]
        assert row["quality_keep"] is False  # too few, too many, or the same again
        assert row["gopher_num_characters"] == len(ODD[name])
        for signal, _ in SIGNALS:
            assert row[signal] is not None or signal == "gopher_stop_words"


@pytest.mark.skipif(not os.environ.get("TOKENMILL_SLOW"), reason="TOKENMILL_SLOW=1 runs it")
@pytest.mark.parametrize(
    "unit", ["a", "!", "word ", "中", "a.", "ab-", ":)", "x1", "\n", "é", "\x00"]
)
def test_annotator_50_mb_in_one_line_get_a_row(unit: str) -> None:
    text = unit * (50_000_000 // len(unit.encode()))
    row = annotate([text], ["eng_Latn"]).to_pylist()[0]
    assert row["gopher_num_characters"] == len(text)


def test_keep_english_prose_passes_and_broken_copies_name_their_rule() -> None:
    texts = [
        PROSE,
        "Too short.",
        PROSE.replace("\n", "\n# # # # # # # # # # # # # # # # # # # # # # # # # # #\n"),
        PROSE * 6,
        re.sub(r"[.;]", " ", PROSE),
        re.sub(r"\b(the|be|to|of|and|that|have|with)\b", "xyz", PROSE),
        "",
    ]
    batch = annotate(texts, ["eng_Latn"] * len(texts))
    assert batch["quality_reason"].to_pylist() == [
        None,
        "gopher_too_few_words",
        "gopher_hash_ratio",
        "gopher_dup_line_frac",
        "fineweb_line_punct_ratio",
        "gopher_stop_words",
        "gopher_too_few_words",
    ]
    assert batch["quality_keep"].to_pylist() == [True, *[False] * 6]


SPACELESS = {
    "zho_Hans": "我们在城市的北边发现了一座很旧的图书馆，里面有许多关于历史和科学的书。"
    "每天早上老师和学生都会来到这里，安静地阅读自己喜欢的故事，也会一起讨论世界上发生的事情。"
    "因为这座建筑是一百年前建成的，所以很多游客也愿意花时间参观，并且在花园中休息、拍照和喝茶。",
    "jpn_Jpan": "私たちは町の北側で古い図書館を見つけました。"
    "そこには歴史や科学に関する本がたくさんあります。"
    "毎朝、先生と学生がここに来て、好きな物語を静かに読み、世界で起きた出来事について話し合います。"
    "この建物は百年前に建てられたので、多くの観光客も時間をかけて見学し、庭で休んだり写真を撮ったりします。",
    "tha_Thai": "เราพบห้องสมุดเก่าแห่งหนึ่งทางทิศเหนือของเมือง ที่นั่นมีหนังสือเกี่ยวกับประวัติศาสตร์และวิทยาศาสตร์มากมาย "
    "ทุกเช้าครูและนักเรียนจะมาที่นี่เพื่ออ่านเรื่องที่ตนชอบอย่างเงียบ ๆ และพูดคุยกันเรื่องเหตุการณ์ในโลก "
    "อาคารหลังนี้สร้างขึ้นเมื่อร้อยปีก่อน นักท่องเที่ยวจำนวนมากจึงใช้เวลาเยี่ยมชม พักผ่อนในสวน ถ่ายรูป และดื่มชา",
}


@pytest.mark.parametrize("language", SPACELESS)
@pytest.mark.parametrize("label", ["own", "und", None])
def test_keep_prose_without_spaces_passes(language: str, label: str | None) -> None:
    batch = annotate([SPACELESS[language]], [language if label == "own" else label])
    assert batch["quality_reason"].to_pylist() == [None]
    stop_words = batch["gopher_stop_words"].to_pylist()[0]
    assert stop_words >= 2 if label == "own" else stop_words is None


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("zho_Hans", "你好世界。"),
        ("hin_Deva", "यह एक वाक्य है।"),
        ("arb_Arab", "هل هذا سؤال؟"),
        ("urd_Arab", "یہ ایک جملہ ہے۔"),
        ("hye_Armn", "Սա նախադասություն է։"),
        ("hye_Armn", "Սա նախադասություն է:"),
        ("mya_Mymr", "ဒါက စာကြောင်းပါ။"),
    ],
)
def test_signals_terminal_punctuation_of_script_ends_line(language: str, line: str) -> None:
    row = annotate([f"{line}\n{line[:-1]}"], [language]).to_pylist()[0]
    assert row["fineweb_line_punct_ratio"] == row["c4_terminal_punct_lines"] == 0.5


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        ("eng_Latn", "the The the of thee", 2),
        ("fra_Latn", "l'eau est d'ici", 3),
        ("zho_Hans", "他的书在这里", 3),
        ("und", "the of", None),
    ],
)
def test_stop_words_different_ones_are_counted_once(
    language: str, text: str, count: int | None
) -> None:
    assert annotate([text], [language])["gopher_stop_words"].to_pylist() == [count]


def test_annotator_slices_and_concatenation_give_the_same_rows() -> None:
    texts = ["", PROSE, "😀" * 60, *SPACELESS.values(), "z\u0301\u0302" * 30, "a\x00b", " \t"]
    codes = ["eng_Latn", "eng_Latn", None, *SPACELESS, "und", "und", "kor_Hang"]
    array, labels = pa.array(texts, pa.large_string()), pa.array(codes, pa.string())
    annotator = Heuristics()
    whole = annotator(array, {"language": labels})
    parts = [
        annotator(array.slice(start, 3), {"language": labels.slice(start, 3)})
        for start in range(0, len(texts), 3)
    ]
    assert pa.Table.from_batches(parts).equals(pa.Table.from_batches([whole]).combine_chunks())
    assert whole.num_rows == len(texts)
    assert annotator(array.slice(0, 0), {"language": labels.slice(0, 0)}).num_rows == 0


def test_annotator_columns_are_as_declared() -> None:
    batch = annotate([PROSE], ["eng_Latn"])
    assert batch.schema == Heuristics.columns
    assert batch.schema.names[:3] == ["quality_keep", "quality_reason", "quality_score"]
    assert batch.schema.names[3:] == [name for name, _ in SIGNALS]
    assert Heuristics().model_files()[0].is_file()


def test_annotator_long_single_line_is_measured_whole() -> None:
    # 3 MB without a line break, then the same without a space.
    batch = annotate(["word " * 600_000, "a" * 3_000_000], ["eng_Latn"] * 2)
    assert batch["gopher_num_words"].to_pylist() == [600_000, 1]
    assert batch["gopher_dup_10_gram"].to_pylist()[0] == pytest.approx(0.8, abs=1e-4)
    reasons = ["gopher_too_many_words", "gopher_too_few_words"]
    assert batch["quality_reason"].to_pylist() == reasons


def test_annotator_invalid_utf8_is_measured_without_reading_past_the_text() -> None:
    data = b"ok \xf0\x9f" + b"\x98\x80 more"
    offsets = pa.py_buffer(pa.array([0, 5, 11], pa.int64()).buffers()[1])
    array = pa.LargeStringArray.from_buffers(2, offsets, pa.py_buffer(data))
    batch = Heuristics()(array, {"language": pa.array(["und", "und"])})
    assert batch["gopher_num_characters"].to_pylist() == [5, 6]


def test_thresholds_override_replaces_every_language_and_none_switches_off() -> None:
    options = {"thresholds": {"gopher_min_words": 2, "fineweb_max_short_line_ratio": None}}
    texts = ["It is to be hoped that the rain ends.", "한국의 수도는 서울이고 이 도시는 매우 크다."]
    codes = ["eng_Latn", "kor_Hang"]
    kept = annotate(texts, codes, rules=["gopher_quality"], **options)["quality_keep"]
    assert kept.to_pylist() == [True, True]
    assert (
        annotate(texts, codes, rules=["gopher_quality"])["quality_keep"].to_pylist() == [False] * 2
    )


def test_rules_order_decides_the_reason_and_none_keeps_all() -> None:
    for rules in (["gopher_quality", "fineweb"], ["fineweb", "gopher_quality"]):
        reason = annotate([""], ["und"], rules=rules)["quality_reason"].to_pylist()[0]
        assert reason.startswith(rules[0].split("_")[0])
    assert annotate([""], ["und"], rules=[])["quality_keep"].to_pylist() == [True]


def test_annotator_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown rules \\['gofer'\\]; allowed are"):
        Heuristics(rules=["gofer"])
    with pytest.raises(ValueError, match="twice"):
        Heuristics(rules=["c4", "c4"])
    with pytest.raises(ValueError, match="unknown thresholds \\['min_words'\\]; allowed are"):
        Heuristics(thresholds={"min_words": 3})
    with pytest.raises(ValueError, match=r"thresholds\.gopher_min_words: found 'x'"):
        Heuristics(thresholds={"gopher_min_words": "x"})  # type: ignore[dict-item]


def test_annotator_wrong_labels_are_refused() -> None:
    texts = pa.array(["a"], pa.large_string())
    with pytest.raises(ValueError, match="no 'language'"):
        Heuristics()(texts, {})
    with pytest.raises(ValueError, match="0 language labels for 1 texts"):
        Heuristics()(texts, {"language": pa.array([], pa.string())})


def test_unknown_languages_are_measured_as_undetermined() -> None:
    texts = pa.array(["Nobody in this village remembers who built the stone wall. " * 9] * 2)
    labels = {"language": pa.array(["fr", "und"])}
    one, two = Heuristics()(texts.cast(pa.large_string()), labels).to_pylist()
    assert one == two


def test_languages_table_covers_119_and_names_known_thresholds() -> None:
    assert len(languages()) == 120
    for code, language in languages().items():
        assert set(language.thresholds) <= set(THRESHOLDS)
        assert bool(language.stop_words) == (code != "und")


def test_rules_names_are_unique_and_defaults_are_known() -> None:
    rules = [rule for group in RULES.values() for rule in group]
    assert len({rule.reason for rule in rules}) == len(rules) == len(THRESHOLDS)
    assert set(DEFAULT_RULES) < set(RULES)

"""What is read in an answer: headers in every shape, tables, formulas; what is of no page."""

import pytest

from pipelines.extract.pdf.vl_answer import Header, PageAnswer, read_answer

FULL = """---
primary_language: de
is_rotation_valid: true
rotation_correction: 0
is_table: false
is_diagram: true
---
"""
TEXT = "Die Mühle am Fluss steht still."
SAID = Header(language="de", is_table=False, is_diagram=True)


@pytest.mark.parametrize(
    "answer",
    [
        f"{FULL}\n{TEXT}",
        f"\n\n{FULL}{TEXT}\n",
        f"```markdown\n{FULL}\n{TEXT}\n```",
        f"{FULL}\n```markdown\n{TEXT}\n```",
        f"{FULL.replace('---', '```', 2).replace('```', '```yaml', 1)}\n{TEXT}",
        f"{FULL.replace('---', '')}\n{TEXT}",
        FULL.replace(": de", ': "de"').replace("true", "True").replace("false", "no") + TEXT,
        f"{FULL.replace('---', '- - -').replace('- - -', '---', 1).replace('- - -', '...')}{TEXT}",
        "---\n" + "\n".join(f"**{line}**" for line in FULL.split("\n")[1:6]) + f"\n---\n{TEXT}",
    ],
)
def test_a_header_is_read_in_whatever_dress(answer: str) -> None:
    assert read_answer(answer) == PageAnswer(header=SAID, text=TEXT)


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        ("is_rotation_valid: false\nrotation_correction: 90", Header(turn=90)),
        ("is_rotation_valid: false\nrotation_correction: -90", Header(turn=270)),
        ("is_rotation_valid: false\nrotation_correction: 180 degrees", Header(turn=180)),
        ("rotation_correction: 270", Header(turn=270)),
        ("is_rotation_valid: true\nrotation_correction: 90", Header()),
        ("is_rotation_valid: false\nrotation_correction: 0", Header()),
        ("is_rotation_valid: false\nrotation_correction: 45", Header()),
        ("is_rotation_valid: perhaps\nrotation_correction: left", Header()),
        ("primary_language: zh-Hant", Header(language="zh-hant")),
        ("primary_language: null", Header()),
        ("primary_language: the language of the mill", Header()),
        ("is_table: maybe", Header()),
    ],
)
def test_what_is_not_allowed_counts_as_not_said(lines: str, header: Header) -> None:
    assert read_answer(f"---\n{lines}\n---\n{TEXT}") == PageAnswer(header=header, text=TEXT)


def test_a_text_without_a_header_is_a_text() -> None:
    assert read_answer(TEXT) == PageAnswer(text=TEXT)
    ruled = f"---\n\n{TEXT}\n\n---\n\nEnde: ja"
    assert read_answer(ruled) == PageAnswer(text=ruled)


def test_the_rules_of_a_page_are_not_its_header() -> None:
    assert read_answer(f"{FULL}\nTitle: Mill\n---\n{TEXT}").text == f"Title: Mill\n---\n{TEXT}"


def test_tables_and_formulas_take_the_form_of_the_house() -> None:
    answer = f"""{FULL}
Weights, \\(w < 5\\):

<table>
<tr><th rowspan="2">Year</th><th colspan="2">Tons</th></tr>
<tr><th>rye</th><th>oats</th></tr>
<tr><td>1901</td><td>p < 0.05</td><td>$a<b$ | c</td></tr>
</table>

![The mill](mill.png)
\\[
w = \\frac{{m}}{{2}}
\\]

| a | b |
| --- | --- |
| 1 | 2 |"""
    assert read_answer(answer).text == (
        "Weights, $w < 5$:\n\n"
        "| Year | Tons | Tons |\n| --- | --- | --- |\n| Year | rye | oats |\n"
        "| 1901 | p < 0.05 | $a<b$ \\| c |\n\n"
        "$$w = \\frac{m}{2}$$\n\n"
        "| a | b |\n| --- | --- |\n| 1 | 2 |"
    )


def test_a_table_that_breaks_off_keeps_its_rows() -> None:
    answer = "<table><tr><td>rye</td><td>12</td></tr><tr><td>oats</td><td>7"
    assert read_answer(answer).text == "| rye | 12 |\n| --- | --- |\n| oats | 7 |"


@pytest.mark.parametrize(
    ("answer", "flaw"),
    [
        ("I'm sorry, but I can't help with that.", "refused"),
        ('{"primary_language": "de", "natural_text": "Die', "failed"),
        ('[{"text": "Die Mühle"}]', "failed"),
        ("\x00\ufffd]]}> \x1b[31m \x07\x07", "failed"),
        (f"{FULL}\n" + "The wheel turns and turns.\n" * 3, "repeating"),
    ],
)
def test_what_is_no_page(answer: str, flaw: str) -> None:
    found = read_answer(answer)
    assert (found.flaw, found.text) == (flaw, "")
    assert found.message


def test_a_page_may_well_be_sorry() -> None:
    letter = "I'm sorry, she wrote, that you could not come."
    assert read_answer(f"{FULL}\n{letter}") == PageAnswer(header=SAID, text=letter)
    code = '{\n  "wheels": 2\n}'
    assert read_answer(f"{FULL}\n{code}").text == code


@pytest.mark.parametrize(
    "text", ["", "The page is blank.", "(No text)", "[Blank page]", "Leere Seite", "空白页", "null"]
)
def test_nothing_is_written(text: str) -> None:
    assert read_answer(f"{FULL}\n{text}") == PageAnswer(header=SAID, text="")


def test_a_page_may_say_that_it_was_left_blank() -> None:
    text = "This page intentionally left blank"
    assert read_answer(text).text == text

"""Shares of code and math lines: exact counts on small texts in several scripts."""

import pyarrow as pa
import pytest

from annotators.stem.annotator import Stem


def shares(*texts: str) -> list[tuple[float, float]]:
    found = Stem()(pa.array(texts, pa.large_string()), {})
    assert found.schema == Stem.columns
    columns = (found[name].to_pylist() for name in ("code_share", "math_share"))
    return [(round(code, 4), round(math, 4)) for code, math in zip(*columns, strict=True)]


CODE_LINES = [
    "def f(x):",
    "    return foo(bar);",
    "if (a == b && c) {",
    "});",
    "}",
    "#include <stdio.h>",
    "SELECT name FROM users WHERE id = 1;",
    "print('привет, мир')",
    ">>> 数 + 1",
    "// Комментарий",
    "x = compute(数据)",
    "std::vector<int> v;",
    '{ "ключ": 1 }',
    '<div class="a">текст</div>',
]
MATH_LINES = [
    "Let $x$ be a prime.",
    "设 $a^2 + b^2 = c^2$ 成立",
    r"Пусть \(n\) чётно",
    r"\frac{a}{b}",
    r"\begin{lemma}",
    "∀ε ∃δ",
    r"\alpha \le \beta",
    "$$ E = m c^2 $$",
]
PROSE_LINES = [
    "for he is good;",
    "    for the moon is high;",
    "if you want (see below):",
    "The document(s) cost $5 and $10, or $5-$10.",
    "Iron(III) oxide; see Smith(2020)",
    r"C:\Users\alpha\text",
    "- [ссылка](http://example.com/c_d?e=f&g=h)",
    "https://example.com/?a=b&c=d;",
    "| a | b | c |",
    "==== Heading ====",
    "---",
    "Kosten: Mitarbeiter(in) gesucht;",
    "echo $HOME/$USER:$PATH",
    "\u22125 °C and \u2212 \u2219 \u22c5",
    "吾輩は猫である。名前はまだ無い。",
    "بسم الله الرحمن الرحيم",
    "🙂 (smile) :)",
    "$",
    "\\",
]


@pytest.mark.parametrize("line", CODE_LINES)
def test_line_of_code_counts_as_code(line: str) -> None:
    assert shares(line) == [(1.0, 0.0)]


@pytest.mark.parametrize("line", MATH_LINES)
def test_line_of_math_counts_as_math(line: str) -> None:
    assert shares(line) == [(0.0, 1.0)]


@pytest.mark.parametrize("line", PROSE_LINES)
def test_line_of_prose_counts_as_neither(line: str) -> None:
    assert shares(line) == [(0.0, 0.0)]


def test_texts_without_lines_have_shares_of_zero() -> None:
    assert shares("", "\n \t\r\n\n", "🙂") == [(0.0, 0.0)] * 3
    assert Stem()(pa.array([], pa.large_string()), {}).num_rows == 0


@pytest.mark.parametrize("sentence", ["Prose goes on. ", "Слово за словом. ", "物語は続く。"])
def test_a_long_line_counts_as_if_it_were_wrapped(sentence: str) -> None:
    fence = "```\na = 1\nb = 2\n```\n"
    paragraph = (sentence * 200)[:800].strip()
    num_lines = -(-len(paragraph) // 80)
    wrapped = "\n".join(paragraph[at : at + 80] for at in range(0, len(paragraph), 80))
    assert shares(paragraph + "\n" + fence) == [(round(4 / (4 + num_lines), 4), 0.0)]
    assert shares(paragraph + "\n" + fence) == shares(wrapped + "\n" + fence)
    assert shares("x" * 80 + "\n" + fence, "x" * 81 + "\n" + fence) == [(0.8, 0.0), (0.6667, 0.0)]
    long_code = "f(" + "a, " * 60 + "b == c) {"
    assert shares("word\n" + long_code) == [(0.75, 0.0)]


def test_blank_lines_are_not_counted() -> None:
    assert shares("Проза.\r\n\r\n\r\nx = f(y);\r\n") == [(0.5, 0.0)]


def test_fenced_lines_are_code_whatever_they_hold() -> None:
    text = "Введение.\n```python\nただの言葉\n\nhello world\n```\n終わり。"
    assert shares(text) == [(round(4 / 6, 4), 0.0)]


def test_fence_that_says_math_holds_math() -> None:
    assert shares("a b\n~~~latex\nx over y\n~~~\n") == [(0.0, 0.75)]


def test_fence_closes_only_with_as_many_of_the_same_mark() -> None:
    assert shares("````\na b\n```\nc d\n~~~~\n````\ne f\n") == [(round(6 / 7, 4), 0.0)]


def test_fence_without_an_end_opens_nothing() -> None:
    assert shares("```\nИ стал свет.\nAnd there was light.\n") == [(0.0, 0.0)]


def test_many_unclosed_fences_are_each_passed_over() -> None:
    assert shares("````\n" + "```x\nword\n" * 2000) == [(0.0, 0.0)]


def test_displayed_formula_counts_every_line() -> None:
    assert shares("Es gilt\n$$\na over b\nc\n$$\nalso\n") == [(0.0, round(4 / 6, 4))]
    environment = "\\begin{align*}\na over b\n\\end{align*}\nprose here\n"
    assert shares(environment) == [(0.0, 0.75)]


def test_display_without_an_end_counts_no_prose() -> None:
    assert shares("$$\n" + "слово за словом\n" * 99) == [(0.0, 0.0)]


def test_slice_of_an_array_gives_what_its_texts_give() -> None:
    texts = ["x = f(y);", "$a$ 数学", "", "проза", "a\n}\n"]
    whole = pa.array(texts, pa.large_string())
    assert Stem()(whole.slice(1, 3), {}).to_pylist() == [
        row
        for text in texts[1:4]
        for row in Stem()(pa.array([text], pa.large_string()), {}).to_pylist()
    ]
    assert shares(*texts) == [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (0.0, 0.0), (0.5, 0.0)]


def test_last_line_is_not_read_beyond_its_text() -> None:
    # Each text ends where a sign would need the first byte of the next.
    assert shares("see \\", "(x\\)", "cost $", "n$", "a:", ":b") == [(0.0, 0.0)] * 6


def test_null_text_is_refused() -> None:
    with pytest.raises(ValueError, match="null"):
        Stem()(pa.array(["a", None], pa.large_string()), {})


def column(name: str, *texts: str) -> list[object]:
    return list(Stem()(pa.array(texts, pa.large_string()), {})[name].to_pylist())


def test_formulas_are_counted_per_thousand_characters() -> None:
    texts = {
        "Let $x$ be.": 1,  # one span
        r"\(n\) и \[m\]": 2,
        r"\frac{a}{b} = \alpha": 2,
        "∀ε ∃δ": 2,
        "數學 <math><mi>x</mi></math>": 1,
        "𝐴 = 𝐵": 2,
        "$a$ $b$": 2,
        "The prices are $5 and $10.": 0,
        r"C:\Users\alpha": 0,
        "吾輩は猫である。名前はまだ無い。": 0,
        "": 0,
    }
    told = [1000 * marks / max(len(text), 1) for text, marks in texts.items()]
    assert column("formula_density", *texts) == pytest.approx(told)
    assert column("formula_density", "```php\n$a = $b + $c;\n```\n") == [0.0]


CODE = {
    "Python": "import os\n\ndef main(args):\n    for x in range(3):\n        print(x)\n"
    "    return None\n",
    "C": "#include <stdio.h>\nint main(void) {\n  char *p = malloc(9);\n  printf(\"%d\", 1);\n}\n",
    "Rust": "fn main() {\n    let mut v: Vec<i32> = vec![];\n    println!(\"{}\", v.len());\n}\n",
    "Go": "package main\nimport \"fmt\"\nfunc main() {\n\tx := 1\n\tfmt.Println(x)\n}\n",
    "JavaScript": "const f = (a) => a === null;\nconsole.log(f(undefined));\n"
    "var x = function() {};\n",
    "SQL": "SELECT name FROM users WHERE id = 1;\nINSERT INTO t (a) VALUES (1);\n",
    "Haskell": "module Main where\n\nimport qualified Data.Map as M\n\n"
    "main :: IO ()\nmain = do\n  putStrLn $ show (foldr (+) 0 [1..9])\n"
    "f :: Maybe Int -> Int\nf (Just x) = x\nf Nothing = case 1 of _ -> 0\n",
    "Java": "import java.util.List;\npublic class A {\n  public static void main(String[] args) {\n"
    "    System.out.println(1);\n  }\n}\n",
    "PHP": "<?php\n$a = array(1);\nforeach ($a as $x) {\n  echo $this->name($x);\n}\n",
    "R": "library(ggplot2)\nx <- c(1, 2)\ny <- data.frame(x)\nprint(summary(y))\n",
}  # fmt: skip


@pytest.mark.parametrize("language", CODE)
def test_code_tells_its_language(language: str) -> None:
    fenced = f"Вот пример:\n\n```\n{CODE[language]}```\n"
    assert column("programming_language", CODE[language], fenced) == [language] * 2


def test_a_fence_that_names_a_language_is_believed() -> None:
    text = "例：\n```{}\nfoo bar\nbaz qux\n```\n"
    names = ["python", "C++", "js", "rb", "{.haskell}", "text"]
    told = ["Python", "C++", "JavaScript", "Ruby", "Haskell", None]
    assert column("programming_language", *map(text.format, names)) == told
    assert column("programming_language_score", text.format("py")) == [1.0]


def test_a_language_that_is_not_known_is_not_guessed() -> None:
    def text(word: str) -> str:
        return f"例：\n```{word}\n{CODE['Java']}```\n"

    assert column("programming_language", text("vim"), text("brainfuck")) == [None] * 2
    for word in ("", "text", "output", "src/A.txt", ":title=1"):
        assert column("programming_language", text(word)) == ["Java"], word
    both = text("vim") + text("java") + text("java")
    assert column("programming_language", both) == ["Java"]
    assert column("programming_language_score", both) == [pytest.approx(2 / 3)]


def test_prose_has_no_programming_language() -> None:
    prose = ["For whom the bell tolls; it tolls for thee.", "国の始まり。", "И стал свет.",
             "كان يا ما كان", "", "🙂\n\n", "x = f(y);", "{ } ( ) ; = <>"]  # fmt: skip
    assert column("programming_language", *prose) == [None] * len(prose)
    assert column("programming_language_score", *prose) == [None] * len(prose)


def test_odd_input_gets_a_row() -> None:
    odd = ["\0\0", "```", "```\n```", "#" * 5000, "a" * 100_000, "$" * 999, "\\" * 999, "<?php"]
    assert len(column("programming_language", *odd)) == len(odd)

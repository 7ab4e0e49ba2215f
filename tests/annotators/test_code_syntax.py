"""Whether the Python of a document parses, and what pyflakes says of it."""

import pyarrow as pa
import pytest

from annotators.code_syntax.annotator import MAX_CHARACTERS, CodeSyntax
from annotators.code_syntax.fences import fenced_blocks

CLEAN = "def größe(x):\n    return len(x)\n\n\nprint(größe('数'))\n"
UNUSED = "import os\nimport sys\n\nprint(1)\n\n"
BROKEN = "def f(:\n    pass\n"
PYTHON_2 = "print 'hello'\n"


def labels(
    text: str,
    media_type: str | None = None,
    code_share: float | None = None,
    language: str | None = None,
) -> dict[str, object]:
    given = {
        "media_type": pa.array([media_type], pa.string()),
        "code_share": pa.array([code_share], pa.float32()),
        "programming_language": pa.array([language], pa.string()),
    }
    batch = CodeSyntax()(pa.array([text], pa.large_string()), given)
    assert batch.schema == CodeSyntax.columns
    return dict(batch.to_pylist()[0])


def row(ok: float | None, lint: float | None, lines: int) -> dict[str, object]:
    return {"syntax_ok": ok, "lint_per_100_lines": lint, "python_lines": lines}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CLEAN, row(1, 0, 3)),
        (UNUSED, row(1, pytest.approx(200 / 3), 3)),
        ("print(nobody_knows)\n", row(1, 100, 1)),
        (BROKEN, row(0, None, 2)),
        (PYTHON_2, row(0, None, 1)),
        ("x = '\\d'\n", row(1, 0, 1)),  # a warning of the parser is none of ours
        ("(" * 5000, row(0, None, 1)),
        ("x = 1\x00\n", row(0, None, 1)),
        ("-" * 50_000 + "1", row(0, None, 1)),
        ("x = 1\n" * MAX_CHARACTERS, row(None, None, 0)),
        (" \n", row(None, None, 0)),
    ],
)
def test_files_are_judged_whole(text: str, expected: dict[str, object]) -> None:
    assert labels(text, "text/x-python") == expected


def test_blocks_are_judged_one_by_one() -> None:
    text = (
        f"Wie man zählt:\n\n```python\n{CLEAN}```\n\n~~~ {{.py}}\n{BROKEN}~~~\n```js\nlet a;\n```\n"
    )
    assert labels(text) == row(0.5, 0, 5)
    indented = "- a\n\n  ```py\n  import os\n  x = nobody_knows(os)\n  ```\n"
    assert labels(indented) == row(1, 0, 2)
    assert labels("```python\n    x = 1\n    y = x\n```\n") == row(1, 0, 2)
    assert labels("```python\n>>> 1 + 1\n2\n```\n") == row(None, None, 0)
    assert labels("```python\nx = 1\n") == row(None, None, 0)  # never closed


def test_other_labels_say_what_blocks_and_files_are() -> None:
    bare = f"```\n{BROKEN}```\n"
    assert labels(bare) == row(None, None, 0)
    assert labels(bare, None, 0.4, "Python") == row(0, None, 2)
    assert labels(BROKEN, "text/plain", 0.9, "Python") == row(0, None, 2)
    assert labels(BROKEN, "text/plain", 0.2, "Python") == row(None, None, 0)
    joined = "<|repo_name|>octo/tool\n<|file_sep|>a.py\n" + CLEAN
    assert labels(joined, "text/plain", 0.9, "Python") == row(None, None, 0)
    assert labels(BROKEN, "text/plain", 0.9, "Rust") == row(None, None, 0)


def test_no_texts_give_no_rows() -> None:
    given = {name: pa.array([], pa.string()) for name in CodeSyntax.inputs}
    assert CodeSyntax()(pa.array([], pa.large_string()), given).num_rows == 0


def test_fences_close_as_markdown_says() -> None:
    text = "````md\n```python\nx\n```\n````\n```\n~~~\n```\n  ```py\n  a\n b\n  ```"
    assert [(one.language, one.text) for one in fenced_blocks(text)] == [
        ("md", "```python\nx\n```\n"),
        ("", "~~~\n"),
        ("py", "a\nb\n"),
    ]

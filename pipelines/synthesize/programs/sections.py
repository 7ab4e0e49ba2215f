"""What a model's answer holds: sections under headings, and the Python in them.

A recipe asks for sections by name (`## Problem`, `## Solution`, `## Tests`, ...). Headings of other
names belong to the section that they stand in, and so does everything in a code block.
"""

import re
from typing import Final

from annotators.code_syntax.fences import fenced_blocks

PROBLEM: Final = "problem"
DIFFICULTY: Final = "difficulty"
SOLUTION: Final = "solution"
TESTS: Final = "tests"
GENERATOR: Final = "generator"

_HEADING: Final = re.compile(r" {0,3}#{1,6}[ \t]+[*_]*([A-Za-z ]+?)[*_:#. \t]*$")
_NAMES: Final = {
    "problem": PROBLEM,
    "problem statement": PROBLEM,
    "difficulty": DIFFICULTY,
    "solution": SOLUTION,
    "tests": TESTS,
    "test": TESTS,
    "generator": GENERATOR,
    "input generator": GENERATOR,
}
_PYTHON: Final = ("python", "py", "python3", "")


def sections_of(answer: str) -> dict[str, str]:
    """Name -> text of the sections of an answer; of two of one name the last.

    >>> sections_of("## Problem\\nAdd *a* and *b*.\\n### **Tests:**\\n...")
    {'problem': 'Add *a* and *b*.', 'tests': '...'}
    """
    inside = set[int]()
    for block in fenced_blocks(answer):
        inside.update(range(block.first_line, block.end_line))
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for number, line in enumerate(answer.split("\n")):
        heading = None if number in inside else _HEADING.match(line)
        name = _NAMES.get(" ".join(heading[1].lower().split())) if heading else None
        if name is not None:
            lines = found[name] = []
        else:
            lines.append(line)
    return {name: "\n".join(lines).strip() for name, lines in found.items()}


def python_of(section: str) -> str | None:
    """The longest block of Python in a section; None where it has none.

    >>> python_of("Here it is:\\n```python\\nprint(1)\\n```\\n")
    'print(1)\\n'
    """
    blocks = [block.text for block in fenced_blocks(section) if block.language in _PYTHON]
    return max(blocks, key=len, default=None) if any(one.strip() for one in blocks) else None

"""Fenced code blocks of a Markdown text (CommonMark 0.31, 4.5), one pass over its lines.

A fence is three or more ` or ~ behind at most three blanks; the block ends at a line of as many or
more of the same character. A block without an end is none: its answer or page was cut off.
"""

import re
from typing import Final, NamedTuple

_FENCE: Final = re.compile(r"( {0,3})(`{3,}|~{3,})[ \t]*([^`\n]*)$")


class Block(NamedTuple):
    """What stands between two fences."""

    language: str
    """First word behind the opening fence, in lower case; empty where there is none."""
    text: str
    """Its lines, each with its line end."""
    first_line: int
    """Of the text, from 0."""
    end_line: int
    """The line of the closing fence."""


def fenced_blocks(text: str) -> list[Block]:
    """All closed blocks, in order.

    >>> fenced_blocks("a\\n```Python\\nx = 1\\n```\\n~~~\\nnever closed")
    [Block(language='python', text='x = 1\\n', first_line=2, end_line=3)]
    """
    blocks: list[Block] = []
    fence, indent, language, lines, first = "", 0, "", list[str](), 0
    for number, line in enumerate(text.split("\n")):
        found = _FENCE.match(line)
        if not fence:
            if found:
                fence, indent = found[2], len(found[1])
                words = found[3].split()
                language = words[0].strip("{}.").lower() if words else ""
                lines, first = [], number + 1
        elif found and found[2].startswith(fence) and not found[3].strip():
            blocks.append(Block(language, "".join(lines), first, number))
            fence = ""
        else:
            blanks = len(line) - len(line.lstrip(" "))
            lines.append(line[min(indent, blanks) :] + "\n")
    return blocks

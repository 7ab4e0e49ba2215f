"""The text of an article that a page states for machines and writes by script alone.

`articleBody` of schema.org in JSON-LD, the longest of several. It is the last resort: a plain text
without headings, lists and code, and only where nothing else is found.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from pipelines.extract.pages.attributes import attribute
from pipelines.extract.pages.dom import TAG, TEXT, Dom, parse
from pipelines.extract.pages.rendering import render
from pipelines.extract.pages.rendering_visible import visible_nodes

_MAX_JSON: Final = 4 << 20  # bytes; a longer block is a catalogue
_MAX_DEPTH: Final = 16


def article_body(dom: Dom) -> str:
    """The longest `articleBody` that a page states; empty where there is none."""
    longest = ""
    for node in np.flatnonzero(dom.tag == TAG["script"]).tolist():
        child = node + 1
        if child >= dom.end[node] or dom.tag[child] != TEXT:
            continue
        if (attribute(dom, node, "type") or "").strip().lower() != "application/ld+json":
            continue
        written = dom.data[dom.start[child] : dom.stop[child]].tobytes()
        if b"articleBody" not in written or len(written) > _MAX_JSON:
            continue
        try:
            stated = json.loads(written.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            continue  # a page that writes broken JSON says nothing by it
        longest = max((longest, *_bodies(stated, 0)), key=len)
    if "<" in longest:  # some write their markup into it
        inner = parse(longest.encode("utf-8", "replace"))
        return render(inner, visible_nodes(inner))
    return longest


def _bodies(value: Any, depth: int) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for one in value:
            yield from _bodies(one, depth + 1)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name == "articleBody" and isinstance(one, str):
                yield one
            else:
                yield from _bodies(one, depth + 1)

"""Attributes of an element, found in the bytes of its tag when they are asked for.

Most attributes of a page are never read, so none is taken apart while the page is parsed: a node
knows where its attributes stand, and a look-up walks them as the tokenizer of the HTML standard
does (13.2.5.32 to 13.2.5.40). Of two of one name the first counts.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import lean_kernel
from pipelines.extract.pages.dom import Dom
from pipelines.extract.pages.entities import decoded
from pipelines.extract.pages.parsing_scans import is_space

Bytes = NDArray[np.uint8]

_EQUALS, _SOLIDUS, _DOUBLE, _SINGLE = ord("="), ord("/"), ord('"'), ord("'")
_NAMES: Final[dict[str, Bytes]] = {}


def attribute_name(name: str) -> Bytes:
    """The name of an attribute as kernels want it: `uint8[len(name)]`, read-only."""
    return np.frombuffer(name.lower().encode("utf-8"), np.uint8)


@lean_kernel
def next_attribute(data: Bytes, start: int, stop: int) -> tuple[int, int, int, int, int]:
    """Reads the next attribute of a tag.

    Args:
        data: The page.
        start: `Dom.start` of the element, or what the last call gave as its fifth value.
        stop: `Dom.stop` of the element.

    Returns:
        Start and stop of its name (both -1 where there is none left), start and stop of its value
        without quotation marks (equal where it has none), and where to go on.
    """
    position = start
    while position < stop and (is_space(data[position]) or data[position] == _SOLIDUS):
        position += 1
    if position >= stop:
        return -1, -1, stop, stop, stop
    first = position
    position += 1  # an equals sign here begins a name
    while position < stop:
        byte = data[position]
        if byte == _EQUALS or byte == _SOLIDUS or is_space(byte):
            break
        position += 1
    last = position
    while position < stop and is_space(data[position]):
        position += 1
    if position >= stop or data[position] != _EQUALS:
        return first, last, last, last, position
    position += 1
    while position < stop and is_space(data[position]):
        position += 1
    if position >= stop:
        return first, last, stop, stop, stop
    quote = data[position]
    value = position
    if quote == _DOUBLE or quote == _SINGLE:
        value += 1
        position = value
        while position < stop and data[position] != quote:
            position += 1
        return first, last, value, position, min(position + 1, stop)
    while position < stop and not is_space(data[position]):
        position += 1
    return first, last, value, position, position


@lean_kernel
def find_attribute(data: Bytes, start: int, stop: int, name: Bytes) -> tuple[int, int]:
    """Finds an attribute of a tag.

    Args:
        data: The page.
        start: `Dom.start` of the element.
        stop: `Dom.stop` of the element.
        name: In lower case: `uint8[num_bytes]`, read-only (`attribute_name`).

    Returns:
        The range of its value as it is written; (-1, -1) where there is no such attribute, an empty
        range where it has no value.
    """
    position = start
    while position < stop:
        first, last, value, edge, position = next_attribute(data, position, stop)
        if first < 0:
            break
        if last - first == name.size:
            i = 0
            while i < name.size:
                byte = data[first + i]
                if 65 <= byte <= 90:
                    byte |= 32
                if byte != name[i]:
                    break
                i += 1
            if i == name.size:
                return value, edge
    return -1, -1


def attribute(dom: Dom, node: int, name: str) -> str | None:
    """The value of an attribute, with its character references decoded; None where it is not there.

    Args:
        dom: The page.
        node: An element.
        name: In lower case.
    """
    wanted = _NAMES.get(name)
    if wanted is None:
        wanted = _NAMES.setdefault(name, attribute_name(name))
    start, stop = find_attribute(dom.data, dom.start[node], dom.stop[node], wanted)
    return None if start < 0 else decoded(dom.data, start, stop, in_attribute=True)

"""The conditions that a `where` joins by AND, so that each can be asked of a document by itself.

duckdb's own syntax tree decides where one condition ends, never a search in the text: of
`a between 1 and 2 and b` it gives two. A condition is shown as its author wrote it wherever a piece
of the text is shown by the parser to mean that condition; otherwise as duckdb writes it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from mixtures.errors import MixtureError
from mixtures.syntax import columns_named, parse

_AND: Final = re.compile(r"\band\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One of the conditions of a `where`."""

    sql: str
    """On one line, where no quoted text holds a line break."""
    columns: tuple[str, ...]
    """Label columns that it names."""


def conditions_of(where: str, names: list[str]) -> list[Condition]:
    """Takes a `where` apart at its outermost ANDs.

    Args:
        where: A boolean SQL expression that passed `check_expressions`.
        names: The label columns that there are.

    Returns:
        Conditions in the order in which they are written; all hold where `where` holds.
    """
    with duckdb.connect() as connection:
        tree = parse(connection, where)
        nodes = list(_conjuncts(tree))
        written = _as_written(connection, where, nodes)
        return [
            Condition(sql=text or _sql(connection, node), columns=tuple(columns_named(node, names)))
            for node, text in zip(nodes, written, strict=True)
        ]


def _conjuncts(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if node["type"] == "CONJUNCTION_AND":
        for child in node["children"]:
            yield from _conjuncts(child)
    else:
        yield node


def _sql(connection: duckdb.DuckDBPyConnection, node: dict[str, Any]) -> str:
    """A node as duckdb writes it."""
    answer = connection.execute("select json_serialize_sql('select 1')").fetchone()
    assert answer is not None
    tree = json.loads(answer[0])
    tree["statements"][0]["node"]["select_list"] = [node]
    answer = connection.execute("select json_deserialize_sql(?)", [json.dumps(tree)]).fetchone()
    assert answer is not None
    return str(answer[0]).removeprefix("SELECT ")


def _as_written(
    connection: duckdb.DuckDBPyConnection, where: str, nodes: list[dict[str, Any]]
) -> list[str]:
    """Pieces of the text, each of which parses to its node; empty where one does not."""
    none = [""] * len(nodes)
    if "--" in where or "/*" in where:
        return none
    pieces = []
    ends = [match.span() for match in _AND.finditer(where)] + [(len(where), len(where))]
    start = 0
    for node in nodes:
        wanted = _sql(connection, node)
        for end, after in ends:
            if end > start and _means(connection, where[start:end], wanted):
                piece = where[start:end].strip()
                line = " ".join(piece.split())  # blanks inside quotes are part of the meaning
                pieces.append(line if _means(connection, line, wanted) else piece)
                start = after
                break
        else:
            return none
    return pieces


def _means(connection: duckdb.DuckDBPyConnection, text: str, wanted: str) -> bool:
    try:
        return _sql(connection, parse(connection, text)) == wanted
    except (MixtureError, duckdb.Error):
        return False

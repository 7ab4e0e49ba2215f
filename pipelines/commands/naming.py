"""How a command lets people name one document: as `tokenmill trace` does, but only one."""

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipelines.workspace.tracing import Found
    from pipelines.workspace.workspace import Workspace

_MAX_LISTED: Final = 10
_FILE_ROW: Final = re.compile(r"(.+)#([0-9]+)")


def only_document(opened: "Workspace", what: str) -> "list[Found]":
    """The one document that is asked for; every place of its record.

    Args:
        opened: Where to look.
        what: An id of 32 hex digits, a URL, a path within a source, the end of either,
            FILE:OFFSET, FILE#ROW of a Parquet file (rows count from 0), or SHARD:TOKEN.

    Raises:
        ValueError: There is none, or more than one.
    """
    from pipelines.workspace.tracing import document_at_token, find, shard_token

    what = what.removeprefix(f"{opened.url}/")
    if place := shard_token(what):
        what = document_at_token(opened, *place).hex()
    row = _FILE_ROW.fullmatch(what)
    documents, rejects = find(opened, f"{row[1]}:{row[2]}") if row else ([], [])
    if not documents and not rejects:  # a URL may end as FILE#ROW does
        documents, rejects = find(opened, what)
    if not documents:
        why = f"; it was rejected: {rejects[0].row['reason']}" if rejects else ""
        raise ValueError(
            f"found no document {what!r}{why}; give an id of 32 hex digits, a URL, a path within a "
            "source or the end of either from a / on, FILE:OFFSET, FILE#ROW or SHARD:TOKEN; "
            "`tokenmill trace` shows records that became no document"
        )
    by_id = {found.id: found for found in documents}
    if len(by_id) > 1:
        lines = [f"  {found.id.hex()}  {found.uri or ''}".rstrip() for found in by_id.values()]
        if len(lines) > _MAX_LISTED:
            lines[_MAX_LISTED:] = [f"  and {len(lines) - _MAX_LISTED} more"]
        raise ValueError(
            f"{len(by_id)} documents match {what!r}; give the id of one of them:\n"
            + "\n".join(lines)
        )
    return documents

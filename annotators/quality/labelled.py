"""Documents with a label, from JSON lines or Parquet, and which of them are held out.

A document needs `text` and a label; by default the label is the first of the usual columns of the
model's kind that the files have (`LABEL_COLUMNS`), so that the output of `tokenmill judge`, of a
human study or of another judge is read as it is. Documents of one host look alike, so they are held
out together: by the host of `url`, else by `doc_id`, else by the text itself.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from annotators.quality.rows import list_files, read_rows
from annotators.quality.text_model import LARGEST_LABEL, Kind

LABEL_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "quality": ("quality_label", "quality", "label"),
    "educational": ("educational", "educational_label", "score", "label"),
}
"""Kind of model -> columns that may hold the label, the first that is there counts."""

_Label = TypeVar("_Label", float, str)
_NAMED: Final = {"good": 1.0, "bad": 0.0, "true": 1.0, "false": 0.0}


class Labelled(NamedTuple):
    """Documents, each text once."""

    texts: list[str]
    labels: npt.NDArray[np.float64]
    """float64[num_documents]: 0 or 1 of quality, 0 to 5 of educational value; of categories, the
    place in `names`."""
    kin: list[str]
    """Documents with the same one are held out together."""
    files: list[Path]
    column: str
    """Where the labels were found."""
    num_without_label: int
    num_twice: int
    """Documents whose text came before with the same label."""
    names: tuple[str, ...] = ()
    """Of categories, sorted; none of quality and educational value."""


def read_labelled(data: Sequence[Path], kind: Kind, *, column: str | None = None) -> Labelled:
    """Reads documents with a number.

    Args:
        data: Files (.jsonl, plain or .gz or .zst, .parquet), or folders of such. What lies in a
            folder called `rejects` is not read.
        kind: Decides which labels are allowed.
        column: That holds the label.

    Raises:
        ValueError: No document has a label, a label is out of range, or a text has two.
    """
    names = (column,) if column else LABEL_COLUMNS[kind]
    texts, found, told = _read(data, names, lambda value, where: _number(value, kind, where))
    return told._replace(texts=texts, labels=np.array(found, np.float64))


def read_categories(data: Sequence[Path], column: str) -> Labelled:
    """Reads documents with the name of a category.

    Args:
        data: As of `read_labelled`.
        column: That holds the name.

    Raises:
        ValueError: No document has a label, one is no string, or a text has two.
    """
    texts, found, told = _read(data, (column,), _name)
    names = tuple(sorted(set(found)))
    labels = np.array([names.index(one) for one in found], np.float64)
    return told._replace(texts=texts, labels=labels, names=names)


def _read(
    data: Sequence[Path], names: Sequence[str], check: Callable[[object, str], _Label]
) -> tuple[list[str], list[_Label], Labelled]:
    """Texts, their labels, and the rest."""
    files = list_files(data)
    known: dict[str, _Label] = {}
    kin = list[str]()
    used, missing, twice = "", 0, 0
    for path in files:
        for where, row in read_rows(path):
            text = row.get("text")
            if not isinstance(text, str):
                raise ValueError(f"{where}: a document needs `text`, a string")
            used = used or next((one for one in names if row.get(one) is not None), "")
            if not used or row.get(used) is None:
                missing += 1
                continue
            label = check(row[used], f"{where}, column {used}")
            if text not in known:
                known[text] = label
                kin.append(_kin(row))
            elif known[text] == label:
                twice += 1
            else:
                raise ValueError(
                    f"{where}: the text {text[:40]!r} has the label {label}, before "
                    f"{known[text]}; keep one"
                )
    if not known:
        raise ValueError(
            f"no document in {', '.join(map(str, data))} has a label in {' or '.join(names)}; name "
            "the column with --label-column"
        )
    told = Labelled([], np.zeros(0), kin, files, used, missing, twice)
    return list(known), list(known.values()), told


def fold_of(kin: str, num_folds: int) -> int:
    """The fold of a document, by the hash of its kin."""
    digest = hashlib.blake2b(kin.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % num_folds


def _name(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: found {value!r}; a category is a name")
    return value


def _number(value: object, kind: Kind, where: str) -> float:
    largest = LARGEST_LABEL[kind]
    try:
        label = _NAMED.get(value.lower()) if isinstance(value, str) else None
        found = float(value) if label is None else label  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = float("nan")
    allowed = found in (0, 1) if kind == "quality" else 0 <= found <= largest
    if not allowed:
        said = "0 or 1, good or bad" if kind == "quality" else f"a number from 0 to {largest:g}"
        raise ValueError(f"{where}: found {value!r}; a label of {kind} is {said}")
    return found


def _kin(row: dict[str, Any]) -> str:
    host = urlsplit(str(row.get("url") or row.get("uri") or "")).netloc
    return host or str(row.get("doc_id") or row["text"])

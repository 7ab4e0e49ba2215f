"""Pages whose topic or format is known, from JSON lines, and how they split into folds.

A line needs `text` and one of `topic` and `format`; `topic_confidence` and `format_confidence` in
[0, 1], where they are there, weigh the page. Labels are WebOrganizer's (`taxonomy`) unless the
caller says that they are of a taxonomy of their own. Pages of one host look and read alike, so they
stand in one fold: by the host of `url`, else by `doc_id`, else by the text itself.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from annotators.domain.taxonomy import full_name
from annotators.quality.rows import without_surrogates


class Example(NamedTuple):
    """A page and what is known of it."""

    text: str
    labels: Mapping[str, str]
    """Task (topic, format) to label."""
    weights: Mapping[str, float]
    """Task to confidence; 1 where the line tells none."""
    kin: str
    """Pages with the same one stand in the same fold."""
    language: str
    """`lang` of the line, or empty."""
    url: str = ""
    """Address of the page, or empty."""


def read_examples(path: Path, *, own_labels: bool = False) -> Iterator[Example]:
    """Reads labelled pages.

    Args:
        path: `.jsonl` or `.jsonl.gz`.
        own_labels: Whether labels may have any name; else they are WebOrganizer's.

    Raises:
        ValueError: The file is missing, or a line is no page with a label, or its label has another
            name.
    """
    if not path.is_file():
        raise ValueError(f"no file {path}; name a .jsonl or .jsonl.gz of labelled pages")
    open_lines = gzip.open if path.suffix == ".gz" else open
    with open_lines(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield _example(json.loads(line), own_labels)
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(
                    f"{path} line {number}: {error}; a line needs `text` and `topic` or `format`, "
                    "and may have `topic_confidence`, `format_confidence`, `url` and `lang`"
                ) from None


def fold_of(example: Example, num_folds: int) -> int:
    """The fold of a page, by the hash of its kin."""
    digest = hashlib.blake2b(example.kin.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % num_folds


def _example(row: dict[str, Any], own_labels: bool) -> Example:
    text = row["text"]
    labels = {task: row[task] for task in ("topic", "format") if row.get(task) is not None}
    if not isinstance(text, str) or not all(isinstance(label, str) for label in labels.values()):
        raise ValueError("text and labels have to be strings")
    if not labels:
        raise ValueError("there is no label")
    if not own_labels:
        labels = {task: full_name(task, label) for task, label in labels.items()}
    weights = {task: float(row.get(f"{task}_confidence", 1.0)) for task in labels}
    if not all(0 <= weight <= 1 for weight in weights.values()):
        raise ValueError(f"confidences are {weights}, not in [0, 1]")
    url = str(row.get("url") or "")
    kin = urlsplit(url).netloc or str(row.get("doc_id") or text)
    text, url, kin = (without_surrogates(one) for one in (text, url, kin))
    return Example(text, labels, weights, kin, str(row.get("lang") or ""), url)

"""How often the programming language of a text is named, and how often rightly.

On Learn X in Y minutes (CC-BY-SA 3.0): tutorials whose fences say what their code is. Each is asked
as it stands, and with the words behind its fences taken away, where the code alone has to tell. The
signs are written, not trained, but misses of these tutorials were read while writing them.
"""

import gzip
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from annotators.stem.annotator import Stem
from annotators.stem.languages import ALIASES, SIGNS

TUTORIALS: Final = "learnxinyminutes.jsonl.gz"

_FENCE: Final = re.compile(r"^```([^\n`]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgrammingFigures:
    """What was measured in one setting."""

    what: str
    num_documents: int
    num_languages: int
    accuracy: float
    """Share of documents named rightly."""
    precision: float
    """Share of those that are named at all."""
    macro_recall: float
    """Mean over languages of the share of theirs that is named rightly."""


def evaluate_stem(data: Path) -> list[ProgrammingFigures]:
    """Measures how programming languages are named.

    Args:
        data: Folder of `learnxinyminutes.jsonl.gz`, itself or in its subfolder `text`.

    Raises:
        ValueError: The folder does not hold it.
    """
    places = [folder / TUTORIALS for folder in (data, data / "text")]
    path = next((one for one in places if one.is_file()), None)
    if path is None:
        raise ValueError(f"{data} does not hold {TUTORIALS}, itself or in its subfolder text")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    told = [(text, language) for text in texts if (language := _told_language(text))]
    bare = [(_FENCE.sub("```", text), language) for text, language in told]
    return [_measure("fences that say", told), _measure("fences that do not", bare)]


def render_stem(figures: list[ProgrammingFigures]) -> str:
    """A plain table of what was measured."""
    lines = [
        f"{'programming language':<24}{'documents':>10}{'languages':>10}{'accuracy':>10}"
        f"{'precision':>10}{'macro recall':>14}"
    ]
    lines += [
        f"{one.what:<24}{one.num_documents:>10,}{one.num_languages:>10}{one.accuracy:>10.3f}"
        f"{one.precision:>10.3f}{one.macro_recall:>14.3f}"
        for one in figures
    ]
    return "\n".join(lines)


def _told_language(text: str) -> str | None:
    """The language that more than half of the fences name, of those that name a known one."""
    names = {name.lower(): name for name in SIGNS} | ALIASES
    found = Counter(
        names[word] for one in _FENCE.findall(text) if (word := one.strip().lower()) in names
    )
    language, count = found.most_common(1)[0] if found else (None, 0)
    return language if 2 * count > found.total() else None


def _measure(what: str, documents: list[tuple[str, str]]) -> ProgrammingFigures:
    texts = pa.array([text for text, _ in documents], pa.large_string())
    found = Stem()(texts, {}).column("programming_language").to_pylist()
    by_language: defaultdict[str, list[bool]] = defaultdict(list)
    for (_, language), name in zip(documents, found, strict=True):
        by_language[language].append(name == language)
    num_right = sum(map(sum, by_language.values()))
    num_named = sum(name is not None for name in found)
    shares = [sum(hits) / len(hits) for hits in by_language.values()]
    return ProgrammingFigures(
        what=what,
        num_documents=len(documents),
        num_languages=len(by_language),
        accuracy=num_right / max(len(documents), 1),
        precision=num_right / max(num_named, 1),
        macro_recall=sum(shares) / max(len(shares), 1),
    )

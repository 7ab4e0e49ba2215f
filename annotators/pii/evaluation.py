"""Precision and recall of the `pii` labels on made cases, and how often they hit real text.

The cases (`cases/*.jsonl`: text, spans, note) were written before the rules they try, with invented
numbers only; those of `lookalike_*` have what the web has instead of personal data. They say
whether a form is known, not how often it is met. For that `count_hits` counts on texts of one's
own, and `sample_hits` draws hits to read: what share of them is right can only be told by reading.

A span is found where one of its kind overlaps it, and exact where both ends agree as well.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from annotators.pii.annotator import KINDS, Pii

CASES: Final = Path(__file__).with_name("cases")
"""The cases that come with the package."""
_LOOKALIKE: Final = "lookalike"
_BATCH: Final = 1000
_AROUND: Final = 60  # bytes of text on each side of a hit that is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class PiiCase:
    """A text with the spans that should be found in it."""

    text: str
    spans: tuple[tuple[str, int, int], ...]
    """Kind, and bytes [start, end); by start."""
    note: str
    """What the case tries."""
    is_lookalike: bool
    """Whether it stands in a file of look-alikes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindScore:
    """How well one kind is found."""

    kind: str
    num_true: int
    """Spans that stand in the cases."""
    num_found: int
    """Spans of the annotator."""
    num_recalled: int
    """True spans that a found span of the kind overlaps."""
    num_right: int
    """Found spans that overlap a true span of the kind."""
    num_exact: int
    """True spans found with both ends."""

    @property
    def precision(self) -> float | None:
        """Share of found spans that are right; None where none was found."""
        return self.num_right / self.num_found if self.num_found else None

    @property
    def recall(self) -> float | None:
        """Share of true spans that were found; None where there is none."""
        return self.num_recalled / self.num_true if self.num_true else None

    @property
    def exact(self) -> float | None:
        """Share of recalled spans whose both ends agree; None where none was."""
        return self.num_exact / self.num_recalled if self.num_recalled else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PiiScores:
    """Scores of all kinds on a set of cases."""

    kinds: tuple[KindScore, ...]
    num_cases: int
    """Cases with spans."""
    num_lookalikes: int
    """Cases of the look-alike files."""
    num_alarms: int
    """Look-alikes in which something was found that is not there."""
    mistakes: tuple[str, ...]
    """A line for each case that is not exactly right."""


def read_pii_cases(path: Path | None = None) -> list[PiiCase]:
    """Reads cases.

    Args:
        path: A file of JSON lines or a folder of such; without one, the cases of the package.

    Raises:
        ValueError: There is no case, or a line is none.
    """
    given = CASES if path is None else path
    files = sorted(given.glob("*.jsonl")) if given.is_dir() else [given]
    if not files or not files[0].is_file():
        raise ValueError(f"no cases at {given}; give a .jsonl file or a folder of such files")
    cases = []
    for file in files:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            cases.append(_case_of(line, file, number))
    return cases


def _case_of(line: str, file: Path, number: int) -> PiiCase:
    try:
        read = json.loads(line)
        spans = sorted(((str(k), int(s), int(e)) for k, s, e in read["spans"]), key=lambda x: x[1])
        size = len(read["text"].encode())
        if not all(kind in KINDS and 0 <= start < end <= size for kind, start, end in spans):
            raise ValueError(f"spans {spans} of kinds {', '.join(KINDS)} in {size} bytes")
        return PiiCase(
            text=read["text"],
            spans=tuple(spans),
            note=str(read.get("note", "")),
            is_lookalike=file.stem.startswith(_LOOKALIKE),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{file}, line {number}: found {error}; a case is a JSON object with text, spans "
            "[[kind, start, end], ...] in UTF-8 bytes, and note"
        ) from None


def evaluate_pii(cases: Sequence[PiiCase], annotator: Pii | None = None) -> PiiScores:
    """Compares the spans of the annotator with those of cases.

    Args:
        cases: As `read_pii_cases` gives them.
        annotator: Another one than the usual.
    """
    found = _spans_of([case.text for case in cases], annotator or Pii())
    tallies: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    mistakes = []
    for case, spans in zip(cases, found, strict=True):
        for kind, tally in tallies.items():
            tally.update(_tally(_of_kind(case.spans, kind), _of_kind(spans, kind)))
        if set(spans) != set(case.spans):
            mistakes.append(_mistake(case, spans))
    return PiiScores(
        kinds=tuple(
            KindScore(kind=kind, **{name: tally[name] for name in _TALLIED})
            for kind, tally in tallies.items()
        ),
        num_cases=sum(bool(case.spans) for case in cases),
        num_lookalikes=sum(case.is_lookalike for case in cases),
        num_alarms=sum(
            case.is_lookalike and bool(set(spans) - set(case.spans))
            for case, spans in zip(cases, found, strict=True)
        ),
        mistakes=tuple(mistakes),
    )


_TALLIED: Final = ("num_true", "num_found", "num_recalled", "num_right", "num_exact")
_Span = tuple[str, int, int]


def _of_kind(spans: Iterable[_Span], kind: str) -> list[_Span]:
    return [span for span in spans if span[0] == kind]


def _tally(true: list[_Span], found: list[_Span]) -> dict[str, int]:
    return {
        "num_true": len(true),
        "num_found": len(found),
        "num_recalled": sum(any(_overlap(one, other) for other in found) for one in true),
        "num_right": sum(any(_overlap(one, other) for other in true) for one in found),
        "num_exact": len(set(true) & set(found)),
    }


def _overlap(one: _Span, other: _Span) -> bool:
    return one[1] < other[2] and other[1] < one[2]


def _spans_of(texts: Sequence[str], annotator: Pii) -> list[list[_Span]]:
    labels = annotator(pa.array(texts, pa.large_string()), {})
    return [
        [(span["kind"], span["start"], span["end"]) for span in spans]
        for spans in labels.column("pii").to_pylist()
    ]


def _mistake(case: PiiCase, spans: Sequence[_Span]) -> str:
    missed = [_shown(case.text, one) for one in case.spans if one not in spans]
    extra = [_shown(case.text, one) for one in spans if one not in case.spans]
    return (
        f"{case.note}: missed {', '.join(missed) or '-'}; found instead {', '.join(extra) or '-'}"
    )


def _shown(text: str, span: _Span, around: int = 0) -> str:
    data = text.encode()
    inside = data[span[1] : span[2]].decode(errors="replace")
    before = data[max(0, span[1] - around) : span[1]].decode(errors="ignore")
    after = data[span[2] : span[2] + around].decode(errors="ignore")
    return " ".join(f"{before}[{span[0]}: {inside}]{after}".split())


def count_hits(texts: Iterable[str], annotator: Pii | None = None) -> dict[str, float]:
    """Counts spans of each kind for each 10,000 texts.

    Args:
        texts: Any number of texts; read in batches.
        annotator: Another one than the usual.

    Returns:
        Spans in 10,000 texts by kind, of all KINDS; empty where there is no text.
    """
    counts: Counter[str] = Counter()
    num_texts = 0
    for batch in _batches(texts):
        num_texts += len(batch)
        for spans in _spans_of(batch, annotator or Pii()):
            counts.update(kind for kind, _, _ in spans)
    return {kind: 1e4 * counts[kind] / num_texts for kind in KINDS} if num_texts else {}


def sample_hits(
    texts: Iterable[str], num_hits: int, annotator: Pii | None = None
) -> dict[str, list[str]]:
    """Draws hits to read, spread evenly over the texts.

    Args:
        texts: Any number of texts; read in batches.
        num_hits: The most of a kind.
        annotator: Another one than the usual.

    Returns:
        Lines with a hit in brackets and the text around it, by kind; of all KINDS.
    """
    shown: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for batch in _batches(texts):
        for text, spans in zip(batch, _spans_of(batch, annotator or Pii()), strict=True):
            for span in spans:
                shown[span[0]].append(_shown(text, span, _AROUND))
    return {
        kind: [lines[place * len(lines) // num_hits] for place in range(min(num_hits, len(lines)))]
        if len(lines) > num_hits
        else lines
        for kind, lines in shown.items()
    }


def _batches(texts: Iterable[str]) -> Iterable[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def render_pii(
    scores: PiiScores, hits: Mapping[str, float] | None = None, *, mistakes: bool = False
) -> str:
    """Renders scores as a table.

    Args:
        scores: Of `evaluate_pii`.
        hits: Of `count_hits`, for a column of its own.
        mistakes: Whether to list every case that is not exactly right.
    """
    head = f"{'kind':<13}{'spans':>7}{'precision':>11}{'recall':>8}{'exact':>8}"
    lines = [head + (f"{'in 10,000':>11}" if hits is not None else "")]
    for one in scores.kinds:
        line = f"{one.kind:<13}{one.num_true:>7,}{_share(one.precision, 11)}"
        line += f"{_share(one.recall, 8)}{_share(one.exact, 8)}"
        lines.append(line + (f"{hits.get(one.kind, 0):>11.1f}" if hits is not None else ""))
    lines.append(
        f"{scores.num_cases:,} cases with spans; {scores.num_lookalikes:,} look-alikes, "
        f"{scores.num_alarms:,} of them with a false span"
    )
    return "\n".join(lines + (list(scores.mistakes) if mistakes else []))


def _share(value: float | None, width: int) -> str:
    return f"{'-' if value is None else format(value, '.3f'):>{width}}"


def read_texts(path: Path) -> Iterable[str]:
    """Reads the field `text` of JSON lines, for `count_hits` and `sample_hits`.

    Args:
        path: A .jsonl or .jsonl.gz file.

    Raises:
        ValueError: A line has no such field, or the file cannot be read.
    """
    import gzip

    opened: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                text = json.loads(line).get("text")
                if not isinstance(text, str):
                    raise ValueError(f"{path}, line {number}: no field text; each line needs one")
                yield text
    except (OSError, json.JSONDecodeError, AttributeError) as error:
        raise ValueError(f"{path}: {error}; give JSON lines with a field text") from None

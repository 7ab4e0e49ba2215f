"""How each of the 119 languages came through: how well it is known, and what was kept of it.

For every label one row: how long its documents are, whether pages that declare their language
agree with it, how many documents the rules kept, how many bytes the tokenizer makes a token of, and
what share of the tokens the language has, before and after the mixtures. A language whose row
stands out from its neighbours is one where something breaks: a fold, a tokenizer, a rule made for
English.

This is the only part of the report that reads labels row by row: four narrow columns of the labels
parts and one of the documents parts, a part at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from annotators.language.evaluation import shipped_figures
from annotators.language.languages import UNDETERMINED, codes, language_labels
from pipelines.report.facts import RunFacts
from pipelines.report.language_tags import html_lang, language_name, script_name
from pipelines.report.pictures import share
from pipelines.run_record import RunRecord
from pipelines.workspace.parts import read_table
from pipelines.workspace.workspace import Workspace

SETS: Final = {
    "flores200_devtest": "FLORES devtest",
    "ntrex128": "NTREX",
    "udhr": "UDHR",
}
"""Sets of `tokenmill evaluate language` whose figures are shown, and their names."""

_COLUMNS: Final = ("language", "quality_keep", "num_tokens", "num_bytes")
_LABELS: Final = (*codes(), UNDETERMINED)
# What pages say of the members of a group: BCP 47 of the macrolanguage, SIL's and IANA's tables.
_GROUP_TAGS: Final = {"ara": "ar", "zho": "zh", "fas": "fa", "msa": "ms", "hbs": "sh"}
# HTML's `no` says neither Bokmål nor Nynorsk.
_SAME: Final = {"no": ("nb", "nn"), "tl": ("fil",), "fil": ("tl",), "iw": ("he",), "in": ("id",)}

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSums:
    """Sums over the documents of one label; counts of what is not known are 0."""

    documents: int = 0
    bytes: int = 0
    tokens: int = 0
    judged: int = 0
    """Documents on which the quality rules have an answer."""
    kept: int = 0
    declared: int = 0
    """Documents that declare a language: HTML `lang`, HTTP or the input's own column."""
    agreeing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformanceRow:
    """One language of the table."""

    code: str
    name: str
    script: str
    bar: float
    sums: LanguageSums
    stage_tokens: int
    """Tokens in the shards of all stages."""
    f1: tuple[float | None, ...]
    """One a set of SETS; None where the set lacks the language or the model is not the shipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """The table."""

    present: tuple[ConformanceRow, ...] = field(default=())
    """With documents, most first."""
    absent: tuple[ConformanceRow, ...] = field(default=())
    tokens: int = 0
    stage_tokens: int = 0
    is_shipped: bool = True
    """Whether the identifier is the one whose figures are shown."""


class _Sums:
    """Adds up parts, by place of the label in `_LABELS`."""

    def __init__(self) -> None:
        self.columns = {
            name: np.zeros(len(_LABELS), np.int64)
            for name in ("documents", "bytes", "tokens", "judged", "kept", "declared", "agreeing")
        }

    def add(self, part: Mapping[str, Any]) -> None:
        """Adds the columns of one part, each as long as the others."""
        numbers = pc.index_in(part["language"], pa.array(_LABELS, pa.string()))
        known = np.asarray(numbers.is_valid())
        at = np.asarray(pc.fill_null(numbers, 0), np.int64)[known]
        self._count("documents", at)
        for name, column in (("bytes", "num_bytes"), ("tokens", "num_tokens")):
            if column in part:
                values = np.asarray(pc.fill_null(part[column], 0), np.int64)[known]
                np.add.at(self.columns[name], at, values)
        if "quality_keep" in part:
            keep = part["quality_keep"]
            self._count("judged", at, np.asarray(keep.is_valid())[known])
            self._count("kept", at, np.asarray(pc.fill_null(keep, False))[known])
        if "declared_language" in part:
            declared, agreeing = _declarations(part["declared_language"], part["language"])
            self._count("declared", at, declared[known])
            self._count("agreeing", at, agreeing[known])

    def _count(self, name: str, at: Ints, chosen: npt.NDArray[np.bool_] | None = None) -> None:
        places = at if chosen is None else at[chosen]
        self.columns[name] += np.bincount(places, minlength=len(_LABELS))

    def of(self, label: str) -> LanguageSums:
        """Sums of one label."""
        place = _LABELS.index(label)
        values = {name: int(column[place]) for name, column in self.columns.items()}
        return LanguageSums(**values)


def read_conformance(workspace: Workspace, record: RunRecord, facts: RunFacts) -> Conformance:
    """Reads the labels of a run.

    Args:
        workspace: Where they are.
        record: Of the last run.
        facts: Of the same run.

    Returns:
        The table; empty where languages were not identified.
    """
    if "language" not in facts.labels.types:
        return Conformance()
    sums = _Sums()
    for part in _parts(workspace, record, facts.labels.sets):
        sums.add(part)
    is_shipped = not _has_own_model(workspace, record)
    figures = shipped_figures() if is_shipped else {}
    in_shards = _tokens_of_stages(facts)
    largest = int(sums.columns["documents"].max(initial=0))
    rows = []
    for label in _LABELS:
        own = sums.of(label)
        rows.append(
            ConformanceRow(
                code=label,
                name=language_name(label),
                script=script_name(label) if "_" in label else "",
                bar=share(own.documents, largest),
                sums=own,
                stage_tokens=in_shards.get(label, 0),
                f1=tuple(figures.get(label, {}).get(name) for name in SETS),
            )
        )
    ordered = sorted(rows, key=lambda row: (-row.sums.documents, row.name, row.code))
    return Conformance(
        present=tuple(row for row in ordered if row.sums.documents),
        absent=tuple(row for row in ordered if not row.sums.documents and row.code != UNDETERMINED),
        tokens=sum(row.sums.tokens for row in rows),
        stage_tokens=sum(row.stage_tokens for row in rows),
        is_shipped=is_shipped,
    )


def _parts(
    workspace: Workspace, record: RunRecord, sets: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The columns of each part that are there; the rows of all sets are those of the documents.

    Args:
        workspace: Where they are.
        record: Of the last run.
        sets: Column -> its labels set.
    """
    wanted: dict[str, list[str]] = {}
    for column in _COLUMNS:
        if column in sets:
            wanted.setdefault(sets[column], []).append(column)
    for source, name in sorted(record.documents.items()):
        made = record.annotate.get(source, {})
        for entry in workspace.ledger.entries(name, source):
            labels = {
                own: found.file("labels")
                for own in wanted
                if own in made and (found := workspace.ledger.find(made[own], source, entry.part))
            }
            if sets["language"] not in labels:
                continue
            document = entry.file("documents")
            part = _columns(workspace, document, ("declared_language",))
            for own, file in labels.items():
                part |= _columns(workspace, file, wanted[own])
            yield part


def _columns(workspace: Workspace, file: Any, names: Sequence[str]) -> dict[str, Any]:  # noqa: ANN401 - a FileRef
    table = read_table(workspace.storage, file, list(names))
    return {name: table.column(name).combine_chunks() for name in table.schema.names}


def _has_own_model(workspace: Workspace, record: RunRecord) -> bool:
    payloads = [
        workspace.ledger.payload(sets["language"]).get("annotator", {})
        for sets in record.annotate.values()
        if "language" in sets
    ]
    return any(payload.get("options", {}).get("model") for payload in payloads)


def _tokens_of_stages(facts: RunFacts) -> dict[str, int]:
    sums: dict[str, int] = {}
    for stage in facts.stages:
        for code, tokens in stage.tokens_by.get("language", {}).items():
            sums[code] = sums.get(code, 0) + tokens
    return sums


def _declarations(
    declared: pa.StringArray, languages: pa.StringArray
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which rows declare a language, and which declare that of their label, script apart."""
    first = pc.struct_field(
        pc.extract_regex(pc.utf8_lower(declared), r"^\s*(?P<tag>[a-z]{2,3})(?:[^a-z]|$)"), "tag"
    )
    has_tag = np.asarray(first.is_valid())
    pairs: dict[tuple[str, str], bool] = {}
    agreeing = np.zeros(len(declared), np.bool_)
    rows = np.flatnonzero(has_tag)
    taken = pa.array(rows)
    for row, tag, label in zip(
        rows.tolist(), first.take(taken).to_pylist(), languages.take(taken).to_pylist(), strict=True
    ):
        key = (tag, label or "")
        if key not in pairs:
            pairs[key] = _agree(*key)
        agreeing[row] = pairs[key]
    return has_tag, agreeing


def _agree(tag: str, label: str) -> bool:
    found = next((one for one in language_labels() if one.code == label), None)
    if found is None:
        return False
    subtag = html_lang(label).partition("-")[0]
    own = {subtag, found.iso639_3, found.group, _GROUP_TAGS.get(found.group, subtag)}
    return bool(own & {tag, *_SAME.get(tag, ())})

"""Benchmarks as they lie on disk: JSON Lines, one item a line, and the roles of its fields.

A field is the question (what is asked, with its context), the options among which one is chosen, or
the answer (solution, rationale, code). The roles and the kind of a benchmark come from corpus.yaml,
else by its name from the registry (`registry`). Of an unknown name every field that holds text is
taken, the first as question and each other as an answer. Left out are fields whose names say
that they describe the item (`_DESCRIBING`, or an ending of `_id`, `_url`, `_type`, `_index`), web
addresses, and a field that repeats an earlier one. Numbers and booleans are no evidence of a
quotation.

A value may be a string, a list or an object of strings (choices), or a list that was printed into
a string (`"['True', 'False']"`, as in MMLU-Redux). A name with semicolons is a line of a CSV file
that its publisher did not split (452 lines of MMLU-Redux); it is split here.

A broken file must not pass as a small one: silent empty results are what users of other
decontaminators complain of (allenai/dolma #96, #150, #174, #218). So a missing file, a line that
is not a JSON object, a line without a field that corpus.yaml names, or without a question field of
the registry, and a benchmark without text are errors, before any document is read.
Options and answers that the registry names may be absent: they are often stripped from files.
"""

import ast
import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import zstandard

from annotators.contamination.entry_points import entry_point_of
from annotators.contamination.registry import known_benchmark
from annotators.contamination.rules import KINDS

_DESCRIBING: Final = frozenset(
    "id idx index uid guid uuid url uri link source license lang language locale type level task "
    "subject category topic domain subfield field split difficulty entry_point tag tags keywords "
    "metadata meta canary version date year author authors data_source data_topic sourcename "
    "question_number label labels error_type".split()
)
_DESCRIBING_ENDINGS: Final = ("_id", "_url", "_type", "_index")
_ID_FIELDS: Final = ("id", "task_id", "question_id", "uid", "_id")
_ROLES: Final = ("question", "options", "answer")
_KEYS: Final = ("name", "path", "kind", *_ROLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark file and how it is read."""

    name: str
    path: Path
    """JSON Lines, plain or packed (.gz, .zst)."""
    kind: str = "text"
    """math, code or text."""
    question: tuple[str, ...] = ()
    """Fields of the question; empty: all that hold text (see the module)."""
    options: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    """Of these fields, those that every line must have."""
    source: str = "corpus.yaml"
    """Where the roles come from: corpus.yaml, registry, or nowhere ("all text fields")."""
    in_registry: bool = False
    """Whether the registry gives its kind or its roles."""

    def fields(self, role: str) -> tuple[str, ...]:
        """The fields of a role."""
        return {"question": self.question, "options": self.options, "answer": self.answer}[role]


class Piece(NamedTuple):
    """A field of a question, one of the options, or a whole answer."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """Text of an item that has one role."""

    role: str
    field: str
    """Field, or fields joined by `+`."""
    pieces: tuple[Piece, ...]
    """At least one."""

    @property
    def text(self) -> str:
        """All of it, a line a piece."""
        return "\n".join(piece.text for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a benchmark."""

    id: str
    """Its `id` (or `task_id`, `question_id`, `uid`, `_id`), else `line N`."""
    parts: tuple[Part, ...]
    """The question, the options, each field of the answer, where they have text."""
    entry_point: str = ""
    """Name of the function asked for, where the kind is code and the name is distinctive."""


def parse_benchmarks(options: Sequence[Mapping[str, Any]]) -> tuple[Benchmark, ...]:
    """Reads the option `benchmarks` and looks that its files are there.

    Raises:
        ValueError: A key is unknown or missing, a kind is unknown, a name stands twice, or a file
            is missing.
    """
    made = [_parse(option, number) for number, option in enumerate(options, 1)]
    names = [one.name for one in made]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two benchmarks are called {twice[0]!r}; names must differ: rename one")
    return tuple(made)


def _parse(option: Mapping[str, Any], number: int) -> Benchmark:
    unknown = sorted(set(option) - set(_KEYS))
    if unknown or not option.get("name") or not option.get("path"):
        raise ValueError(
            f"benchmark {number} has the keys {sorted(option)}; it needs name and path, and may "
            "have kind, question, options and answer: write {name: ..., path: ..., "
            "kind: math, question: [...]}"
        )
    name = str(option["name"])
    given = {role: _field_names(name, role, option.get(role)) for role in _ROLES}
    path = Path(option["path"]).expanduser()
    if not path.is_file():
        raise ValueError(
            f"benchmark {name}: found no file {path}; a benchmark is one file of "
            "JSON Lines (.jsonl, .jsonl.gz, .jsonl.zst): correct its path"
        )
    known = known_benchmark(name)
    kind = option.get("kind") or (known.kind if known else "text")
    if kind not in KINDS:
        raise ValueError(
            f"benchmark {name}: found the kind {kind!r}; allowed are {', '.join(KINDS)}"
        )
    if any(given.values()):
        if not given["question"]:
            raise ValueError(
                f"benchmark {name}: fields are named, but none of a question; add "
                "question: [...], or leave options and answer out"
            )
        roles, required, source = given, frozenset().union(*given.values()), "corpus.yaml"
    elif known:
        roles = {role: getattr(known, role) for role in _ROLES}
        required, source = frozenset(known.question), "registry"
    else:
        roles, required, source = given, frozenset[str](), "all text fields"
    return Benchmark(
        name=name,
        path=path,
        kind=kind,
        required=frozenset(required),
        source=source,
        in_registry=known is not None and (source == "registry" or not option.get("kind")),
        **roles,
    )


def _field_names(name: str, role: str, fields: object) -> tuple[str, ...]:
    if isinstance(fields, str):
        raise ValueError(
            f"benchmark {name}: {role} is the text {fields!r}; it must be a list of names: "
            f"write [{fields}]"
        )
    return tuple(str(one) for one in fields) if isinstance(fields, Iterable) else ()


def read_items(benchmark: Benchmark) -> list[Item]:
    """Reads all items of a benchmark, also those without text.

    Raises:
        ValueError: The file cannot be read or unpacked, a line is not a JSON object in UTF-8 or
            lacks a field, there is no item, or no item has text.
    """
    items, names = [], set[str]()
    for number, record in _records(benchmark):
        names |= record.keys()
        missing = sorted(benchmark.required - record.keys())
        if missing:
            raise ValueError(
                f"benchmark {benchmark.name}: {benchmark.path}, line {number}: found no field "
                f"{missing[0]!r}, but {sorted(record)}; name the fields that hold the text of an "
                "item in question, options and answer"
            )
        entry_point = entry_point_of(record) if benchmark.kind == "code" else ""
        items.append(Item(_id(record, number), _parts(record, benchmark), entry_point))
    if not items:
        raise ValueError(
            f"benchmark {benchmark.name}: {benchmark.path} is empty: it holds 0 items; a "
            "benchmark has one JSON object a line: fetch the file again, or leave the benchmark out"
        )
    if not any(item.parts for item in items):
        raise ValueError(
            f"benchmark {benchmark.name}: {benchmark.path} holds {len(items)} items with the "
            f"fields {sorted(names)}, but no text; name the fields that hold the text of an item "
            "in question, options and answer"
        )
    return items


def _records(benchmark: Benchmark) -> Iterator[tuple[int, dict[str, Any]]]:
    """Gives the number and the object of each line that is not blank."""
    place = f"benchmark {benchmark.name}: {benchmark.path}"
    try:
        data = _unpacked(benchmark.path)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise ValueError(
            f"{place} cannot be read: {error}; allowed are whole files of JSON Lines, plain, .gz "
            "or .zst: fetch it again"
        ) from error
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode())
            if not isinstance(record, dict):
                raise ValueError(f"a {type(record).__name__}")
        except ValueError as error:
            raise ValueError(
                f"{place}, line {number}: found {error}; each line must be one JSON object in "
                "UTF-8: mend or remove the line"
            ) from error
        yield number, _split_csv(record)


def _unpacked(path: Path) -> bytes:
    """Reads a whole file; packed ones may have several members or frames, but no cut end."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix not in (".zst", ".zstd"):
        return data
    frames = []
    while data:
        # Of a cut frame, zstandard's readers give what there is without an error; `eof` tells.
        frame = zstandard.ZstdDecompressor().decompressobj()
        frames.append(frame.decompress(data))
        if not frame.eof:
            raise EOFError("its last frame is cut off")
        data = frame.unused_data
    return b"".join(frames)


def _split_csv(record: dict[str, Any]) -> dict[str, Any]:
    """Splits fields that are a line of a CSV file with semicolons under its header."""
    for name in [name for name in record if ";" in name and isinstance(record[name], str)]:
        value = record.pop(name)
        names = name.split(";")
        values = next(csv.reader([value.replace("\n", " ")], delimiter=";"), [])
        record |= dict(zip(names, values, strict=False))
    return record


def _id(record: Mapping[str, Any], number: int) -> str:
    for name in _ID_FIELDS:
        if isinstance(record.get(name), str | int) and record[name] != "":
            return str(record[name])
    return f"line {number}"


def _parts(record: Mapping[str, Any], benchmark: Benchmark) -> tuple[Part, ...]:
    """Gives the texts of an item by role; a text that repeats an earlier one is left out."""
    if not benchmark.question:
        names = [name for name in record if not _describes(name) and text_of(record[name])]
        roles = {"question": names[:1], "options": [], "answer": names[1:]}
    else:
        roles = {role: list(benchmark.fields(role)) for role in _ROLES}
    made, seen = list[Part](), set[str]()
    for role, fields in roles.items():
        texts = {name: text_of(record.get(name)) for name in fields}
        texts = {name: text for name, text in texts.items() if text and text not in seen}
        seen |= set(texts.values())
        if role == "answer":
            made += [Part(role, name, (Piece(name, text),)) for name, text in texts.items()]
        elif texts:
            pieces = [Piece(name, text) for name, text in texts.items()]
            if role == "options":
                pieces = [one for name in texts for one in _options(name, record[name])]
            made.append(Part(role, "+".join(texts), tuple(pieces)))
    return tuple(made)


def _options(name: str, value: object) -> list[Piece]:
    """Gives each option of a field: each string in it, or each line where there is but one."""
    texts = _strings(value)
    return [Piece(name, one) for one in (texts if len(texts) > 1 else text_of(value).split("\n"))]


def _describes(name: str) -> bool:
    lower = name.lower()
    return lower in _DESCRIBING or lower.endswith(_DESCRIBING_ENDINGS)


def text_of(value: object) -> str:
    """Gives the strings inside a value of a field, a line each, in order."""
    return "\n".join(_strings(value)).strip()


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        is_address = value.startswith(("http://", "https://")) and " " not in value
        return [] if is_address else _printed_list(value)
    if isinstance(value, list):
        return [text for one in value for text in _strings(one)]
    if isinstance(value, dict):
        return [t for name, one in value.items() if not _describes(name) for t in _strings(one)]
    return []


def _printed_list(value: str) -> list[str]:
    """Gives the strings of a list that was printed into a string, or the string itself."""
    if value.startswith(("['", '["')) and value.endswith("]"):
        try:
            parsed = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return [value]
        if isinstance(parsed, list) and all(isinstance(one, str) for one in parsed):
            return parsed
    return [value]

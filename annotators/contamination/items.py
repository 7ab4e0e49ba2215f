"""Benchmarks as they lie on disk: JSON Lines, one item a line, and which fields are its text.

Published benchmarks agree on nothing but the format, so by default the text of an item is every
field that holds text: strings, and strings inside lists and objects (choices), in the order of the
line, joined by newlines. Left out are fields whose names say that they describe the item
(`_DESCRIBING`, or an ending of `_id`, `_url`, `_type`, `_index`), web addresses, and a field that
repeats an earlier one. Numbers and booleans are no evidence of a quotation and are left out. Where
that picks wrongly, `fields` names the right ones.

A broken file must not pass as a small one: silent empty results are what users of other
decontaminators complain of (allenai/dolma #96, #150, #174, #218). So a missing file, a line that
is not a JSON object, and a benchmark without text are errors, before any document is read.
"""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import zstandard

_DESCRIBING: Final = frozenset(
    "id idx index uid guid uuid url uri link source license lang language locale type level task "
    "subject category topic domain subfield field split difficulty entry_point tag tags keywords "
    "metadata meta canary version date year author authors data_source data_topic sourcename "
    "question_number label labels error_type".split()
)
_DESCRIBING_ENDINGS: Final = ("_id", "_url", "_type", "_index")
_ID_FIELDS: Final = ("id", "task_id", "question_id", "uid", "_id")
_KEYS: Final = ("name", "path", "fields")


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark file and how it is read."""

    name: str
    path: Path
    """JSON Lines, plain or packed (.gz, .zst)."""
    fields: tuple[str, ...] = ()
    """Fields that together are an item's text, in this order; empty: see the module."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a benchmark."""

    id: str
    """Its `id` (or `task_id`, `question_id`, `uid`, `_id`), else `line N`."""
    texts: tuple[str, ...]
    """Text of each field that has any."""


def parse_benchmarks(options: Sequence[Mapping[str, Any]]) -> tuple[Benchmark, ...]:
    """Reads the option `benchmarks` and looks that its files are there.

    Raises:
        ValueError: A key is unknown or missing, a name stands twice, or a file is missing.
    """
    made = []
    for number, option in enumerate(options, 1):
        unknown = sorted(set(option) - set(_KEYS))
        if unknown or not option.get("name") or not option.get("path"):
            raise ValueError(
                f"benchmark {number} has the keys {sorted(option)}; it needs name and path, and "
                "may have fields: write {name: ..., path: ..., fields: [...]}"
            )
        fields = option.get("fields") or ()
        if isinstance(fields, str):
            raise ValueError(
                f"benchmark {option['name']}: fields is the text {fields!r}; it must be a list of "
                f"names: write [{fields}]"
            )
        path = Path(option["path"]).expanduser()
        if not path.is_file():
            raise ValueError(
                f"benchmark {option['name']}: found no file {path}; a benchmark is one file of "
                "JSON Lines (.jsonl, .jsonl.gz, .jsonl.zst): correct its path"
            )
        made.append(Benchmark(name=str(option["name"]), path=path, fields=tuple(fields)))
    names = [one.name for one in made]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two benchmarks are called {twice[0]!r}; names must differ: rename one")
    return tuple(made)


def read_items(benchmark: Benchmark) -> list[Item]:
    """Reads all items of a benchmark, also those without text.

    Raises:
        ValueError: The file cannot be read or unpacked, a line is not a JSON object in UTF-8, there
            is no item, no item has text, or one of `fields` is in no item.
    """
    items, names = [], set[str]()
    for number, record in _records(benchmark):
        names |= record.keys()
        items.append(Item(_id(record, number), _texts(record, benchmark.fields)))
    missing = [name for name in benchmark.fields if name not in names]
    if missing or not any(item.texts for item in items):
        raise ValueError(
            f"benchmark {benchmark.name}: {benchmark.path} holds {len(items)} items with the "
            f"fields {sorted(names)}, "
            + (f"none of them {missing[0]!r}" if missing and items else "but no text")
            + "; name the fields that hold the text of an item in `fields`"
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
        yield number, record


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


def _id(record: Mapping[str, Any], number: int) -> str:
    for name in _ID_FIELDS:
        if isinstance(record.get(name), str | int) and record[name] != "":
            return str(record[name])
    return f"line {number}"


def _texts(record: Mapping[str, Any], fields: Sequence[str]) -> tuple[str, ...]:
    """Gives the texts of an item: of the named fields, or of all that hold text."""
    names = fields or [name for name in record if not _describes(name)]
    found = ["\n".join(_strings(record.get(name))).strip() for name in names]
    # `dict` keeps the first of equal texts, in order.
    return tuple(dict.fromkeys(text for text in found if text))


def _describes(name: str) -> bool:
    lower = name.lower()
    return lower in _DESCRIBING or lower.endswith(_DESCRIBING_ENDINGS)


def _strings(value: object) -> list[str]:
    """Gives the strings inside a value of a field, in order."""
    if isinstance(value, str):
        is_address = value.startswith(("http://", "https://")) and " " not in value
        return [] if is_address else [value]
    if isinstance(value, list):
        return [text for one in value for text in _strings(one)]
    if isinstance(value, dict):
        return [t for name, one in value.items() if not _describes(name) for t in _strings(one)]
    return []

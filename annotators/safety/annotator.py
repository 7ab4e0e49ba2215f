"""The `safety` labels: block lists by URL, lexicons by language, and a model of one's own.

Nothing is decided here: a mixture says what it leaves out (`not coalesce(blocked, false)`,
`adult_lexicon_per_thousand < 5`). Every column is null where nothing is known: no URL, no list, no
terms in the language of the text, no model. What is shipped, and what is not, stands in CARD.md.
"""

import unicodedata
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from annotators.quality.categories import CategoryModel
from annotators.safety.addresses import comparable_urls
from annotators.safety.block_lists import read_block_list
from annotators.safety.entry_index import EntryIndex, build_index, find_entries
from annotators.safety.lexicons import Lexicon, counted_columns, shipped_lexicons

_JUDGED: Final[list["pa.Field[Any]"]] = [
    pa.field("safety", pa.string()),
    pa.field("safety_score", pa.float32()),
]
_LISTED: Final[list["pa.Field[Any]"]] = [
    pa.field("blocked", pa.bool_()),
    pa.field("block_list", pa.string()),
    pa.field("block_category", pa.string()),
    pa.field("block_rule", pa.string()),
]


class _Lists(NamedTuple):
    entries: EntryIndex
    names: tuple[str, ...]
    categories: tuple[str, ...]


class Safety:
    """Says which lists have a document's URL and how many terms of which lexicon it has."""

    name = "safety"
    # Terms are folded by the character tables of the running Python.
    version = f"2/unicode-{unicodedata.unidata_version}"
    inputs: tuple[str, ...] = ("url", "language")

    def __init__(
        self,
        *,
        block_lists: Mapping[str, str | Path] | None = None,
        lexicons: Mapping[str, str | Path] | None = None,
        model: str | Path | None = None,
    ) -> None:
        """Remembers the lists; they are read at the first call.

        Args:
            block_lists: Name -> file or folder (`block_lists`); the first one decides.
            lexicons: Name -> folder or file of terms (`lexicons`); left out, those of the package.
            model: Folder that `tokenmill train safety` wrote; none is shipped.

        Raises:
            ValueError: A path does not exist, or a name cannot be part of a column's name.
        """
        shipped = shipped_lexicons()
        self._block_lists = {name: Path(path) for name, path in (block_lists or {}).items()}
        chosen = shipped if lexicons is None else lexicons
        self._lexicon_paths = {name: Path(path) for name, path in chosen.items()}
        self._model_folder = Path(model) if model is not None else None
        own_model = [("model", self._model_folder)] if self._model_folder else []
        for name, path in (*self._block_lists.items(), *self._lexicon_paths.items(), *own_model):
            if not path.exists():
                raise ValueError(f"safety: {name} names {path}, which does not exist")
        for name in self._lexicon_paths:
            if not (name.isidentifier() and name.islower()):
                raise ValueError(
                    f"safety: a lexicon is called {name!r}; its name begins the names of its "
                    "columns, so allowed are lower-case letters, digits and _"
                )
        self.columns = pa.schema([*_JUDGED, *_LISTED, *counted_columns(self._lexicon_paths)])

    def model_files(self) -> list[Path]:
        """All files of the lists, the lexicons and the model."""
        paths = [*self._block_lists.values(), *self._lexicon_paths.values()]
        files = [path.rglob("*") if path.is_dir() else [path] for path in paths]
        own = CategoryModel.files(self._model_folder) if self._model_folder else []
        return [*sorted(one for some in files for one in some if one.is_file()), *own]

    def check(self) -> None:
        """Reads all lists and the model.

        Raises:
            ValueError: One cannot be read; the message names the file and what is allowed.
        """
        _ = self._lists, self._lexicons, self._model

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, "pa.Array[Any]"]
    ) -> pa.RecordBatch:
        """Annotates texts.

        Args:
            texts: large_string, no nulls.
            labels: `url` and `language`: strings or null, as long as `texts`.

        Returns:
            `safety` the category that the model names and `safety_score` its probability, both null
            without a model; `blocked` whether a list has the URL, null without a URL or without
            lists; `block_list`, `block_category` (folder of UT1) and `block_rule` (the entry) of
            the list that decides; for each lexicon `<name>_lexicon_count` and
            `<name>_lexicon_per_thousand` (words), null where it has no terms of the language.
        """
        columns = [*self._judged(texts), *self._listed(labels["url"])]
        for lexicon in self._lexicons:
            columns += lexicon.count(texts, labels["language"].cast(pa.string()))
        return pa.RecordBatch.from_arrays(columns, schema=self.columns)

    @cached_property
    def _model(self) -> CategoryModel | None:
        return CategoryModel.load(self._model_folder) if self._model_folder else None

    def _judged(self, texts: pa.LargeStringArray) -> list["pa.Array[Any]"]:
        """The two columns of the model."""
        if self._model is None:
            return [pa.nulls(len(texts), field.type) for field in _JUDGED]
        return list(self._model.predict(texts))

    @cached_property
    def _lexicons(self) -> tuple[Lexicon, ...]:
        return tuple(Lexicon(name, path) for name, path in self._lexicon_paths.items())

    @cached_property
    def _lists(self) -> _Lists | None:
        if not self._block_lists:
            return None
        keys, categories, sizes = [], [], []
        for path in self._block_lists.values():
            entries = read_block_list(path)
            keys.append(entries.keys)
            categories.append(entries.categories)
            sizes.append(len(entries.keys))
        lists = np.repeat(np.arange(len(sizes), dtype=np.int16), sizes)
        joined = pa.chunked_array(categories).unify_dictionaries().combine_chunks()
        joined = joined if isinstance(joined, pa.DictionaryArray) else joined.chunk(0)
        numbers = pc.fill_null(joined.indices, -1).to_numpy(zero_copy_only=False)
        index = build_index(pa.concat_arrays(keys), lists, numbers.astype(np.int16))
        return _Lists(index, tuple(self._block_lists), tuple(joined.dictionary.to_pylist()))

    def _listed(self, urls: "pa.Array[Any]") -> list["pa.Array[Any]"]:
        """The four columns of block lists."""
        if self._lists is None:
            return [pa.nulls(len(urls), field.type) for field in _LISTED]
        index, names, categories = self._lists
        compared = comparable_urls(urls)
        has_url = compared.is_valid()
        found = find_entries(index, pc.fill_null(compared, ""))
        hit = found >= 0
        rows = np.maximum(found, 0)
        entries = pa.LargeStringArray.from_buffers(
            len(index.hashes), pa.py_buffer(index.offsets), pa.py_buffer(index.data)
        )
        unknown = ~hit
        numbers = pa.array(index.categories[rows], mask=unknown | (index.categories[rows] < 0))
        return [
            pa.array(hit, mask=~np.asarray(has_url)),
            pa.array(names, pa.string()).take(pa.array(index.lists[rows], mask=unknown)),
            pa.array(categories, pa.string()).take(numbers),
            entries.take(pa.array(rows, mask=unknown)).cast(pa.string()),
        ]

    def __getstate__(self) -> dict[str, object]:
        """Without what was read, which a worker reads itself."""
        own = ("_lists", "_lexicons", "_model")
        return {key: value for key, value in self.__dict__.items() if key not in own}

"""The `language` labels: which of the 119 a text is written in, its group, script and shares.

A text is folded into one line of at most about 1 KiB in up to eight segments (`windows`); the model
scores the line and its segments in one pass (`scoring`); labels become families (`verdicts`). Then:

1. The shipped model's n-grams of each language (`familiarity`) choose among the likeliest families,
   and say whether the text is in that language at all; if not, it is `und`. With another maker's
   model the likeliest family is taken, and one with less than half of the probability is `und`.
2. What fits the family but not the sentence's script is settled by characters (`chinese`), and
   dialects by what they are told from in the raw text (`dialects`, shipped model only).
3. Where segments clearly are in other languages than the line, each language's segments are judged
   again as a text of their own. `language` is the one with the largest share of letters, `und`
   among them.

Each row depends on its own text alone.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from annotators.language.judging import Judge
from annotators.language.label_maps import read_label_map
from annotators.language.model_file import BESIDE, SHIPPED, description_path, is_described, load
from annotators.language.windows import NUM_WINDOWS, WINDOW_BYTES

_ROWS_AT_ONCE = 1024  # bounds what is held at once to about 10 MB, which stays in the cache
_BYTES_AT_ONCE = 64 << 20  # of texts that are read whole

SHARE: Final = pa.struct(
    [
        pa.field("language", pa.string(), nullable=False),
        pa.field("share", pa.float32(), nullable=False),
    ]
)

_FIELDS: list["pa.Field[Any]"] = [
    pa.field("language", pa.string(), nullable=False),
    pa.field("language_score", pa.float32(), nullable=False),
    pa.field("language_second", pa.string(), nullable=False),
    pa.field("language_group", pa.string(), nullable=False),
    pa.field("script", pa.string(), nullable=False),
    pa.field("language_shares", pa.list_(pa.field("item", SHARE, nullable=False)), nullable=False),
    pa.field("language_share", pa.float32(), nullable=False),
]


class Language:
    """Names the language of each text, or `und`."""

    name = "language"
    # Folding follows the character tables of the running Python; 3.11 to 3.13 differ in them.
    version = f"3/windows-{NUM_WINDOWS}x{WINDOW_BYTES}/unicode-{unicodedata.unidata_version}"
    columns = pa.schema(_FIELDS)
    inputs: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        model: str | Path | None = None,
        label_map: str | Path | Mapping[str, str] | None = None,
        paragraphs: bool = False,
        whole: bool = False,
    ) -> None:
        """Remembers the model; it is loaded at the first call, or by `check`.

        Args:
            model: Another supervised fastText model than the shipped one. `language.ftz` in a
                folder that `tokenmill train language` made gets folded text, any other plain.
            label_map: Label of that model, without `__label__`, to one of the 119 codes: one of
                `label_maps.NAMES` such as "glotlid-v3", a CSV file with the columns `label` and
                `code`, or a mapping. A label that is neither mapped nor one of the 119 makes a
                text `und`.
            paragraphs: Judges every line of a text by itself instead of windows, which takes about
                0.1 ms a KiB and is exact in its shares.
            whole: Reads all of a text as one line instead of windows: how much windows lose.

        Raises:
            ValueError: There is no such file, the map names an unknown code, or both ways of
                reading were asked for.
        """
        if paragraphs and whole:
            raise ValueError(
                "paragraphs and whole are both set; paragraphs judges line by line, whole all of a "
                "text at once: set one of them"
            )
        self._path = Path(model) if model is not None else SHIPPED
        self._label_map = read_label_map(label_map)
        self._map_file = Path(label_map) if isinstance(label_map, Path) else None
        self._paragraphs, self._whole = paragraphs, whole
        if not self._path.is_file():
            load(self._path)  # raises, with the remedy

    def check(self) -> None:
        """Loads what calls need.

        Raises:
            ValueError: A file is missing or damaged; path and remedy.
        """
        _ = self._judge

    def model_files(self) -> list[Path]:
        """The model, and with one of this project what is read beside it; a file of labels."""
        files = [self._path]
        if is_described(self._path):
            files.append(description_path(self._path))
            files += [self._path.with_name(name) for name in BESIDE]
        return files + ([self._map_file] if self._map_file else [])

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, "pa.Array[Any]"]
    ) -> pa.RecordBatch:
        """Annotates texts.

        Args:
            texts: One text a row, no nulls.
            labels: Not used.

        Returns:
            `language` one of the 119 or `und`: what most of the letters read are in.
            `language_score` its probability in [0, 1], 0 for `und`; in a mixed text the mean over
            its parts in that language, weighted by letters. `language_second` the language with
            the next largest share, or where there is none the next best guess of the model, and
            where `language` is `und` the best; `und` where there is none. `language_group` ISO
            639-3 of the group. `script` ISO 15924 of most letters (`Hani` for Chinese, `Jpan` for
            kana with or without Han, `Zyyy` without letters). `language_shares` shares of letters
            in each language, `und` included, the largest first, of what was read; empty without
            letters. `language_share` the share of `language`, 0 without letters.

        Raises:
            ValueError: The model file is missing or damaged.
        """
        # An array of no texts is one slice too, so that its columns get their types.
        batches = [
            pa.RecordBatch.from_arrays(
                self._judge.annotate(one, paragraphs=self._paragraphs, whole=self._whole),
                schema=self.columns,
            )
            for one in self._slices(texts)
        ]
        return pa.concat_batches(batches) if len(batches) > 1 else batches[0]

    def _slices(self, texts: pa.LargeStringArray) -> Iterator[pa.LargeStringArray]:
        """Bounds rows, and bytes where texts are read whole; a larger text is a slice alone."""
        if not (self._paragraphs or self._whole) or not len(texts):
            for start in range(0, max(len(texts), 1), _ROWS_AT_ONCE):
                yield texts.slice(start, _ROWS_AT_ONCE)
            return
        start = size = 0
        for row, num_bytes in enumerate(pc.binary_length(texts).to_numpy()):
            if row > start and (row - start >= _ROWS_AT_ONCE or size + num_bytes > _BYTES_AT_ONCE):
                yield texts.slice(start, row - start)
                start, size = row, 0
            size += int(num_bytes)
        yield texts.slice(start)

    @cached_property
    def _judge(self) -> Judge:
        return Judge(self._path, self._label_map)

    def __getstate__(self) -> dict[str, object]:
        """Without the loaded model, which a worker loads itself."""
        return {key: value for key, value in self.__dict__.items() if key != "_judge"}

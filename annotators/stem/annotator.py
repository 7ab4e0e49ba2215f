"""How much of a document is code and math, how dense its formulas are, what its code is written in.

These are signals of form, not of subject: cheap, alike in every script, and there before any
model of topics is. A mixture puts thresholds on them (`code_share > 0.2`).
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from annotators.stem.identification import LANGUAGES, Signs, build_signs
from annotators.stem.lines import Words, measure
from annotators.stem.vocabulary import COMMANDS, ENVIRONMENTS, FORMATS, KEYWORDS, word_hashes
from annotators.text.utf8 import utf8_texts


class Stem:
    """Measures code and formulas (an `Annotator`)."""

    name: ClassVar[str] = "stem"
    version: ClassVar[str] = "3"
    inputs: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[pa.Schema] = pa.schema(
        [
            ("code_share", pa.float32()),
            ("math_share", pa.float32()),
            ("formula_density", pa.float32()),
            ("programming_language", pa.string()),
            ("programming_language_score", pa.float32()),
        ]
    )

    def __init__(self) -> None:
        lists = (KEYWORDS, COMMANDS, ENVIRONMENTS, FORMATS)
        self._words = Words(*(word_hashes(one) for one in lists))

    @cached_property
    def _signs(self) -> Signs:
        return build_signs()

    def model_files(self) -> list[Path]:
        """Gives none: the rules are code, and `version` stands for them."""
        return []

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, "pa.Array[Any]"]
    ) -> pa.RecordBatch:
        """Measures texts.

        Args:
            texts: large_string, no nulls.
            labels: Not read.

        Returns:
            One row a text, of schema `columns`: shares of lines in [0, 1], long lines as if
            wrapped, 0 for a text without lines; marks of formulas per 1,000 characters; the
            language of the code by its name in GitHub Linguist and its score in [0, 1], null where
            there is no code or none is known.

        Raises:
            ValueError: A text is null, or `texts` is of another type.
        """
        data, offsets = utf8_texts(texts)
        found, languages = measure(data, offsets, self._words, self._signs)
        unknown = languages < 0
        names = np.array(LANGUAGES, object)[languages]
        return pa.record_batch(
            [
                *(pa.array(column) for column in found[:3]),
                pa.array(names, pa.string(), mask=unknown),
                pa.array(found[3], mask=unknown),
            ],
            schema=self.columns,
        )

    def __getstate__(self) -> dict[str, object]:
        """Without the tables, which a worker makes itself."""
        return {key: value for key, value in self.__dict__.items() if key != "_signs"}

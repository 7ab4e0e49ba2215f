"""The `educational` label: points from 0 to 5 for what a text would teach, by a model of your own.

Nothing is shipped: the public labels of educational value were made by models whose licences ask
something of models trained on them, and no figure stands for a model that was trained on none. So
without a model the column is null. `tokenmill judge` labels a sample with a judge of your choice,
`tokenmill train educational` learns from it, and the option `model` names what came of it.
"""

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from annotators.quality.text_model import DESCRIPTION, WEIGHTS, load_text_model

_FIELDS: list["pa.Field[Any]"] = [pa.field("educational", pa.float32())]


class Educational:
    """Gives each text its educational value, or null (an `Annotator`)."""

    name: ClassVar[str] = "educational"
    # Words follow the character tables of the running Python; 3.11 to 3.13 differ in them.
    version: ClassVar[str] = f"1/unicode-{unicodedata.unidata_version}"
    columns: ClassVar[pa.Schema] = pa.schema(_FIELDS)
    inputs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, model: str | Path | None = None) -> None:
        """Remembers the model; it is loaded at the first call.

        Args:
            model: Folder that `tokenmill train educational` wrote. Left out, the column is null.

        Raises:
            ValueError: There is no such folder.
        """
        self._folder = Path(model) if model is not None else None
        if self._folder is not None and not self._folder.is_dir():
            raise ValueError(
                f"model: there is no folder {self._folder}; name one that `tokenmill train "
                "educational` wrote, or leave the option out for a null column"
            )

    def model_files(self) -> list[Path]:
        """The files of the model, if there is one."""
        if self._folder is None:
            return []
        return [self._folder / DESCRIPTION, self._folder / WEIGHTS]

    def check(self) -> None:
        """Reads the model.

        Raises:
            ValueError: It is missing, damaged, or of other words.
        """
        if self._folder is not None:
            load_text_model(self._folder, "educational")

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, "pa.Array[Any]"]
    ) -> pa.RecordBatch:
        """Annotates texts.

        Args:
            texts: large_string, no nulls.
            labels: Not used.

        Returns:
            `educational`, float32 in [0, 5]; null without a model, or where no word is known.

        Raises:
            ValueError: As `check`.
        """
        if self._folder is None:
            return pa.record_batch([pa.nulls(len(texts), pa.float32())], schema=self.columns)
        scores = load_text_model(self._folder, "educational").scores(texts)
        found = pa.array(scores.astype(np.float32), pa.float32(), mask=np.isnan(scores))
        return pa.record_batch([found], schema=self.columns)

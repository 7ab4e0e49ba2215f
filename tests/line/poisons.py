"""An annotator and an OCR engine that die of certain documents; children import them by name."""

import ctypes
import os
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from annotators.annotator import annotator
from pipelines.extract.pdf.ocr import Reading


def segfault() -> None:
    """Reads at address 0, as a broken native library does."""
    ctypes.string_at(0)


def hang() -> None:
    """Never comes back."""
    while True:
        time.sleep(60)


def eat() -> None:
    """Takes and fills memory until there is none."""
    held = []
    while True:
        held.append(np.ones(64 << 20, np.uint8))


DEADLY: dict[str, Callable[[], None]] = {
    "segfault": segfault,
    "abort": os.abort,
    "hang": hang,
    "memory": eat,
}


@annotator(columns={"num_letters": "int32"})
def letters(texts: pa.LargeStringArray, *, deadly: bool = True) -> dict[str, list[int]]:
    """Counts letters; a text that begins with `poison: ` and a way to die ends the process."""
    counts = []
    for text in texts.to_pylist():
        way = text.removeprefix("poison: ").split()[0]
        if deadly and text.startswith("poison: "):
            DEADLY[way]()
        counts.append(sum(map(str.isalpha, text)))
    return {"num_letters": counts}


class RedKills:
    """Reads the width of a picture; dies of one that is red."""

    name = "red-kills/1"

    def read(self, image: np.ndarray) -> Reading:
        """A text of some words for any other picture."""
        blue, _, red = image.reshape(-1, 3).mean(axis=0)
        if red > blue + 100:
            segfault()
        return Reading(text=f"A picture of a harbour, {image.shape[1]} points wide, hangs here.")

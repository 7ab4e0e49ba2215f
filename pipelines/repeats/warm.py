"""Compiles the kernels that look for boilerplate and repeated passages, once."""

import numpy as np
import pyarrow as pa

from pipelines.repeats.boilerplate import boilerplate_spans, passage_keys
from pipelines.repeats.counting import SharedKeys
from pipelines.repeats.stretches import guard_keys, repeat_spans, window_keys

_LINE = "A line of a page that is long enough to be looked for on other pages, "
_TEXTS = [_LINE * 8 + "and an end.", _LINE * 8]


def warm() -> None:
    """Looks for both kinds in two texts; the compiled code stays in a cache on disk."""
    texts, hosts = pa.array(_TEXTS, pa.large_string()), pa.array(["example.org"] * 2)
    boilerplate_spans(texts, hosts, _shared(passage_keys(texts, hosts).keys))
    windows = window_keys(texts, _shared(guard_keys(texts).keys))
    repeat_spans(texts, np.arange(2, dtype=np.uint64), _shared(windows.keys))


def _shared(keys: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> SharedKeys:
    distinct = np.unique(keys)
    return SharedKeys(distinct, np.full(len(distinct), 2), np.zeros(len(distinct), np.uint64))


if __name__ == "__main__":
    warm()

"""Compiles the kernels of all built-in annotators once, so that no later run waits for it.

`python -m pipelines.annotate.warm`; the compiled code stays in a cache on disk. Compiling takes
about 15 s on one core, loading from the cache under 1 s.
"""

import json
import tempfile
from pathlib import Path

import pyarrow as pa

from annotators.annotator import DOCUMENT_COLUMNS
from pipelines.annotate.registry import BUILTIN, AnnotatorSpec
from pipelines.near_duplicates.warm import warm as warm_near_duplicates
from pipelines.repeats.warm import warm as warm_repeats
from pipelines.workspace.fingerprints import canonical_json

_QUOTED = "A question of a benchmark that is long enough to be found in a document that quotes it"
_TEXTS = ["A text with `code`, $x^2$ and a second line.\nx = 1;", "二つ目の文。", "", _QUOTED]


def warm() -> None:
    """Calls every built-in annotator that needs no options once."""
    with tempfile.TemporaryDirectory() as folder:
        _warm(Path(folder))


def _warm(folder: Path) -> None:
    texts = pa.array(_TEXTS, pa.large_string())
    labels = {name: pa.nulls(len(texts), type_) for name, type_ in DOCUMENT_COLUMNS.items()}
    for name, target in BUILTIN.items():
        if name == "length":
            continue  # needs a tokenizer, and has nothing to compile
        options = {"benchmarks": [_benchmark(folder)]} if name == "contamination" else {}
        annotator = AnnotatorSpec(target, canonical_json(options)).annotator
        made = annotator(texts, {column: labels[column] for column in annotator.inputs})
        labels |= {column: made.column(column) for column in made.schema.names}


def _benchmark(folder: Path) -> dict[str, str]:
    """A benchmark of one item, without which there is nothing to look for."""
    path = folder / "benchmark.jsonl"
    path.write_text(json.dumps({"text": _QUOTED}) + "\n", encoding="utf-8")
    return {"name": "warm", "path": str(path)}


if __name__ == "__main__":
    warm()
    warm_near_duplicates()
    warm_repeats()

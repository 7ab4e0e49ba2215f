"""The datatrove side of `deduplicate.py`: its four MinHash steps, under datatrove's own venv.

    python datatrove_minhash.py '{"input": ..., "output": ..., "processes": 2}'

The steps and their order are those of datatrove's examples/minhash_deduplication.py, each a
LocalPipelineExecutor of its own: signatures, buckets, clusters, filter. The settings are its
defaults: word 5-grams, 14 buckets of 8 hashes, English words (spaCy's blank `en`). Signatures and
the filter have as many tasks and workers as there are processes; buckets must have a task for each
of the 14, on as many workers; clusters is one task by design. Kept documents are written as JSONL
without compression, the fastest of what JsonlWriter offers; its default is gzip.

`kept-<rank>.txt` lists the ids of what was kept, which costs about a microsecond a document;
`result.json` has versions and seconds by step.
"""

import json
import sys
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

PACKAGES = ("datatrove", "spacy", "numpy", "xxhash")


def note_ids(data: Any, rank: int, world_size: int, folder: str) -> Iterator[Any]:  # noqa: ANN401
    """A pipeline step that lists the ids of what passes it."""
    with (Path(folder) / f"kept-{rank:05d}.txt").open("w", encoding="utf-8") as ids:
        for document in data:
            ids.write(f"{document.id}\n")
            yield document


def stages(task: dict[str, Any]) -> Iterator[tuple[str, list[Any], int]]:
    """Name, pipeline and number of tasks of each step."""
    from datatrove.pipeline.dedup import (  # type: ignore[import-not-found,unused-ignore]
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import (  # type: ignore[import-not-found,unused-ignore]
        MinhashConfig,
    )
    from datatrove.pipeline.readers import (  # type: ignore[import-not-found,unused-ignore]
        JsonlReader,
    )
    from datatrove.pipeline.writers import (  # type: ignore[import-not-found,unused-ignore]
        JsonlWriter,
    )

    output, processes = task["output"], task["processes"]
    reader = partial(JsonlReader, task["input"], glob_pattern="*.jsonl")
    signatures, buckets, remove = (f"{output}/{n}" for n in ("signatures", "buckets", "remove"))
    config = MinhashConfig()
    yield "signatures", [reader(), MinhashDedupSignature(signatures, config)], processes
    step = MinhashDedupBuckets(signatures, buckets, config=config)
    yield "buckets", [step], config.num_buckets
    yield "clusters", [MinhashDedupCluster(buckets, remove, config=config)], 1
    writer = JsonlWriter(f"{output}/kept", compression=None)
    steps = [reader(), MinhashDedupFilter(remove), partial(note_ids, folder=output), writer]
    yield "filter", steps, processes


def run(task: dict[str, Any]) -> None:
    """Runs the four steps.

    Args:
        task: `input` and `output` folders, `processes`.
    """
    from datatrove.executor import (  # type: ignore[import-not-found,unused-ignore]
        LocalPipelineExecutor,
    )

    folder = Path(task["output"])
    folder.mkdir(parents=True)
    seconds = {}
    for name, pipeline, tasks in stages(task):
        begin = monotonic()
        LocalPipelineExecutor(
            pipeline=pipeline,
            tasks=tasks,
            workers=task["processes"],
            logging_dir=f"{folder}/logs/{name}",
        ).run()
        seconds[name] = monotonic() - begin
    result = {"versions": {name: version(name) for name in PACKAGES}, "seconds": seconds}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))

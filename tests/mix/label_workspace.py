"""A workspace of labels without texts, made through the real part files and ledger in no time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from annotators.contamination.annotator import Contamination
from annotators.pii.annotator import Pii
from mixtures.spec import Mixture
from pipelines.annotate.length import Length
from pipelines.deduplicate.exact import LABELS as DUPLICATES
from pipelines.mix.pins import Pins, pin
from pipelines.mix.plan import Plan
from pipelines.mix.planning import plan_mixture
from pipelines.repeats.plan import LABEL_SCHEMAS as REPEATED
from pipelines.run import run_transform
from pipelines.run_record import RunRecord, write_run_record
from pipelines.validation.plan import LABELS as HELD_OUT
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Stopwatch
from pipelines.workspace.parts import PartFile
from pipelines.workspace.schema import DOCUMENT, document_id
from pipelines.workspace.workspace import Workspace
from token_shards.tokenizer import tokenizer_fingerprint

TOKENIZER = str(Path(__file__).parents[2] / "examples" / "tokenizer" / "tokenizer.json")
LANGUAGES = ("eng_Latn", "rus_Cyrl", "arb_Arab", "jpn_Jpan", "hin_Deva")
PARTS = {"notes": (0, 1), "pages": (0,)}
ROWS = 300

SETS = {
    "length": Length.columns,
    "language": pa.schema([pa.field("language", pa.string())]),
    "domain": pa.schema([pa.field("topic", pa.string())]),
    "pii": Pii.columns,
    "duplicates": pa.schema(list(DUPLICATES)[1:]),
    "validation": pa.schema(list(HELD_OUT)[1:]),
}

CUT_SETS = {
    "contamination": Contamination.columns,
    **{name: pa.schema(list(schema)[1:]) for name, schema in REPEATED.items()},
}
"""Sets that say what can be cut, beside `pii`; written where a test asks for them."""

STAGES = [
    {
        "name": "first",
        "sequence_length": 256,
        "tokens": "one_epoch",
        "where": "duplicate_role = 'alone'",
        "group_by": "language",
        "shares": {"temperature": 0.5},
        "redact": ["email", "phone"],
        "length_buckets": [
            {"name": "short", "min": 0, "max": 400, "share": 1},
            {"name": "long", "min": 400, "max": 2000, "share": 2},
        ],
    },
    {
        "name": "second",
        "sequence_length": 256,
        "tokens": "max",
        "max_epochs": 2.5,
        "where": "topic is not null",
        "weight": "1 + num_tokens / 100.0",
        "packing": "best_fit",
    },
]


def mixture_of(*stages: dict[str, object], seed: int = 7) -> Mixture:
    return Mixture.model_validate({"name": "small", "seed": seed, "stages": list(stages)})


def generation(name: str) -> Generation:
    job = {"duplicates": "deduplicate", "validation": "validation", "extract": "extract"}.get(name)
    payload = {"test": name, "contents": "none"}
    return Generation(job=job or f"annotate.{name}", payload=payload)


def rows_of(source: str, part: int, rows: int = ROWS) -> list[dict[str, Any]]:
    """Documents of one part with all labels; the same for the same arguments."""
    chance = np.random.default_rng([ord(source[0]), part])
    found = []
    for row in range(rows):
        size = int(chance.integers(40, 4000))
        spans = []
        if chance.random() < 0.1:
            spans = [
                {"kind": "email", "start": 2, "end": 22},
                {"kind": "phone", "start": 30, "end": 38},
            ]
        found.append(
            {
                "id": document_id(source, f"{part}/{row}", b"\0" * 16, 0),
                "provenance": {"kind": "natural", "depth": 0},
                "num_tokens": max(1, size // 4),
                "num_bytes": size,
                "language": str(chance.choice(LANGUAGES, p=[0.5, 0.3, 0.1, 0.06, 0.04])),
                "topic": str(chance.choice(["law", "art"])) if chance.random() < 0.5 else None,
                "pii": spans,
                "pii_count": len(spans),
                "cluster_size": 1,
                "duplicate_role": str(
                    chance.choice(["alone", "duplicate", "repeated_record"], p=[0.85, 0.1, 0.05])
                ),
                "split": str(
                    chance.choice(["train", "validation", "near_validation"], p=[0.9, 0.07, 0.03])
                ),
            }
        )
    return found


def write_labels(
    url: str,
    sets: Sequence[str] = tuple(SETS),
    *,
    lacking: Mapping[str, str] | None = None,
    rows: int = ROWS,
) -> Workspace:
    """Commits documents and labels of all parts.

    Args:
        url: A new folder.
        sets: Labels sets to write.
        lacking: Source -> a labels set that it does not get.
        rows: Documents a part.
    """
    workspace = Workspace.create(url)
    for source, parts in PARTS.items():
        made = [name for name in sets if (lacking or {}).get(source) != name]
        for part in parts:
            write_part(workspace, PartKey(source, part), rows_of(source, part, rows), made)
    return workspace


def write_part(
    workspace: Workspace, key: PartKey, rows: list[dict[str, Any]], sets: Sequence[str]
) -> None:
    """Commits one part."""
    filled = [
        {"text": "", "source": key.source, "extractor": "none", "locator": {}, **row}
        for row in rows
    ]
    path = _commit(workspace, "extract", "documents", key, filled, DOCUMENT, ())
    for name in sets:
        columns = (SETS | CUT_SETS)[name]
        fields = [DOCUMENT.field("id"), *(field.with_nullable(True) for field in columns)]
        _commit(workspace, name, "labels", key, filled, pa.schema(fields), (path,))


def _commit(
    workspace: Workspace,
    name: str,
    kind: str,
    key: PartKey,
    rows: list[dict[str, Any]],
    schema: pa.Schema,
    inputs: tuple[str, ...],
) -> str:
    made, watch = generation(name), Stopwatch()
    workspace.ledger.declare(made)
    with PartFile(workspace.storage, schema) as file:
        for start in range(0, len(rows), 64):
            some = [{n: row.get(n) for n in schema.names} for row in rows[start : start + 64]]
            file.write(pa.RecordBatch.from_pylist(some, schema=schema))
        ref = file.publish(kind, f"{kind}/{made.name}/{key.source}", key.part)
    counts = {"documents": len(rows), "rows": len(rows), "records": len(rows)}
    if name == "duplicates":
        roles = Counter(f"role.{row['duplicate_role']}" for row in rows)
        counts |= roles
    workspace.ledger.commit(
        entry_of(made, key, files=(ref,), counts=counts, watch=watch, inputs=inputs)
    )
    return str(ref.path)


def pins_for(
    workspace: Workspace,
    sets: Sequence[str] = tuple(SETS),
    *,
    lacking: Mapping[str, str] | None = None,
) -> Pins:
    """Pins what `write_labels` wrote."""
    labels = {
        source: {n: generation(n).name for n in sets if (lacking or {}).get(source) != n}
        for source in PARTS
    }
    documents = dict.fromkeys(PARTS, generation("extract").name)
    return pin(workspace, documents, labels, PARTS)


class Run:
    """Runs transforms in this process, and remembers which."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    def __call__(
        self,
        title: str,
        meters: Mapping[str, str],
        transform: Callable[[], beam.PTransform],
        parts: int,
    ) -> None:
        self.titles.append(f"{title}: {parts}")
        run_transform(transform(), ())


def make_plan(
    workspace: Workspace,
    mixture: Mixture,
    pins: Pins | None = None,
    *,
    shard_tokens: int = 40_000,
    processes: int = 2,
    run: Run | None = None,
) -> Plan:
    """Plans as the driver does."""
    return plan_mixture(
        workspace,
        mixture,
        pins or pins_for(workspace),
        shard_tokens=shard_tokens,
        tokenizer=TOKENIZER,
        tokenizer_fingerprint=tokenizer_fingerprint(TOKENIZER),
        processes=processes,
        run=run or Run(),
    )


def write_run(workspace: Workspace, plans: Mapping[str, str]) -> None:
    """run.json, as if a run had made the labels and these plans."""
    own = [name for name in SETS if name not in ("duplicates", "validation")]
    write_run_record(
        workspace,
        RunRecord(
            corpus="test",
            sources={source: list(parts) for source, parts in PARTS.items()},
            extract=dict.fromkeys(PARTS, generation("extract").name),
            annotate={source: {name: generation(name).name for name in own} for source in PARTS},
            duplicates=generation("duplicates").name,
            validation=generation("validation").name,
            mixtures=plans,
            shards={},
            tokenizer=TOKENIZER,
            tokenizer_fingerprint=tokenizer_fingerprint(TOKENIZER),
            shard_tokens=40_000,
            shard_format="megatron",
            eod="<|endoftext|>",
            finished_at="2026-01-01T00:00:00+00:00",
            models="none",
        ),
    )

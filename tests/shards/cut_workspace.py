"""Texts in several scripts with labels of what can be cut, and their shards without a run."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pyarrow as pa
from label_workspace import CUT_SETS, SETS, TOKENIZER, generation, make_plan, mixture_of, write_part
from shards_fixtures import map_here
from tokenizers import Tokenizer

from pipelines.mix.pins import pin
from pipelines.mix.plan import Plan
from pipelines.shards.job import ShardsJob
from pipelines.shards.writing import ShardSettings, write_shards
from pipelines.workspace.children import Children
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.ledger import Entry
from pipelines.workspace.schema import document_id
from pipelines.workspace.workspace import Workspace
from token_shards.tokenizer import load_tokenizer

SOURCE = "notes"
EOD = "<|endoftext|>"

PAGE = (
    "Start | Kontakt | ann.lee@mail.example\n\n"
    "The ferry leaves the quay at nine. 🙂\n\n"
    "Share this page"
)
FOOTER = "Share this page"
LETTER = "bob@mail.example にお問い合わせ。\n渡し船は九時に岸を離れます。"
QUOTED = "Ответ прост.\nСколько будет шесть на семь? Сорок два.\nПаром отходит в девять утра."
FIRST = "يغادر القارب الرصيف في التاسعة صباحا كل يوم. هذا هو النص الأول."
AGAIN = "نص آخر هنا. يغادر القارب الرصيف في التاسعة صباحا كل يوم."
BLANK = "Share this page\n \u3000\nStart | Kontakt"
MIXED = "Write to ann.lee@mail.example every day, said the notice at the quay."
PLAIN = "नाव नौ बजे घाट से निकलती है।"


def span(text: str, piece: str, **told: object) -> dict[str, Any]:
    """Where a piece stands in a text, in bytes, once."""
    (before,) = (text[:at] for at in range(len(text)) if text.startswith(piece, at))
    start = len(before.encode())
    return {"start": start, "end": start + len(piece.encode()), **told}


def line(text: str, piece: str, kind: str = "line") -> dict[str, Any]:
    return span(text, piece, kind=kind, documents=7)


def repeat(text: str, piece: str, *, first: bool) -> dict[str, Any]:
    return span(text, piece, kind="repeat", documents=2, first=first)


def quote(text: str, piece: str, *, contaminated: bool) -> dict[str, Any]:
    return span(
        text,
        piece,
        benchmark="sums",
        item="7",
        field="question",
        score=0.9 if contaminated else 0.3,
    ) | {"contaminated": contaminated}


BOAT = "يغادر القارب الرصيف في التاسعة صباحا كل يوم."
ASKED = "Сколько будет шесть на семь? "
DOCUMENTS: list[dict[str, Any]] = [
    {
        "text": PAGE,
        "pii": [span(PAGE, "ann.lee@mail.example", kind="email")],
        "boilerplate": [
            line(PAGE, "Start | Kontakt | ann.lee@mail.example\n\n", "paragraph"),
            line(PAGE, "\n\n" + FOOTER),
        ],
    },
    {"text": FOOTER, "boilerplate": [line(FOOTER, FOOTER)]},
    {
        "text": LETTER,
        "pii": [span(LETTER, "bob@mail.example", kind="email")],
        "boilerplate": [line(LETTER, "bob@mail.example にお問い合わせ。\n")],
    },
    {
        "text": QUOTED,
        "contamination_spans": [
            quote(QUOTED, "Ответ прост.", contaminated=False),
            quote(QUOTED, ASKED, contaminated=True),
            quote(QUOTED, "семь? Сорок два.\n", contaminated=True),
        ],
        "contaminated": True,
    },
    {"text": FIRST, "repeats": [repeat(FIRST, BOAT, first=True)]},
    {"text": AGAIN, "repeats": [repeat(AGAIN, BOAT, first=False)], "cluster_size": 5},
    {"text": BLANK, "boilerplate": [line(BLANK, FOOTER), line(BLANK, "Start | Kontakt")]},
    {
        "text": MIXED,
        "pii": [span(MIXED, "ann.lee@mail.example", kind="email")],
        "repeats": [repeat(MIXED, "mail.example every day, said", first=False)],
    },
    {"text": PLAIN},
]

ALL_CUT = {
    PAGE: "The ferry leaves the quay at nine. 🙂",
    LETTER: "渡し船は九時に岸を離れます。",
    QUOTED: "Ответ прост.\nПаром отходит в девять утра.",
    FIRST: FIRST,
    AGAIN: "نص آخر هنا. ",
    MIXED: "Write to <email> the notice at the quay.",
    PLAIN: PLAIN,
}
"""What is left of each text by all cuts and without emails; FOOTER and BLANK have nothing left."""


def rows_of(documents: Sequence[dict[str, Any]] = DOCUMENTS) -> list[dict[str, Any]]:
    texts: pa.LargeStringArray = pa.array([one["text"] for one in documents], pa.large_string())
    counts = load_tokenizer(TOKENIZER, eod=EOD).count(texts).tolist()
    return [
        {
            "id": document_id(SOURCE, str(number), b"\0" * 16, 0),
            "provenance": {"kind": "natural", "depth": 0},
            "num_tokens": count,
            "num_bytes": len(one["text"].encode()),
            "language": "und",
            "duplicate_role": "alone",
            "cluster_size": 1,
            "split": "train",
            "pii": [],
            "boilerplate": [],
            "repeats": [],
            "contamination_spans": [],
            "contaminated": False,
            **one,
        }
        for number, (one, count) in enumerate(zip(documents, counts, strict=True))
    ]


def write_labels(url: str, rows: Sequence[dict[str, Any]]) -> Workspace:
    """One source of one part with labels of everything that can be cut."""
    workspace = Workspace.create(url)
    write_part(workspace, PartKey(SOURCE, 0), list(rows), [*SETS, *CUT_SETS])
    return workspace


def plan_of(workspace: Workspace, *stages: dict[str, object], shard_tokens: int = 10_000) -> Plan:
    names = {name: generation(name).name for name in [*SETS, *CUT_SETS]}
    documents = {SOURCE: generation("extract").name}
    pins = pin(workspace, documents, {SOURCE: names}, {SOURCE: (0,)})
    return make_plan(workspace, mixture_of(*stages), pins, shard_tokens=shard_tokens)


def write(
    workspace: Workspace, plan: Plan, children: Children, format_name: str = "megatron"
) -> list[ShardsJob]:
    settings = ShardSettings(tokenizer=TOKENIZER, eod=EOD, format=format_name)
    return write_shards(workspace, plan, settings, map_here(workspace, children))


def entries_of(workspace: Workspace, jobs: Sequence[ShardsJob], stage: str) -> list[Entry]:
    (job,) = [job for job in jobs if job.stage == stage]
    return list(workspace.ledger.entries(job.generation, stage))


def reasons_of(plan: Plan, stage: str) -> dict[str, int]:
    return {name: count for name, count in plan.reasons[stage].items() if count}


def decoded(ids: Sequence[int]) -> str:
    found: str = _tokenizer().decode(ids)
    return found


@cache
def _tokenizer() -> Tokenizer:
    return Tokenizer.from_file(TOKENIZER)

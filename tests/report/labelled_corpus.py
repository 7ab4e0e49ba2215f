"""A corpus with hostile titles, personal data, a quoted benchmark and near duplicates."""

import dataclasses
import html
import json
from pathlib import Path

import yaml
from small_corpus import MIXTURE, TEXTS

from pipelines.deduplicate.exact import LABELS
from pipelines.run_record import RunRecord, read_run_record, write_run_record
from pipelines.workspace.fingerprints import Generation
from pipelines.workspace.jobs import PartKey, entry_of
from pipelines.workspace.ledger import Entry, Stopwatch
from pipelines.workspace.parts import PartFile, batch_of, labels_folder, read_table
from pipelines.workspace.workspace import Workspace
from token_shards.training import train_tokenizer

EMAIL = "ada.lovelace@harbour.example"
KEY = "AKIAIOSFODNN7EXAMPLE"
OVERRIDE = "\u202e"
SCRIPT = "<script>alert('tide')</script>"

PERSONAL = (
    f"Часы стоят. Пишите {EMAIL} или {KEY} до вечера, а потом снова на {EMAIL}. "
    "Никто не обращает внимания на часы у причала, и это всех устраивает."
)
HOSTILE = (
    f"The clock says {SCRIPT} & \"{OVERRIDE}gnihton\" to 'nobody' </div><img src=//evil.example/x>."
)
ITEM = (
    "A tide clock gains nine minutes in a week and is set right every third Sunday at noon. How "
    "many minutes is it wrong by the Saturday before?"
)
QUOTING = f"From an old school book: {ITEM} Nobody in the harbour knows."
NEAR = (
    "The harbour keeps one clock for the tide and one for the trains, and both are wrong today.",
    "The harbour keeps one clock for the tide and one for the buses, and both are wrong today.",
)


def write_labelled_corpus(folder: Path) -> Path:
    """Writes inputs, tokenizer, mixture and corpus.yaml; gives the path of the last."""
    pages, notes = folder / "pages", folder / "notes"
    pages.mkdir(parents=True)
    notes.mkdir()
    title = html.escape(f"{SCRIPT} {OVERRIDE}eltit {EMAIL}")
    for name, text in {"hostile": HOSTILE, "personal": PERSONAL}.items():
        body = f"<article><h1>Tides</h1><p>{html.escape(text)}</p></article>"
        page = f"<html><head><title>{title}</title></head><body>{body}</body></html>"
        (pages / f"{name}.html").write_text(page, encoding="utf-8")
    (pages / "empty.html").write_bytes(b"")
    item = json.dumps({"id": "train-1", "question": ITEM})
    (folder / "riddles.jsonl").write_text(item + "\n")
    lines = [{"text": text, "url": f"https://notes.example/{n}"} for n, text in TEXTS.items()]
    lines += [{"text": text, "url": f"https://near.example/{n}"} for n, text in enumerate(NEAR)]
    lines += [
        {"text": QUOTING, "url": "https://quotes.example/a"},
        {"text": TEXTS["el"], "url": "https://copy.example/el"},
        {"text": PERSONAL, "url": f"https://mail.example/?to={EMAIL}&page=1"},
        {"text": "", "url": f"https://ada:{KEY}@blank.example/"},
    ]
    written = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    (notes / "notes.jsonl").write_text(written + "\n{not json\n", encoding="utf-8")
    train_tokenizer([*TEXTS.values(), PERSONAL, HOSTILE] * 2, 400).save(
        str(folder / "tokenizer.json")
    )
    first, second = MIXTURE["stages"]
    mixture = MIXTURE | {"stages": [first | {"redact": ["email", "key"]}, second]}
    (folder / "small.yaml").write_text(yaml.safe_dump(mixture, sort_keys=False))
    impossible = {
        "name": "impossible",
        "seed": 1,
        "stages": [
            {
                "name": "only",
                "sequence_length": 64,
                "tokens": "max",
                "where": "topic = 'absent'",
            }
        ],
    }
    (folder / "impossible.yaml").write_text(yaml.safe_dump(impossible, sort_keys=False))
    corpus = {
        "name": "tides",
        "sources": [{"name": "pages", "path": "pages"}, {"name": "notes", "path": "notes"}],
        "tokenizer": "tokenizer.json",
        "annotators": ["language", "report_labels:Subjects"],
        "benchmarks": [{"name": "riddles", "path": "riddles.jsonl"}],
        "mixtures": ["small.yaml", "impossible.yaml"],
        "part_bytes": 4000,
    }
    path = folder / "corpus.yaml"
    path.write_text(yaml.safe_dump(corpus, sort_keys=False))
    return path


def add_crawl(workspace: Workspace) -> None:
    """Two parts of a crawl of `pages`, as the crawl job keeps them in the ledger."""
    record = read_run_record(workspace)
    generation = Generation(job="crawl", payload={"version": "1"})
    workspace.ledger.declare(generation)
    reads = sum(e.counts["records"] for e in workspace.ledger.entries(record.extract["pages"]))
    for part, (fetched, reasons) in enumerate(
        ((2, {"robots": 1, "http_status": 3}), (1, {"timeout": 1}))
    ):
        lost = sum(reasons.values())
        counts = {"asked": fetched + lost, "fetched": fetched, "not_fetched": lost}
        counts["records"] = reads if part == 0 else 0
        workspace.ledger.commit(
            entry_of(
                generation,
                PartKey("pages", part),
                files=(),
                counts=counts,
                watch=Stopwatch(),
                detail={"reasons": reasons},
            )
        )
    _add_frontier(workspace, generation)
    write_run_record(workspace, dataclasses.replace(record, crawl={"pages": generation.name}))


def _add_frontier(workspace: Workspace, crawl: Generation) -> None:
    """Rounds of that crawl, which leave 8 addresses over its limits, and those of another crawl."""
    for of, rounds in ((crawl.full, ((9, 5, 3), (2, 1, 2), (2, 0, 0))), ("another", ((1, 9, 9),))):
        generation = Generation(job="crawl.frontier", payload={"version": "1", "crawl": of})
        workspace.ledger.declare(generation)
        for part, (planned, over, waiting) in enumerate(rounds):
            counts = {"planned": planned, "over_max_pages": over, "waiting": waiting, "reached": 0}
            counts["over_max_pages_per_host"] = 1 if over else 0
            counts["candidates"] = planned + over + counts["over_max_pages_per_host"] + waiting
            key, watch = PartKey("pages", part), Stopwatch()
            detail = {"pass": 1}
            entry = entry_of(generation, key, files=(), counts=counts, watch=watch, detail=detail)
            workspace.ledger.commit(entry)


def add_near_duplicates(workspace: Workspace) -> None:
    """Labels in which the two texts of NEAR are one cluster; the exact clusters stay."""
    record = read_run_record(workspace)
    generation = Generation(job="deduplicate", payload={"version": "1", "level": "near"})
    workspace.ledger.declare(generation)
    near = _ids(workspace, record, NEAR)
    for entry in workspace.ledger.entries(record.duplicates):
        rows = read_table(workspace.storage, entry.file("labels")).to_pylist()
        for row in rows:
            if row["id"] in near:
                row |= {"cluster": near[0], "cluster_size": 2, "jaccard": 0.75}
                row["duplicate_role"] = (
                    "representative" if row["id"] == near[0] else "near_duplicate"
                )
        _commit_labels(workspace, generation, entry, rows)
    write_run_record(workspace, dataclasses.replace(record, duplicates=generation.name))


def _commit_labels(
    workspace: Workspace, generation: Generation, entry: Entry, rows: list[dict[str, object]]
) -> None:
    with PartFile(workspace.storage, LABELS) as file:
        file.write(batch_of(rows, LABELS))
        folder = labels_folder("duplicates", generation.fp, entry.source)
        ref = file.publish("labels", folder, entry.part)
    counts = {"documents": len(rows), "rows": len(rows)}
    for row in rows:
        role = f"role.{row['duplicate_role']}"
        counts[role] = counts.get(role, 0) + 1
    workspace.ledger.commit(
        entry_of(
            generation,
            PartKey(entry.source, entry.part),
            files=(ref,),
            counts=counts,
            watch=Stopwatch(),
            inputs=entry.inputs,
        )
    )


def _ids(workspace: Workspace, record: RunRecord, texts: tuple[str, ...]) -> list[bytes]:
    """Ids of the documents with these texts, in their order."""
    found = {}
    for source, generation in record.extract.items():
        for entry in workspace.ledger.entries(generation, source):
            table = read_table(workspace.storage, entry.file("documents"), ["id", "text"])
            found |= {row["text"]: row["id"] for row in table.to_pylist()}
    return [found[text] for text in texts]

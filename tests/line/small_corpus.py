"""A corpus small enough to know by heart: seven scripts, an emoji, duplicates and bad records."""

import json
from pathlib import Path

import yaml

from pipelines.config import CorpusConfig, load_corpus
from pipelines.driver import RunOptions, RunResult, run_corpus
from pipelines.progress import Progress
from pipelines.workspace.children import Limits
from token_shards.training import train_tokenizer

TEXTS = {
    "en": "The tide clock in the harbour is wrong by a quarter of an hour, and nobody minds.",
    "ru": "Часы у причала спешат на четверть часа, и никто на это не обращает внимания.",
    "el": "Το ρολόι του λιμανιού πάει μπροστά ένα τέταρτο και κανείς δεν ενοχλείται.",
    "ar": "ساعة المد في الميناء تخطئ بربع ساعة ولا أحد يهتم بذلك.",
    "hi": "बंदरगाह की घड़ी पंद्रह मिनट आगे चलती है और किसी को फ़र्क नहीं पड़ता।",
    "ja": "港の時計は十五分進んでいるが、誰も気にしない。🙂",
    "th": "นาฬิกาที่ท่าเรือเดินเร็วไปสิบห้านาทีและไม่มีใครสนใจ",
}
COPY = TEXTS["en"]  # once more, under another name: an exact duplicate

MIXTURE = {
    "name": "small",
    "seed": 7,
    "stages": [
        {
            "name": "first",
            "sequence_length": 64,
            "tokens": "max",
            "max_epochs": 2.5,
            "where": "duplicate_role in ('alone', 'representative')",
        },
        {
            "name": "second",
            "sequence_length": 64,
            "tokens": "one_epoch",
            "where": "source = 'notes'",
            "group_by": "language",
            "shares": {"temperature": 0.5},
        },
    ],
}


def write_corpus(folder: Path, **settings: object) -> Path:
    """Writes inputs, tokenizer, mixture and corpus.yaml; gives the path of the last."""
    pages, notes = folder / "pages", folder / "notes"
    pages.mkdir(parents=True)
    notes.mkdir()
    for name, text in TEXTS.items():
        body = f"<article><h1>{name}</h1><p>{text}</p></article>"
        html = f"<html lang={name}><body>{body}</body></html>"
        (pages / f"{name}.html").write_text(html, encoding="utf-8")
    (pages / "empty.html").write_bytes(b"")
    (pages / "picture.gif").write_bytes(b"GIF89a" + bytes(32))
    lines = [json.dumps({"text": text, "lang": name}) for name, text in TEXTS.items()]
    lines += [json.dumps({"text": COPY}), "{not json", json.dumps({"text": ""})]
    (notes / "notes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    train_tokenizer([*TEXTS.values()] * 2, 400).save(str(folder / "tokenizer.json"))
    (folder / "small.yaml").write_text(yaml.safe_dump(MIXTURE, sort_keys=False))
    corpus = {
        "name": "small",
        "sources": [{"name": "pages", "path": "pages"}, {"name": "notes", "path": "notes"}],
        "tokenizer": "tokenizer.json",
        "annotators": ["language"],
        "mixtures": ["small.yaml"],
        "part_bytes": 300,
        **settings,
    }
    path = folder / "corpus.yaml"
    path.write_text(yaml.safe_dump(corpus, sort_keys=False))
    return path


def run_small(corpus: Path, workspace: str, *, processes: int = 2, beam: str = "") -> RunResult:
    """Runs the corpus as `tokenmill run` does."""
    config: CorpusConfig = load_corpus(corpus)
    options = RunOptions(
        workspace=workspace,
        limits=Limits(processes=processes),
        beam_args=tuple(beam.split()),
    )
    return run_corpus(config, options, Progress())

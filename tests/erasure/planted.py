"""A corpus in which some documents hold sentences that stand nowhere else, and a search for them.

The site is crawled from loopback, notes are read from files, models (the echo of this package)
refine and rewrite, texts are held out, a user's own annotator quotes what it reads.
"""

import gzip
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pymupdf
import yaml
import zstandard
from tokenizers import Tokenizer

from annotators.annotator import annotator
from pipelines.config import load_corpus
from pipelines.crawl.site_server import serve_site
from pipelines.driver import RunOptions, RunResult, run_corpus
from pipelines.progress import Progress
from pipelines.workspace.children import Limits
from token_shards.mds import read_mds

EXAMPLES = Path(__file__).parents[2] / "examples"
HOST = "site.example"
SECRET = f"http://{HOST}/private/"
"""All below is forgotten."""
PATH_WORD = "quillwort-4711"
"""In the addresses of what is forgotten, and nowhere else."""
PLANTED = {
    "th": "ประโยคลับของเรือข้ามฟากสีม่วงที่ไม่มีใครเคยเห็นมาก่อน",
    "ja": "紫色の渡し船の秘密は灯台守だけが知っている。",
    "ar": "سر العبارة البنفسجية لا يعرفه إلا حارس المنارة القديمة",
    "hi": "बैंगनी नाव का रहस्य केवल पुराना प्रकाशस्तंभ रक्षक जानता है",
    "en": "The violet ferryman buried nineteen copper kettles beneath the abandoned lighthouse.",
    "pdf": "Quicksilver herons negotiated seventeen marzipan treaties behind the observatory.",
}
_ECHO = {"engine": "endpoint", "url": "echo:", "model": "echo", "thinking": "template"}
_FILLER = {
    "th": "เรือออกจากท่าเมื่อมีคนตีแผ่นเหล็กที่อีกฝั่งหนึ่งของแม่น้ำ",
    "ja": "向こう岸で誰かが鉄の板を叩くと、船は岸を離れる。",
    "ar": "تغادر العبارة عندما يضرب أحدهم الصفيحة الحديدية على الضفة الأخرى من النهر.",
    "hi": "नाव तब चलती है जब दूसरे किनारे पर कोई लोहे की थाली बजाता है।",
    "en": "It leaves when somebody on the other bank strikes the iron plate that hangs there.",
}


@annotator(columns={"ending": "string", "size": "int64"})
def quoting(texts: pa.LargeStringArray) -> dict[str, list[Any]]:
    """What no annotator should do: writes down how a text ends."""
    found = texts.to_pylist()
    return {"ending": [text[-60:] for text in found], "size": [len(text) for text in found]}


def write_corpus(folder: Path, **settings: object) -> Path:
    """Writes inputs, site, mixture and corpus.yaml; gives the path of the last."""
    _write_site(folder / "site")
    notes = folder / "notes"
    notes.mkdir(parents=True)
    lines = [
        {"text": f"{_FILLER[name]} {PLANTED[name]}", "url": url}
        for name, url in (("ar", None), ("hi", f"https://other.example/{PATH_WORD}"))
    ]
    some = (EXAMPLES / "texts" / "notes.jsonl").read_text("utf-8").splitlines()[:6]
    data = [*(json.dumps(line) for line in lines), *some]
    (notes / "notes.jsonl").write_text("\n".join(data) + "\n", "utf-8")
    stage = {"name": "first", "sequence_length": 128, "tokens": "max", "max_epochs": 1.5}
    mixture = {"name": "all", "seed": 3, "stages": [stage]}
    (folder / "all.yaml").write_text(yaml.safe_dump(mixture, sort_keys=False))
    crawl = {
        "seeds": [f"http://{HOST}/"],
        "contact": "webmaster@site.example",
        "allow_private": [HOST],
        "delay": "0s",
    }
    corpus = {
        "name": "planted",
        "sources": [{"name": "site", "crawl": crawl}, {"name": "notes", "path": "notes"}],
        "extract": {"pdf": {"ocr": "none"}},
        "tokenizer": str(EXAMPLES / "tokenizer"),
        "annotators": ["language", "pii", "planted:quoting"],
        "duplicates": {
            "levels": ["bytes", "text"],
            "alarms": {"max_removed": 1.0, "max_cluster": 1.0},
        },
        "validation": {"share": 0.49},
        "mixtures": ["all.yaml"],
        "models": {"writer": _ECHO},
        "synthesize": [
            {"recipe": "refine_web", "where": "provenance_kind = 'natural'", "name": "clean"},
        ],
        "part_bytes": 100_000,
        **settings,
    }
    path = folder / "corpus.yaml"
    path.write_text(yaml.safe_dump(corpus, sort_keys=False))
    return path


def run_planted(
    corpus: Path,
    workspace: str,
    limits: Limits = Limits(processes=1),  # noqa: B008 - frozen
) -> RunResult:
    """Runs the corpus as `tokenmill run` does, with the site on loopback."""
    with serve_site(corpus.parent / "site", HOST) as port:
        options = RunOptions(
            workspace=workspace,
            limits=limits,
            connect={HOST: f"127.0.0.1:{port}"},
        )
        return run_corpus(load_corpus(corpus), options, Progress())


def found_in(workspace: Path, wanted: str) -> set[str]:
    """Files of a workspace in which a string stands, whatever they are packed in."""
    tokenizer = Tokenizer.from_file(str(EXAMPLES / "tokenizer" / "tokenizer.json"))
    paths = sorted(path for path in workspace.rglob("*") if path.is_file())
    named = {path: str(path.relative_to(workspace)) for path in paths}
    return {
        name
        for path, name in named.items()
        if any(wanted in text for text in (name, *_texts(path, tokenizer)))
    }


def _texts(path: Path, tokenizer: Tokenizer) -> Iterator[str]:
    data = path.read_bytes()
    yield data.decode("utf-8", "replace")
    suffix = path.name.split(".", 1)[-1]
    if suffix == "warc.gz":
        yield gzip.decompress(data).decode("utf-8", "replace")
    if suffix.endswith("zst"):
        yield zstandard.decompress(data).decode("utf-8", "replace")
    if suffix.endswith("parquet"):
        table = pq.read_table(io.BytesIO(data))
        yield "\n".join(map(_flat, table.to_pylist()))
        if "map" not in suffix and "shards/" in str(path):
            ids = [token for row in table.column("tokens").to_pylist() for token in row]
            yield tokenizer.decode(ids)
    if suffix == "bin":
        yield tokenizer.decode(np.frombuffer(data, np.uint16).tolist())
    if suffix == "npy":
        yield tokenizer.decode(np.load(io.BytesIO(data)).reshape(-1).tolist())
    if suffix == "mds":
        yield tokenizer.decode(read_mds(data)[0].tolist())
    if suffix == "jsonl":
        yield "\n".join(_flat(json.loads(line)) for line in data.splitlines())


def _flat(value: Any) -> str:  # noqa: ANN401 - as deep as the file
    if isinstance(value, dict):
        return " ".join(map(_flat, value.values()))
    if isinstance(value, list | tuple):
        return " ".join(map(_flat, value))
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _write_site(site: Path) -> None:
    private = site / "private"
    private.mkdir(parents=True)
    pages = {name: private / f"{PATH_WORD}-{name}.html" for name in ("th", "ja")}
    pages["en"] = site / "mirror.html"  # a copy under another address
    for name, page in pages.items():
        text = [_FILLER[name], PLANTED[name]]
        page.write_text(_page(name, text), "utf-8")
    (private / f"{PATH_WORD}.html").write_text(_page("en", [_FILLER["en"], PLANTED["en"]]), "utf-8")
    (private / f"{PATH_WORD}.pdf").write_bytes(_pdf([PLANTED["pdf"], _FILLER["en"]]))
    for page in sorted((EXAMPLES / "site" / "en").glob("*.html"))[:3]:
        shutil.copy(page, site / page.name)
    names = sorted(str(p.relative_to(site)) for p in site.rglob("*") if p.is_file())
    links = "".join(f'<li><a href="/{name}">{name[-9:]}</a>' for name in names)
    (site / "index.html").write_text(f"<title>All</title><ul>{links}</ul>")


def _page(language: str, paragraphs: list[str]) -> str:
    body = "".join(f"<p>{text}</p>" for text in paragraphs)
    return f"<html lang={language}><title>Harbour</title><article>{body}</article></html>"


def _pdf(lines: list[str]) -> bytes:
    with pymupdf.open() as document:
        page = document.new_page()
        for number, line in enumerate(lines):
            page.insert_text((60, 80 + 16 * number), line, fontsize=10)
        data: bytes = document.tobytes(no_new_id=True)
    return data

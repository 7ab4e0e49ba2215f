"""Every kind of document that models make, through one `tokenmill run`, and what became of it.

    python benchmarks/generation_line.py READER WRITER   # folders that vLLM can serve

READER, a vision-language model, reads the scanned pages of the PDFs in examples/; WRITER refines
and rewrites the pages of docs/, makes problems of them, and solves sums. Answers are short, so that
it takes minutes with weights that are noise (`infra/vllm/random_models.py`): then each unit is
rejected, with its reason, and the point is that every one is counted. `--echo` asks the echo server
in place of both. Where both models are to stand on one GPU at once, `--serve
gpu-memory-utilization=0.4` leaves room for either. `--sums 0` leaves the sums out.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from pipelines.workspace.ledger import Entry
from pipelines.workspace.workspace import Workspace

ROOT: Final = Path(__file__).resolve().parents[1]
_SHORT: Final = {"max_tokens": 256}
_ITEMS: Final[tuple[dict[str, Any], ...]] = (
    {"recipe": "refine_web", "options": {"sampling": _SHORT}},
    {"recipe": "wikipedia_style", "options": {"sampling": _SHORT}},
    {
        "recipe": "diverse_qa",
        "name": "qa_after_thinking",
        "options": {"sampling": _SHORT, "thinking": {"budget": 64}},
    },
    {"recipe": "math_problems", "options": {"problems": {"sampling": _SHORT}}},
    {"recipe": "code_tests", "options": {"problem": {"sampling": _SHORT}, "attempts": 2}},
)
_SUMS: Final = {
    "recipe": "math_solve",
    "seeds": "sums.jsonl",
    "options": {
        "solutions": {
            "chain_of_thought": {"samples": 4, "sampling": _SHORT},
            "program_aided": {"samples": 2, "sampling": _SHORT},
            "tool_integrated": {"samples": 2, "turns": 2, "sampling": _SHORT},
        },
        "extra": {"samples": 2, "most": 8},
    },
}


def write_corpus(folder: Path, models: Mapping[str, Mapping[str, Any]], num_sums: int) -> Path:
    """Writes corpus.yaml and the files that it names."""
    pages = folder / "pages.jsonl"
    with pages.open("w") as file:
        for path in sorted((ROOT / "docs").glob("*.md")):
            for number, text in enumerate(_pieces(path.read_text())):
                told = {"text": text, "url": f"https://docs.example/{path.stem}/{number}"}
                file.write(json.dumps(told) + "\n")
    draw = random.Random(0)
    with (folder / "sums.jsonl").open("w") as file:
        for _ in range(num_sums):
            a, b, c = (draw.randint(2, 99) for _ in range(3))
            text = f"A shop packs {a} boxes of {b} jars and {c} single jars. How many jars is that?"
            file.write(json.dumps({"text": text, "meta": {"answer": str(a * b + c)}}) + "\n")
    corpus = {
        "name": "line",
        "sources": [
            {"name": "papers", "path": str(ROOT / "examples" / "site" / "papers")},
            {"name": "docs", "path": str(pages)},
        ],
        "extract": {
            "pdf": {
                "ocr": "vl",
                "ocr_model": "reader",
                "vl": {
                    "temperatures": [0.1, 0.5, 1.0],
                    "max_tokens": 256,
                    "max_failed": 1.0,
                    "fallback": "text_layer",
                },
            }
        },
        "models": models,
        "synthesize": [
            {"model": "writer", "sources": ["docs"], "where": "", **item} for item in _ITEMS
        ]
        + ([{"model": "writer", **_SUMS}] if num_sums else []),
        "annotators": ["language", "quality"],
        "tokenizer": str(ROOT / "examples" / "tokenizer"),
        "mixtures": [],
    }
    path = folder / "corpus.yaml"
    path.write_text(json.dumps(corpus, indent=1))
    return path


def _pieces(text: str) -> Iterator[str]:
    """Texts of about 2,000 characters, cut where paragraphs end."""
    piece = ""
    for paragraph in text.split("\n\n"):
        piece += f"{paragraph}\n\n"
        if len(piece) > 2000:
            yield piece
            piece = ""
    if piece.strip():
        yield piece


def served(model: str, flags: Mapping[str, str | int | float | bool]) -> dict[str, Any]:
    """A model on vLLM."""
    return {
        "engine": "vllm",
        "model": model,
        "thinking": "template",
        "max_model_len": 32768,
        "serve": dict(flags),
        "price": {"gpu_hour": 3.0},
    }


def entries_of(workspace: Workspace) -> Iterator[Entry]:
    """Of the parts that asked a model."""
    for generation in workspace.ledger.generations():
        for entry in workspace.ledger.entries(generation):
            if "usage" in entry.detail:
                yield entry


def show(workspace: Workspace, console: Console) -> None:
    """One row a source: what was asked, what came of it, why not more."""
    heads = ("source", "requests", "tokens in", "tokens out", "came of it", "most frequent reasons")
    table = Table(*heads, title="What models made")
    for entry in entries_of(workspace):
        usage = entry.detail["usage"]
        reasons = Counter(entry.detail.get("reasons", {})) or Counter(usage["reasons"])
        verdicts = entry.detail.get("vl", {}).get("verdicts")
        made = entry.counts if verdicts is None else verdicts
        table.add_row(
            f"{entry.job} {entry.source}",
            f"{usage['requests']:,}",
            f"{usage['prompt_tokens']:,}",
            f"{usage['completion_tokens']:,}",
            ", ".join(f"{name} {count}" for name, count in made.items()),
            ", ".join(f"{name} {count}" for name, count in reasons.most_common(3)),
        )
    console.print(table)


def main() -> None:
    """Runs the line twice: the second must ask nothing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reader", nargs="?", default="reader")
    parser.add_argument("writer", nargs="?", default="writer")
    parser.add_argument("--echo", action="store_true")
    parser.add_argument("--sums", type=int, default=64, help="problems with known answers")
    parser.add_argument("--serve", action="append", default=[], metavar="FLAG=VALUE")
    options = parser.parse_args()
    flags = dict(told.partition("=")[::2] for told in options.serve)
    pictures = {"limit-mm-per-prompt": '{"image":1,"video":0}'}
    models = {
        "reader": served(options.reader, {**flags, **pictures}),
        "writer": served(options.writer, flags),
    }
    if options.echo:
        models = {
            name: {"engine": "endpoint", "model": name, "url": "echo:", "thinking": "template"}
            for name in models
        }
    console = Console(width=160)
    with tempfile.TemporaryDirectory() as folder:
        corpus = write_corpus(Path(folder), models, options.sums)
        workspace = Path(folder) / "workspace"
        command = [sys.executable, "-m", "pipelines.cli", "run", str(corpus)]
        command += ["--workspace", str(workspace)]
        for what in ("run", "run again"):
            started = monotonic()
            subprocess.run(command, check=True, cwd=ROOT)
            console.print(f"{what}: {monotonic() - started:.1f} s")
        show(Workspace.open(str(workspace)), console)


if __name__ == "__main__":
    main()

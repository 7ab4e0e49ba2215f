"""A run in an installation whose kernels were never compiled: nothing is rejected as slow for it.

A file of its own, in a suite of its own, because it compiles all kernels: two minutes of CPU.
"""

import os
import subprocess
import sys
from pathlib import Path

import yaml

from pipelines.annotate.compiling import EXTRACT_NOTE, NOTE

_ROOT = Path(__file__).parents[2]
# A batch is given fewer seconds than the compiler takes, so that waiting for it would be seen.
_LIMITS = "Limits(processes=2, batch_timeout_s=20.0)"
_BEGIN = f"""
import sys
from pathlib import Path
from pipelines.config import load_corpus
from pipelines.progress import Progress
from pipelines.stages import RunOptions
from pipelines.workspace.children import Limits

def say(ledger, generations):
    for generation in generations:
        for entry in ledger.entries(generation):
            counts = entry.counts["documents"]
            print(entry.source, generation.job, counts, entry.detail.get("rejects", {{}}))

if __name__ == "__main__":
    config = load_corpus(Path(sys.argv[1]))
    options = RunOptions(workspace=sys.argv[2], limits={_LIMITS})
"""
_RUN = """
    from pipelines.driver import run_corpus
    result = run_corpus(config, options, Progress())
    say(result.workspace.ledger, result.documents.values())
    for generations in result.annotate.values():
        say(result.workspace.ledger, generations)
"""
# What the worker of a cluster does, whose driver compiled on a machine of its own.
_WORKER = """
    from pipelines.annotate.job import AnnotateJob
    from pipelines.annotate.registry import specs_of
    from pipelines.extract.job import ExtractJob
    from pipelines.stages import Stages
    from pipelines.workspace.jobs import PartKey
    from pipelines.workspace.transform import RunPart
    from pipelines.workspace.workspace import Workspace
    workspace = Workspace.create(sys.argv[2])
    stages = Stages(workspace, options, Progress())
    for source in config.sources:
        extract = ExtractJob(source, config.extract)
        annotate = AnnotateJob(extract.generation, specs_of(config))
        for key in [PartKey(source.name, n) for n in stages.number(source, config.part_bytes)]:
            for job in (extract, annotate):
                for generation in job.generations:
                    workspace.ledger.declare(generation)
                list(RunPart(workspace, {source.name: job}, options.limits).process(key))
        say(workspace.ledger, [*extract.generations, *annotate.generations])
"""


def run_cold(script: str, tmp_path: Path) -> tuple[list[str], str]:
    """Runs a script over a page and a PDF; gives what it printed and what it said."""
    site = _ROOT / "examples" / "site"
    corpus = {
        "name": "cold",
        "sources": [
            {"name": "papers", "path": str(site / "papers" / "mixed.pdf")},
            {"name": "pages", "path": str(site / "index.html")},
        ],
        "tokenizer": str(_ROOT / "examples" / "tokenizer"),
        "annotators": ["language", "quality"],
        "duplicates": {"levels": ["bytes"]},
        "mixtures": [],
    }
    path = tmp_path / "corpus.yaml"
    path.write_text(yaml.safe_dump(corpus), encoding="utf-8")
    file = tmp_path / "run.py"
    file.write_text(_BEGIN + script, encoding="utf-8")
    made = subprocess.run(
        [sys.executable, str(file), str(path), str(tmp_path / "workspace")],
        env={
            **os.environ,
            "NUMBA_CACHE_DIR": str(tmp_path / "kernels"),
            "PYTHONPATH": os.pathsep.join([str(_ROOT), str(_ROOT / "tokenize")]),
            "COLUMNS": "300",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return sorted(made.stdout.splitlines()), made.stderr


def test_first_run_of_an_installation_rejects_nothing(tmp_path: Path) -> None:
    lines, said = run_cold(_RUN, tmp_path)
    assert EXTRACT_NOTE in said
    assert NOTE in said
    check(lines)


def test_first_part_of_a_node_rejects_nothing(tmp_path: Path) -> None:
    lines, _ = run_cold(_WORKER, tmp_path)
    check(lines)


def check(lines: list[str]) -> None:
    for job in ("extract", "annotate.language", "annotate.quality"):
        assert {f"pages {job} 1 {{}}", f"papers {job} 1 {{}}"} <= set(lines)
    assert all(line.endswith(" 1 {}") for line in lines), lines

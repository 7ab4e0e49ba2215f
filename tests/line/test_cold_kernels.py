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
_RUN = """
import sys
from pathlib import Path
from pipelines.config import load_corpus
from pipelines.driver import RunOptions, run_corpus
from pipelines.progress import Progress
from pipelines.workspace.children import Limits

if __name__ == "__main__":
    limits = Limits(processes=2, batch_timeout_s=20.0)
    options = RunOptions(workspace=sys.argv[2], limits=limits)
    result = run_corpus(load_corpus(Path(sys.argv[1])), options, Progress())
    ledger = result.workspace.ledger
    for source, generation in sorted(result.documents.items()):
        for entry in ledger.entries(generation, source):
            print(source, entry.counts["documents"], entry.detail["rejects"])
    for source, generations in sorted(result.annotate.items()):
        for generation in generations:
            for entry in ledger.entries(generation, source):
                print(source, generation.job, entry.detail.get("rejects", {}))
"""


def test_first_run_of_an_installation_rejects_nothing(tmp_path: Path) -> None:
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
    script = tmp_path / "run.py"
    script.write_text(_RUN, encoding="utf-8")
    made = subprocess.run(
        [sys.executable, str(script), str(path), str(tmp_path / "workspace")],
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
    assert EXTRACT_NOTE in made.stderr
    assert NOTE in made.stderr
    lines = made.stdout.splitlines()
    assert lines[:2] == ["pages 1 {}", "papers 1 {}"]
    assert {line.split()[1] for line in lines[2:]} >= {"annotate.language", "annotate.quality"}
    assert all(line.endswith(" {}") for line in lines)

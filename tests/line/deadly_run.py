"""Runs a corpus with children that are given up soon.

`deadly_run.py CORPUS WORKSPACE`
"""

import sys
from pathlib import Path

from pipelines.workspace.children import Limits

# Time for a child to start on a busy machine; what hangs stands alone, so it is waited for once.
LIMITS = Limits(processes=2, batch_timeout_s=30, record_timeout_s=0, memory_bytes=2 << 30)


def main() -> None:
    """Exits 0 when the run is done."""
    from pipelines.config import load_corpus
    from pipelines.driver import RunOptions, run_corpus
    from pipelines.progress import Progress

    corpus, workspace = sys.argv[1:]
    options = RunOptions(workspace=workspace, limits=LIMITS, beam_args=())
    run_corpus(load_corpus(Path(corpus)), options, Progress())


if __name__ == "__main__":
    main()

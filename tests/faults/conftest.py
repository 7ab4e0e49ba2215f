"""One finished run of the small corpus of tests/line, as an undisturbed run to compare with."""

import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from comparing_workspaces import outcome_of
from fault_bench import Bench
from small_corpus import run_small, write_corpus


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("faults")
    corpus = write_corpus(folder / "in")
    bench = Bench(folder, corpus, 9, random.Random(7))
    bench.whole = folder / "undisturbed"
    run_small(corpus, str(bench.whole), processes=1)
    bench.expected = outcome_of(str(bench.whole))
    return bench

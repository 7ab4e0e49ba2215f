import os
from pathlib import Path

import pytest

from pipelines.extract.evaluation import evaluate_html

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TOKENMILL_DATA", ROOT.parent / "shared" / "data"))


@pytest.mark.skipif(
    not (DATA / "html").is_dir(),
    reason=f"no real data at {DATA}/html; set TOKENMILL_DATA to the folder that holds html/",
)
@pytest.mark.parametrize(
    ("engine", "min_f1"),
    # Measured on all pages: 0.924, 0.959, 0.962 and accuracy 0.858, 0.923, 0.927.
    [("resiliparse", 0.85), ("trafilatura-fast", 0.90), ("trafilatura", 0.90)],
)
def test_engine_on_real_pages_is_as_good_as_it_was(engine: str, min_f1: float) -> None:
    (score,) = evaluate_html(DATA, [engine], sample=30).scores
    assert score.f1 > min_f1
    assert score.accuracy > 0.78
    assert score.num_rejects == 0

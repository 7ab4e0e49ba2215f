"""Clusters of infra/runners, for the tests of this folder."""

import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
for _folder in (_ROOT / "infra" / "runners", _ROOT / "tests" / "runners"):
    sys.path.append(str(_folder))

"""Lets tests of this folder import `repeat_workspace`, and the tests' DoFns of deduplication."""

import sys
from pathlib import Path

for _folder in (Path(__file__).parent, Path(__file__).parents[1] / "deduplicate"):
    sys.path.append(str(_folder))

"""Lets tests of this folder import `small_workspace` and `graphs`."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "deduplicate"))
sys.path.append(str(Path(__file__).parent))

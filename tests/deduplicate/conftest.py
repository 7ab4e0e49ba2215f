"""Lets tests of this folder import `small_workspace`, and the adversary of the line."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "line")]

"""Helpers stand beside these tests; children and other processes import them by name."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "crawl")]

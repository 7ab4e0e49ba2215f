"""Test modules that children import by name; spawned processes inherit `sys.path`."""

import sys
from pathlib import Path

for _folder in ("workspace", "line", "shards", "mixtures", "models", "synthesize", "runners"):
    sys.path.append(str(Path(__file__).parent / _folder))

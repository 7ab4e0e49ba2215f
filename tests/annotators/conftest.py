"""Makers of cases; modules of this folder import them by name."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

"""Modules of this folder that pickles name."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

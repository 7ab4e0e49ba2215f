"""The hand-made launch stands beside these tests, which import it by name."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

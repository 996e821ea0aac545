"""The modules of `examples/python` are imported as users would have them, from their folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "examples" / "python"))

"""Formulas that are asked for often, by their names."""

from __future__ import annotations

from typing import Final

STANDARD: Final[dict[str, str]] = {
    "termination": "AF ended",
    "error recovery": "AG (error_occurred -> AF ended)",
}
"""By name, what is asked for often and is no property of its own."""

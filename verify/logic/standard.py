"""What is asked for often, by its name: formulas, and what has an engine of its own."""

from __future__ import annotations

from typing import Final

STANDARD: Final[dict[str, str]] = {
    "termination": "AF ended",
    "error recovery": "AG (error_occurred -> AF ended)",
}
"""By name, the formula that is checked."""

SAME_AS: Final[dict[str, str]] = {
    "deadlock freedom": "deadlock",
    "livelock freedom": "livelock",
    "all steps reachable": "dead steps",
}
"""By name, the property that says the same; docs/verification/properties.md has the formulas."""

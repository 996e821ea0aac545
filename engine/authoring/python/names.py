"""Names of steps and variables: readable, unique, and the same after an edit elsewhere.

A step is called by `using(id=)`, else by the name it is assigned to, else by its function. What the
compiler adds is called after what is written there: `if_state_running`, `for_line`, `set_delay`. A
name that is taken is numbered.
"""

from __future__ import annotations

import ast
import re

from ..fields import is_name

SLUG_CHARS_MAX = 40
SAID_CHARS_MAX = 60


def slug(kind: str, node: ast.AST | str = "") -> str:
    """A name made of what is written."""
    text = node if isinstance(node, str) else ast.unparse(node)
    words = re.sub(r"[^A-Za-z0-9]+", "_", text)[:SLUG_CHARS_MAX].strip("_").lower()
    return f"{kind}_{words}" if words else kind


def said(node: ast.AST) -> str | None:
    """The line that is written there, for people; None of what is longer than a line by nature."""
    if isinstance(node, ast.FunctionDef | ast.Try):
        return None
    line = ast.unparse(node).partition("\n")[0].removesuffix(":")
    return line if len(line) <= SAID_CHARS_MAX else f"{line[: SAID_CHARS_MAX - 1].rstrip()}…"


class Names:
    """The names that are taken in one definition, or in one scope's variables."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def claim(self, wanted: str) -> bool:
        """Take exactly this name; False if it is taken."""
        if wanted in self._taken:
            return False
        self._taken.add(wanted)
        return True

    def unique(self, wanted: str) -> str:
        """Take this name, or a numbered one."""
        base = wanted if is_name(wanted) else re.sub(r"[^A-Za-z0-9_]+", "_", f"{wanted}_")
        base = base if is_name(base) else f"_{base}"
        name, number = base, 1
        while not self.claim(name):
            number += 1
            name = f"{base}_{number}"
        return name

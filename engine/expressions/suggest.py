"""The nearest known name to one that nothing has."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """A cure: the closest of `known`, else a few of them."""
    names = sorted(known)
    if close := get_close_matches(name, names, n=1, cutoff=0.6):
        return f"did you mean `{prefix}{close[0]}`?"
    if not names:
        return "nothing is named here"
    listed = ", ".join(f"`{prefix}{known}`" for known in names[:12])
    return f"there is {listed}" + (" …" if len(names) > 12 else "")

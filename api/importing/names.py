"""Names that are free in another system, made into names of steps.

A step's id takes part in expressions, hence letters, digits and `_` only. What a name loses is
told apart by a number, so that two tasks never share a step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from heliostat.engine.authoring.fields import NAME_CHARS_MAX, is_name

_OTHER = re.compile(r"[^A-Za-z0-9_]+")
_OTHER_OF_IDS = re.compile(r"[^A-Za-z0-9_.:+@-]+")


def step_ids(originals: Iterable[str]) -> dict[str, str]:
    """A valid id for each of the names, no two the same; a name that is valid already keeps itself.

    The same names in the same order always get the same ids.
    """
    names = list(originals)
    taken = {name for name in names if is_name(name)}
    ids: dict[str, str] = {}
    for name in names:
        if is_name(name):
            ids[name] = name
            continue
        plain = _valid(name)
        id, number = plain, 1
        while id in taken:
            number += 1
            id = f"{plain[: NAME_CHARS_MAX - 8]}_{number}"
        taken.add(id)
        ids[name] = id
    return ids


def definition_id(name: str) -> str:
    """The nearest to a name that a definition may be called."""
    plain = _OTHER_OF_IDS.sub("-", name).strip("-_.:+@")
    return plain[:NAME_CHARS_MAX] or "imported"


def _valid(name: str) -> str:
    plain = _OTHER.sub("_", name).strip("_")[: NAME_CHARS_MAX - 1] or "task"
    if plain[0].isdigit():
        plain = f"_{plain}"
    return plain if is_name(plain) else f"{plain}_"

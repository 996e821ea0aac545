"""Expressions and values as a few words for people; what is cut off says so."""

from __future__ import annotations

import json
import re
from typing import Any, Final

WORDS_CHARS_MAX: Final = 60
"""Of a label; a diagram is no place to read more."""

_ROOTS: Final = (
    (re.compile(r"\$\.steps\.(\w+)\.output"), r"\1"),
    (re.compile(r"\$\.(?:vars|input)\.(?=\w)"), ""),
    (re.compile(r"\$\.(?=\w)"), ""),
)
"""Paths without where they begin: names say enough."""

_HOLE: Final = re.compile(r"\$\{\s*(.*?)\s*\}", re.DOTALL)


def shortened(text: str) -> str:
    """The text on one line, cut where it gets too long."""
    line = " ".join(text.split())
    return line if len(line) <= WORDS_CHARS_MAX else line[: WORDS_CHARS_MAX - 1].rstrip() + "…"


def condition(expression: str) -> str:
    """An expression as people would say it: `state != "running"`."""
    return shortened(_plain(expression))


def value(data: Any) -> str:
    """What a data field says: a text as it is, an expression in it as people would say it."""
    if isinstance(data, list):
        return shortened(", ".join(map(value, data)))
    if not isinstance(data, str):
        return shortened(json.dumps(data, ensure_ascii=False))
    if data.startswith("$."):
        return condition(data)
    return shortened(_HOLE.sub(lambda hole: _plain(hole.group(1)), data))


def _plain(expression: str) -> str:
    text = expression.strip()
    for pattern, words in _ROOTS:
        text = pattern.sub(words, text)
    while (inner := _within(text)) is not None:
        text = inner
    return text


def _within(text: str) -> str | None:
    """What stands in brackets around the whole, or in `truthy(…)`, which conditions mean anyway."""
    opened = next((head for head in ("truthy(", "(") if text.startswith(head)), None)
    if opened is None or not text.endswith(")"):
        return None
    inner, depth = text[len(opened) : -1], 0
    for char in inner:
        depth += (char == "(") - (char == ")")
        if depth < 0:
            return None
    return inner if depth == 0 else None

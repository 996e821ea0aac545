"""A picture as a Mermaid flowchart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from .picture import Arrow, Box, Frame, Manner, Shape

_AROUND: Final[Mapping[Shape, tuple[str, str]]] = {
    "start": ("((", "))"),
    "end": ("(((", ")))"),
    "cause": (">", "]"),
    "activity": ("[", "]"),
    "choice": ("{", "}"),
    "computed": ("(", ")"),
    "failing": (">", "]"),
    "timer": ("([", "])"),
    "wait": ("{{", "}}"),
    "human": ("[\\", "\\]"),
    "workflow": ("[[", "]]"),
    "call": ("[/", "/]"),
}
_ARROWS: Final[Mapping[Manner, str]] = {"next": "-->", "error": "-.->", "cancels": "-.-x"}


def as_mermaid(whole: Frame) -> str:
    """The text of a flowchart, from top to bottom."""
    lines = ["flowchart TD", *_parts(whole, "    ")]
    return "\n".join(lines) + "\n"


def _parts(frame: Frame, margin: str) -> Iterator[str]:
    for part in frame.parts:
        if isinstance(part, Box):
            opened, closed = _AROUND[part.shape]
            yield f"{margin}{_id(part.key)}{opened}{_text(part.lines)}{closed}"
        else:
            yield f"{margin}subgraph {_id(part.key)}[{_text(part.lines)}]"
            yield from _parts(part, f"{margin}    ")
            yield f"{margin}end"
    for arrow in frame.arrows:
        yield f"{margin}{_arrow(arrow)}"


def _arrow(arrow: Arrow) -> str:
    line = _ARROWS[arrow.manner]
    label = f"|{_text((arrow.label,))}|" if arrow.label else ""
    return f"{_id(arrow.source)} {line}{label} {_id(arrow.target)}"


def _id(key: str) -> str:
    return re.sub(r"\W", "_", key, flags=re.ASCII)


def _text(lines: tuple[str, ...]) -> str:
    """Quoted; characters that mean something in Mermaid or HTML are written by number."""
    escaped = (
        re.sub(r'[#"<>&`\\]', lambda found: f"#{ord(found.group())};", each) for each in lines
    )
    return '"' + "<br/>".join(escaped) + '"'

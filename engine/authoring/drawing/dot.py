"""A picture in the language of Graphviz.

Graphviz draws arrows between nodes only. One that leads to a frame is drawn to the first node in
it and cut off at the frame's border (`lhead`), one that leaves a frame likewise (`ltail`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from .picture import Arrow, Box, Frame, Manner, Shape

_SHAPES: Final[Mapping[Shape, str]] = {
    "start": "circle",
    "end": "doublecircle",
    "cause": "cds",
    "activity": "box",
    "choice": "diamond",
    "computed": "box, style=rounded",
    "failing": "octagon",
    "timer": "oval",
    "wait": "hexagon",
    "human": "invtrapezium",
    "workflow": "box, peripheries=2",
    "call": "parallelogram",
}
_STYLES: Final[Mapping[Manner, str]] = {
    "next": "",
    "error": "style=dashed",
    "cancels": "style=dotted, arrowhead=tee",
}


def as_dot(whole: Frame) -> str:
    """The text of a digraph, from top to bottom."""
    anchors = dict(_anchors(whole))
    lines = [
        f"digraph {_text(whole.lines)} {{",
        "    compound=true",
        '    node [fontname="sans-serif"]',
        '    edge [fontname="sans-serif"]',
        '    fontname="sans-serif"',
        *_parts(whole, anchors, "    "),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _anchors(frame: Frame) -> Iterator[tuple[str, str]]:
    """Of each frame within, the first box in it."""
    for part in frame.parts:
        if isinstance(part, Frame):
            yield part.key, _first(part)
            yield from _anchors(part)


def _first(frame: Frame) -> str:
    part = frame.parts[0]
    return part.key if isinstance(part, Box) else _first(part)


def _parts(frame: Frame, anchors: Mapping[str, str], margin: str) -> Iterator[str]:
    for part in frame.parts:
        if isinstance(part, Box):
            shape = _SHAPES[part.shape]
            yield f"{margin}{_text((part.key,))} [label={_text(part.lines)}, shape={shape}]"
        else:
            inner = f"{margin}    "
            yield f"{margin}subgraph {_cluster(part.key)} {{"
            yield f"{inner}label={_text(part.lines)}"
            yield from _parts(part, anchors, inner)
            yield f"{margin}}}"
    for arrow in frame.arrows:
        yield f"{margin}{_arrow(arrow, anchors)}"


def _arrow(arrow: Arrow, anchors: Mapping[str, str]) -> str:
    said = [f"label={_text((arrow.label,))}"] if arrow.label else []
    if arrow.source in anchors:
        said.append(f"ltail={_cluster(arrow.source)}")
    if arrow.target in anchors:
        said.append(f"lhead={_cluster(arrow.target)}")
    if style := _STYLES[arrow.manner]:
        said.append(style)
    source, target = (anchors.get(key, key) for key in (arrow.source, arrow.target))
    attributes = f" [{', '.join(said)}]" if said else ""
    return f"{_text((source,))} -> {_text((target,))}{attributes}"


def _cluster(key: str) -> str:
    return _text((f"cluster_{key}",))


def _text(lines: tuple[str, ...]) -> str:
    escaped = (each.replace("\\", "\\\\").replace('"', '\\"') for each in lines)
    return '"' + "\\n".join(escaped) + '"'

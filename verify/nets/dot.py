"""A net, or a marking of it, as a picture for Graphviz."""

from __future__ import annotations

from heliostat.verify.nets.net import Marking, Net


def dot(net: Net, marking: Marking | None = None) -> str:
    """The net in the DOT language, with the tokens of a marking, else of the initial one.

    Places are circles, resources double ones; net transitions are boxes, with their condition below
    the name. Weights are written where they are not 1; inhibitors end in a circle, drains are
    dashed.
    """
    held = net.initial if marking is None else marking
    lines = [
        "digraph PetriNet {",
        "  rankdir=LR;",
        '  node [shape=circle, fontname="Arial"];',
    ]
    for number, place in enumerate(net.places):
        label = _escaped(place.name) + (f"\\n({held[number]})" if held[number] else "")
        shape = "doublecircle" if place.role == "resource" else "circle"
        lines.append(f'  "p{number}" [shape={shape}, label="{label}"];')
    for number, each in enumerate(net.transitions):
        label = _escaped(each.name) + (f"\\n[{_escaped(each.guard)}]" if each.guard else "")
        color = {"completed": "blue", "failed": "red"}.get(each.ending, "black")
        lines.append(f'  "t{number}" [shape=box, color={color}, label="{label}"];')
        for at, weight in each.inputs:
            lines.append(f'  "p{at}" -> "t{number}"{_weight(weight)};')
        for at, weight in each.outputs:
            lines.append(f'  "t{number}" -> "p{at}"{_weight(weight)};')
        lines += [f'  "p{at}" -> "t{number}" [arrowhead=odot];' for at in each.inhibitors]
        lines += [f'  "p{at}" -> "t{number}" [style=dashed];' for at, _ in each.drains]
    return "\n".join([*lines, "}"]) + "\n"


def _weight(weight: int) -> str:
    return f' [label="{weight}"]' if weight > 1 else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

"""Why somebody waits, in words for people: what is needed, what is free, and who has the rest."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Final

from .book import Book, Held
from .nodes import Node, Nodes, in_words
from .order import Entry
from .protocol import SlotLease, Want

HOLDERS_NAMED: Final = 3
"""Of those who hold what is missing; more would not be read."""


def short_of_semaphore(name: str, amount: int, *, capacity: int, kept: int, book: Book) -> str:
    """A semaphore has too little left."""
    holding = [held for held in book.leases.values() if held.lease.semaphores.get(name)]
    taken = sum(held.lease.semaphores[name] for held in holding)
    text = f"semaphore {name}: {taken} of {capacity} taken{_by(holding)}"
    if kept and taken + amount <= capacity:
        text += f", the rest is kept for who has waited longest; {amount} needed"
    elif amount > 1:
        text += f"; {amount} needed"
    return text


def short_of_nodes(want: Want, *, nodes: Nodes, book: Book, kept: Mapping[str, Entry[Any]]) -> str:
    """No node has room: the one that is nearest to it is told of."""
    usable = [node for node in nodes.usable(want.node) if node.could_fit(want.needs)]
    if not usable:
        return f"needs {in_words(want.needs)} on one node; none is there now"
    node = min(usable, key=lambda node: (node.id in kept, node.lacks(want.needs), node.id))
    for_whom = kept.get(node.id)
    if for_whom is not None and for_whom.id != want.id and node.fits(want.needs):
        return (
            f"needs {in_words(want.needs)} on one node; node {node.name} is kept for "
            f"{for_whom.id}, which goes first"
        )
    missing = max(want.needs, key=lambda name: (want.needs[name] - node.free(name), name))
    return (
        f"needs {in_words(want.needs)} on one node; node {node.name} has "
        f"{in_words({missing: max(0.0, round(node.free(missing), 2))})} free of "
        f"{in_words({missing: node.total.get(missing, 0.0)})}"
        f"{_used(node, missing, book)}"
    )


def short_of_runner_room(want: Want, *, nodes: Nodes) -> str:
    """A runner waits."""
    if not nodes.usable(want.node):
        return "no node takes new runners now"
    return "runners have all that attempts leave them, and one CPU of each node stays free"


class Reasons:
    """Why each lane waits: a sentence, or that no node has room, which is put into words only
    when somebody asks."""

    def __init__(self) -> None:
        self._texts: dict[Hashable, str] = {}

    def clear(self) -> None:
        """Forget; the next decision says them anew."""
        self._texts.clear()

    def set(self, lane: Hashable, text: str) -> None:
        """Why what is in this lane waits."""
        self._texts[lane] = text

    def get(self, lane: Hashable) -> str | None:
        """The sentence; None where nodes have no room, or nobody looked yet."""
        return self._texts.get(lane)


def _used(node: Node, name: str, book: Book) -> str:
    holding = [
        held
        for held in book.leases.values()
        if held.lease.node == node.id and held.lease.needs.get(name)
    ]
    text = _by(holding)
    others = node.others.get(name, 0.0)
    if others > 0:
        text += f"{' and ' if text else ', held by '}others ({in_words({name: round(others, 2)})})"
    return text


def _by(holding: Iterable[Held]) -> str:
    names: dict[str, int] = {}
    for held in holding:
        names[_name(held.lease)] = names.get(_name(held.lease), 0) + 1
    if not names:
        return ""
    first = [
        name if count == 1 else f"{count} {name}s" if name == "runner" else f"{name} (×{count})"
        for name, count in list(names.items())[:HOLDERS_NAMED]
    ]
    more = len(names) - len(first)
    return ", held by " + ", ".join(first) + (f" and {more} more" if more else "")


def _name(lease: SlotLease) -> str:
    if lease.kind == "runner":
        return "runner"
    return f"{lease.execution} {lease.step}".strip() or lease.id

"""Room between attempts and warm runners: which runners are asked back, and where one may begin.

Attempts come first. Runners get what no waiting attempt could use, all but one of a node's CPUs at
most, and are asked back when an attempt waits that would fit in their place. They give their room
back when they can: the last runner of a host only when another takes its work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .book import Book, Held
from .nodes import SMALLEST, Node, Nodes
from .order import Entry, FairQueue
from .protocol import Want
from .wants import Wanted

CALM_MS: Final = 5_000
"""After an attempt wanted a node's room, no runner that reserves is begun there for so long: it
would be asked back at once, and costs a second to begin."""

RUNNERS_ASKED_BACK: Final = 8
"""For the attempts of one shape, at a time."""

Kept = Mapping[str, Entry[Wanted]]
"""Nodes that are kept, and for whom."""


class AskBack:
    """One decision about which runners are to leave."""

    def __init__(self, nodes: Nodes, book: Book, queue: FairQueue[Wanted], kept: Kept) -> None:
        self._nodes, self._queue, self._kept = nodes, queue, kept
        self.revoked = 0
        self._by_node: dict[str, list[Held]] = {}  # runners that may stay so far, oldest first
        self._back: dict[str, dict[str, float]] = {}  # what comes back, and nobody counts on yet
        for held in book.of_kind("runner"):
            node = nodes.get(held.lease.node)
            if node is None:
                continue
            if node.draining and not held.revoked:
                self._revoke(held)
            if held.revoked:
                _add(self._back.setdefault(node.id, {}), held.lease.needs)
            elif held.lease.needs:
                self._by_node.setdefault(node.id, []).append(held)

    def for_attempts(self, blocked: Sequence[Entry[Wanted]], now_ms: int) -> None:
        """Those in whose place one of these would fit, each the first of its lane."""
        for entry in blocked:
            want = entry.item.want
            for node in self._nodes.usable(want.node):
                if node.could_fit(want.needs):
                    node.calm_at_ms = now_ms + CALM_MS
            for _ in range(min(self._queue.count(entry.lane), RUNNERS_ASKED_BACK)):
                if not self._make_room(entry):
                    break

    def _make_room(self, entry: Entry[Wanted]) -> bool:
        """Whether there will be room for one such attempt, with the runners now asked back."""
        want = entry.item.want
        best: tuple[int, Node, list[Held]] | None = None
        for node in self._nodes.usable(want.node):
            if self._kept.get(node.id, entry) is not entry or not node.could_fit(want.needs):
                continue
            coming = dict(self._back.get(node.id, {}))
            chosen: list[Held] = []
            # the newest has least warmed up in it
            for held in reversed(self._by_node.get(node.id, ())):
                if node.fits(want.needs, coming):
                    break
                chosen.append(held)
                _add(coming, held.lease.needs)
            if node.fits(want.needs, coming) and (best is None or len(chosen) < best[0]):
                best = (len(chosen), node, chosen)
        if best is None:
            return False
        _, node, chosen = best
        coming = self._back.setdefault(node.id, {})
        for held in chosen:
            self._by_node[node.id].remove(held)
            _add(coming, held.lease.needs)
            self._revoke(held)
        _add(coming, want.needs, -1)
        return True

    def _revoke(self, held: Held) -> None:
        held.revoked = True
        self.revoked += 1


def next_runner(
    waiting: Mapping[str, Wanted], nodes: Nodes, book: Book, kept: Kept, now_ms: int
) -> tuple[str, str] | None:
    """The id of the runner that may begin next, and its node: first come, first served; who has
    fewer before who has more."""
    if not waiting:
        return None
    count: dict[str, int] = {}
    for held in book.of_kind("runner"):
        for holder in held.holders:
            count[holder] = count.get(holder, 0) + 1
    for id, wanted in sorted(
        waiting.items(), key=lambda each: (count.get(each[1].holder, 0), each[1].arrived_ms)
    ):
        home = book.holders[wanted.holder].node
        node = place_runner(wanted.want, nodes=nodes, kept=kept, home=home, now_ms=now_ms)
        if node is not None:
            return id, node
    return None


def node_to_keep(entry: Entry[Wanted], nodes: Nodes, kept: Kept, before: Kept) -> Node | None:
    """Where room is kept for this attempt: where it was kept `before`, or least is missing."""
    needs = entry.item.want.needs
    return min(
        (
            node
            for node in nodes.usable(entry.item.want.node)
            if node.id not in kept and node.could_fit(needs)
        ),
        key=lambda node: (before.get(node.id) is not entry, node.lacks(needs), node.id),
        default=None,
    )


def place_runner(want: Want, *, nodes: Nodes, kept: Kept, home: str, now_ms: int) -> str | None:
    """The node on which a runner may begin now; one that reserves nothing always may, at `home`
    where it says no other."""
    if not want.needs:
        return want.node or (want.near[0] if want.near else None) or home or None
    cpus = want.needs.get("CPU", 0.0)
    fitting = [
        node
        for node in nodes.usable(want.node)
        if node.id not in kept
        and now_ms >= node.calm_at_ms
        and cpus <= node.room_for_runners() + SMALLEST
        and node.fits(want.needs)
    ]
    chosen = min(
        fitting,
        key=lambda node: (
            want.near.index(node.id) if node.id in want.near else len(want.near),
            node.runners,
            node.id,
        ),
        default=None,
    )
    return None if chosen is None else chosen.id


def _add(to: dict[str, float], amounts: Mapping[str, float], sign: int = 1) -> None:
    for name, amount in amounts.items():
        to[name] = to.get(name, 0.0) + sign * amount

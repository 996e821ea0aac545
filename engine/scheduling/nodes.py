"""The cluster's nodes: what each has, what is free, and which one fits.

What is free on a node is its total, less what leases hold, less what Ray says is used beyond them
(by others). Ray's word is late: a lease granted a moment ago is not in it yet, one given back still
is. So others are only believed to use what two looks in a row have shown. Being wrong costs time:
Ray itself never runs more than fits.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from .protocol import SlotLease

SMALLEST: Final = 1e-4
"""Ray counts in ten-thousandths; less than that is rounding."""

GONE_MS: Final = 60_000
"""What only a node could run that left so recently waits for it; later it is refused."""


class NodeView(Struct, frozen=True, kw_only=True):
    """A node as Ray shows it."""

    id: str
    name: str = ""  # for people: its address
    total: Mapping[str, float]
    used: Mapping[str, float] = {}  # by whomever
    draining: bool = False


class Node:
    """One node, with what is held on it."""

    __slots__ = (
        "_beyond",
        "calm_at_ms",
        "draining",
        "held",
        "id",
        "name",
        "others",
        "runner_cpus",
        "runners",
        "total",
    )

    def __init__(self, id: str) -> None:
        self.id = self.name = id
        self.total: Mapping[str, float] = {}
        self.held: dict[str, float] = {}  # by leases
        self.others: dict[str, float] = {}  # used beyond them
        self.runner_cpus = 0.0  # of what is held, by runners
        self.runners = 0
        self.calm_at_ms = 0  # until then no runner is begun, as attempts wanted the room
        self.draining = False
        self._beyond: dict[str, float] | None = None  # at the look before

    def seen(self, view: NodeView) -> None:
        """Take in a look of Ray's."""
        self.name, self.total = view.name or view.id, view.total
        beyond = {
            name: max(0.0, used - self.held.get(name, 0.0)) for name, used in view.used.items()
        }
        before = beyond if self._beyond is None else self._beyond
        self.others = {name: min(amount, before.get(name, 0.0)) for name, amount in beyond.items()}
        self._beyond = beyond

    def free(self, name: str) -> float:
        """What nobody uses; below zero where more was promised than there is."""
        return self.total.get(name, 0.0) - self.held.get(name, 0.0) - self.others.get(name, 0.0)

    def fits(self, needs: Mapping[str, float], back: Mapping[str, float] = {}) -> bool:
        """Whether there is room now, once `back` has been given back."""
        return all(
            self.free(name) + back.get(name, 0.0) >= amount - SMALLEST
            for name, amount in needs.items()
        )

    def lacks(self, needs: Mapping[str, float]) -> float:
        """How far it is from room for this, as the largest missing part of its total."""
        return max(
            (
                (amount - self.free(name)) / self.total[name]
                for name, amount in needs.items()
                if self.total.get(name)
            ),
            default=0.0,
        )

    def could_fit(self, needs: Mapping[str, float]) -> bool:
        """Whether there would be room, were it idle."""
        total = self.total
        return all(total.get(name, 0.0) >= amount - SMALLEST for name, amount in needs.items())

    def book(self, lease: SlotLease, sign: int = 1) -> None:
        """A lease is held here from now on; `sign` -1: no more."""
        for name, amount in lease.needs.items():
            self.held[name] = self.held.get(name, 0.0) + sign * amount
        if lease.kind == "runner":
            self.runners += sign
            self.runner_cpus += sign * lease.needs.get("CPU", 0.0)

    def room_for_runners(self) -> float:
        """CPUs that runners may still reserve here: all but one of the node's, of one CPU half."""
        cpus = self.total.get("CPU", 0.0)
        return (cpus - 1 if cpus > 1 else cpus / 2) - self.runner_cpus

    def spare(self, needs: Mapping[str, float]) -> tuple[int, float]:
        """How well it fits, less is better: kinds of things that it has and that are not needed
        (GPUs are kept for who needs them), then the largest share that stays free."""
        unneeded = sum(
            1
            for name, amount in self.total.items()
            if amount and name not in needs and not _everywhere(name)
        )
        left = max(
            (
                (self.free(name) - amount) / self.total[name]
                for name, amount in needs.items()
                if self.total.get(name)
            ),
            default=0.0,
        )
        return unneeded, round(left, 6)


class Nodes:
    """All nodes, by Ray's id."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._gone: dict[str, tuple[int, Node]] = {}  # that left lately
        self._drained: set[str] = set()  # by an operator
        self.looked = False

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def get(self, id: str | None) -> Node | None:
        """A node that is there."""
        return None if id is None else self._nodes.get(id)

    def look(self, views: Sequence[NodeView], now_ms: int) -> list[Node]:
        """Take in what Ray shows; returns the nodes that joined, on which nothing is booked yet."""
        self.looked = True
        there = {view.id for view in views}
        left = [id for id in self._nodes if id not in there]
        for id in left:
            self._gone[id] = (now_ms, self._nodes.pop(id))
        self._gone = {
            id: (at_ms, node)
            for id, (at_ms, node) in self._gone.items()
            if now_ms - at_ms < GONE_MS and id not in there
        }
        joined = []
        for view in views:
            node = self._nodes.get(view.id)
            if node is None:
                node = self._nodes[view.id] = Node(view.id)
                joined.append(node)
            node.seen(view)
            node.draining = view.draining or view.id in self._drained
        self._drained &= there
        return joined

    def drain(self, id: str) -> None:
        """It takes no new work, until it leaves."""
        self._drained.add(id)
        if id in self._nodes:
            self._nodes[id].draining = True

    @property
    def draining(self) -> tuple[str, ...]:
        """Ids of nodes that take no new work."""
        return tuple(sorted(id for id, node in self._nodes.items() if node.draining))

    def usable(self, pinned: str | None) -> list[Node]:
        """Those that take new work, of them only the one that is `pinned` to."""
        return [
            node
            for id, node in self._nodes.items()
            if not node.draining and (pinned is None or id == pinned)
        ]

    def best(
        self,
        needs: Mapping[str, float],
        *,
        pinned: str | None,
        near: Sequence[str],
        kept: Container[str],
    ) -> Node | None:
        """The nearest with room now, of equally near ones the fullest; none of those `kept` for
        others."""
        fitting = [node for node in self.usable(pinned) if node.id not in kept and node.fits(needs)]
        return min(
            fitting,
            key=lambda node: (_place(node.id, near), *node.spare(needs), node.id),
            default=None,
        )

    def ever(self, needs: Mapping[str, float], *, pinned: str | None) -> bool:
        """Whether a node that takes new work could run it, were it idle."""
        return any(node.could_fit(needs) for node in self.usable(pinned))

    def may_come_back(self, needs: Mapping[str, float], *, pinned: str | None) -> str | None:
        """Why it is worth waiting although `ever` says no."""
        for id, node in self._nodes.items():
            if node.draining and pinned in (None, id) and node.could_fit(needs):
                return f"node {node.name}, which could run it, is being drained"
        for id, (_, node) in self._gone.items():
            if pinned in (None, id) and node.could_fit(needs):
                return f"node {node.name}, which could run it, has left the cluster"
        return None

    def share(self, needs: Mapping[str, float]) -> float:
        """The largest part that it takes of anything in the cluster."""
        largest = 0.0
        for name, amount in needs.items():
            total = sum(node.total.get(name, 0.0) for node in self._nodes.values())
            largest = max(largest, amount / total if total else 1.0)
        return min(largest, 1.0)

    def misfit(self, needs: Mapping[str, float]) -> str:
        """The sentence that says why no node, even when idle, could run this."""
        return misfit(needs, [node.total for node in self._nodes.values()])


def misfit(needs: Mapping[str, float], totals: Sequence[Mapping[str, float]]) -> str:
    """The sentence that says why none of the nodes, even when idle, could run a step."""
    most = ", ".join(
        f"{name}: {max((total.get(name, 0) for total in totals), default=0):g}"
        for name in sorted(needs)
    )
    return (
        f"no node of this cluster can ever run the step: it needs {{{told(needs)}}} on one node, "
        f"the most that any has is {{{most}}}; ask for less, or add such a node"
    )


def told(needs: Mapping[str, float]) -> str:
    """Amounts for people."""
    return ", ".join(f"{name}: {amount:g}" for name, amount in sorted(needs.items()) if amount)


def in_words(needs: Mapping[str, float]) -> str:
    """Amounts for a sentence: `2 CPU, 1.5 GiB memory`."""
    return ", ".join(
        f"{amount / 2**30:.3g} GiB {name}" if name.endswith("memory") else f"{amount:g} {name}"
        for name, amount in sorted(needs.items())
    )


def _everywhere(name: str) -> bool:
    """What every node has, and is no reason to keep it free."""
    return name in ("CPU", "memory", "object_store_memory") or name.startswith("node:")


def _place(id: str, near: Sequence[str]) -> int:
    return near.index(id) if id in near else len(near)

"""Scopes of a BPMN process while they become a net: their places, and what is added to them.

Each sequence flow is a place, and so is an activity under way. A scope is the process or one of its
subprocesses; it knows all its places, those of scopes within it too, since what interrupts it or
waits until nothing is in it looks at all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from heliostat.verify.nets.net import NetBuilder
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.reading.bpmn import Flow, Node, Process
from heliostat.verify.reading.models import Alarm

Arcs: TypeAlias = list[tuple[int, int]]


@dataclass(slots=True)
class Draft:
    """What the scopes of one process add to."""

    builder: NetBuilder
    alarm: Alarm | None
    alarms: dict[int, str] = field(default_factory=dict)
    abstractions: list[Abstraction] = field(default_factory=list)
    open_root: int | None = None  # of a process that events begin something in
    late: list[Callable[[], None]] = field(default_factory=list)
    """What empties scopes is added when all their places are there."""


class Scope:
    """A process, or the subprocess `outer[1]` within `outer[0]`."""

    def __init__(
        self,
        draft: Draft,
        process: Process,
        *,
        outer: tuple[Scope, Node] | None,
    ) -> None:
        self.draft, self.builder, self.process = draft, draft.builder, process
        self.outer = outer
        self.own: dict[str, list[int]] = {id: [] for id in process.nodes}
        self.begin = self.builder.place(f"begin_{process.id}", f"{process.name} begins")
        self.members: list[int] = [self.begin]
        self.open: int | None = None  # holds a token while anything is in it
        self.on_event: list[tuple[Node, Scope]] = []
        self.flows: dict[int, int] = {}
        for flow in process.flows:
            self.flows[id(flow)] = self._flow_place(flow)
        self.first: dict[str, int] = {}  # of nodes that begin without a flow
        self.deciding: set[int] = set()  # places of steps that are choosing several ways
        self.joins: list[tuple[Node, Arcs]] = []  # inclusive ones, with what they put
        self.links: dict[str, int] = {}
        for node in process.nodes.values():
            if node.event == "link" and node.key not in self.links:
                self.links[node.key] = self.place(f"link_{node.key}", node)

    def at(self, node: Node) -> list[int]:
        """The place that holds a token while a subprocess is open."""
        return self.own[node.id][:1]

    def _flow_place(self, flow: Flow) -> int:
        source, target = self.process.nodes[flow.source], self.process.nodes[flow.target]
        waits = target.kind in ("parallel", "inclusive") and len(target.incoming) > 1
        name = f"{source.label} to {target.label}"
        id = f"arrived_{source.label}_{target.label}" if waits else f"flow_{flow.id}"
        place = self.builder.place(id, name, step=target.label if waits else None)
        self.members.append(place)
        if self.draft.alarm == "safeness":
            alarm = self.alarm(name)
            self.builder.transition(f"twice_{flow.id}", [(place, 2)], [(alarm, 1)])
        return place

    def alarm(self, label: str) -> int:
        """A place whose token stays for ever."""
        place = self.builder.place(f"alarm_{label}", label)
        self.draft.alarms[place] = label
        return place

    def place(self, id: str, node: Node) -> int:
        place = self.builder.place(id, node.label, step=node.label)
        self.members.append(place)
        self.own[node.id].append(place)
        return place

    def takes(self, node: Node) -> list[Arcs]:
        """By way into it, what one start of the node takes."""
        found = [[(self.flows[id(flow)], 1)] for flow in node.incoming]
        if node.event == "link" and node.tag == "intermediateCatchEvent":
            found.append([(self.links[node.key], 1)])
        if node.id in self.first:
            found.append([(self.first[node.id], 1)])
        return found

    def puts(self, flows: Iterable[Flow]) -> Arcs:
        return [(self.flows[id(flow)], 1) for flow in flows]

    def transition(
        self,
        verb: str,
        node: Node,
        takes: Arcs,
        puts: Arcs,
        *,
        silent: bool = False,
        inhibitors: Iterable[int] = (),
        drains: Iterable[int] = (),
        outside: bool = False,
    ) -> None:
        self.builder.transition(
            f"{verb}_{node.label}",
            takes,
            puts,
            inhibitors=list(inhibitors),
            drains=[(place, ()) for place in drains],
            name=node.label,
            step=node.label,
            act="" if silent else "completes",
            outside=outside,
        )

    def boundary(self, node: Node) -> list[Node]:
        """The events at the border of an activity."""
        return [each for each in self.process.nodes.values() if each.attached == node.id]

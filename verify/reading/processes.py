"""A BPMN process as a net.

Each sequence flow is a place, and so is an activity under way. An exclusive gateway takes one way,
a parallel one waits for all and takes all, an inclusive one takes any that are not none. Where
several flows lead into anything else, each token of theirs is one start of it. A process ends when
no token is left; a subprocess then too, and its token goes on. An event subprocess may begin at any
time while what it lies in is open, once; one that interrupts empties the rest first.

An inclusive gateway that joins goes on as ISO/IEC 19510 (13.4.3) says: with a token on some of its
flows, when no token elsewhere could still come to one of the empty ones, but for those that could
come to one of the others as well. That looks at the whole process; the net asks it of the places
from which such a token would come, by inhibitors, for each set of flows apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import Final

from heliostat.verify.nets.net import NetBuilder
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.nets.translation import Translation
from heliostat.verify.reading.bpmn import Flow, Node, Process, labelled
from heliostat.verify.reading.models import ALARMS, Alarm, Model
from heliostat.verify.reading.xml import Unreadable

JOINED_MAX: Final = 6
"""Flows into one inclusive gateway: each set of them is looked at."""

Arcs = list[tuple[int, int]]


def net_of(process: Process) -> Model:
    """The net of one process.

    Raises:
        Unreadable: an inclusive gateway joins more flows than are looked at, or it never begins.
    """
    nodes = list(labelled(process))
    return Model(
        name=process.name,
        translation=_translated(process, None),
        steps=tuple(
            each.label for each in nodes if not (each.of_event or each.tag.endswith("Gateway"))
        ),
        ends=True,
        alarmed={alarm: _translated(process, alarm) for alarm in ALARMS},
    )


def _translated(process: Process, alarm: Alarm | None) -> Translation:
    draft = _Draft(NetBuilder(process.id), alarm)
    scope = _Scope(draft, process, outer=None)
    scope.add()
    for add in draft.late:
        add()
    draft.builder.mark([scope.begin, *([] if draft.open_root is None else [draft.open_root])])
    return Translation(
        net=draft.builder.net(),
        abstractions=tuple(draft.abstractions),
        overflows=draft.alarms,
    )


@dataclass(slots=True)
class _Draft:
    """What the scopes of one process add to."""

    builder: NetBuilder
    alarm: Alarm | None
    alarms: dict[int, str] = field(default_factory=dict)
    abstractions: list[Abstraction] = field(default_factory=list)
    open_root: int | None = None  # of a process that events begin something in
    late: list[Callable[[], None]] = field(default_factory=list)
    """What empties scopes is added when all their places are there."""


class _Scope:
    """Adds a process, or a subprocess within `outer`, to the net."""

    def __init__(
        self,
        draft: _Draft,
        process: Process,
        *,
        outer: tuple[_Scope, Node] | None,
    ) -> None:
        self._draft, self._builder, self._process = draft, draft.builder, process
        self._outer = outer
        self._own: dict[str, list[int]] = {id: [] for id in process.nodes}
        self.begin = self._builder.place(f"begin_{process.id}", f"{process.name} begins")
        self.members: list[int] = [self.begin]
        self._open: int | None = None  # holds a token while anything is in it
        self._on_event: list[tuple[Node, _Scope]] = []
        self._flows: dict[int, int] = {}
        for flow in process.flows:
            self._flows[id(flow)] = self._flow_place(flow)
        self._first: dict[str, int] = {}  # of nodes that begin without a flow
        self._deciding: set[int] = set()  # places of steps that are choosing several ways
        self._joins: list[tuple[Node, Arcs]] = []  # inclusive ones, with what they put
        self._links: dict[str, int] = {}
        for node in process.nodes.values():
            if node.event == "link" and node.key not in self._links:
                self._links[node.key] = self._place(f"link_{node.key}", node)

    def add(self) -> None:
        """Add all places and net transitions of the scope."""
        self._add_events()
        started = [node for node in self._process.nodes.values() if node.kind == "start"]
        for node in started:
            self._transition("start", node, [(self.begin, 1)], self._puts(node.outgoing))
        if not started:
            first = [n for n in self._process.nodes.values() if self._begins(n)]
            if not first:
                raise Unreadable(f"process {self._process.id!r} begins nowhere")
            for node in first:
                self._first[node.id] = self._place(f"first_{node.id}", node)
            puts = [(place, 1) for place in self._first.values()]
            self._builder.transition(f"start_{self._process.id}", [(self.begin, 1)], puts)
        for node in self._process.nodes.values():
            if node.kind != "start" and node.attached is None and not node.of_event:
                self._node(node)
        for node, puts in self._joins:
            self._join(node, puts)

    def _begins(self, node: Node) -> bool:
        link = node.event == "link" and node.tag == "intermediateCatchEvent"
        return not (node.incoming or node.attached or node.of_event or link)

    def _add_events(self) -> None:
        """The event subprocesses of the scope."""
        nodes = [node for node in self._process.nodes.values() if node.of_event]
        if not nodes:
            return
        if self._outer is None:
            self._open = self._builder.place(f"open_{self._process.id}", self._process.name)
            self._draft.open_root = self._open
            self._draft.late.append(self._close_root)
        else:
            around, holder = self._outer
            [self._open] = around.at(holder)
        for node in nodes:
            assert node.inner is not None
            inner = _Scope(self._draft, node.inner, outer=(self, node))
            self._own[node.id] = [self._open]
            self._on_event.append((node, inner))
            self._draft.late.append(partial(self._trigger, node, inner))
            inner.add()
            self.members += inner.members

    def at(self, node: Node) -> list[int]:
        """The place that holds a token while a subprocess is open."""
        return self._own[node.id][:1]

    def _close_root(self) -> None:
        assert self._open is not None
        self._builder.transition(
            f"close_{self._process.id}", [(self._open, 1)], inhibitors=self.members
        )

    def _trigger(self, node: Node, inner: _Scope) -> None:
        assert self._open is not None
        armed = self._builder.place(f"armed_{node.id}", node.label, role="auxiliary", tokens=1)
        self._draft.abstractions.append(
            Abstraction(kind="event subprocess", step=node.label, text="begins at most once")
        )
        self._builder.transition(
            f"event_{node.label}",
            [(self._open, 1), (armed, 1)],
            [(self._open, 1), (inner.begin, 1)],
            drains=[(place, ()) for place in self._rest(node, inner)],
            step=node.label,
            outside=node.event != "error",
        )

    def _rest(self, node: Node, inner: _Scope) -> list[int]:
        """What an event subprocess empties where it interrupts."""
        own = {*inner.members}
        return [place for place in self.members if place not in own] if node.interrupts else []

    # -- places

    def _flow_place(self, flow: Flow) -> int:
        source, target = self._process.nodes[flow.source], self._process.nodes[flow.target]
        waits = target.kind in ("parallel", "inclusive") and len(target.incoming) > 1
        name = f"{source.label} to {target.label}"
        id = f"arrived_{source.label}_{target.label}" if waits else f"flow_{flow.id}"
        place = self._builder.place(id, name, step=target.label if waits else None)
        self.members.append(place)
        if self._draft.alarm == "safeness":
            alarm = self._alarm(name)
            self._builder.transition(f"twice_{flow.id}", [(place, 2)], [(alarm, 1)])
        return place

    def _alarm(self, label: str) -> int:
        """A place whose token stays for ever."""
        place = self._builder.place(f"alarm_{label}", label)
        self._draft.alarms[place] = label
        return place

    def _place(self, id: str, node: Node) -> int:
        place = self._builder.place(id, node.label, step=node.label)
        self.members.append(place)
        self._own[node.id].append(place)
        return place

    def _takes(self, node: Node) -> list[Arcs]:
        """By way into it, what one start of the node takes."""
        found = [[(self._flows[id(flow)], 1)] for flow in node.incoming]
        if node.event == "link" and node.tag == "intermediateCatchEvent":
            found.append([(self._links[node.key], 1)])
        if node.id in self._first:
            found.append([(self._first[node.id], 1)])
        return found

    def _puts(self, flows: Iterable[Flow]) -> Arcs:
        return [(self._flows[id(flow)], 1) for flow in flows]

    def _transition(
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
        self._builder.transition(
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

    # -- nodes

    def _node(self, node: Node) -> None:
        match node.kind:
            case "exclusive":
                for takes in self._takes(node):
                    for flow in node.outgoing:
                        self._transition("way", node, takes, self._puts([flow]), silent=True)
                    if not node.outgoing:
                        self._end(node, takes)
            case "parallel":
                takes = [arc for each in self._takes(node) for arc in each]
                if takes:
                    self._go_on(node, takes, node.outgoing, silent=True)
            case "inclusive":
                self._inclusive(node)
            case "end":
                for takes in self._takes(node):
                    self._end(node, takes)
            case "scope":
                self._scope(node)
            case _:
                self._activity(node)

    def _go_on(self, node: Node, takes: Arcs, flows: list[Flow], *, silent: bool = False) -> None:
        """A token leaves on each of these flows; with none of them it ends."""
        if flows:
            self._transition("go", node, takes, self._puts(flows), silent=silent)
        else:
            self._end(node, takes, silent=silent)

    def _end(self, node: Node, takes: Arcs, *, silent: bool = False) -> None:
        if node.event == "terminate" and node.kind == "end":
            end = partial(self._transition, "terminate", node, takes, [], drains=self.members)
            self._draft.late.append(end)
        elif node.event in ("error", "cancel") and node.kind == "end":
            # a failure is not explored: that the event is reached is seen before it
            at = self._place(f"step_{node.id}", node)
            self._transition("begin", node, takes, [(at, 1)], silent=True)
            self._draft.late.append(partial(self._fail, node, [(at, 1)]))
        elif node.event == "link" and node.tag == "intermediateThrowEvent":
            self._transition("jump", node, takes, [(self._links[node.key], 1)])
        elif self._outer is None and self._draft.alarm == "proper completion":
            ended = self._builder.place(f"ended_{node.id}", node.label, role="auxiliary")
            once, again = [(ended, 1)], [(ended, 1), (self._alarm(node.label), 1)]
            self._transition("end", node, takes, once, silent=silent, inhibitors=[ended])
            self._transition("end_again", node, [*takes, *once], again, silent=silent)
        else:
            self._transition("end", node, takes, [], silent=silent)

    def _fail(self, node: Node, takes: Arcs) -> None:
        """An error or a cancelled transaction leaves each subprocess until one has an event for it;
        else it ends all."""
        scope: _Scope = self
        while True:
            for each, inner in scope._on_event:
                if each.event == node.event and each.key in ("", node.key):
                    rest = scope._rest(each, inner)
                    self._transition("error", node, takes, [(inner.begin, 1)], drains=rest)
                    return
            if scope._outer is None:
                break
            around, holder = scope._outer
            for each in around.boundary(holder):
                if each.event == node.event and each.key in ("", node.key):
                    self._transition(
                        "error",
                        node,
                        takes,
                        around._puts(each.outgoing),
                        drains=[*scope.members, *around._own[holder.id]],
                    )
                    return
            scope = around
        self._builder.transition(
            f"error_{node.label}", takes, ending="failed", step=node.label, act="fails"
        )

    def boundary(self, node: Node) -> list[Node]:
        """The events at the border of an activity."""
        return [each for each in self._process.nodes.values() if each.attached == node.id]

    def _activity(self, node: Node) -> None:
        at = self._place(f"step_{node.id}", node)
        events = self.boundary(node)
        armed = [self._armed(each, node) for each in events if not each.interrupts]
        for takes in self._takes(node):
            puts = [(at, 1), *((place, 1) for place in armed)]
            self._transition("begin", node, takes, puts, silent=True)
        if node.several:
            self._abstract(node)
        if node.event == "link" and node.tag == "intermediateThrowEvent":
            self._end(node, [(at, 1)])
            return
        if node.repeats:
            self._transition("again", node, [(at, 1)], [(at, 1)])
        self._leave(node, [(at, 1)], drains=armed)
        self._interrupt(events, at, armed, [], outside=False)

    def _scope(self, node: Node) -> None:
        """A subprocess: open while anything is in it. Its visits come one after the other."""
        assert node.inner is not None
        at = self._place(f"step_{node.id}", node)
        events = self.boundary(node)
        armed = [self._armed(each, node) for each in events if not each.interrupts]
        inner = _Scope(self._draft, node.inner, outer=(self, node))
        inner.add()
        self.members += inner.members
        self._own[node.id] += inner.members
        for takes in self._takes(node):
            puts = [(at, 1), (inner.begin, 1), *((place, 1) for place in armed)]
            self._transition("begin", node, takes, puts, silent=True, inhibitors=[at])
        if node.several:
            self._abstract(node)
        if node.repeats:
            puts = [(at, 1), (inner.begin, 1)]
            self._transition("again", node, [(at, 1)], puts, inhibitors=inner.members)
        self._leave(node, [(at, 1)], drains=armed, inhibitors=inner.members)
        self._interrupt(events, at, armed, inner.members, outside=True)

    def _armed(self, event: Node, node: Node) -> int:
        self._draft.abstractions.append(
            Abstraction(
                kind="boundary event",
                step=event.label,
                text=f"comes at most once while {node.label} is open",
            )
        )
        place = self._builder.place(f"armed_{event.id}", event.label, role="auxiliary")
        self.members.append(place)
        return place

    def _abstract(self, node: Node) -> None:
        self._draft.abstractions.append(
            Abstraction(
                kind="instances", step=node.label, text="one of its instances stands for all"
            )
        )

    def _interrupt(
        self, events: list[Node], at: int, armed: list[int], inside: list[int], *, outside: bool
    ) -> None:
        waiting = iter(armed)
        for event in events:
            puts, drains = self._puts(event.outgoing), [*inside, *armed]
            takes: Arcs = [(at, 1)]
            if not event.interrupts:
                takes, puts, drains = [*takes, (next(waiting), 1)], [*puts, (at, 1)], []
            self._transition(
                "event",
                event,
                takes,
                puts,
                drains=drains,
                outside=outside and event.event != "error",
            )

    def _leave(
        self, node: Node, takes: Arcs, *, drains: Iterable[int], inhibitors: Iterable[int] = ()
    ) -> None:
        """An activity completes: all its flows, or those whose condition holds."""
        conditional = [f for f in node.outgoing if f.conditional and f.id != node.default]
        if not conditional:
            self._transition(
                "complete",
                node,
                takes,
                self._puts(node.outgoing),
                drains=drains,
                inhibitors=inhibitors,
            )
            return
        chosen = self._place(f"decision_{node.id}", node)
        self._transition(
            "complete", node, takes, [(chosen, 1)], drains=drains, inhibitors=inhibitors
        )
        self._some(node, chosen, conditional)

    def _some(self, node: Node, chosen: int, conditional: list[Flow]) -> None:
        """One condition after the other; of those and the flows without one, some are taken."""
        default = [flow for flow in node.outgoing if flow.id == node.default]
        always = [f for f in node.outgoing if f not in conditional and f not in default]
        before = {False: chosen}
        self._deciding.add(chosen)
        for number, flow in enumerate(conditional, 1):
            after: dict[bool, int] = {}
            for some, place in before.items():
                for taken in (True, False):
                    key = some or taken
                    if key not in after:
                        id = f"decision_{node.id}_{number}_{'some' if key else 'none'}"
                        after[key] = self._place(id, node)
                        self._deciding.add(after[key])
                    puts = [(after[key], 1), *(self._puts([flow]) if taken else [])]
                    verb = "way" if taken else "pass"
                    self._transition(verb, node, [(place, 1)], puts, silent=True)
            before = after
        self._transition("chosen", node, [(before[True], 1)], self._puts(always), silent=True)
        rest = [*always, *default]
        if rest:  # else one of the conditions is taken to hold
            self._transition("default", node, [(before[False], 1)], self._puts(rest), silent=True)
        else:
            self._transition("once_more", node, [(before[False], 1)], [(chosen, 1)], silent=True)

    # -- inclusive gateways

    def _inclusive(self, node: Node) -> None:
        conditional = [flow for flow in node.outgoing if flow.id != node.default]
        if len(node.outgoing) > 1:
            chosen = self._place(f"decision_{node.id}", node)
            puts = [(chosen, 1)]
            self._some(node, chosen, conditional)
        else:
            puts = self._puts(node.outgoing)
        if len(node.incoming) < 2:
            for takes in self._takes(node):
                self._transition("go", node, takes, puts, silent=True)
            return
        if len(node.incoming) > JOINED_MAX:
            raise Unreadable(
                f"it joins {len(node.incoming)} flows; up to {JOINED_MAX} can be looked at",
                element=f"inclusive gateway {node.label!r}",
            )
        self._joins.append((node, puts))

    def _join(self, node: Node, puts: Arcs) -> None:
        before = {id(flow): self._before(flow, node) for flow in node.incoming}
        for size in range(1, len(node.incoming) + 1):
            for there in combinations(node.incoming, size):
                missing = [flow for flow in node.incoming if flow not in there]
                behind = set[int]().union(*(before[id(flow)] for flow in missing))
                awaited = behind - set[int]().union(*(before[id(flow)] for flow in there))
                awaited |= behind & self._deciding  # choosing takes no time
                awaited |= {self._flows[id(flow)] for flow in missing}
                self._transition(
                    "join",
                    node,
                    self._puts(there),
                    puts,
                    silent=True,
                    inhibitors=sorted(awaited),
                )

    def _before(self, flow: Flow, join: Node) -> set[int]:
        """The places from which a token may come to a flow without passing the join."""
        found, seen, todo = {self._flows[id(flow)]}, {join.id}, [flow.source]
        while todo:
            node = self._process.nodes[todo.pop()]
            if node.id in seen:
                continue
            seen.add(node.id)
            found |= {*self._own[node.id], *(self._flows[id(f)] for f in node.incoming)}
            todo += [f.source for f in node.incoming]
            if node.attached is not None:
                todo.append(node.attached)
            if node.event == "link":
                todo += [
                    n.id
                    for n in self._process.nodes.values()
                    if n.event == "link" and n.key == node.key
                ]
        return found

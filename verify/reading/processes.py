"""A BPMN process as a net.

An exclusive gateway takes one way, a parallel one waits for all and takes all, an inclusive one
takes any that are not none. Where several flows lead into anything else, each token of theirs is
one start of it. Places are those of `scopes`; what `events` and `inclusive` gateways do, they say.
"""

from __future__ import annotations

from collections.abc import Iterable

from heliostat.verify.nets.net import NetBuilder
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.nets.translation import Translation
from heliostat.verify.reading.bpmn import Flow, Node, Process, labelled
from heliostat.verify.reading.events import arm, begin_on_events, end, interrupt
from heliostat.verify.reading.inclusive import inclusive, join, take_some
from heliostat.verify.reading.models import ALARMS, Alarm, Model
from heliostat.verify.reading.scopes import Arcs, Draft, Scope
from heliostat.verify.reading.xml import Unreadable


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
    draft = Draft(NetBuilder(process.id), alarm)
    scope = Scope(draft, process, outer=None)
    fill(scope)
    for add in draft.late:
        add()
    draft.builder.mark([scope.begin, *([] if draft.open_root is None else [draft.open_root])])
    return Translation(
        net=draft.builder.net(),
        abstractions=tuple(draft.abstractions),
        overflows=draft.alarms,
    )


def fill(scope: Scope) -> None:
    """Add all places and net transitions of the scope."""
    begin_on_events(scope, fill)
    started = [node for node in scope.process.nodes.values() if node.kind == "start"]
    for node in started:
        scope.transition("start", node, [(scope.begin, 1)], scope.puts(node.outgoing))
    if not started:
        first = [n for n in scope.process.nodes.values() if _begins(n)]
        if not first:
            raise Unreadable(f"process {scope.process.id!r} begins nowhere")
        for node in first:
            scope.first[node.id] = scope.place(f"first_{node.id}", node)
        puts = [(place, 1) for place in scope.first.values()]
        scope.builder.transition(f"start_{scope.process.id}", [(scope.begin, 1)], puts)
    for node in scope.process.nodes.values():
        if node.kind != "start" and node.attached is None and not node.of_event:
            _node(scope, node)
    for node, puts in scope.joins:
        join(scope, node, puts)


def _begins(node: Node) -> bool:
    link = node.event == "link" and node.tag == "intermediateCatchEvent"
    return not (node.incoming or node.attached or node.of_event or link)


def _node(scope: Scope, node: Node) -> None:
    match node.kind:
        case "exclusive":
            for takes in scope.takes(node):
                for flow in node.outgoing:
                    scope.transition("way", node, takes, scope.puts([flow]), silent=True)
                if not node.outgoing:
                    end(scope, node, takes)
        case "parallel":
            takes = [arc for each in scope.takes(node) for arc in each]
            if takes:
                _go_on(scope, node, takes, node.outgoing, silent=True)
        case "inclusive":
            inclusive(scope, node)
        case "end":
            for takes in scope.takes(node):
                end(scope, node, takes)
        case "scope":
            _subprocess(scope, node)
        case _:
            _activity(scope, node)


def _go_on(
    scope: Scope, node: Node, takes: Arcs, flows: list[Flow], *, silent: bool = False
) -> None:
    """A token leaves on each of these flows; with none of them it ends."""
    if flows:
        scope.transition("go", node, takes, scope.puts(flows), silent=silent)
    else:
        end(scope, node, takes, silent=silent)


def _activity(scope: Scope, node: Node) -> None:
    at = scope.place(f"step_{node.id}", node)
    events = scope.boundary(node)
    armed = [arm(scope, each, node) for each in events if not each.interrupts]
    for takes in scope.takes(node):
        puts = [(at, 1), *((place, 1) for place in armed)]
        scope.transition("begin", node, takes, puts, silent=True)
    if node.several:
        _abstract(scope, node)
    if node.event == "link" and node.tag == "intermediateThrowEvent":
        end(scope, node, [(at, 1)])
        return
    if node.repeats:
        scope.transition("again", node, [(at, 1)], [(at, 1)])
    _leave(scope, node, [(at, 1)], drains=armed)
    interrupt(scope, events, at, armed, [], outside=False)


def _subprocess(scope: Scope, node: Node) -> None:
    """A subprocess: open while anything is in it. Its visits come one after the other."""
    assert node.inner is not None
    at = scope.place(f"step_{node.id}", node)
    events = scope.boundary(node)
    armed = [arm(scope, each, node) for each in events if not each.interrupts]
    inner = Scope(scope.draft, node.inner, outer=(scope, node))
    fill(inner)
    scope.members += inner.members
    scope.own[node.id] += inner.members
    for takes in scope.takes(node):
        puts = [(at, 1), (inner.begin, 1), *((place, 1) for place in armed)]
        scope.transition("begin", node, takes, puts, silent=True, inhibitors=[at])
    if node.several:
        _abstract(scope, node)
    if node.repeats:
        puts = [(at, 1), (inner.begin, 1)]
        scope.transition("again", node, [(at, 1)], puts, inhibitors=inner.members)
    _leave(scope, node, [(at, 1)], drains=armed, inhibitors=inner.members)
    interrupt(scope, events, at, armed, inner.members, outside=True)


def _leave(
    scope: Scope, node: Node, takes: Arcs, *, drains: Iterable[int], inhibitors: Iterable[int] = ()
) -> None:
    """An activity completes: all its flows, or those whose condition holds."""
    conditional = [f for f in node.outgoing if f.conditional and f.id != node.default]
    if not conditional:
        scope.transition(
            "complete",
            node,
            takes,
            scope.puts(node.outgoing),
            drains=drains,
            inhibitors=inhibitors,
        )
        return
    chosen = scope.place(f"decision_{node.id}", node)
    scope.transition("complete", node, takes, [(chosen, 1)], drains=drains, inhibitors=inhibitors)
    take_some(scope, node, chosen, conditional)


def _abstract(scope: Scope, node: Node) -> None:
    scope.draft.abstractions.append(
        Abstraction(kind="instances", step=node.label, text="one of its instances stands for all")
    )

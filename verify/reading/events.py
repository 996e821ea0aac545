"""Events: how tokens end, and what begins or interrupts something while it is open.

A process ends when no token is left; a subprocess then too, and its token goes on. An event
subprocess may begin at any time while what it lies in is open, once; one that interrupts empties
the rest first. So do boundary events with the activity at whose border they are. Net transitions
that empty a scope are added when all its places are known (`Draft.late`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.reading.bpmn import Node
from heliostat.verify.reading.scopes import Arcs, Scope


def begin_on_events(scope: Scope, fill: Callable[[Scope], None]) -> None:
    """The event subprocesses of the scope; `fill` adds what is in one."""
    nodes = [node for node in scope.process.nodes.values() if node.of_event]
    if not nodes:
        return
    if scope.outer is None:
        scope.open = scope.builder.place(f"open_{scope.process.id}", scope.process.name)
        scope.draft.open_root = scope.open
        scope.draft.late.append(partial(_close_root, scope))
    else:
        around, holder = scope.outer
        [scope.open] = around.at(holder)
    for node in nodes:
        assert node.inner is not None
        inner = Scope(scope.draft, node.inner, outer=(scope, node))
        scope.own[node.id] = [scope.open]
        scope.on_event.append((node, inner))
        scope.draft.late.append(partial(_trigger, scope, node, inner))
        fill(inner)
        scope.members += inner.members


def arm(scope: Scope, event: Node, node: Node) -> int:
    """The place by whose token a boundary event that does not interrupt comes once."""
    scope.draft.abstractions.append(
        Abstraction(
            kind="boundary event",
            step=event.label,
            text=f"comes at most once while {node.label} is open",
        )
    )
    place = scope.builder.place(f"armed_{event.id}", event.label, role="auxiliary")
    scope.members.append(place)
    return place


def interrupt(
    scope: Scope, events: list[Node], at: int, armed: list[int], inside: list[int], *, outside: bool
) -> None:
    """Boundary events come while `at` holds a token; what they interrupt is emptied."""
    waiting = iter(armed)
    for event in events:
        puts, drains = scope.puts(event.outgoing), [*inside, *armed]
        takes: Arcs = [(at, 1)]
        if not event.interrupts:
            takes, puts, drains = [*takes, (next(waiting), 1)], [*puts, (at, 1)], []
        scope.transition(
            "event",
            event,
            takes,
            puts,
            drains=drains,
            outside=outside and event.event != "error",
        )


def end(scope: Scope, node: Node, takes: Arcs, *, silent: bool = False) -> None:
    """A token of these comes to an end of the scope."""
    if node.event == "terminate" and node.kind == "end":
        all_of_it = partial(scope.transition, "terminate", node, takes, [], drains=scope.members)
        scope.draft.late.append(all_of_it)
    elif node.event in ("error", "cancel") and node.kind == "end":
        # a failure is not explored: that the event is reached is seen before it
        at = scope.place(f"step_{node.id}", node)
        scope.transition("begin", node, takes, [(at, 1)], silent=True)
        scope.draft.late.append(partial(_fail, scope, node, [(at, 1)]))
    elif node.event == "link" and node.tag == "intermediateThrowEvent":
        scope.transition("jump", node, takes, [(scope.links[node.key], 1)])
    elif scope.outer is None and scope.draft.alarm == "proper completion":
        ended = scope.builder.place(f"ended_{node.id}", node.label, role="auxiliary")
        once, again = [(ended, 1)], [(ended, 1), (scope.alarm(node.label), 1)]
        scope.transition("end", node, takes, once, silent=silent, inhibitors=[ended])
        scope.transition("end_again", node, [*takes, *once], again, silent=silent)
    else:
        scope.transition("end", node, takes, [], silent=silent)


def _fail(scope: Scope, node: Node, takes: Arcs) -> None:
    """An error or a cancelled transaction leaves each subprocess until one has an event for it;
    else it ends all."""
    while True:
        for each, inner in scope.on_event:
            if each.event == node.event and each.key in ("", node.key):
                drains = _rest(scope, each, inner)
                scope.transition("error", node, takes, [(inner.begin, 1)], drains=drains)
                return
        if scope.outer is None:
            break
        around, holder = scope.outer
        for each in around.boundary(holder):
            if each.event == node.event and each.key in ("", node.key):
                scope.transition(
                    "error",
                    node,
                    takes,
                    around.puts(each.outgoing),
                    drains=[*scope.members, *around.own[holder.id]],
                )
                return
        scope = around
    scope.builder.transition(
        f"error_{node.label}", takes, ending="failed", step=node.label, act="fails"
    )


def _rest(scope: Scope, node: Node, inner: Scope) -> list[int]:
    """What an event subprocess empties where it interrupts."""
    own = {*inner.members}
    return [place for place in scope.members if place not in own] if node.interrupts else []


def _trigger(scope: Scope, node: Node, inner: Scope) -> None:
    assert scope.open is not None
    armed = scope.builder.place(f"armed_{node.id}", node.label, role="auxiliary", tokens=1)
    scope.draft.abstractions.append(
        Abstraction(kind="event subprocess", step=node.label, text="begins at most once")
    )
    scope.builder.transition(
        f"event_{node.label}",
        [(scope.open, 1), (armed, 1)],
        [(scope.open, 1), (inner.begin, 1)],
        drains=[(place, ()) for place in _rest(scope, node, inner)],
        step=node.label,
        outside=node.event != "error",
    )


def _close_root(scope: Scope) -> None:
    assert scope.open is not None
    scope.builder.transition(
        f"close_{scope.process.id}", [(scope.open, 1)], inhibitors=scope.members
    )

"""Ways that are taken together: conditional flows, and inclusive gateways that split or join.

An inclusive gateway that joins goes on as ISO/IEC 19510 (13.4.3) says: with a token on some of its
flows, when no token elsewhere could still come to one of the empty ones, but for those that could
come to one of the others as well. That looks at the whole process; the net asks it of the places
from which such a token would come, by inhibitors, for each set of flows apart.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

from heliostat.verify.reading.bpmn import Flow, Node
from heliostat.verify.reading.scopes import Arcs, Scope
from heliostat.verify.reading.xml import Unreadable

JOINED_MAX: Final = 6
"""Flows into one inclusive gateway: each set of them is looked at."""


def take_some(scope: Scope, node: Node, chosen: int, conditional: list[Flow]) -> None:
    """One condition after the other; of those and the flows without one, some are taken."""
    default = [flow for flow in node.outgoing if flow.id == node.default]
    always = [f for f in node.outgoing if f not in conditional and f not in default]
    before = {False: chosen}
    scope.deciding.add(chosen)
    for number, flow in enumerate(conditional, 1):
        after: dict[bool, int] = {}
        for taken_before, place in before.items():
            for taken in (True, False):
                key = taken_before or taken
                if key not in after:
                    id = f"decision_{node.id}_{number}_{'some' if key else 'none'}"
                    after[key] = scope.place(id, node)
                    scope.deciding.add(after[key])
                puts = [(after[key], 1), *(scope.puts([flow]) if taken else [])]
                verb = "way" if taken else "pass"
                scope.transition(verb, node, [(place, 1)], puts, silent=True)
        before = after
    scope.transition("chosen", node, [(before[True], 1)], scope.puts(always), silent=True)
    rest = [*always, *default]
    if rest:  # else one of the conditions is taken to hold
        scope.transition("default", node, [(before[False], 1)], scope.puts(rest), silent=True)
    else:
        scope.transition("once_more", node, [(before[False], 1)], [(chosen, 1)], silent=True)


def inclusive(scope: Scope, node: Node) -> None:
    """An inclusive gateway; where it joins, what it waits for is added by `join` at last."""
    conditional = [flow for flow in node.outgoing if flow.id != node.default]
    if len(node.outgoing) > 1:
        chosen = scope.place(f"decision_{node.id}", node)
        puts = [(chosen, 1)]
        take_some(scope, node, chosen, conditional)
    else:
        puts = scope.puts(node.outgoing)
    if len(node.incoming) < 2:
        for takes in scope.takes(node):
            scope.transition("go", node, takes, puts, silent=True)
        return
    if len(node.incoming) > JOINED_MAX:
        raise Unreadable(
            f"it joins {len(node.incoming)} flows; up to {JOINED_MAX} can be looked at",
            element=f"inclusive gateway {node.label!r}",
        )
    scope.joins.append((node, puts))


def join(scope: Scope, node: Node, puts: Arcs) -> None:
    """An inclusive gateway goes on with each set of flows for which nothing else can still come."""
    before = {id(flow): _before(scope, flow, node) for flow in node.incoming}
    for size in range(1, len(node.incoming) + 1):
        for there in combinations(node.incoming, size):
            missing = [flow for flow in node.incoming if flow not in there]
            behind = set[int]().union(*(before[id(flow)] for flow in missing))
            awaited = behind - set[int]().union(*(before[id(flow)] for flow in there))
            awaited |= behind & scope.deciding  # choosing takes no time
            awaited |= {scope.flows[id(flow)] for flow in missing}
            scope.transition(
                "join",
                node,
                scope.puts(there),
                puts,
                silent=True,
                inhibitors=sorted(awaited),
            )


def _before(scope: Scope, flow: Flow, join: Node) -> set[int]:
    """The places from which a token may come to a flow without passing the join."""
    found, seen, todo = {scope.flows[id(flow)]}, {join.id}, [flow.source]
    while todo:
        node = scope.process.nodes[todo.pop()]
        if node.id in seen:
            continue
        seen.add(node.id)
        found |= {*scope.own[node.id], *(scope.flows[id(f)] for f in node.incoming)}
        todo += [f.source for f in node.incoming]
        if node.attached is not None:
            todo.append(node.attached)
        if node.event == "link":
            todo += [
                n.id
                for n in scope.process.nodes.values()
                if n.event == "link" and n.key == node.key
            ]
    return found

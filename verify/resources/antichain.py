"""The heaviest set of nodes of a DAG of which none comes before another.

By Dilworth's theorem with weights the heaviest antichain weighs as much as the least flow that
passes each node at least as often as it weighs (Dilworth 1950; Fulkerson 1956). That is all weights
less a greatest flow in the bipartite network of what comes before what, and its least cut names the
nodes. A path in the network passes through nodes between, so edges suffice, without their closure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence


def heaviest_antichain(
    weights: Mapping[int, int], before: Mapping[int, Sequence[int]]
) -> tuple[int, frozenset[int]]:
    """Its weight and its nodes.

    Args:
        weights: whole and not negative, by node.
        before: the nodes right before each; a DAG.
    """
    network = _Network()
    total = 0
    for node, weight in weights.items():
        network.edge("source", ("out", node), weight)
        network.edge(("in", node), "sink", weight)
        network.edge(("in", node), ("out", node), None)
        for earlier in before.get(node, ()):
            network.edge(("out", earlier), ("in", node), None)
        total += weight
    flow = network.greatest_flow("source", "sink")
    near = network.reachable("source")
    chosen = frozenset(
        node for node in weights if ("out", node) in near and ("in", node) not in near
    )
    return total - flow, chosen


class _Network:
    """Edges with what may still pass; None is without bound."""

    def __init__(self) -> None:
        self._left: dict[object, dict[object, int | None]] = {}

    def edge(self, source: object, target: object, capacity: int | None) -> None:
        if capacity == 0:
            return
        self._left.setdefault(source, {})[target] = capacity
        self._left.setdefault(target, {}).setdefault(source, 0)

    def greatest_flow(self, source: object, sink: object) -> int:
        """By shortest ways along which more can pass (Edmonds and Karp 1972)."""
        flow = 0
        while (way := self._way(source, sink)) is not None:
            bounds = [self._left[a][b] for a, b in way]
            more = min(bound for bound in bounds if bound is not None)
            for a, b in way:
                self._add(a, b, -more)
                self._add(b, a, more)
            flow += more
        return flow

    def reachable(self, source: object) -> set[object]:
        return set(self._parents(source, None))

    def _way(self, source: object, sink: object) -> list[tuple[object, object]] | None:
        parents = self._parents(source, sink)
        if sink not in parents:
            return None
        way, at = [], sink
        while at != source:
            way.append((parents[at], at))
            at = parents[at]
        return way

    def _parents(self, source: object, sink: object) -> dict[object, object]:
        parents: dict[object, object] = {source: source}
        todo = deque([source])
        while todo and (sink is None or sink not in parents):
            at = todo.popleft()
            for target, left in self._left.get(at, {}).items():
                if left != 0 and target not in parents:
                    parents[target] = at
                    todo.append(target)
        return parents

    def _add(self, a: object, b: object, amount: int) -> None:
        left = self._left[a][b]
        if left is not None:
            self._left[a][b] = left + amount

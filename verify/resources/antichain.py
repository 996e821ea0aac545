"""The heaviest set of nodes of a DAG of which none comes before another.

By Dilworth's theorem with weights the heaviest antichain weighs as much as the least flow that
passes each node at least as often as it weighs (Dilworth 1950; Fulkerson 1956). That is all weights
less a greatest flow in the bipartite network of what comes before what, and its least cut names the
nodes. A path in the network passes through nodes between, so edges suffice, without their closure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise


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
        """By blocking flows through ever longer shortest ways (Dinitz 1970)."""
        flow = 0
        while sink in (levels := self._levels(source)):
            flow += self._blocking(source, sink, levels)
        return flow

    def reachable(self, source: object) -> set[object]:
        return set(self._levels(source))

    def _levels(self, source: object) -> dict[object, int]:
        """By how many edges that let more pass each node is away."""
        levels, todo = {source: 0}, deque([source])
        while todo:
            at = todo.popleft()
            for target, left in self._left.get(at, {}).items():
                if left != 0 and target not in levels:
                    levels[target] = levels[at] + 1
                    todo.append(target)
        return levels

    def _blocking(self, source: object, sink: object, levels: Mapping[object, int]) -> int:
        """All that passes along shortest ways; each edge is given up once nothing more does."""
        flow, way = 0, [source]
        ahead: dict[object, Iterator[object]] = {node: iter([*self._left[node]]) for node in levels}
        while way:
            at = way[-1]
            if at == sink:
                edges = list(pairwise(way))
                bounds = [self._left[a][b] for a, b in edges]
                more = min(bound for bound in bounds if bound is not None)
                for a, b in edges:
                    self._add(a, b, -more)
                    self._add(b, a, more)
                flow += more
                full = next(n for n, (a, b) in enumerate(edges) if self._left[a][b] == 0)
                del way[full + 1 :]
                continue
            following = next(
                (
                    target
                    for target in ahead[at]
                    if levels.get(target) == levels[at] + 1 and self._left[at][target] != 0
                ),
                None,
            )
            if following is None:
                way.pop()
            else:
                way.append(following)
        return flow

    def _add(self, a: object, b: object, amount: int) -> None:
        left = self._left[a][b]
        if left is not None:
            self._left[a][b] = left + amount

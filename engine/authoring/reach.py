"""What can be reached from each node of a graph, for graphs of thousands of nodes.

Of a chain of n nodes the answers together have n² / 2 entries; as bits of integers that is little,
so they are computed all at once (Tarjan's strongly connected components, without recursion) and
turned into sets only for those who ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

Node = TypeVar("Node")


class Reach(Mapping[Node, frozenset[Node]], Generic[Node]):
    """What follows each node over one step or more: the node itself only when on a loop."""

    def __init__(self, following: Mapping[Node, Iterable[Node]]) -> None:
        self._nodes = tuple(following)
        self._index = {node: index for index, node in enumerate(self._nodes)}
        self._masks = _closure(
            [[self._index[other] for other in following[node]] for node in self._nodes]
        )
        self._sets: dict[Node, frozenset[Node]] = {}

    def leads(self, start: Node, end: Node) -> bool:
        """Whether `end` follows `start`."""
        return bool(self._masks[self._index[start]] >> self._index[end] & 1)

    def behind(self, nodes: Iterable[Node]) -> frozenset[Node]:
        """All that follow one of these."""
        mask = 0
        for node in nodes:
            mask |= self._masks[self._index[node]]
        return self._of(mask)

    def __getitem__(self, node: Node) -> frozenset[Node]:
        found = self._sets.get(node)
        if found is None:
            found = self._sets[node] = self._of(self._masks[self._index[node]])
        return found

    def _of(self, mask: int) -> frozenset[Node]:
        bits = reversed(f"{mask:b}")  # to shift a mask for each bit takes the square of its length
        return frozenset(self._nodes[at] for at, bit in enumerate(bits) if bit == "1")

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __repr__(self) -> str:
        return f"Reach({dict(self)!r})"


def _closure(following: Sequence[Sequence[int]]) -> list[int]:
    """For each node the bits of those that follow it."""
    count = len(following)
    number, low, component = [0] * count, [0] * count, [-1] * count
    masks, whole = [0] * count, list[int]()  # `whole`: of a component, with its own nodes
    stack, next_number = list[int](), 1
    for root in range(count):
        if number[root]:
            continue
        number[root] = low[root] = next_number
        next_number += 1
        stack.append(root)
        visiting = [(root, iter(following[root]))]
        while visiting:
            node, rest = visiting[-1]
            for other in rest:
                if not number[other]:
                    number[other] = low[other] = next_number
                    next_number += 1
                    stack.append(other)
                    visiting.append((other, iter(following[other])))
                    break
                if component[other] < 0:
                    low[node] = min(low[node], number[other])
            else:
                visiting.pop()
                if visiting:
                    above = visiting[-1][0]
                    low[above] = min(low[above], low[node])
                if low[node] == number[node]:
                    _close(node, stack, following, component, masks, whole)
    return masks


def _close(
    first: int,
    stack: list[int],
    following: Sequence[Sequence[int]],
    component: list[int],
    masks: list[int],
    whole: list[int],
) -> None:
    """Take a component off the stack; all that it leads to has been closed before."""
    at = stack.index(first) if stack[-1] != first else len(stack) - 1
    members = stack[at:]
    del stack[at:]
    own, beyond = 0, 0
    for member in members:
        component[member] = len(whole)
        own |= 1 << member
    for member in members:
        for other in following[member]:
            if component[other] != len(whole):
                beyond |= whole[component[other]]
    looped = len(members) > 1 or first in following[first]
    for member in members:
        masks[member] = beyond | own if looped else beyond
    whole.append(beyond | own)

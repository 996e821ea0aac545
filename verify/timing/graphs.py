"""Strongly connected components of a scope's ways: what can be gone round in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence


def components(following: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """The strongly connected components, each behind all that it leads to.

    Tarjan, "Depth-first search and linear graph algorithms" (1972), without recursion: a chain may
    have as many steps as a definition.
    """
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[list[int]] = []
    for root in following:
        if root in index:
            continue
        way: list[tuple[int, Iterator[int]]] = []
        _enter(root, following, index, low, stack, on_stack, way)
        while way:
            node, rest = way[-1]
            for next in rest:
                if next not in index:
                    _enter(next, following, index, low, stack, on_stack, way)
                    break
                if next in on_stack:
                    low[node] = min(low[node], index[next])
            else:
                way.pop()
                if way:
                    low[way[-1][0]] = min(low[way[-1][0]], low[node])
                if low[node] == index[node]:
                    members = list[int]()
                    while not members or members[-1] != node:
                        members.append(stack.pop())
                        on_stack.discard(members[-1])
                    found.append(members)
    return found


def _enter(
    node: int,
    following: Mapping[int, Sequence[int]],
    index: dict[int, int],
    low: dict[int, int],
    stack: list[int],
    on_stack: set[int],
    way: list[tuple[int, Iterator[int]]],
) -> None:
    index[node] = low[node] = len(index)
    stack.append(node)
    on_stack.add(node)
    way.append((node, iter(following[node])))


def goes_round(component: Sequence[int], following: Mapping[int, Sequence[int]]) -> bool:
    """Whether a component is a loop, be it of one step."""
    return len(component) > 1 or component[0] in following[component[0]]


def within(
    steps: Iterable[int], following: Mapping[int, Sequence[int]]
) -> dict[int, tuple[int, ...]]:
    """The ways among some of the steps alone."""
    kept = dict.fromkeys(steps)
    return {step: tuple(next for next in following[step] if next in kept) for step in kept}

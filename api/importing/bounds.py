"""How fast a trace can be at best, whatever runs it.

Two bounds that no makespan can beat: the longest chain of tasks that need each other, and all the
work shared evenly by what runs at a time. Benchmarks compare makespans with the greater one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct


class Bounds(Struct, frozen=True, kw_only=True):
    """What a graph of tasks with known runtimes takes at least, in seconds."""

    tasks: int
    edges: int
    longest_chain: int
    """Tasks on the longest chain, counted; not of the critical path."""
    critical_path_s: float
    work_s: float

    def makespan_s(self, concurrency: int) -> float:
        """The least makespan with so many tasks at a time."""
        return max(self.critical_path_s, self.work_s / concurrency)


def bounds(runtimes_s: Mapping[str, float], needs: Mapping[str, Iterable[str]]) -> Bounds:
    """Of tasks in any order, by id; `needs` holds none but their ids, and no cycle."""
    direct = {id: tuple(needs.get(id, ())) for id in runtimes_s}
    finish_s: dict[str, float] = {}
    depth: dict[str, int] = {}
    for id in ordered(direct):
        before = direct[id]
        finish_s[id] = runtimes_s[id] + max((finish_s[each] for each in before), default=0.0)
        depth[id] = 1 + max((depth[each] for each in before), default=0)
    return Bounds(
        tasks=len(direct),
        edges=sum(map(len, direct.values())),
        longest_chain=max(depth.values(), default=0),
        critical_path_s=max(finish_s.values(), default=0.0),
        work_s=sum(runtimes_s.values()),
    )


def ordered(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """The ids with each behind all that it needs; those on a cycle, and behind one, are left out.

    Otherwise in the order given.
    """
    missing = {id: set(before) for id, before in needs.items()}
    behind: dict[str, list[str]] = {}
    for id, before in missing.items():
        for each in before:
            behind.setdefault(each, []).append(id)
    ready = [id for id, before in missing.items() if not before]
    placed: list[str] = []
    while ready:
        following: list[str] = []
        for id in ready:
            placed.append(id)
            for later in behind.get(id, ()):
                missing[later].discard(id)
                if not missing[later]:
                    following.append(later)
        ready = following
    return placed

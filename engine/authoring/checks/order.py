"""Which steps may have ended before another one begins: those it may read."""

from __future__ import annotations

from ..graph import Graph
from ..scopes import Scope


def may_precede(scope: Scope, earlier: str, id: str) -> bool:
    """Whether step `earlier` can have ended when a visit of `id` begins, in some run at least.

    In a DAG it must: any step but those that `id` needs, directly or not, may still run by then,
    and to read it would be a race. In a state machine it lies on a way to `id`, or on another way
    of the same `split: all`; after the definition's `on_error`, or what a handler triggers, it may
    be any step.
    """
    graph = scope.graph
    if graph.leads(earlier, id):
        return True
    if scope.notation == "dag":
        return False
    recovered = any(start == id or graph.leads(start, id) for start in scope.entries)
    return recovered or _beside(graph, earlier, id)


def _beside(graph: Graph, one: str, other: str) -> bool:
    """Whether two tokens of one split may be at the two steps."""
    for split in graph.splits:
        targets = [way.target for way in split if way.target is not None]
        at_one = [index for index, start in enumerate(targets) if _comes(graph, start, one)]
        at_other = [index for index, start in enumerate(targets) if _comes(graph, start, other)]
        if at_one and at_other and not (at_one == at_other and len(at_one) == 1):
            return True
    return False


def _comes(graph: Graph, start: str, end: str) -> bool:
    return start == end or graph.leads(start, end)

"""Flat lists of steps and transitions, read as scopes whose steps say what is next.

Three things are different in a flat definition. The ways between steps stand in a list of their own
(`transitions`). `Start` and `End` are steps, where here a scope has a `start` and the target `end`.
And the steps of a parallel step's branches stand beside it, a branch names its entry only: what can
be reached from there belongs to the branch, up to where the branches meet or the parallel step
itself goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

from .nodes import Node, Rewriting
from .words import EVERY

_END: Final = "end"
_KINDS: Final = ("conditional", "default", "error")
_PLAIN: Final = frozenset({"id", "name", "description", "type", "next", "needs", "tags", "start"})
"""Fields of a `Start` or `End` step that are no loss when it is folded away."""


def transitions(root: Node, rewriting: Rewriting) -> None:
    """Put each of the definition's `transitions` on the step that it leads away from."""
    node = root.get("transitions")
    if node is None:
        return
    if not isinstance(node.value, list):
        rewriting.refuse("HS013", node, "a list of {from, to} is wanted", "say `next` on the steps")
        rewriting.drop(root, "transitions")
        return
    rewriting.drop(root, "transitions")
    steps = {step.text("id"): step for step in _every_step(root)}
    ways: dict[str, list[tuple[int, Node]]] = {}
    for transition in node.value:
        source = transition.text("from")
        if source is None or transition.get("to") is None:
            rewriting.refuse("HS010", transition, "a transition needs `from` and `to`")
        elif source not in steps:
            close = get_close_matches(source, [id for id in steps if id], n=1)
            cure = f"did you mean `{close[0]}`?" if close else None
            rewriting.refuse("HS201", transition, f'there is no step "{source}"', cure)
        elif "next" in steps[source].value:
            message = f'step "{source}" says `next` itself'
            rewriting.refuse("HS019", transition, message, "use one form for one step")
        else:
            ways.setdefault(source, []).append((_priority(transition, rewriting), transition))
    for source, found in ways.items():
        found.sort(key=lambda way: -way[0])  # stable: ties as written
        _lead(steps[source], [transition for _, transition in found], rewriting)


def _every_step(owner: Node) -> Iterator[Node]:
    for step in owner.elements("steps"):
        yield step
        yield from _every_step(step)
        for branch in step.elements("branches"):
            yield from _every_step(branch)


def _priority(transition: Node, rewriting: Rewriting) -> int:
    node = transition.get("priority")
    if node is None:
        return 0
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.value
    rewriting.refuse("HS013", node, "a priority is a whole number", "the higher is asked first")
    return 0


def _lead(step: Node, ways: list[Node], rewriting: Rewriting) -> None:
    conditional: list[Node] = []
    default: list[Node] = []
    for way in ways:
        kind = (way.text("kind") or "conditional").lower()
        if kind not in _KINDS:
            close = get_close_matches(kind, _KINDS, n=1)
            cure = f"did you mean `{close[0]}`?" if close else f"one of: {', '.join(_KINDS)}"
            rewriting.refuse("HS014", way, f"there is no kind `{way.text('kind')}`", cure)
        condition = way.get("condition")
        if condition is not None and condition.value in (EVERY, "", None):
            condition = None
        clause: dict[str, Any] = {} if condition is None else {"when": condition}
        if kind == "error":
            clauses = step.value.setdefault("on_error", way.made([]))
            if isinstance(clauses.value, list):
                clauses.value.append(way.made({**clause, "next": way.value["to"]}))
            continue
        if kind == "default" and condition is not None:
            rewriting.refuse("HS019", condition, "a default has no condition", 'as `"*"`')
            clause = {}
        (conditional if clause else default).append(way.made({**clause, "to": way.value["to"]}))
    if conditional or default:
        rewriting.put(step, "next", ways[0].made([*conditional, *default]))


def scopes(owner: Node, rewriting: Rewriting) -> None:
    """Fold `Start` and `End` away and give branches their steps, in a scope and all within it."""
    _fold(owner, rewriting)
    _gather(owner, rewriting)
    for step in owner.elements("steps"):
        if "steps" in step.value:
            scopes(step, rewriting)
        for branch in step.elements("branches"):
            if "steps" in branch.value:
                scopes(branch, rewriting)


def _fold(owner: Node, rewriting: Rewriting) -> None:
    steps = owner.get("steps")
    if steps is None or not isinstance(steps.value, list):
        return
    kept: list[Node] = []
    ends: set[str] = set()
    starts: dict[str, Node] = {}
    for step in steps.value:
        kind = step.text("type")
        if kind not in ("start", "end"):
            kept.append(step)
            continue
        rewriting.changed = True
        for field in set(step.value) - _PLAIN:
            message = f"a step of type `{kind}` is folded away; `{field}` would be lost"
            rewriting.refuse("HS021", step.value[field], message, "say it on a step beside it")
        if kind == "end":
            ends.add(step.text("id") or "")
        elif _only_way(step) is not None:
            starts[step.text("id") or ""] = step
        else:  # it chooses, or leads nowhere: then it is a step like others
            rewriting.put(step, "type", step.made("decision"))
            if "needs" not in step.value:
                owner.value.setdefault("start", step.value.get("id", step))
            kept.append(step)
    if len(kept) == len(steps.value):
        return
    for step in starts.values():
        target = _only_way(step)
        named = owner.get("start")
        if target is not None and (named is None or owner.text("start") in starts):
            rewriting.put(owner, "start", target)
    for step in kept:
        for holder, key in _targets(step):
            if holder.text(key) in ends:
                holder.value[key] = holder.value[key].made(_END)
        needs = step.get("needs")
        if needs is not None:
            _need(step, needs, starts.keys() | ends)
    start = owner.get("start")
    if any(step.get("needs") is not None for step in kept) and start is not None:
        rewriting.drop(owner, "start")  # a DAG starts at all its roots
    steps.value = kept


def _need(step: Node, needs: Node, gone: set[str]) -> None:
    named = needs.value if isinstance(needs.value, list) else [needs]
    left = [need for need in named if not (isinstance(need.value, str) and need.value in gone)]
    if len(left) < len(named):
        step.value["needs"] = Node(left, needs.place)


def _only_way(step: Node) -> Node | None:
    """Where a step leads without a condition, if that is the one way from it."""
    node = step.get("next")
    if node is None:
        return step.made("") if "needs" in step.value else None
    if isinstance(node.value, str):
        return node
    clauses = step.elements("next")
    only = clauses[0] if len(clauses) == 1 and "when" not in clauses[0].value else None
    return only.get("to") if only is not None else None


def _targets(step: Node) -> Iterator[tuple[Node, str]]:
    """Mappings and their keys that name a step to go to."""
    if step.text("next") is not None:
        yield step, "next"
    for clause in step.elements("next"):
        yield clause, "to"
    for clause in step.elements("on_error"):
        yield clause, "next"


def _gather(owner: Node, rewriting: Rewriting) -> None:
    """Move the steps of flat branches from beside their parallel step into the branches."""
    steps = owner.get("steps")
    if steps is None or not isinstance(steps.value, list):
        return
    by_id = {step.text("id") or "": step for step in steps.value}
    for parallel in [*steps.value]:
        flat = [b for b in parallel.elements("branches") if _is_flat(b)]
        if flat and len(flat) == len(parallel.elements("branches")) and parallel in steps.value:
            _own(parallel, flat, by_id, steps, rewriting)


def _is_flat(branch: Node) -> bool:
    return "steps" not in branch.value and branch.text("entry_step_id") is not None


def _own(
    parallel: Node,
    branches: list[Node],
    by_id: dict[str, Node],
    steps: Node,
    rewriting: Rewriting,
) -> None:
    entries = [branch.text("entry_step_id") or "" for branch in branches]
    if missing := [e for e in zip(branches, entries, strict=True) if e[1] not in by_id]:
        for branch, entry in missing:
            close = get_close_matches(entry, [*by_id], n=1)
            cure = f"did you mean `{close[0]}`?" if close else None
            place = branch.value["entry_step_id"]
            rewriting.refuse("HS201", place, f'there is no step "{entry}"', cure)
        entries_known = [entry for entry in entries if entry in by_id]
        if not entries_known:
            return
    outside = _reached([holder.text(key) or "" for holder, key in _targets(parallel)], by_id)
    outside.add(parallel.text("id") or "")
    reached = [_reached([entry], by_id) - outside if entry in by_id else set() for entry in entries]
    shared = {id for ids in reached for id in ids if sum(id in other for other in reached) > 1}
    if shared:
        first = _meeting(reached, shared, by_id)
        if len(first) != 1 or "next" in parallel.value:
            message = f"branches meet at {', '.join(sorted(first))}, and the step goes on elsewhere"
            cure = "write the branches as {name, steps}"
            rewriting.refuse("HS019", parallel.value["branches"], message, cure)
            return
        (meeting,) = first
        rewriting.put(parallel, "next", parallel.value["branches"].made(meeting))
        joined = by_id[meeting].get("join")
        if joined is not None and joined.value in ("all", "any"):
            rewriting.drop(by_id[meeting], "join")  # the parallel step's completion says it now
    for branch, entry, ids in zip(branches, entries, reached, strict=True):
        own = ids - shared
        members = [step for step in steps.value if step.text("id") in own]
        for step in members:
            for holder, key in _targets(step):
                target = holder.text(key)
                if target in by_id and target not in own:
                    holder.value[key] = holder.value[key].made(_END)
        place = branch.value["entry_step_id"]
        rewriting.rename(branch, "entry_step_id", "start")
        rewriting.put(branch, "steps", Node(members or [_nothing(branch, entry)], place.place))
    gone = {id for ids in reached for id in ids} - shared
    steps.value = [step for step in steps.value if step.text("id") not in gone]


def _nothing(branch: Node, entry: str) -> Node:
    return branch.made({"id": entry or "unreadable", "type": "decision"})


def _ways(step: Node) -> list[str]:
    targets = [holder.text(key) or "" for holder, key in _targets(step)]
    entries = [branch.text("entry_step_id") or "" for branch in step.elements("branches")]
    return targets + entries


def _reached(from_: list[str], by_id: dict[str, Node]) -> set[str]:
    found: set[str] = set()
    ahead = [*from_]
    while ahead:
        id = ahead.pop()
        if id in by_id and id not in found:
            found.add(id)
            ahead.extend(_ways(by_id[id]))
    return found


def _meeting(reached: list[set[str]], shared: set[str], by_id: dict[str, Node]) -> set[str]:
    """The shared steps that a branch comes to first."""
    own = {id for ids in reached for id in ids} - shared
    first = {way for id in own for way in _ways(by_id[id]) if way in shared}
    return first or shared

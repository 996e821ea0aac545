"""Ids, targets, notations, regions: do the steps of a scope form one state machine or one DAG?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from ..diagnostics import Findings
from ..fields import END_TARGET, ErrorClause
from ..model import Step
from ..scopes import Scope
from ..source import Path
from .refused import refuse

Homes = Mapping[str, Scope]
"""By its id, the scope that each step is written in."""


def homes(scopes: Sequence[Scope]) -> Homes:
    """Where each step is written."""
    return {step.id: scope for scope in reversed(scopes) for step in reversed(scope.steps)}


def unique(scopes: Sequence[Scope], findings: Findings) -> bool:
    """Note ids that two steps have, wherever in the definition; whether there are none."""
    first: dict[str, tuple[Scope, int]] = {}
    sound = True
    for scope in scopes:
        for index, step in enumerate(scope.steps):
            if step.id in first:
                other, number = first[step.id]
                where = "the list" if other is scope else told(other)
                findings.add(
                    "HS208",
                    (*scope.step_path(index), "id"),
                    f'the id "{step.id}" is taken by step {number + 1} of {where}',
                    "ids are unique in a definition",
                )
                sound = False
            first.setdefault(step.id, (scope, index))
    return sound


def told(scope: Scope) -> str:
    """A scope, as a person would name it."""
    if scope.owner is None:
        return "the definition"
    if scope.branch is None:
        return f'the body "{scope.owner.id}"'
    return f'branch "{scope.branch}" of "{scope.owner.id}"'


def check(scope: Scope, homes: Homes, findings: Findings, *, lost: frozenset[str]) -> bool:
    """Note the faults of one scope; whether its graph is what the author meant it to be."""
    known = _Known(scope, homes, lost)
    sound = _notation(scope, findings)
    for index, step in enumerate(scope.steps):
        path = scope.step_path(index)
        if scope.notation == "dag":
            sound &= _needs(step, path, known, findings)
            _foreign_to_dag(step, path, findings)
        else:
            sound &= _routes(step, path, known, findings)
        sound &= _clauses(step.on_error, (*path, "on_error"), known, scope, findings)
        sound &= _cancels(step, path, known, homes, findings)
    if scope.start is not None and scope.start not in known:
        sound = known.unknown(scope.start, (*scope.path, "start"), findings)
    sound &= _clauses(scope.on_error, (*scope.path, "on_error"), known, scope, findings, root=True)
    if sound and not findings.damaged:
        if scope.notation == "dag":
            sound = _acyclic(scope, findings)
        else:
            _reached(scope, findings)
    return sound


class _Known:
    """The steps that a scope's fields may name, and what to say of one that they may not."""

    def __init__(self, scope: Scope, homes: Homes, lost: frozenset[str]) -> None:
        self._scope, self._homes = scope, homes
        self._ids = set(scope.by_id) | lost

    def __contains__(self, id: str) -> bool:
        return id in self._ids

    def unknown(self, id: str, path: Path, findings: Findings, *, end: bool = False) -> bool:
        """Note that a name is not that of a step of the scope; always False."""
        home = self._homes.get(id)
        if home is not None:
            message = f'"{id}" is a step of another scope: {told(home)}'
            findings.add("HS201", path, message, self.instead(home))
            return False
        names = sorted({*self._ids, END_TARGET} if end else self._ids)
        close = get_close_matches(id, names, n=1, cutoff=0.5)
        listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        cure = f"did you mean `{close[0]}`?" if close else f"the steps are: {listed}"
        findings.add("HS201", path, f'there is no step "{id}"', cure)
        return False

    def instead(self, home: Scope) -> str:
        """The step of this scope that a step of another is in, or what to do else."""
        for scope in home.enclosing:
            if scope.parent is not None and scope.parent.key == self._scope.key and scope.owner:
                return f"name the step that it is in: `{scope.owner.id}`"
        return "a scope's ways lead to its own steps, or to `end`"


def _notation(scope: Scope, findings: Findings) -> bool:
    needs = [i for i, step in enumerate(scope.steps) if step.needs is not None]
    routes = [i for i, step in enumerate(scope.steps) if step.next is not None]
    if needs and routes:
        fewer, field, other = min(
            (routes, "next", "needs"), (needs, "needs", "next"), key=lambda each: len(each[0])
        )
        for index in fewer:
            place = (*scope.step_path(index), field)
            refuse(findings, "both notations", place, at="key", other=other)
        return False
    if needs and scope.start is not None:
        refuse(findings, "start of a DAG", (*scope.path, "start"), at="key")
    silent = not needs and not routes and len(scope.steps) > 1
    if silent and not findings.damaged and not _error_ways(scope):
        place = (*scope.path, "steps")
        refuse(findings, "no notation", place, at="key", count=len(scope.steps))
        return False
    return True


def _error_ways(scope: Scope) -> bool:
    """Steps that are bound together by errors alone are a state machine too."""
    clauses = [clause for step in scope.steps for clause in step.on_error]
    return any(clause.next is not None for clause in (*clauses, *scope.on_error))


def _needs(step: Step, path: Path, known: _Known, findings: Findings) -> bool:
    sound = True
    seen = set[str]()
    for index, need in enumerate(step.needs or ()):
        place = (*path, "needs", index)
        if need not in known:
            sound = known.unknown(need, place, findings)
        elif need == step.id:
            findings.add("HS203", place, f'"{need}" needs itself', "remove it")
            sound = False
        elif need in seen:
            findings.add("HS208", place, f'"{need}" is needed twice', "name it once")
        seen.add(need)
    return sound


def _foreign_to_dag(step: Step, path: Path, findings: Findings) -> None:
    if step.given("split"):
        refuse(findings, "split in a DAG", (*path, "split"), at="key")


def _routes(step: Step, path: Path, known: _Known, findings: Findings) -> bool:
    sound = True
    for index, route in enumerate(step.next or ()):
        if route.to not in known and route.to != END_TARGET:
            sound = known.unknown(route.to, (*path, "next", index, "to"), findings, end=True)
    if step.next is not None and not step.next:
        cure = "remove it: a token ends at a step without `next`"
        findings.add("HS010", (*path, "next"), "`next` names nothing", cure)
    _defaults(step, path, findings)
    if step.split == "all" and step.next is None:
        findings.add(
            "HS021", (*path, "split"), "there is no `next` to split", "say `next`", at="key"
        )
    if step.end is not None and step.next is not None:
        refuse(findings, "terminate and next", (*path, "next"), at="key")
    return sound


def _defaults(step: Step, path: Path, findings: Findings) -> None:
    """Of a `split: first` the default comes last, and there is one."""
    plain = [index for index, route in enumerate(step.next or ()) if route.when is None]
    last = len(step.next or ()) - 1
    if step.split == "all" or not plain:
        return
    for index in plain[1:]:
        findings.add(
            "HS207",
            (*path, "next", index),
            f"clause {plain[0] + 1} is a default already",
            "give one of them a `when`, or say `split: all`",
        )
    if len(plain) == 1 and plain[0] != last:
        findings.add(
            "HS206",
            (*path, "next", plain[0]),
            "a clause without `when` is always taken; those behind it never",
            "move it to the end",
        )


def _cancels(step: Step, path: Path, known: _Known, homes: Homes, findings: Findings) -> bool:
    """The region that a step cancels lies in its own scope."""
    sound, seen = True, set[str]()
    for index, id in enumerate(step.cancels):
        place = (*path, "cancels", index)
        if id == step.id:
            refuse(findings, "cancelling itself", place)
        elif id not in known:
            home = homes.get(id)
            if home is None:
                sound = known.unknown(id, place, findings)
            else:
                instead = known.instead(home)
                refuse(
                    findings,
                    "cancelling elsewhere",
                    place,
                    name=id,
                    where=told(home),
                    instead=instead,
                )
                sound = False
        elif id in seen:
            findings.add("HS208", place, f'"{id}" is cancelled twice', "name it once")
        seen.add(id)
    return sound


def _clauses(
    clauses: Sequence[ErrorClause],
    path: Path,
    known: _Known,
    scope: Scope,
    findings: Findings,
    *,
    root: bool = False,
) -> bool:
    sound = True
    taken: int | None = None
    for index, clause in enumerate(clauses):
        place = (*path, index)
        if clause.next is not None and scope.notation == "dag":
            refuse(findings, "error routed in a DAG", (*place, "next"), at="key")
        elif clause.next is not None and clause.next not in known:
            if clause.next != END_TARGET:
                sound = known.unknown(clause.next, (*place, "next"), findings, end=not root)
            elif root:
                cure = "say `output: null` to complete the execution"
                findings.add("HS201", (*place, "next"), "here `next` names a step", cure)
        if taken is not None and not _still_asked(clauses[taken], clause):
            message = f"clause {taken + 1} takes every error; this one is never asked"
            findings.add("HS217", place, message, "move the general one to the end")
        elif taken is None and clause.error is None and clause.when is None:
            taken = index
    return sound


def _still_asked(general: ErrorClause, clause: ErrorClause) -> bool:
    """Errors of `output`, `assign` and `next` pass over clauses with `output`."""
    return (
        "output" in general.model_fields_set
        and "output" not in clause.model_fields_set
        and clause.error in (None, "ExpressionError", "NoWayOn")
    )


def _acyclic(scope: Scope, findings: Findings) -> bool:
    circle = scope.graph.circle()
    if not circle:
        return True
    index = next(i for i, step in enumerate(scope.steps) if step.id == circle[0])
    # told in the words of the file: each needs the one before it
    told = " → ".join([circle[0], *reversed(circle)])
    findings.add(
        "HS203",
        (*scope.step_path(index), "needs"),
        f"steps need each other in a circle: {told}",
        "remove one of these needs; loops are for `next`",
        at="key",
    )
    return False


def _reached(scope: Scope, findings: Findings) -> None:
    graph = scope.graph
    reached = graph.from_any([scope.first, *scope.entries])
    apart = dict.fromkeys(step.id for step in scope.steps if step.id not in reached)
    # what follows a step that nothing leads to is not told of: one `next` cures both
    entries = [id for id in apart if not any(each in apart for each in graph.predecessors[id])]
    for id in (*entries, *apart):
        if id not in reached:
            _unreached(scope, id, findings)
            reached |= graph.from_any([id])


def _unreached(scope: Scope, id: str, findings: Findings) -> None:
    index = next(number for number, step in enumerate(scope.steps) if step.id == id)
    before = scope.steps[index - 1] if index else None
    hint = ""
    if before is not None and before.next is None and before.end is None:
        hint = f', as `next: {id}` on "{before.id}"'
    findings.add(
        "HS202",
        (*scope.step_path(index), "id"),
        f'nothing leads to step "{id}" from the start, "{scope.first}"',
        f"name it in a `next`{hint}, or remove it",
    )

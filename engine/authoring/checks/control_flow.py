"""Ids, targets and notations: do the steps of a scope form one state machine or one DAG?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from ..diagnostics import Findings
from ..fields import END_TARGET, ErrorClause
from ..model import Step
from ..scopes import Scope
from ..source import Path


def check(scope: Scope, findings: Findings, *, lost: frozenset[str]) -> bool:
    """Note the faults of one scope; whether its graph is what the author meant it to be."""
    known = set(scope.by_id) | lost
    sound = _ids(scope, findings)
    sound &= _notation(scope, findings)
    for index, step in enumerate(scope.steps):
        path = scope.step_path(index)
        if scope.notation == "dag":
            sound &= _needs(step, path, known, findings)
            _foreign_to_dag(step, path, findings)
        else:
            sound &= _routes(step, path, known, findings)
        sound &= _clauses(step.on_error, (*path, "on_error"), known, scope, findings)
    if scope.start is not None and scope.start not in known:
        sound = _unknown(scope.start, (*scope.path, "start"), known, findings)
    sound &= _clauses(scope.on_error, (*scope.path, "on_error"), known, scope, findings, root=True)
    if sound and not findings.damaged:
        if scope.notation == "dag":
            sound = _acyclic(scope, findings)
        else:
            _reached(scope, findings)
    return sound


def _ids(scope: Scope, findings: Findings) -> bool:
    first: dict[str, int] = {}
    for index, step in enumerate(scope.steps):
        if step.id in first:
            path = (*scope.step_path(index), "id")
            number = first[step.id] + 1
            message = f'the id "{step.id}" is taken by step {number} of the list'
            findings.add("HS208", path, message, "ids are unique in a definition")
        first.setdefault(step.id, index)
    return len(first) == len(scope.steps)


def _notation(scope: Scope, findings: Findings) -> bool:
    needs = [i for i, step in enumerate(scope.steps) if step.needs is not None]
    routes = [i for i, step in enumerate(scope.steps) if step.next is not None]
    if needs and routes:
        fewer, field, other = min(
            (routes, "next", "needs"), (needs, "needs", "next"), key=lambda each: len(each[0])
        )
        for index in fewer:
            findings.add(
                "HS204",
                (*scope.step_path(index), field),
                f"other steps of this scope say `{other}`; one scope speaks one notation",
                f"say `{other}` here too",
                at="key",
            )
        return False
    if needs and scope.start is not None:
        findings.add(
            "HS209",
            (*scope.path, "start"),
            "a DAG starts at all steps without `needs`",
            "remove it",
            at="key",
        )
    silent = not needs and not routes and len(scope.steps) > 1
    if silent and not findings.damaged and not _error_ways(scope):
        findings.add(
            "HS205",
            (*scope.path, "steps"),
            f"{len(scope.steps)} steps, and none says `next` or `needs`",
            "say `next: <id>` for one after the other, `needs: []` for all at once",
            at="key",
        )
        return False
    return True


def _error_ways(scope: Scope) -> bool:
    """Steps that are bound together by errors alone are a state machine too."""
    clauses = [clause for step in scope.steps for clause in step.on_error]
    return any(clause.next is not None for clause in (*clauses, *scope.on_error))


def _needs(step: Step, path: Path, known: set[str], findings: Findings) -> bool:
    sound = True
    seen = set[str]()
    for index, need in enumerate(step.needs or ()):
        place = (*path, "needs", index)
        if need not in known:
            sound = _unknown(need, place, known, findings)
        elif need == step.id:
            findings.add("HS203", place, f'"{need}" needs itself', "remove it")
            sound = False
        elif need in seen:
            findings.add("HS208", place, f'"{need}" is needed twice', "name it once")
        seen.add(need)
    return sound


def _foreign_to_dag(step: Step, path: Path, findings: Findings) -> None:
    if step.given("split"):
        cure = "steps that need this one all start; say `when` on those that may not"
        findings.add("HS209", (*path, "split"), "`split` belongs to `next`", cure, at="key")


def _routes(step: Step, path: Path, known: set[str], findings: Findings) -> bool:
    sound = True
    for index, route in enumerate(step.next or ()):
        if route.to not in known and route.to != END_TARGET:
            sound = _unknown(route.to, (*path, "next", index, "to"), known, findings, end=True)
    if step.next is not None and not step.next:
        cure = "remove it: a token ends at a step without `next`"
        findings.add("HS010", (*path, "next"), "`next` names nothing", cure)
    _defaults(step, path, findings)
    if step.split == "all" and step.next is None:
        findings.add(
            "HS021", (*path, "split"), "there is no `next` to split", "say `next`", at="key"
        )
    if step.end is not None and step.next is not None:
        message = "`end: terminate` ends the scope; nothing is next"
        findings.add("HS019", (*path, "next"), message, "remove one of the two", at="key")
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


def _clauses(
    clauses: Sequence[ErrorClause],
    path: Path,
    known: set[str],
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
            findings.add(
                "HS210",
                (*place, "next"),
                "in a DAG nothing is routed, also not by an error",
                "say `output`, or let a step with `join: all_done` need this one",
                at="key",
            )
        elif clause.next is not None and clause.next not in known:
            if clause.next != END_TARGET:
                sound = _unknown(clause.next, (*place, "next"), known, findings, end=not root)
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


def _unknown(
    name: str, path: Path, known: Iterable[str], findings: Findings, *, end: bool = False
) -> bool:
    names = sorted({*known, END_TARGET} if end else known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    cure = f"did you mean `{close[0]}`?" if close else f"the steps are: {listed}"
    findings.add("HS201", path, f'there is no step "{name}"', cure)
    return False


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
    reached = graph.from_any([scope.first, *scope.recoveries])
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

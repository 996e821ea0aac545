"""`assign`: to which variable, and may it be replaced from there?

It writes to the nearest scope that declares the name. Items of a `foreach` body and branches run
side by side: what they share they may only extend, by `append`.
"""

from __future__ import annotations

from difflib import get_close_matches

from ...values import Json
from ..diagnostics import Findings
from ..fields import appends
from ..scopes import Scope
from ..source import Path
from .refused import refuse


def check(scope: Scope, findings: Findings, *, lost: frozenset[str]) -> None:
    """Note the faults of one scope's assignments; `lost` are variables that could not be read."""
    for index, step in enumerate(scope.steps):
        for name, value in step.assign.items():
            place = (*scope.step_path(index), "assign", name)
            _assigned(name, value, scope, place, findings, lost)


def _assigned(
    name: str, value: Json, scope: Scope, place: Path, findings: Findings, lost: frozenset[str]
) -> None:
    found = _declaring(name, scope)
    if found is None and name in lost:
        return
    if found is None:
        _undeclared(name, scope, place, findings, lost)
        return
    declaring, beside = found
    if isinstance(value, dict) and "append" in value and not appends(value):
        findings.add(
            "HS214",
            place,
            "`append` stands alone",
            'for an object that has this key write ${ {"append": …} }',
            at="key",
        )
    elif appends(value):
        if not isinstance(declaring.variables[name], list | str):
            findings.add(
                "HS214",
                place,
                f"`{name}` does not begin as a list",
                f"declare it as `{name}: []`",
                at="key",
            )
    elif beside is not None and beside.owner is not None:
        branches = beside.branch is not None
        around = f'the branches of "{beside.owner.id}"' if branches else f'"{beside.owner.id}"'
        refuse(
            findings,
            "shared variable replaced",
            place,
            at="key",
            variable=name,
            around=around,
            several="steps" if branches else "items",
        )


def _declaring(name: str, scope: Scope) -> tuple[Scope, Scope | None] | None:
    """The nearest scope that declares a variable; and the outermost within it of which several run
    side by side, if the way there leads out of one."""
    beside: Scope | None = None
    for each in scope.enclosing:
        if name in each.variables:
            return each, beside
        if each.branch is not None or (each.owner is not None and each.owner.foreach is not None):
            beside = each
    return None


def _undeclared(
    name: str, scope: Scope, place: Path, findings: Findings, lost: frozenset[str]
) -> None:
    for each in scope.enclosing:
        if each.owner is not None and each.owner.as_ == name:
            refuse(findings, "item assigned", place, at="key", variable=name, step=each.owner.id)
            return
    declared = [*lost, *(variable for each in scope.enclosing for variable in each.variables)]
    close = get_close_matches(name, declared, n=1, cutoff=0.5)
    cure = f"did you mean `{close[0]}`?" if close else f"declare it: `vars: {{{name}: …}}`"
    findings.add("HS213", place, f"no variable `{name}` is declared", cure, at="key")

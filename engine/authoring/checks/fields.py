"""Which fields go together: alternatives, companions, counts, and the rules of `assign`."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from ...expressions.time import parse_duration
from ..diagnostics import Findings
from ..fields import ErrorClause, appends
from ..model import ActivityStep, DecisionStep, Definition, Step, TimerStep
from ..scopes import Scope
from ..source import Path


def check(scope: Scope, findings: Findings, *, lost: frozenset[str]) -> None:
    """Note the faults of the steps of one scope; `lost` are variables that could not be read."""
    for index, step in enumerate(scope.steps):
        path = scope.step_path(index)
        _foreach(step, scope, path, findings)
        _assign(step, scope, path, findings, lost)
        check_clauses(step.on_error, (*path, "on_error"), findings)
        match step:
            case ActivityStep():
                _activity(step, path, findings)
            case DecisionStep():
                _decision(step, path, findings)
            case TimerStep():
                _timer(step, path, findings)


def check_root(definition: Definition, findings: Findings) -> None:
    """Note the faults of the definition's own fields."""
    check_clauses(definition.on_error, ("on_error",), findings)


def check_clauses(clauses: Sequence[ErrorClause], path: Path, findings: Findings) -> None:
    """Each clause of an `on_error` says one thing that follows."""
    for index, clause in enumerate(clauses):
        said = [field for field in ("next", "output", "fail") if clause.given(field)]
        if not said:
            cure = "one of `next`, `output`, `fail`"
            findings.add("HS010", (*path, index), "the clause does not say what follows", cure)
        for field in said[1:]:
            findings.add(
                "HS019",
                (*path, index, field),
                f"the clause says `{said[0]}` already",
                "keep one of them",
                at="key",
            )


def _foreach(step: Step, scope: Scope, path: Path, findings: Findings) -> None:
    if step.given("concurrency") and step.concurrency < 1:
        message = f"`{step.concurrency}` items in flight: nothing would ever run"
        findings.add("HS018", (*path, "concurrency"), message, "1 or more")
    if step.foreach is None:
        for field, name in (("as_", "as"), ("concurrency", "concurrency")):
            if step.given(field):
                message = f"`{name}` is about the items of a `foreach`"
                findings.add("HS216", (*path, name), message, "add `foreach`", at="key")
        if step.given("completion"):
            message = "`completion` is about the items of a `foreach`"
            findings.add("HS216", (*path, "completion"), message, "add `foreach`", at="key")
    elif step.as_ is not None and step.as_ in scope.variables:
        message = f"`{step.as_}` is a variable already; the item would hide it"
        findings.add("HS208", (*path, "as"), message, "take another name")


def _assign(step: Step, scope: Scope, path: Path, findings: Findings, lost: frozenset[str]) -> None:
    declared = {**dict.fromkeys(lost, ""), **scope.variables}
    for name, value in step.assign.items():
        place = (*path, "assign", name)
        if name not in declared:
            close = get_close_matches(name, declared, n=1, cutoff=0.5)
            cure = f"did you mean `{close[0]}`?" if close else f"declare it: `vars: {{{name}: …}}`"
            findings.add("HS213", place, f"no variable `{name}` is declared", cure, at="key")
        elif isinstance(value, dict) and "append" in value and not appends(value):
            findings.add(
                "HS214",
                place,
                "`append` stands alone",
                'for an object that has this key write ${ {"append": …} }',
                at="key",
            )
        elif appends(value) and not isinstance(declared[name], list | str):
            findings.add(
                "HS214",
                place,
                f"`{name}` does not begin as a list",
                f"declare it as `{name}: []`",
                at="key",
            )


def _activity(step: ActivityStep, path: Path, findings: Findings) -> None:
    retry = step.retry
    # with one of the two the decorator may say the other: `activities.py` sees both
    both = retry.given("initial") and retry.given("max")
    if both and parse_duration(retry.initial) > parse_duration(retry.max):
        message = f"the first back-off ({retry.initial}) is longer than the longest ({retry.max})"
        findings.add("HS018", (*path, "retry", "initial"), message, "raise `max`")
    for index, name in enumerate(retry.never_on):
        if name in retry.on:
            message = f"`{name}` is in `on` too"
            findings.add("HS019", (*path, "retry", "never_on", index), message, "keep one of them")
    if step.timeout is not None and parse_duration(step.timeout) == 0:
        findings.add("HS018", (*path, "timeout"), "no attempt ends in no time", "more than 0")
    if step.given("input") and not isinstance(step.input, dict | str):
        cure = "write `name: value` for each parameter"
        message = "the input of an activity maps the names of its parameters"
        findings.add("HS013", (*path, "input"), message, cure)


def _decision(step: DecisionStep, path: Path, findings: Findings) -> None:
    if step.fail is None:
        return
    if step.given("output"):
        message = "a decision that fails has no output"
        findings.add("HS019", (*path, "output"), message, "keep `output` or `fail`", at="key")
    for field in ("assign", "next", "end"):
        if step.given(field):
            message = f"a decision that fails never comes to `{field}`"
            findings.add("HS021", (*path, field), message, "remove it", at="key")


def _timer(step: TimerStep, path: Path, findings: Findings) -> None:
    said = [field for field in ("duration", "until") if step.given(field)]
    if not said:
        cure = "`duration` from now, or `until` an instant"
        findings.add("HS010", path, "the timer does not say when it fires", cure)
    elif len(said) == 2:
        message = "the timer has a `duration` already"
        findings.add("HS019", (*path, "until"), message, "keep one of them", at="key")

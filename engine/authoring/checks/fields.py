"""Which fields go together, of those that steps of several types have: items, retries, errors."""

from __future__ import annotations

from collections.abc import Sequence

from ...expressions.time import parse_duration
from ..diagnostics import Findings
from ..fields import AtLeast, ErrorClause
from ..model import AttemptFields, Definition, ParallelStep, RetriedFields, Step
from ..scopes import Scope
from ..source import Path
from .refused import refuse
from .tags import check_tags

_ANSWERS = ("next", "output", "fail", "human")


def check(scope: Scope, findings: Findings) -> None:
    """Note the faults of the steps of one scope."""
    for index, step in enumerate(scope.steps):
        path = scope.step_path(index)
        _foreach(step, scope, path, findings)
        check_clauses(step.on_error, (*path, "on_error"), findings)
        if isinstance(step, RetriedFields):
            _retry(step, path, findings)
        check_tags(step, path, findings)
        timeout = step.timeout if isinstance(step, AttemptFields) else None
        if timeout is not None and parse_duration(timeout) == 0:
            message = "no attempt ends in no time"
            findings.add("HS018", (*path, "timeout"), message, "more than 0")


def check_root(definition: Definition, findings: Findings) -> None:
    """Note the faults of the definition's own fields."""
    check_clauses(definition.on_error, ("on_error",), findings)
    for index, clause in enumerate(definition.on_error):
        if clause.human is not None:
            place = ("on_error", index, "human")
            refuse(findings, "person for the whole definition", place, at="key")


def check_clauses(clauses: Sequence[ErrorClause], path: Path, findings: Findings) -> None:
    """Each clause of an `on_error` says one thing that follows."""
    for index, clause in enumerate(clauses):
        said = [field for field in _ANSWERS if clause.given(field)]
        if not said:
            cure = "one of `next`, `output`, `fail`, `human`"
            findings.add("HS010", (*path, index), "the clause does not say what follows", cure)
        for field in said[1:]:
            place = (*path, index, field)
            refuse(findings, "two answers to an error", place, at="key", said=said[0])


def _foreach(step: Step, scope: Scope, path: Path, findings: Findings) -> None:
    if step.given("concurrency") and step.concurrency < 1:
        message = f"`{step.concurrency}` items in flight: nothing would ever run"
        findings.add("HS018", (*path, "concurrency"), message, "1 or more")
    if isinstance(step, ParallelStep):
        _branches(step, path, findings)
    if step.foreach is None:
        for field, name in (("as_", "as"), ("concurrency", "concurrency")):
            if step.given(field):
                message = f"`{name}` is about the items of a `foreach`"
                cure = "remove it" if isinstance(step, ParallelStep) else "add `foreach`"
                findings.add("HS216", (*path, name), message, cure, at="key")
        if step.given("completion") and not isinstance(step, ParallelStep):
            message = "`completion` is about the items of a `foreach`, or about branches"
            findings.add("HS216", (*path, "completion"), message, "add `foreach`", at="key")
    elif step.as_ is not None and any(step.as_ in each.variables for each in scope.enclosing):
        message = f"`{step.as_}` is a variable already; the item would hide it"
        findings.add("HS208", (*path, "as"), message, "take another name")


def _branches(step: ParallelStep, path: Path, findings: Findings) -> None:
    if step.foreach is not None:
        refuse(findings, "foreach on a parallel", (*path, "foreach"), at="key")
    first: dict[str, int] = {}
    for index, branch in enumerate(step.branches):
        if branch.name in first:
            message = f'branch {first[branch.name] + 1} is called "{branch.name}" already'
            place = (*path, "branches", index, "name")
            findings.add("HS208", place, message, "its output goes by its name: take another")
        first.setdefault(branch.name, index)
    count = len(step.branches)
    if isinstance(step.completion, AtLeast) and step.completion.at_least > count:
        message = f"{step.completion.at_least} of {count} branches can never complete"
        findings.add("HS215", (*path, "completion"), message, f"at most {count}")


def _retry(step: RetriedFields, path: Path, findings: Findings) -> None:
    retry = step.retry
    # with one of the two the decorator may say the other: `activities.py` sees both
    both = retry.given("initial") and retry.given("max")
    if both and parse_duration(retry.initial) > parse_duration(retry.max):
        message = f"the first back-off ({retry.initial}) is longer than the longest ({retry.max})"
        findings.add("HS018", (*path, "retry", "initial"), message, "raise `max`")
    for index, name in enumerate(retry.never_on):
        if name in retry.on:
            place = (*path, "retry", "never_on", index)
            refuse(findings, "retried and never", place, name=name)

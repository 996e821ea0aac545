"""Which fields go together, of those that belong to one step type."""

from __future__ import annotations

from typing import Final

from ..diagnostics import Findings
from ..fields import Alternative
from ..model import (
    ActivityStep,
    DecisionStep,
    HumanStep,
    ServiceCallStep,
    Step,
    SubWorkflowStep,
    TimerStep,
    WaitStep,
)
from ..scopes import Scope
from ..source import Path
from .refused import refuse

_WAITED: Final = ("event", "signal", "timer")
_AFTER_COMPLETION: Final = ("assign", "publish", "signal", "cancels", "next", "end")


def check(scope: Scope, findings: Findings) -> None:
    """Note the faults of the steps of one scope."""
    for index, step in enumerate(scope.steps):
        path = scope.step_path(index)
        _signals(step, path, findings)
        match step:
            case ActivityStep():
                _activity(step, path, findings)
            case DecisionStep():
                _decision(step, path, findings)
            case TimerStep():
                _timer(step, path, findings)
            case WaitStep():
                _wait(step, path, findings)
            case HumanStep():
                _human(step, path, findings)
            case SubWorkflowStep():
                _child(step, path, findings)
            case ServiceCallStep():
                _service_call(step, path, findings)


def _signals(step: Step, path: Path, findings: Findings) -> None:
    if isinstance(step.signal, str) and not isinstance(step, WaitStep):
        message = "`signal` is what the step sends when it completes: a list is wanted"
        cure = f"write [{{execution: …, name: {step.signal}}}]; only a `wait` waits for a signal"
        findings.add("HS013", (*path, "signal"), message, cure)


def _activity(step: ActivityStep, path: Path, findings: Findings) -> None:
    if step.given("input") and not isinstance(step.input, dict | str):
        cure = "write `name: value` for each parameter"
        message = "the input of an activity maps the names of its parameters"
        findings.add("HS013", (*path, "input"), message, cure)


def _decision(step: DecisionStep, path: Path, findings: Findings) -> None:
    if step.fail is None:
        return
    if step.given("output"):
        refuse(findings, "failing with an output", (*path, "output"), at="key")
    # caught by a clause with `output`, or by a person, it completes all the same
    caught = any(clause.given("output") or clause.human is not None for clause in step.on_error)
    for field in () if caught else _AFTER_COMPLETION:
        if step.given(field):
            refuse(findings, "failing and going on", (*path, field), at="key", field=field)


def _timer(step: TimerStep, path: Path, findings: Findings) -> None:
    said = [field for field in ("duration", "until") if step.given(field)]
    if not said:
        cure = "`duration` from now, or `until` an instant"
        findings.add("HS010", path, "the timer does not say when it fires", cure)
    elif len(said) == 2:
        message = "the timer has a `duration` already"
        findings.add("HS019", (*path, "until"), message, "keep one of them", at="key")


# -- waiting


def _wait(step: WaitStep, path: Path, findings: Findings) -> None:
    own = [field for field in _WAITED if step.given(field)]
    if isinstance(step.signal, list):
        own.remove("signal")  # what it sends when it is over
    if step.any is None:
        _waited(step, own, path, findings)
        return
    for field in (*own, *(["where"] if step.given("where") else [])):
        refuse(findings, "any and one of them", (*path, field), at="key")
    if not step.any:
        findings.add("HS010", (*path, "any"), "the list waits for nothing", "add an alternative")
    first: dict[str, int] = {}
    for index, each in enumerate(step.any):
        place = (*path, "any", index)
        said = [field for field in _WAITED if each.given(field)]
        _waited(each, said, place, findings)
        name = each.name or each.event or each.signal or "timer"
        if name in first:
            refuse(
                findings,
                "two alternatives with one name",
                (*place, "name") if each.name is not None else place,
                first=first[name] + 1,
                name=name,
            )
        first.setdefault(name, index)


def _waited(model: WaitStep | Alternative, said: list[str], path: Path, findings: Findings) -> None:
    """One thing is waited for, and `where` has something to look at."""
    if not said:
        cure = "one of `event`, `signal`, `timer`"
        findings.add("HS010", path, "nothing is waited for", cure)
    for field in said[1:]:
        refuse(findings, "two things in one alternative", (*path, field), at="key", said=said[0])
    if said == ["timer"] and model.given("where"):
        refuse(findings, "where of a timer", (*path, "where"), at="key")


# -- people and children


def _human(step: HumanStep, path: Path, findings: Findings) -> None:
    asked = any(step.given(field) for field in ("assignees", "candidates", "intervention_point"))
    if not asked:
        cure = "say `assignees`, `candidates` (who may claim it), or an `intervention_point`"
        findings.add("HS010", path, "nobody is asked", cure)


def _child(step: SubWorkflowStep, path: Path, findings: Findings) -> None:
    if not step.detached:
        return
    for field in ("grace", "retry"):
        if step.given(field):
            refuse(findings, "detached and awaited", (*path, field), at="key", field=field)


def _service_call(step: ServiceCallStep, path: Path, findings: Findings) -> None:
    url = step.url
    if isinstance(url, str):
        plain = url if "$" not in url else url.partition("$")[0]
        if "$" in url and len(plain) < len("https://"):
            return
        if not plain.lower().startswith(("http://", "https://")):
            findings.add(
                "HS014", (*path, "url"), f'"{url[:60]}" is no address', "as https://example.org/…"
            )

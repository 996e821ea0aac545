"""What a proof found in a definition, as diagnostics with the place, the run and the cure.

A fault is about a step, and a field of it where one is to be changed. Of a definition that was read
from a text it is shown there; of one that was compiled, at the place in the function. Models of
others have no places, and keep the names of their elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from msgspec import structs

from heliostat.engine.authoring.canonical import content
from heliostat.engine.authoring.diagnostics import Diagnostic, Findings
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.places import places_of
from heliostat.engine.authoring.scopes import scopes_of
from heliostat.verify.properties.verdict import (
    Act,
    AddTransition,
    BreakDependencyCycle,
    Deadlock,
    Fault,
    FixConditions,
    IncreaseResources,
    Verdict,
)

ACTS_MAX: Final = 12
"""Of a run that a message tells: its last acts, which are those near the fault."""

STEPS_MAX: Final = 10
"""Steps of one verdict that are told one by one."""


def diagnostics(definition: Definition, verdicts: Iterable[Verdict]) -> tuple[Diagnostic, ...]:
    """What is wrong with a definition: an error where a property fails, a warning where it is not
    known, or where the counterexample may be a run that no execution has."""
    source = definition.source
    findings = Findings(
        definition.id if source is None else source.name, content(definition), source
    )
    paths = {
        step.id: scope.step_path(index)
        for scope in scopes_of(definition)
        for index, step in enumerate(scope.steps)
    }
    for fault in faults(verdicts):
        path = (*paths.get(fault.step or "", ()), *fault.field)
        findings.add(fault.code, path, fault.message, fault.cure, severity=fault.severity)
    if source is not None:
        return findings.all()
    places = places_of(definition)
    return tuple(_placed(found, places.get(found.step or "")) for found in findings.all())


def model_diagnostics(name: str, verdicts: Iterable[Verdict]) -> tuple[Diagnostic, ...]:
    """The same of a model that is no definition; `name` stands for its file."""
    return tuple(
        Diagnostic(
            file=name,
            code=fault.code,
            step=fault.step,
            message=fault.message,
            cure=fault.cure,
            severity=fault.severity,
        )
        for fault in faults(verdicts)
    )


def _placed(found: Diagnostic, place: str | None) -> Diagnostic:
    """At a place in Python, written as `file:line:column`."""
    file, line, column = ("", "", *(place or "").rsplit(":", 2))[-3:]
    if not (file and line.isdigit() and column.isdigit()):
        return found
    return structs.replace(found, file=file, line=int(line), column=int(column))


def faults(verdicts: Iterable[Verdict]) -> Iterator[Fault]:
    """What verdicts say is wrong, or not known."""
    unknown = []
    for verdict in verdicts:
        if verdict.outcome == "inconclusive" and verdict.faults:  # no bound, and another cure
            yield from (replace(fault, severity="warning") for fault in verdict.faults)
        elif verdict.outcome == "inconclusive":
            unknown.append(verdict)
        elif verdict.outcome == "fails":
            found = verdict.faults or _found(verdict)
            yield from (_resting(fault, verdict) for fault in found)
        else:  # what holds may still be worth a warning
            yield from verdict.faults
    if unknown:
        reasons = "; ".join(dict.fromkeys(verdict.reason for verdict in unknown))
        yield Fault(
            code="HS509",
            message=f"not known: {', '.join(verdict.asked for verdict in unknown)} ({reasons})",
            cure="`heliostat verify` takes longer; fewer things side by side are proved sooner",
            field=("id",),
            severity="warning",
        )


def _resting(fault: Fault, verdict: Verdict) -> Fault:
    """A fault with what it rests on, if it may be none."""
    if verdict.exact:
        return fault
    ground = "; ".join(
        f"`{each.step}`: {each.text}" if each.step else each.text for each in verdict.rests_on
    )
    return Fault(
        code=fault.code,
        message=f"{fault.message}; it may be that no execution does this, since the proof rests on "
        f"more than the definition says ({ground})",
        cure=fault.cure,
        step=fault.step,
        field=fault.field,
        severity="warning",
    )


def _found(verdict: Verdict) -> Iterator[Fault]:
    last = verdict.steps[0] if verdict.steps else _last(verdict.run)
    match verdict.asked:
        case "deadlock":
            yield from told_deadlocks(verdict.deadlocks)
        case "livelock":
            yield Fault(
                code="HS502",
                message=f"no way leads from here to an end: nothing but {named(verdict.steps)} "
                f"goes on, for ever{_after(verdict.run)}",
                cure="give one of these steps a way on that leads out, be it to `end`",
                step=last,
            )
        case "dead steps":
            for step in verdict.steps[:STEPS_MAX]:
                yield Fault(
                    code="HS503",
                    message="no execution ever comes to this step",
                    cure="take it out, or have a way lead to it that can be taken",
                    step=step,
                )
        case "boundedness":
            yield Fault(
                code="HS504",
                message=f"{verdict.reason}{_after(verdict.run)}",
                cure="let what the loop starts be joined before it goes round again",
                step=last,
            )
        case "proper completion" | "safeness":
            yield Fault(
                code="HS505" if verdict.asked == "proper completion" else "HS506",
                message=f"{verdict.reason}{_after(verdict.run)}",
                step=last,
            )
        case formula:
            yield Fault(
                code="HS507",
                message=f"`{formula}` does not hold{against(verdict)}",
                step=last,
                field=() if last else ("id",),
            )


def told_deadlocks(deadlocks: Sequence[Deadlock]) -> Iterator[Fault]:
    """One fault for each way to mend one: the shortest run tells it."""
    told = set()
    for deadlock in deadlocks:
        if deadlock.fix not in told:
            told.add(deadlock.fix)
            yield _deadlock(deadlock)


def _deadlock(deadlock: Deadlock) -> Fault:
    case = f", where {deadlock.case}" if deadlock.case else ""
    after = _after(deadlock.run) + case
    match deadlock.fix:
        case AddTransition(from_steps=sources, to_steps=targets):
            others = [each for each in sources if each not in targets]
            return Fault(
                code="HS501",
                message=f"an execution can get stuck before this step: its join waits for "
                f"{named(others) if others else 'more'}, and nothing leads there any more{after}",
                cure="let every way lead to the join, or say `join: any` or `{at_least: n}`",
                step=targets[0] if targets else _last(deadlock.run),
                field=("join",) if targets else (),
            )
        case FixConditions(step_id=step, conditions=conditions):
            shown = f" ({', '.join(f'`{each}`' for each in conditions)})" if conditions else ""
            return Fault(
                code="HS501",
                message=f"an execution can get stuck: the conditions here{shown} lead past a join "
                f"that something else waits at{after}",
                cure="let the conditions of both agree, or say `join: any` or `{at_least: n}`",
                step=step,
                field=("next",),
            )
        case BreakDependencyCycle(steps=steps):
            return Fault(
                code="HS501",
                message=f"an execution can get stuck: {named(steps)} wait for one another{after}",
                cure="let them take their semaphores in one order, or hold them on the inner "
                "steps only",
                step=steps[0] if steps else _last(deadlock.run),
            )
        case IncreaseResources(resource_ids=names):
            return Fault(
                code="HS501",
                message=f"an execution can get stuck: what waits for {named(names)} waits for "
                f"permits that nobody gives back{after}",
                cure="declare more permits, or let the step around hold none",
                field=("semaphores", *names[:1]),
            )
        case _:
            return Fault(
                code="HS501",
                message=f"an execution can get stuck{after}",
                cure="look at what follows the steps that have happened then",
                step=_last(deadlock.run),
            )


def named(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    return ", ".join(f"`{name}`" for name in names) or "bookkeeping"


def in_words(run: Sequence[Act]) -> str:
    """A run as a sentence; of a long one its end."""
    shown = [f"`{each.step}` {each.act}" for each in run[-ACTS_MAX:]]
    more = len(run) - len(shown)
    return ", ".join([f"{more} things more", *shown] if more else shown)


def _after(run: Sequence[Act]) -> str:
    return f", after {in_words(run)}" if run else ""


def against(verdict: Verdict) -> str:
    """The run against a formula, as the end of a sentence."""
    after = _after(verdict.run)
    then = ", and then" if after else ", where"
    return f"{after}{then} for ever {in_words(verdict.loop)}" if verdict.loop else after


def _last(run: Sequence[Act]) -> str | None:
    return run[-1].step if run else None

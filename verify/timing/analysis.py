"""The analysis `time`: how long executions take, the critical path, and whether deadlines are met.

It fails only where a deadline or a timeout can never be met. That one may be missed is told as a
figure, and warned of where even what is expected takes longer, defaults left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final

from heliostat.engine.plan.plan import Plan
from heliostat.verify.analyses import Subject
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.properties.verdict import Fault, Section, Verdict
from heliostat.verify.timing.bounds import Bounds, Span
from heliostat.verify.timing.deadlines import Deadline, deadlines
from heliostat.verify.timing.drawing import Expected, delayed, expected
from heliostat.verify.timing.durations import Duration, Measured, Tagged, durations, tags_of
from heliostat.verify.timing.slack import TRIED_STEPS_MAX, Critical, Network, tried
from heliostat.verify.timing.words import amount

NAMED_MAX: Final = 3
"""Steps without a bound that a line names."""

PATH_MAX: Final = 12
"""Steps of the critical path that a line tells, from its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """All that is known of how long the executions of one plan take."""

    plan: Plan
    tags: Tagged
    durations: Measured
    bounds: Bounds
    expected: Expected | None
    critical: Critical
    deadlines: Sequence[Deadline]


def timing(subject: Subject) -> Timing:
    """Work it out: some milliseconds, and up to a second where many choices are drawn."""
    plan, tags = subject.plan, tags_of(subject.definition)
    taken = durations(subject.definition, plan, subject.measured)
    bounds = Bounds(plan, taken, tags)
    drawn = expected(plan, taken, tags, bounds.width)
    critical = Network(plan, taken, bounds.width).critical()
    alike = drawn is not None and drawn.runs == 1  # all runs are
    if alike and not critical.exact and len(critical.places) <= TRIED_STEPS_MAX:
        critical = tried(critical, delayed(plan, taken, tags, bounds.width))
    return Timing(
        plan=plan,
        tags=tags,
        durations=taken,
        bounds=bounds,
        expected=drawn,
        critical=critical,
        deadlines=tuple(deadlines(plan, bounds, subject.starts_at_ms)),
    )


def verdicts(subject: Subject) -> Iterator[Verdict]:
    """How long the definition takes; it fails where a deadline of it can never be met."""
    found = timing(subject)
    never = [each for each in found.deadlines if each.met == "never"]
    late = [] if never else list(_late(found))
    yield Verdict(
        asked="time",
        outcome="fails" if never else "holds",
        engine=_engine(found),
        reason=_never(never[0]) if never else _totals(found),
        rests_on=tuple(_measured(found)) if never else (),
        steps=tuple(each.step for each in never if each.step is not None),
        faults=(*map(_fault, never), *late),
        section=section(found),
    )


def _engine(found: Timing) -> str:
    runs = 1 if found.expected is None else found.expected.runs
    return "bounds of scopes" if runs == 1 else f"bounds of scopes, {runs:,} drawn runs"


# -- faults


def _fault(each: Deadline) -> Fault:
    return Fault(
        code="HS520" if each.kind == "deadline" else "HS521",
        message=_never(each),
        cure="give it more time"
        if each.kind == "deadline"
        else "give an attempt more time, or bound the visit by a `deadline`",
        step=each.step,
        field=(each.kind,),
    )


def _never(each: Deadline) -> str:
    what = "it" if each.step is None else f"`{each.step}`"
    if each.kind == "timeout":
        return (
            f"no attempt of {what} ends within its timeout of {amount(each.limit.most)}: "
            f"it takes {amount(each.takes.least)} at least"
        )
    return (
        f"the deadline of {amount(each.limit.most)} can never be met: {what} takes "
        f"{amount(each.takes.least)} at least"
    )


def _late(found: Timing) -> Iterator[Fault]:
    """What misses its deadline in the mean, by what somebody said or measured."""
    known = {
        id: replace(each, expected_ms=0) if each.source == "default" else each
        for id, each in found.durations.items()
    }
    if not found.deadlines:
        return
    drawn = expected(found.plan, known, found.tags, found.bounds.width, runs_max=200)
    places = Network(found.plan, known, found.bounds.width).critical().places
    for each in found.deadlines:
        if each.kind == "timeout" or each.met in ("always", "never"):
            continue
        if each.step is not None:
            place = places.get(each.step)
            mean = 0.0 if place is None else place.finish_ms - place.start_ms
        else:
            mean = 0.0 if drawn is None else drawn.mean_ms
        if mean > each.limit.most:
            what = "it" if each.step is None else f"`{each.step}`"
            yield Fault(
                code="HS522",
                message=f"the deadline of {amount(each.limit.most)} is seldom met: {what} is "
                f"expected to take {amount(mean)}",
                cure="give it more time, or correct what its tags say",
                step=each.step,
                field=("deadline",),
                severity="warning",
            )


def _measured(found: Timing) -> Iterator[Abstraction]:
    for id, each in found.durations.items():
        if each.source == "measured":
            yield Abstraction(
                kind="measured", step=id, text=f"its attempts have taken {_range(each)}"
            )


def _range(each: Duration) -> str:
    return f"{amount(each.min_ms)} to {amount(each.max_ms)}"


# -- what a report tells


def section(found: Timing) -> Section:
    """The figures."""
    return Section(
        title="Time",
        summary=tuple(_summary(found)),
        columns=("step", "min", "expected", "max", "slack", "duration from"),
        rows=tuple(_rows(found)),
        value=_value(found),
        notes=(
            "At least: where nothing fails. At most: where all attempts fail as often as they may.",
            "Waiting for permits and for capacity is not counted.",
        ),
    )


def _totals(found: Timing) -> str:
    total = found.bounds.total
    told = [f"at least {amount(total.least)}"]
    if found.expected is not None:
        told.append(f"expected {amount(found.expected.mean_ms)}")
        if found.expected.runs > 1:
            told[-1] += f", 95 % of runs within {amount(found.expected.p95_ms)}"
        guessed = sum(each.source == "default" for each in found.durations.values())
        if guessed:
            told[-1] += f" ({guessed} of {len(found.durations)} durations are defaults)"
    told.append("at most: no bound" if total.most == inf else f"at most {amount(total.most)}")
    return ", ".join(told)


def _summary(found: Timing) -> Iterator[str]:
    if any(each.met == "never" for each in found.deadlines):
        yield f"it takes {_totals(found)}"
    path = found.critical.path
    if path:
        shown = " → ".join(f"`{each}`" for each in path[:PATH_MAX])
        more = f" → {len(path) - PATH_MAX} more" if len(path) > PATH_MAX else ""
        yield f"critical path, {amount(found.critical.total_ms)}: {shown}{more}"
    if found.expected is None:
        yield "no expected time: a run of it comes to no end"
    reasons = found.bounds.unbounded
    if found.bounds.total.most == inf and reasons:
        for why in dict.fromkeys(reasons.values()):
            yield f"no bound for {_few([id for id, each in reasons.items() if each == why])}: {why}"
    for each in found.deadlines:
        if each.met == "may be missed":
            what = "" if each.step is None else f" of `{each.step}`"
            yield (
                f"the {each.kind}{what} of {amount(each.limit.least)} may be missed: "
                f"it takes up to {amount(each.takes.most)}"
            )


def _few(ids: Sequence[str]) -> str:
    """Names as a line has them, of many the first."""
    shown = ", ".join(f"`{id}`" for id in ids[:NAMED_MAX])
    return shown if len(ids) <= NAMED_MAX else f"{shown} and {len(ids) - NAMED_MAX} more"


def _rows(found: Timing) -> Iterator[tuple[str, ...]]:
    for row in _steps(found):
        yield (
            f"`{row['step']}`",
            amount(row["min_ms"]),
            amount(row["expected_ms"]) if row["expected_ms"] is not None else "not visited",
            amount(row["max_ms"]),
            _slack(row),
            row["source"] or "its steps",
        )


def _slack(row: dict[str, Any]) -> str:
    if row["start_ms"] is None:
        return "off the path"
    if row["slack_ms"] is None:
        return "any"
    return "**0**" if not row["slack_ms"] else amount(row["slack_ms"])


def _steps(found: Timing) -> Iterable[dict[str, Any]]:
    for step in found.plan.steps:
        span = found.bounds.visits.get(step.number)
        if step.retired or span is None:
            continue
        duration = found.durations.get(step.id)
        place = found.critical.places.get(step.id)
        mean = None if found.expected is None else found.expected.visits.get(step.number)
        yield {
            "step": step.id,
            "min_ms": _whole(span.least),
            "expected_ms": None if mean is None else _whole(mean),
            "max_ms": _whole(span.most),
            "slack_ms": None if place is None else _whole(place.slack_ms),
            "start_ms": None if place is None else _whole(place.start_ms),
            "source": None if duration is None else duration.source,
        }


def _value(found: Timing) -> dict[str, Any]:
    total, drawn = found.bounds.total, found.expected
    return {
        "min_ms": _whole(total.least),
        "max_ms": _whole(total.most),
        "expected": None
        if drawn is None
        else {
            "mean_ms": _whole(drawn.mean_ms),
            "error_ms": _whole(drawn.error_ms),
            "p95_ms": _whole(drawn.p95_ms),
            "runs": drawn.runs,
        },
        "unbounded": dict(found.bounds.unbounded) if total.most == inf else {},
        "critical_path": {
            "total_ms": _whole(found.critical.total_ms),
            "steps": list(found.critical.path),
            "exact": found.critical.exact,
        },
        "steps": list(_steps(found)),
        "deadlines": [
            {
                "kind": each.kind,
                "step": each.step,
                "limit_ms": _span(each.limit),
                "takes_ms": _span(each.takes),
                "met": each.met,
            }
            for each in found.deadlines
        ],
    }


def _span(span: Span) -> list[int | None]:
    return [_whole(span.least), _whole(span.most)]


def _whole(ms: float) -> int | None:
    return None if ms == inf else round(ms)

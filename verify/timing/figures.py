"""The figures of a report: totals, the critical path, and a row for each step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import Any, Final

from heliostat.verify.properties.verdict import Section
from heliostat.verify.timing.limits import Span
from heliostat.verify.timing.slack import Critical
from heliostat.verify.timing.timing import Timing
from heliostat.verify.timing.words import NAMED_MAX, amount, few, totals

NOTES: Final = (
    "At least: where nothing fails. At most: where all attempts fail as often as they may.",
    "Waiting for permits and for capacity is not counted.",
)
INEXACT: Final = (
    "There may be more slack: what `cancels`, `end: terminate` or a join of some cut short is "
    "counted whole."
)

PATH_MAX: Final = 12
"""Steps of the critical path that a line tells, from its beginning."""


def section(found: Timing, critical: Critical) -> Section:
    """The figures."""
    return Section(
        title="Time",
        summary=tuple(_summary(found, critical)),
        columns=("step", "min", "expected", "max", "slack", "duration from"),
        rows=tuple(_rows(found, critical)),
        value=_value(found, critical),
        notes=NOTES if critical.exact else (*NOTES, INEXACT),
    )


def _summary(found: Timing, critical: Critical) -> Iterator[str]:
    if any(each.met == "never" for each in found.deadlines):
        yield f"it takes {totals(found)}"
    path = critical.path
    if path:
        shown = " → ".join(f"`{each}`" for each in path[:PATH_MAX])
        more = f" → {len(path) - PATH_MAX} more" if len(path) > PATH_MAX else ""
        longest = _bottleneck(critical)
        most = f"; `{longest}` takes most of it" if len(path) > 1 else ""
        yield f"critical path, {amount(critical.total_ms)}: {shown}{more}{most}"
    if found.expected is None:
        yield "no expected time: a run of it comes to no end"
    yield from _unbounded(found)
    missed = [each for each in found.deadlines if each.met == "may be missed"]
    for each in missed[:NAMED_MAX]:
        what = "" if each.step is None else f" of `{each.step}`"
        yield (
            f"the {each.kind}{what} of {amount(each.limit.least)} may be missed: "
            f"it takes up to {amount(each.takes.most)}"
        )
    if len(missed) > NAMED_MAX:
        yield f"{len(missed) - NAMED_MAX} more deadlines and timeouts may be missed"


def _unbounded(found: Timing) -> Iterator[str]:
    """Why there is no bound, of definitions whose author says something of times."""
    if found.bounds.total.most < inf:
        return
    if any(each.source in ("tag", "measured") for each in found.durations.values()):
        reasons = found.bounds.unbounded
        for why in dict.fromkeys(reasons.values()):
            yield f"no bound for {few([id for id, each in reasons.items() if each == why])}: {why}"


def _bottleneck(critical: Critical) -> str | None:
    """The step of the critical path that takes most of it."""

    def takes(id: str) -> float:
        place = critical.places[id]
        return place.finish_ms - place.start_ms

    return max(critical.path, key=takes, default=None)


def _rows(found: Timing, critical: Critical) -> Iterator[tuple[str, ...]]:
    for row in _steps(found, critical):
        yield (
            f"`{row['step']}`",
            amount(row["min_ms"]),
            amount(row["expected_ms"]) if row["expected_ms"] is not None else "not visited",
            amount(row["max_ms"]),
            _slack(row),
            _source(row),
        )


def _source(row: dict[str, Any]) -> str:
    if row["source"] is None:
        return "its steps"
    return f"{row['source']}, {row['measured']} attempts" if row["measured"] else str(row["source"])


def _slack(row: dict[str, Any]) -> str:
    if row["start_ms"] is None:
        return "off the path"
    if row["slack_ms"] is None:
        return "any"
    return "**0**" if not row["slack_ms"] else amount(row["slack_ms"])


def _steps(found: Timing, critical: Critical) -> Iterable[dict[str, Any]]:
    for step in found.plan.steps:
        span = found.bounds.visits.get(step.number)
        if step.id not in found.tags or span is None:  # retired, or of a handler
            continue
        duration = found.durations.get(step.id)
        place = critical.places.get(step.id)
        mean = None if found.expected is None else found.expected.visits.get(step.number)
        yield {
            "step": step.id,
            "min_ms": _whole(span.least),
            "expected_ms": None if mean is None else _whole(mean),
            "max_ms": _whole(span.most),
            "slack_ms": None if place is None else _whole(place.slack_ms),
            "start_ms": None if place is None else _whole(place.start_ms),
            "source": None if duration is None else duration.source,
            "measured": 0 if duration is None else duration.count,
        }


def _value(found: Timing, critical: Critical) -> dict[str, Any]:
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
            "total_ms": _whole(critical.total_ms),
            "steps": list(critical.path),
            "bottleneck": _bottleneck(critical),
            "exact": critical.exact,
        },
        "steps": list(_steps(found, critical)),
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

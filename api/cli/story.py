"""Histories for people: each recorded event in a line of words.

    12  2026-01-05T09:00:00.000Z  step.completed  charge: {"ok": true}; paid = true → ship

Reads events as `heliostat workflow history --format json` writes them, so that it needs no plan.
Below the line stand the traceback and what the step printed. What is long is cut: JSON has it all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from heliostat.api.cli.output import instant, json_text

VALUE_CHARS_MAX: Final = 120
"""Of one value in a line."""

OPENED_MAX: Final = 8
"""Visits named in a line as opened by its event; a fan-out opens thousands."""

Told: TypeAlias = Mapping[str, Any]
"""An event as JSON."""


def event_lines(event: Told) -> str:
    """One event: its line, and below it tracebacks and what was printed."""
    type_ = event["type"]
    words = STORIES.get(type_, _unknown)(event)
    line = f"{event['seq']:>5}  {instant(event['at_ms'])}  {type_:<26}  {words}"
    lines = [f"{line}{_opened(event)}".rstrip()]
    for source in (event, event.get("failure") or event.get("recovered") or {}):
        for name in ("traceback", "stdout", "stderr"):
            text = source.get(name)
            if text:
                lines += [f"       {name} | {each}" for each in text.rstrip().splitlines()]
    return "\n".join(lines)


# what every event says


def _started(event: Told) -> str:
    parent = event.get("parent")
    return _joined(
        f"{event['definition']} {event['version']}",
        _with(event, "input", "with "),
        f"as a child of {parent['execution_id']}" if parent else None,
        _variables(event.get("variables")),
        _until("deadline", event.get("deadline_at_ms")),
        _fault(event),
    )


def _completed(event: Told) -> str:
    assigned = _variables(event.get("assigned"))
    return (
        _place(event["at"])
        + _output(event)
        + (
            f" instead of {_failure(event['recovered'], event['at'])}"
            if event.get("recovered")
            else ""
        )
        + (f"; {assigned}" if assigned else "")
        + "".join(f"; {name} += {_value(v)}" for name, v in event.get("appended", {}).items())
        + _cancelled(event)
        + _ways(event)
    )


def _skipped(event: Told) -> str:
    return _place(event["at"]) + _ways(event)


def _failed(event: Told) -> str:
    tolerated = " (tolerated: what depends on it can do without)" if event.get("tolerated") else ""
    return (
        f"{_place(event['at'])}: {_failure(event['failure'], event['at'])}{tolerated}{_ways(event)}"
    )


def _at(event: Told) -> str:
    return _place(event["at"])


def _attempt_failed(event: Told) -> str:
    return (
        f"{_place(event['at'])}: {_failure(event['failure'], event['at'])}; "
        f"again at {instant(event['retry_at_ms'])}"
    )


def _lost(event: Told) -> str:
    counted = " (counts towards its bound)" if event.get("counted") else ""
    return f"{_place(event['at'])}: {event['cause']}{counted}"


def _stopping(event: Told) -> str:
    return (
        f"{_place(event['at'])} was told to stop until {instant(event['grace_until_ms'])}: "
        f"{_failure(event['failure'], event['at'])}"
    )


def _attempt_ended(event: Told) -> str:
    end = f"returned{_output(event)}" if event.get("returned") else "left no output"
    return f"{_place(event['at'])} {end}"


def _closing(event: Told) -> str:
    if event.get("step") is not None:
        what = f"items of {event['step']} (scope {event['scope']})"
    else:
        what = "the execution" if event["scope"] == 1 else f"scope {event['scope']}"
    if event.get("failure"):
        why = _failure(event["failure"])
    else:
        why = "canceled" if event.get("canceled") else "decided early"
    return f"{what}: {why}{_withdrawn(event)}"


def _region(event: Told) -> str:
    return f"{_place(event['at'])}{_output(event)}{_cancelled(event)}{_withdrawn(event)}"


def _scopes_opened(event: Told) -> str:
    fault = f": {_failure(event['failure'])}" if event.get("failure") else ""
    return f"{_place(event['at'])}, from scope {event['first_scope']}{fault}"


def _branch_completed(event: Told) -> str:
    return f"scope {event['scope']}{_output(event)}"


def _branch_failed(event: Told) -> str:
    return f"scope {event['scope']}: {_failure(event['failure'])}"


def _reopened(event: Told) -> str:
    return f"{event['step']} (scope {event['scope']}) starts afresh"


def _signal_kept(event: Told) -> str:
    return f"{event['name']}{_carried(event)}; no open wait takes it"


def _event_kept(event: Told) -> str:
    dropped = event.get("dropped")
    lost = f"; dropped, since too many are kept: {', '.join(dropped)}" if dropped else ""
    return (
        f"{event['name']} ({event['event_id']}){_carried(event)}; no open wait takes it, "
        f"kept until {instant(event['expires_at_ms'])}{lost}"
    )


def _handler(event: Told) -> str:
    sent = event.get("sent", ())
    return _joined(
        f"{event['handler']} takes event {event['event_id']}",
        f"sends {len(sent)} message{'s' if len(sent) != 1 else ''}" if sent else None,
        _fault(event),
    )


def _message(event: Told) -> str:
    return f"{event['message_id']} changed nothing"


def _task_opened(event: Told) -> str:
    at = event["at"]
    return _joined(
        f"{_place(at)} asks {_people(event['task'])} about {_failure(event['failure'], at)}",
        _until("deadline", event.get("deadline_at_ms")),
    )


def _claimed(event: Told) -> str:
    return f"{_place(event['at'])} by {event['user']}"


def _released(event: Told) -> str:
    by = f" by {event['user']}" if event.get("user") else ""
    return f"{_place(event['at'])}{by}"


def _assigned(event: Told) -> str:
    if event.get("level") is not None:
        by = f" (escalation {event['level']})"
    else:
        by = f" by {event['user']}" if event.get("user") else ""
    return f"{_place(event['at'])} to {_people(event)}{by}"


def _progressed(event: Told) -> str:
    progress = "" if event.get("progress") is None else f": {event['progress']} %"
    return f"{_place(event['at'])} by {event['user']}{progress}"


def _given_up(event: Told) -> str:
    at = event["at"]
    return f"{_place(at)} by {event['user']}: {_failure(event['failure'], at)}"


def _metadata(event: Told) -> str:
    return ", ".join(f"{name}={value}" for name, value in event.get("metadata", {}).items())


def _violated(event: Told) -> str:
    return f"{event['property']}, by event {event['number']}"


def _reason(event: Told) -> str:
    return str(event.get("reason") or "")


def _nothing(event: Told) -> str:
    return ""


def _retried(event: Told) -> str:
    return _joined(
        f"run {event['run']}",
        f"from step {event['from_step']}" if event.get("from_step") else "from where it failed",
        _until("deadline", event.get("deadline_at_ms")),
    )


def _migrated(event: Told) -> str:
    return _joined(
        f"from version {event['from_version']} to {event['version']}", event.get("reason", "")
    )


def _redirected(event: Told) -> str:
    return f"goes on after {_failure(event['failure'])}"


def _ended_well(event: Told) -> str:
    instead = f" instead of {_failure(event['recovered'])}" if event.get("recovered") else ""
    return _value(event.get("output")) + instead


def _ended_badly(event: Told) -> str:
    return _failure(event["failure"])


def _owner(event: Told) -> str:
    again = ", ".join(map(_place, event["reissued"][:OPENED_MAX]))
    more = len(event["reissued"]) - OPENED_MAX
    return f"{event['owner']} (epoch {event['epoch']}) makes again what may have run: {again}" + (
        f" and {more:,} more" if more > 0 else ""
    )


def _unknown(event: Told) -> str:
    """Of a later release."""
    return json_text({k: v for k, v in event.items() if k not in ("seq", "type", "at_ms")})


STORIES: Final[Mapping[str, Callable[[Told], str]]] = {
    "execution.started": _started,
    "step.completed": _completed,
    "step.skipped": _skipped,
    "step.failed": _failed,
    "attempt.started": _at,
    "attempt.failed": _attempt_failed,
    "attempt.retry_due": _at,
    "attempt.lost": _lost,
    "attempt.stopping": _stopping,
    "attempt.ended": _attempt_ended,
    "scope.closing": _closing,
    "scopes.opened": _scopes_opened,
    "region.canceling": _region,
    "branch.completed": _branch_completed,
    "branch.failed": _branch_failed,
    "join.reopened": _reopened,
    "signal.kept": _signal_kept,
    "event.kept": _event_kept,
    "handler.fired": _handler,
    "message.taken": _message,
    "task.opened": _task_opened,
    "task.claimed": _claimed,
    "task.released": _released,
    "task.assigned": _assigned,
    "task.progressed": _progressed,
    "task.failed": _given_up,
    "metadata.changed": _metadata,
    "property.violated": _violated,
    "execution.paused": _reason,
    "execution.resumed": _nothing,
    "execution.retried": _retried,
    "execution.migrated": _migrated,
    "execution.cancel_requested": _reason,
    "execution.redirected": _redirected,
    "execution.completed": _ended_well,
    "execution.failed": _ended_badly,
    "execution.canceled": _reason,
    "owner.changed": _owner,
}
"""By the event's type."""


# words


def _place(at: Told) -> str:
    """A step, with what of its address is not 1."""
    return _labelled(at["step"], at, ("scope", "visit", "attempt"))


def _labelled(step: str, at: Told, parts: Iterable[str]) -> str:
    told = [f"{part} {at[part]}" for part in parts if at[part] != 1]
    return f"{step} ({', '.join(told)})" if told else step


def _opened(event: Told) -> str:
    """The visits that an event opened."""
    opened = event.get("activated", ())
    if not opened:
        return ""
    words = [_activation(each) for each in opened[:OPENED_MAX]]
    if len(opened) > OPENED_MAX:
        words.append(f"and {len(opened) - OPENED_MAX:,} more")
    return f"; opens {', '.join(words)}"


def _activation(opened: Told) -> str:
    told = _labelled(opened["step"], opened, ("scope", "visit"))
    if opened.get("skipped"):
        return f"{told} (skipped)"
    notes = [
        _fault(opened),
        f"{opened['width']} item{'s' * (opened['width'] != 1)}" if "width" in opened else None,
        _until("due", opened.get("due_at_ms")),
        _until("deadline", opened.get("deadline_at_ms")),
        f"asks {_people(opened['task'])}" if opened.get("task") else None,
        "takes what was kept for it" if opened.get("received") else None,
    ]
    kept = [note for note in notes if note]
    return f"{told} [{'; '.join(kept)}]" if kept else told


def _ways(event: Told) -> str:
    targets = [edge["to"] for edge in event.get("taken", ())]
    return f" → {', '.join(targets)}" if targets else ""


def _cancelled(event: Told) -> str:
    skipped = event.get("skipped")
    return f"; never starts: {', '.join(skipped)}" if skipped else ""


def _withdrawn(event: Told) -> str:
    count = len(event.get("withdrawn", ()))
    if not count:
        return ""
    return f"; told to stop until {instant(event['grace_until_ms'])}: {count:,}"


def _people(task: Told) -> str:
    return ", ".join((*task.get("assignees", ()), *task.get("candidates", ()))) or "anybody"


def _output(event: Told) -> str:
    if event.get("collected"):
        return ": its items' outputs"
    return f": {_value(event['output'])}" if "output" in event else ""


def _carried(event: Told) -> str:
    return f": {_value(event['data'])}" if "data" in event else ""


def _with(event: Told, name: str, words: str) -> str | None:
    return f"{words}{_value(event[name])}" if name in event else None


def _variables(variables: Told | None) -> str | None:
    if not variables:
        return None
    return "; ".join(f"{name} = {_value(value)}" for name, value in variables.items())


def _until(what: str, at_ms: int | None) -> str | None:
    return None if at_ms is None else f"{what} {instant(at_ms)}"


def _fault(event: Told) -> str | None:
    failure = event.get("failure")
    return f"cannot begin: {_failure(failure)}" if failure else None


def _failure(failure: Told, at: Told | None = None) -> str:
    """What failed, and where, unless that is the place `at`."""
    step, place = failure.get("step"), failure.get("place")
    where = f" in step {step}" if step and (at is None or step != at["step"]) else ""
    where += f" at {place}" if place else ""
    item = f", item {failure['item_index']}" if failure.get("item_index") is not None else ""
    return f"{failure['type']}{where}{item}: {failure['message']}"


def _joined(*parts: str | None) -> str:
    return "; ".join(part for part in parts if part)


def _value(value: Any) -> str:
    text = json_text(value)
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[: VALUE_CHARS_MAX - 1]}…"

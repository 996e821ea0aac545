"""Fields that are read when something opens: instants, durations, the people of a task.

Each is fixed then and recorded. An instant that no calendar has a name for fails what asked for it
with an error that names the field: nothing that could ever come would be waited for, and nobody
could be shown until when.
"""

from __future__ import annotations

from collections.abc import Iterator

from heliostat.engine.calendars import CalendarError, business_instant
from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import Data, format_instant
from heliostat.engine.expressions.time import INSTANT_MS_MAX, parse_duration, parse_instant
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.events import TaskFacts
from heliostat.engine.plan.plan import Human
from heliostat.engine.values import Value


def instant_of(data: Data, context: ScopeContext, field: str) -> int:
    """A data field that is an instant, a duration from now, or so many business days from now;
    UTC milliseconds.

    Raises:
        ExpressionError: it is none of these, or lies beyond the year 9999.
    """
    value = data.evaluate(context)
    if isinstance(value, dict):
        try:
            return business_instant(value, context.now_ms, context.calendars)
        except CalendarError as error:
            raise ExpressionError(f"`{field}`: {error}") from error
    text = _text(value, field)
    try:
        length_ms = parse_duration(text)
    except ValueError:
        pass
    else:
        return _end(text, length_ms, context, field)
    try:
        return parse_instant(text)
    except ValueError as error:
        raise ExpressionError(f"`{field}`: {error}") from error


def duration_end(data: Data, context: ScopeContext, field: str) -> int:
    """The end of a data field that is a duration from now; UTC milliseconds.

    Raises:
        ExpressionError: it is no duration, or ends beyond the year 9999.
    """
    text = _text(data.evaluate(context), field)
    try:
        length_ms = parse_duration(text)
    except ValueError as error:
        raise ExpressionError(f"`{field}`: {error}") from error
    return _end(text, length_ms, context, field)


def later(now_ms: int, length_ms: int) -> int:
    """An instant so much later; the last of the year 9999 where that would lie beyond it.

    For what has no way to fail: back-offs, and whom a task goes to as well after a while.
    """
    return min(now_ms + length_ms, INSTANT_MS_MAX)


def task_facts(human: Human, context: ScopeContext) -> TaskFacts:
    """What a human task is about: whom it is for, and when it goes to others as well."""
    return TaskFacts(
        assignees=people(human.assignees, context, "assignees"),
        candidates=people(human.candidates, context, "candidates"),
        escalate_at_ms=tuple(later(context.now_ms, each.after_ms) for each in human.escalations),
    )


def people(data: Data | None, context: ScopeContext, field: str) -> tuple[str, ...]:
    """A data field that names persons and groups: a text, or a list of texts."""
    return tuple(_names(data, context, field))


def _names(data: Data | None, context: ScopeContext, field: str) -> Iterator[str]:
    value = None if data is None else data.evaluate(context)
    for name in value if isinstance(value, list) else [] if value is None else [value]:
        if not isinstance(name, str):
            raise ExpressionError(f"`{field}` must be names, here is {type(name).__name__}")
        yield name


def _end(text: str, length_ms: int, context: ScopeContext, field: str) -> int:
    end_ms = context.now_ms + length_ms
    if end_ms > INSTANT_MS_MAX:
        now = format_instant(context.now_ms)
        raise ExpressionError(f"`{field}`: {text!r} from {now} ends beyond the year 9999")
    return end_ms


def _text(value: Value, field: str) -> str:
    if not isinstance(value, str):
        shown = "null" if value is None else repr(value)[:40]
        raise ExpressionError(f"`{field}` needs a text such as '90s', here is {shown}")
    return value

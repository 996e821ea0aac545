"""Histories in words: every event there is, with as little as it may say and with all of it."""

from __future__ import annotations

import types
import typing
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from msgspec import NODEFAULT, structs

from heliostat.actors.host.rendering import render
from heliostat.api.cli.story import OPENED_MAX, STORIES, VALUE_CHARS_MAX, event_lines
from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import (
    Activation,
    AttemptFailed,
    ExecutionEvent,
    ExecutionRetried,
    ExecutionStarted,
    Failure,
    HandlerFired,
    OwnerChanged,
    Parent,
    RegionCanceling,
    ScopeClosing,
    SignalKept,
    StepCompleted,
    TaskAssigned,
    TaskFacts,
)
from heliostat.engine.plan.plan import Plan
from heliostat.engine.values import Reference

EVENTS = typing.get_args(ExecutionEvent)
PLAN = cast(
    "Plan",
    SimpleNamespace(
        steps=[SimpleNamespace(id=id, place=None) for id in ("charge", "ship", "ask")],
        step_by_id={"charge": 0, "ship": 1, "ask": 2},
        handlers=[SimpleNamespace(name="on_refund")],
        edges=[SimpleNamespace(source=0, target=1), SimpleNamespace(source=0, target=-1)],
    ),
)
AT = Address(1, 0, 1, 1)
FAILURE = Failure(type="Busy", message="try later", step="charge", traceback="line 1\nline 2\n")


def example(kind: Any, name: str = "") -> Any:
    """Some value of a type that events have."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return {"some": Reference("default/abc", "json", 70_000)}
    if origin in (types.UnionType, typing.Union):
        return example(next(each for each in arguments if each is not type(None)), name)
    if origin is tuple:
        each = arguments[:1] if arguments[-1] is Ellipsis else arguments
        return tuple(example(part, name) for part in each)
    if origin is dict:
        return {"x": example(arguments[1])}
    if kind is Address:
        return AT
    if kind is bool:
        return True
    if kind is int:
        return 0 if name in ("step", "from_step", "skipped", "taken", "handler") else 1
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return built(kind, whole=True)
    return "text"


def built(kind: type[Any], *, whole: bool) -> Any:
    """An event with all of its fields, or with those that it must have."""
    hints = typing.get_type_hints(kind)
    return kind(
        **{
            field.name: example(hints[field.name], field.name)
            for field in structs.fields(kind)
            if whole or (field.default is NODEFAULT and field.default_factory is NODEFAULT)
        }
    )


def told(event: ExecutionEvent, seq: int = 1) -> str:
    """The line, from its words on."""
    return event_lines(render(PLAN, seq, event)).split("Z  ", 1)[1].partition(" ")[2].lstrip()


def test_every_event_has_a_story() -> None:
    assert set(STORIES) == {event.__struct_config__.tag for event in EVENTS}


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: str(kind.__name__))
@pytest.mark.parametrize("whole", [False, True])
def test_every_event_is_told(kind: Any, whole: bool) -> None:
    event = built(kind, whole=whole)
    rendered = render(PLAN, 12, event)
    text = event_lines(rendered)
    first = text.splitlines()[0]
    assert first.startswith(f"   12  1970-01-01T00:00:00.001Z  {rendered['type']}")
    assert "Struct" not in text
    if whole and hasattr(event, "failure"):
        assert "item 1: text" in text
    if whole and hasattr(event, "activated"):
        assert "; opens charge" in first


def test_an_event_of_a_later_release_is_shown_as_it_is() -> None:
    line = event_lines({"seq": 3, "type": "moon.rose", "at_ms": 0, "phase": "full"})
    assert line.endswith('moon.rose                   {"phase":"full"}')


class TestWords:
    def test_a_start(self) -> None:
        event = ExecutionStarted(
            at_ms=0,
            execution_id="a",
            definition="order",
            version="3",
            input={"id": 7},
            variables={"paid": False},
            parent=Parent(execution_id="p", at=AT),
            activated=(Activation(scope=1, step=0, visit=1),),
        )
        assert told(event) == (
            'order 3; with {"id":7}; as a child of p; paid = false; opens charge'
        )

    def test_a_completion_says_what_followed(self) -> None:
        event = StepCompleted(
            at_ms=0,
            at=Address(4, 0, 2, 1),
            output={"ok": True},
            assigned={"paid": True},
            appended={"seen": 7},
            taken=(0, 1),
            stdout="hello\n",
            activated=(
                Activation(scope=4, step=1, visit=1, width=3, first_scope=5),
                Activation(scope=4, step=2, visit=1, task=TaskFacts(candidates=("group:sales",))),
            ),
        )
        assert told(event) == (
            'charge (scope 4, visit 2): {"ok":true}; paid = true; seen += 7 → ship, end; '
            "opens ship (scope 4) [3 items], ask (scope 4) [asks group:sales]\n"
            "       stdout | hello"
        )

    def test_one_item_is_one(self) -> None:
        opened = (Activation(scope=1, step=1, visit=1, width=1, first_scope=2),)
        event = StepCompleted(at_ms=0, at=AT, output=None, activated=opened)
        assert told(event).endswith("opens ship [1 item]")

    def test_a_failure_has_its_traceback_below(self) -> None:
        event = AttemptFailed(at_ms=0, at=AT, failure=FAILURE, retry_at_ms=1_000)
        assert told(event) == (
            "charge: Busy: try later; again at 1970-01-01T00:00:01.000Z\n"
            "       traceback | line 1\n       traceback | line 2"
        )

    def test_people_signals_and_handlers(self) -> None:
        assert told(TaskAssigned(at_ms=0, at=AT, assignees=("bob",), user="ann")) == (
            "charge to bob by ann"
        )
        assert told(TaskAssigned(at_ms=0, at=AT, candidates=("group:x",), level=2)) == (
            "charge to group:x (escalation 2)"
        )
        assert told(SignalKept(at_ms=0, message_id="m", name="go", data=[1])) == (
            "go: [1]; no open wait takes it"
        )
        fired = HandlerFired(at_ms=0, handler=0, event_id="e-1", sent=("m",), failure=FAILURE)
        assert told(fired).startswith("on_refund takes event e-1; sends 1 message; cannot begin: ")

    def test_what_is_withdrawn(self) -> None:
        closing = ScopeClosing(at_ms=0, scope=1, canceled=True, withdrawn=(AT,), grace_until_ms=5)
        assert told(closing) == (
            "the execution: canceled; told to stop until 1970-01-01T00:00:00.005Z: 1"
        )
        assert told(ScopeClosing(at_ms=0, scope=3, step=1, visit=1)) == (
            "items of ship (scope 3): decided early"
        )
        region = RegionCanceling(at_ms=0, at=AT, output=1, skipped=(1,))
        assert told(region) == "charge: 1; never starts: ship"

    def test_a_retry_and_a_take_over(self) -> None:
        retried = ExecutionRetried(at_ms=0, message_id="m", run=2, from_step=1)
        assert told(retried) == "run 2; from step ship"
        many = tuple(Address(1, 0, 1, attempt) for attempt in range(1, 12))
        changed = OwnerChanged(at_ms=0, epoch=3, owner="host-1", reissued=many)
        assert told(changed).endswith("charge (attempt 8) and 3 more")

    def test_what_is_long_is_cut(self) -> None:
        wide = tuple(Activation(scope=n, step=0, visit=1) for n in range(2, 2_002))
        event = StepCompleted(at_ms=0, at=AT, output="x" * 500, activated=wide)
        line = told(event)
        assert "…" in line
        assert len(line) < VALUE_CHARS_MAX + OPENED_MAX * 30
        assert line.endswith(f"and {2_000 - OPENED_MAX:,} more")

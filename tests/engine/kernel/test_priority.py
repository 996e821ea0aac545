"""An execution's priority: what the start says, else the definition, else whoever started it."""

from __future__ import annotations

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.kernel.codec import decode_event, encode_event
from heliostat.engine.kernel.events import ExecutionStarted
from heliostat.engine.kernel.messages import StartChild
from heliostat.engine.kernel.settle import settle
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.kernel.stimuli import EventArrived, Start
from heliostat.engine.kernel.turn import Decision
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan


def plan_of(more: str = "") -> Plan:
    return compile_plan(
        parse_definition(
            f"""
id: d
version: "1"
{more}
handlers: [{{event: more, actions: [{{start: {{workflow: w}}}}]}}]
steps:
  - {{id: child, type: sub_workflow, workflow: w, next: aside}}
  - {{id: aside, type: sub_workflow, workflow: w, detached: true}}
"""
        )
    )


def started(plan: Plan, start: Start) -> tuple[Decision, ExecutionState]:
    state = ExecutionState()
    return settle(plan, state, start), state


@pytest.mark.parametrize(
    ("definition", "said", "inherited", "becomes"),
    [
        ("", None, None, 5),
        ("", None, 8, 8),
        ("priority: 3", None, 8, 3),
        ("priority: 3", 10, 8, 10),
        ("", 1, None, 1),
    ],
)
def test_the_most_particular_that_says_one_decides(
    definition: str, said: int | None, inherited: int | None, becomes: int
) -> None:
    start = Start(now_ms=1, execution_id="e", priority=said, inherited=inherited)
    decision, state = started(plan_of(definition), start)
    (event,) = [each for each in decision.events if isinstance(each, ExecutionStarted)]
    assert (event.priority, state.priority) == (becomes, becomes)


def test_the_usual_one_takes_no_room_in_the_history() -> None:
    decision, _ = started(plan_of(), Start(now_ms=1, execution_id="e"))
    body = encode_event(decision.events[0])
    assert b"priority" not in body
    event = decode_event(body)
    assert isinstance(event, ExecutionStarted)
    assert event.priority == 5


def test_whatever_an_execution_starts_inherits_it() -> None:
    plan = plan_of()
    decision, state = started(plan, Start(now_ms=1, execution_id="e", priority=9))
    arrived = EventArrived(now_ms=2, event_id="v", name="more", published_at_ms=2)
    both = [*decision.messages, *settle(plan, state, arrived).messages]
    told = [each.body.priority for each in both if isinstance(each.body, StartChild)]
    assert told == [9, 9]


def test_the_usual_one_is_not_passed_on() -> None:
    decision, _ = started(plan_of(), Start(now_ms=1, execution_id="e"))
    (message,) = decision.messages
    assert isinstance(message.body, StartChild)
    assert message.body.priority is None

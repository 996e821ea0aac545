"""The order in which attempts leave a host's line."""

from __future__ import annotations

from collections.abc import Sequence

from heliostat.actors.dispatch.protocol import Assignment, StepCode
from heliostat.actors.dispatch.waiting import RUN, WaitingLine
from heliostat.engine.identity import Address, ExecutionKey


def attempt(
    id: str, *, namespace: str = "n", workflow: str = "w", priority: int = 5, path_ms: int = 0
) -> Assignment:
    return Assignment(
        key=ExecutionKey(namespace, id),
        at=Address(1, 0, 1, 1),
        code=StepCode(key="k", step_id="s", target="m:f", code=None),
        input=None,
        priority=priority,
        workflow=workflow,
        path_ms=path_ms,
    )


def line(assignments: Sequence[Assignment], *, arrived_ms: float = 0) -> WaitingLine:
    made = WaitingLine()
    for assignment in assignments:
        made.add((assignment.key, assignment.at), assignment, arrived_ms)
    return made


def take_all(waiting: WaitingLine) -> list[Assignment]:
    taken = []
    while (named := waiting.peek()) is not None:
        assert waiting.take() is named
        taken.append(named)
    assert len(waiting) == 0
    return taken


def ids(assignments: Sequence[Assignment]) -> list[str]:
    return [each.key.execution_id for each in assignments]


def test_alike_they_go_as_they_came() -> None:
    some = [attempt(f"e{number}") for number in range(100)]
    assert take_all(line(some)) == some


def test_the_urgent_go_first() -> None:
    some = [attempt("low", priority=2), attempt("plain"), attempt("high", priority=9)]
    assert ids(take_all(line(some))) == ["high", "plain", "low"]


def test_the_longer_path_goes_first_within_its_bound() -> None:
    some = [attempt("short", path_ms=1_000), attempt("long", path_ms=30_000)]
    assert ids(take_all(line(some))) == ["long", "short"]
    waiting = line([attempt("early")])
    late = attempt("late", path_ms=10_000_000)
    waiting.add((late.key, late.at), late, 70_000)  # by more than a path is worth
    assert ids(take_all(waiting)) == ["early", "late"]


def test_workflows_and_namespaces_share() -> None:
    many = [attempt(f"a{number}") for number in range(10 * RUN)]
    few = [attempt(f"b{number}", workflow="other") for number in range(RUN)]
    third = [attempt(f"c{number}", namespace="m") for number in range(RUN)]
    order = ids(take_all(line([*many, *few, *third])))
    assert set(order[: 4 * RUN]) >= {*ids(few), *ids(third)}


def test_the_least_urgent_is_not_starved() -> None:
    waiting = line([attempt("least", priority=1)])
    for number in range(100 * RUN * 3):
        urgent = attempt(f"e{number}", priority=10)
        waiting.add((urgent.key, urgent.at), urgent, 0)
        waiting.peek()
        if waiting.take().key.execution_id == "least":
            return
        assert waiting.peek() is not None or len(waiting)
    raise AssertionError("it still waits")


def test_what_was_given_back_goes_before_everything() -> None:
    some = [attempt("a"), attempt("b", priority=9)]
    waiting = line(some)
    for id in ("second", "first"):
        back = attempt(id, priority=1)
        waiting.put_back((back.key, back.at), back)
    assert ids(take_all(waiting)) == ["first", "second", "b", "a"]


def test_what_is_stopped_or_another_hosts_waits_no_more() -> None:
    some = [attempt(f"e{number}", priority=1 + number % 3) for number in range(9)]
    waiting = line(some)
    assert waiting.peek() is some[2]
    assert waiting.remove((some[2].key, some[2].at))
    assert not waiting.remove((some[2].key, some[2].at))
    waiting.forget(lambda key: key.execution_id in ("e5", "e8", "e0"))
    assert sorted(ids(take_all(waiting))) == ["e1", "e3", "e4", "e6", "e7"]


def test_the_same_attempt_waits_once() -> None:
    one = attempt("e")
    assert take_all(line([one, one])) == [one]

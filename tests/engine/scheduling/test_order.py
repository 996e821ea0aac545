"""The order of service: priority, fair share, path, arrival; and nobody waits for ever."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from heliostat.engine.scheduling.order import ADVANTAGE_MS, PASSED_MAX, TURN, FairQueue


def drain(queue: FairQueue[str]) -> list[str]:
    served = []
    while (entry := queue.first()) is not None:
        served.append(queue.grant(entry))
    return served


def test_the_more_urgent_goes_first_and_equals_in_order_of_arrival() -> None:
    queue: FairQueue[str] = FairQueue()
    for number, priority in enumerate((5, 1, 10, 5, 10)):
        queue.push(number, f"{priority}.{number}", priority=priority, arrived_ms=number)
    assert drain(queue) == ["10.2", "10.4", "5.0", "5.3", "1.1"]


def test_the_longest_path_goes_first_but_not_before_who_came_a_minute_earlier() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("old", "old", priority=5, arrived_ms=0)
    queue.push("short", "short", priority=5, arrived_ms=ADVANTAGE_MS, path_ms=1_000)
    queue.push("long", "long", priority=5, arrived_ms=ADVANTAGE_MS + 1, path_ms=10**9)
    assert drain(queue) == ["old", "long", "short"]


def test_namespaces_share_alike_and_workflows_within_them() -> None:
    queue: FairQueue[str] = FairQueue()
    for n in range(40):
        queue.push(("a1", n), "a1", priority=5, namespace="a", workflow="1")
        queue.push(("a2", n), "a2", priority=5, namespace="a", workflow="2")
    for n in range(40):
        queue.push(("b", n), "b", priority=5, namespace="b", workflow="1")
    first = [queue.grant(entry) for _ in range(40) if (entry := queue.first())]
    assert first.count("b") == 20
    assert first.count("a1") == first.count("a2") == 10


def test_a_share_counts_what_is_taken_away_from_others_and_not_how_often() -> None:
    queue: FairQueue[str] = FairQueue()
    for n in range(60):
        queue.push(("large", n), "large", priority=5, namespace="large", cost=4.0)
        queue.push(("small", n), "small", priority=5, namespace="small", cost=1.0)
    first = [queue.grant(entry) for _ in range(50) if (entry := queue.first())]
    assert first.count("large") == 10
    assert first.count("small") == 40


def test_who_had_nothing_waiting_saved_nothing_up() -> None:
    queue: FairQueue[str] = FairQueue()
    for n in range(90):
        queue.push(("busy", n), "busy", priority=5, namespace="busy")
    for _ in range(50):
        entry = queue.first()
        assert entry is not None
        queue.grant(entry)
    for n in range(20):
        queue.push(("late", n), "late", priority=5, namespace="late")
    first = [queue.grant(entry) for _ in range(20) if (entry := queue.first())]
    assert abs(first.count("late") - 10) <= 1


def test_lanes_that_have_no_room_are_passed_over() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("gpu", "gpu", priority=10, lane="gpu")
    queue.push("cpu", "cpu", priority=1, lane="cpu")
    entry = queue.first({"gpu"})
    assert entry is not None
    assert queue.grant(entry) == "cpu"
    assert queue.first({"gpu"}) is None
    assert len(queue) == 1


def test_the_least_urgent_is_served_under_a_flood_of_the_most_urgent() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("least", "least", priority=1)
    for n in range(2 * (PASSED_MAX + TURN)):
        queue.push(n, "most", priority=10)
        entry = queue.first()
        assert entry is not None
        if queue.grant(entry) == "least":
            assert n >= PASSED_MAX  # and not before: a handful comes in plain order
            return
    raise AssertionError("the least urgent was never served")


def test_of_the_overdue_every_priority_has_its_turn() -> None:
    queue: FairQueue[str] = FairQueue()
    for n in range(5_000):
        queue.push(("nine", n), "nine", priority=9)
    queue.push("three", "three", priority=3)
    served = [queue.grant(entry) for _ in range(PASSED_MAX + 3 * TURN) if (entry := queue.first())]
    assert "three" in served


def test_nothing_that_left_is_kept() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("stuck", "stuck", priority=5, workflow="w", lane="l", arrived_ms=-1)
    for n in range(5_000):
        queue.push(n, "x", priority=5, workflow="w", lane="l", arrived_ms=n)
        queue.remove(n)
    level = queue._priorities[5]
    assert len(level.arrivals["l"]) == 1
    assert len(level.namespaces[""].workflows["w"].lanes["l"].heap) < 10


@settings(max_examples=60)
@given(
    waiting=st.lists(st.integers(1, 10), max_size=8),
    floods=st.lists(st.tuples(st.integers(1, 10), st.integers(0, 3)), min_size=1, max_size=5),
    priority=st.integers(1, 10),
)
def test_whoever_waits_is_served_within_the_bound_whatever_arrives(
    waiting: list[int], floods: list[tuple[int, int]], priority: int
) -> None:
    queue: FairQueue[str] = FairQueue()
    for number, each in enumerate(waiting):
        queue.push(("before", number), "before", priority=each)
    queue.push("it", "it", priority=priority, cost=100.0)
    bound = PASSED_MAX + 10 * (TURN + 1) * (len(waiting) + 1)
    for n in range(bound):
        urgency, kind = floods[n % len(floods)]
        # always under a new name, which has been given nothing yet
        queue.push(n, "x", priority=urgency, namespace=f"{kind}.{n}", path_ms=10**6, arrived_ms=-n)
        entry = queue.first()
        assert entry is not None
        if queue.grant(entry) == "it":
            return
    raise AssertionError(f"not served within {bound} grants")


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 3), st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 9)
        ),
        max_size=60,
    ),
    st.integers(0, 130),
)
def test_the_order_that_is_told_is_the_order_of_service(
    pushed: list[tuple[int, str, str, int]], granted_before: int
) -> None:
    queue: FairQueue[str] = FairQueue()
    for n in range(granted_before):
        queue.push(("early", n), "early", priority=n % 3 + 1, namespace="a")
        if n % 2 and (entry := queue.first()):
            queue.grant(entry)
    for number, (priority, namespace, workflow, path) in enumerate(pushed):
        queue.push(
            number,
            "",
            priority=priority,
            namespace=namespace,
            workflow=workflow,
            arrived_ms=number,
            path_ms=path,
        )
    told = [entry.id for entry in queue.ordered()]
    served = []
    while (entry := queue.first()) is not None:
        served.append(entry.id)
        queue.grant(entry)
    assert told == served

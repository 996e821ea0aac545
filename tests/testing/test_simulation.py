"""What users test their workflows with: stand-ins, people, the world, and what a run tells."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import heliostat as hs
from heliostat.engine.errors import ExecutionCanceled, ExecutionFailed, InputError
from heliostat.engine.simulator import STORMY
from heliostat.testing import Simulation, Unended, Unscripted
from tests.engine.authoring.python import functions as f

ORDER = f.Order(id="o-1", total=2000, lines=["a", "b", "c"])
RECEIPT = f.Receipt(id="r-1", amount=5)


class Busy(Exception): ...


@hs.step(retry=hs.Retry(max_attempts=4, never_on=[KeyError]))
def reserve(order: f.Order) -> str:
    return f"reserved for {order.id}"


@hs.step
def tell(words: str) -> None: ...


@hs.workflow
def booking(order: f.Order) -> str:
    try:
        place = reserve(order)
    except Busy as error:
        tell.using(id="tell_busy")(f"busy: {error}")
        return "later"
    tell(place)
    hs.publish("order.booked", {"order": order.id})
    return place


@hs.block
def once(number: int) -> int:
    return double(number)


@hs.step
def double(number: int) -> int:
    return number * 2


@hs.workflow
def unchecked(value: Any) -> str:
    return reserve(value)


@hs.workflow
def doubling(numbers: list[int]) -> list[int]:
    return [once(number) for number in numbers]


@hs.workflow
def asking(url: str) -> int:
    return hs.http("GET", url).status


class TestSteps:
    def test_outcomes_follow_one_another_and_the_last_repeats(
        self, hs_simulation: Simulation
    ) -> None:
        hs_simulation.step(reserve).raises(Busy("full"), times=2).returns("seat 7")
        run = hs_simulation.run(booking, ORDER)
        assert run.result() == "seat 7"
        assert run.calls(reserve) == [{"order": ORDER}] * 3
        assert run.calls(tell) == [{"words": "seat 7"}]
        assert run.published == [("order.booked", {"order": "o-1"})]

    def test_a_failure_is_what_the_workflow_makes_of_it(self, hs_simulation: Simulation) -> None:
        hs_simulation.step(reserve).raises(Busy("full"))
        run = hs_simulation.run(booking, ORDER)
        assert run.result() == "later"
        assert run.steps == ["place", "tell_busy"]
        assert len(run.calls("reserve")) == 4

    def test_an_error_comes_with_its_classes(self, hs_simulation: Simulation) -> None:
        class Overrun(Busy): ...

        hs_simulation.step(reserve).raises(Overrun)
        assert hs_simulation.run(booking, ORDER).result() == "later"

    def test_a_function_stands_in_with_models_for_arguments(
        self, hs_simulation: Simulation
    ) -> None:
        hs_simulation.step(reserve).does(lambda order: f"{order.id} at {order.total:g}")
        assert hs_simulation.run(booking, ORDER).result() == "o-1 at 2000"

    def test_the_functions_themselves_may_run(self, hs_simulation: Simulation) -> None:
        hs_simulation.step(reserve).runs()
        assert hs_simulation.run(booking, ORDER).result() == "reserved for o-1"
        assert Simulation(runs_functions=True).run(booking, ORDER).result() == "reserved for o-1"

    def test_a_step_of_which_nothing_is_said_fails_the_test(
        self, hs_simulation: Simulation
    ) -> None:
        with pytest.raises(Unscripted, match=r"simulation\.step\(reserve\)\.returns"):
            hs_simulation.run(booking, ORDER)
        with pytest.raises(Unscripted, match=r"simulation\.step\('http'\)"):
            hs_simulation.run(asking, "http://example.com")

    def test_an_assertion_in_a_stand_in_fails_the_test(self, hs_simulation: Simulation) -> None:
        def checked(order: f.Order) -> str:
            assert order.total < 1000, "too much"
            return "seat"

        hs_simulation.step(reserve).does(checked)
        with pytest.raises(AssertionError, match="too much"):
            hs_simulation.run(booking, ORDER)

    def test_a_step_by_its_id_comes_before_its_function(self, hs_simulation: Simulation) -> None:
        hs_simulation.step(reserve).returns("by function")
        hs_simulation.step("place").returns("by id")
        assert hs_simulation.run(booking, ORDER).result() == "by id"

    def test_what_the_workflow_does_not_call_is_refused(self, hs_simulation: Simulation) -> None:
        hs_simulation.step("plaze").returns("x")
        with pytest.raises(InputError, match="booking calls no 'plaze': did you mean `place`"):
            hs_simulation.run(booking, ORDER)

    def test_a_request_has_its_reply_by_the_id_of_the_step(self, hs_simulation: Simulation) -> None:
        hs_simulation.step("http").returns({"status": 204, "headers": {}, "body": None})
        assert hs_simulation.run(asking, "http://example.com").result() == 204

    def test_a_lost_runner_and_one_that_hangs(self, hs_simulation: Simulation) -> None:
        hs_simulation.step(reserve).loses_runner().returns("seat")
        assert hs_simulation.run(booking, ORDER).result() == "seat"
        stuck = Simulation()
        stuck.step(reserve).hangs()
        run = stuck.run(booking, ORDER)
        with pytest.raises(Unended, match="place begins"):
            run.result()

    def test_arguments_that_do_not_fit_fail_the_step_as_on_a_runner(
        self, hs_simulation: Simulation
    ) -> None:
        hs_simulation.step(reserve).returns("seat")
        run = hs_simulation.run(unchecked, {"of": "an order"})
        assert run.failure is not None
        assert run.failure.type == "SchemaError"
        assert "the parameter 'order'" in run.failure.message

    def test_each_call_is_one_of_its_own_in_loops_over_blocks_too(self) -> None:
        for seed in range(10):
            simulation = Simulation(runs_functions=True, seed=seed, faults=STORMY)
            run = simulation.run(doubling, [1, 2, 3])
            assert run.result() == [2, 4, 6]
            assert [each["number"] for each in run.calls(double)] == [1, 2, 3]

    def test_storms_change_nothing_and_are_not_seen(self) -> None:
        for seed in range(20):
            simulation = Simulation(seed=seed, faults=STORMY)
            simulation.step(reserve).raises(Busy, times=2).returns("seat")
            run = simulation.run(booking, ORDER)
            assert run.result() == "seat"
            assert len(run.calls(reserve)) == 3


class TestPeopleAndTheWorld:
    def test_a_person_answers_in_time(self, hs_simulation: Simulation) -> None:
        hs_simulation.person("approve").answers(f.Approval(approved=True), after="3h", by="ann")
        hs_simulation.step(f.charge).returns(RECEIPT)
        hs_simulation.step(f.ship).returns("s-1")
        run = hs_simulation.run(f.saga, ORDER)
        assert run.result() == "s-1"
        assert timedelta(hours=3) < run.elapsed < timedelta(hours=4)
        assert run.tasks[0].input["id"] == "o-1"
        assert "if_not_decision_approved" in run.path
        assert run.steps == ["approve", "receipt", "ship"]

    def test_nobody_does(self, hs_simulation: Simulation) -> None:
        run = hs_simulation.run(f.saga, ORDER)
        with pytest.raises(ExecutionFailed, match="nobody approved in time"):
            run.result()
        assert run.failure is not None
        assert run.failure.type == "OrderRejected"
        assert run.elapsed == timedelta(hours=48)

    def test_events_and_signals_come_at_their_times(self, hs_simulation: Simulation) -> None:
        hs_simulation.step(f.charge).returns(RECEIPT)
        hs_simulation.step(f.ship).returns("s")
        hs_simulation.at("2h").event("carrier.picked_up", {"receipt": "other"})
        hs_simulation.at(timedelta(hours=5)).signal("stop")
        run = hs_simulation.run(f.race, ORDER)
        assert run.result() == "s"
        assert run.elapsed // timedelta(hours=1) == 5

    def test_it_is_cancelled(self, hs_simulation: Simulation) -> None:
        hs_simulation.step(f.charge).returns(RECEIPT)
        hs_simulation.at("1h").cancel("enough")
        run = hs_simulation.run(f.race, ORDER)
        with pytest.raises(ExecutionCanceled):
            run.result()
        assert run.status == "Canceled"


class TestChildren:
    def test_they_run_as_well(self, hs_simulation: Simulation) -> None:
        hs_simulation.step(f.ship).does(lambda order: f"shipped {order.id}")
        other = ORDER.model_copy(update={"id": "o-2"})
        run = hs_simulation.run(f.ship_all, [ORDER, other])
        assert run.result() == ["shipped o-1", "shipped o-2"]
        assert {each["order"].id for each in run.calls(f.ship)} == {"o-1", "o-2"}

    def test_unless_somebody_stands_in(self, hs_simulation: Simulation) -> None:
        hs_simulation.step(f.ship_parcel).returns("left").raises(Busy)
        run = hs_simulation.run(f.ship_all, [ORDER, ORDER])
        assert run.failure is not None
        assert run.failure.type == "Busy"
        assert run.calls(f.ship_parcel) == [{"order": ORDER}] * 2

    def test_by_its_functions_name_too_and_not_by_one_calls_id(
        self, hs_simulation: Simulation
    ) -> None:
        hs_simulation.step("ship_parcel").returns("left")
        assert hs_simulation.run(f.ship_all, [ORDER]).result() == ["left"]
        other = Simulation()
        other.step("each").returns("left")
        with pytest.raises(InputError, match="ship-all calls no 'each'"):
            other.run(f.ship_all, [ORDER])


A_USERS_TESTS = """
import sys

LOADED = {name for name in sys.modules if name.startswith("heliostat.")}

import heliostat as hs
from heliostat.testing import Simulation

@hs.step
def greet(name: str) -> str: ...

@hs.workflow
def hello(name: str) -> str:
    return greet(name)

def test_right(hs_simulation: Simulation) -> None:
    hs_simulation.step(greet).returns("hi")
    assert hs_simulation.run(hello, "ada").result() == "hi"

def test_tests_without_workflows_load_next_to_nothing() -> None:
    assert LOADED == {"heliostat.testing", "heliostat.testing.plugin"}

def test_wrong(hs_simulation: Simulation) -> None:
    hs_simulation.step(greet).returns("hi")
    assert hs_simulation.run(hello, "ada").result() == "ho"
"""


def test_pytest_finds_the_fixtures_and_shows_the_story_of_what_failed(tmp_path: Path) -> None:
    (tmp_path / "test_hello.py").write_text(A_USERS_TESTS)
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *("-p", "no:schemathesis"),  # to load it takes most of the time
            str(tmp_path),
        ],
        capture_output=True, text=True, timeout=280, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "1 failed, 2 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "story of hello" in ran.stdout
    assert 'greet completes: "hi"' in ran.stdout


if __name__ == "__main__":  # milliseconds of a test, as the page on testing tells them
    f.saga.compiled  # noqa: B018  # once a session
    began = time.perf_counter()
    for _ in range(200):
        TestPeopleAndTheWorld().test_a_person_answers_in_time(Simulation())
    print(f"{(time.perf_counter() - began) / 200 * 1000:.1f} ms")

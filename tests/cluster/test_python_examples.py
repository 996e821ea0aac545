"""The examples in Python run on a real Ray, as they run in the simulator."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

import heliostat as hs
from heliostat.actors.client.client import Client

from .conftest import BOUND_S

sys.path.append(str(Path(__file__).parents[2] / "examples" / "python"))

import agent as agents
import approval
import flights
import parcels
import saga
import sweep


def ended(client: Client, workflow: hs.Workflow[..., Any], *arguments: Any) -> Any:
    """The result of an execution on the session's deployment."""
    return workflow.options(client=client).start(*arguments).result(timeout=BOUND_S)


def order(**changed: Any) -> saga.Order:
    whole = {"id": "7", "item": "book", "amount": 20, "address": "Main Street", **changed}
    return saga.Order.model_validate(whole)


def test_a_saga_undoes_what_was_done(client: Client) -> None:
    assert ended(client, saga.checkout, order()) == "parcel-7 of reservation-7"
    handle = saga.checkout.options(client=client).start(order(address="nowhere"))
    with pytest.raises(hs.errors.ExecutionFailed, match="Undeliverable: nowhere"):
        handle.result(timeout=BOUND_S)
    done = [event["at"]["step"] for event in handle.history() if event["type"] == "step.completed"]
    assert [step for step in done if step in ("refund", "release")] == ["refund", "release"]


def test_people_decide(client: Client) -> None:
    claim = approval.Claim(employee="ann", manager="bob", amount=80, reason="train")
    handle = approval.reimburse.options(client=client).start(claim)
    until = time.monotonic() + BOUND_S
    while not (asked := handle.tasks(status=["Open"])):
        assert time.monotonic() < until
    assert asked[0].assignees == ("bob",)
    asked[0].complete({"verdict": "approve"}, "bob")
    assert handle.result(timeout=BOUND_S) == "80 to ann"


def test_real_flights_go_from_step_to_step_as_tables(client: Client, tmp_path: Path) -> None:
    report = ended(client, flights.delays, str(tmp_path), [1, 2])
    assert report.flights + report.canceled == 27_004 + 24_951
    assert len(report.latest) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01.parquet", "02.parquet"]


def test_the_first_trial_that_is_good_enough_stops_the_others(client: Client) -> None:
    grid = [sweep.Settings(rate=rate, epochs=10) for rate in (0.0001, 0.05)]
    assert ended(client, sweep.sweep, grid, 0.01).settings.rate == 0.05


def test_an_agent_takes_a_signal_from_outside(client: Client) -> None:
    handle = agents.agent.options(client=client).start("something")
    handle.signal("answer", "tea")
    assert handle.result(timeout=BOUND_S) == "tea"
    assert ended(client, agents.agent, "tea and cake") == "tea and cake: 7"


def test_a_thousand_executions_in_one(client: Client) -> None:
    many = [parcels.Parcel(id=str(number), grams=number * 31) for number in range(1000)]
    report = ended(client, parcels.ship_all, many)
    assert report.shipped == 968
    assert report.stayed == [str(number) for number in range(968, 1000)]

"""A workflow function is edited while an execution of it is under way."""

from __future__ import annotations

import heliostat as hs
from heliostat.engine.authoring.changes import Described, differences
from tests.engine.kernel.versions import plans_of
from tests.simulation.driven import Driven


@hs.step
def charge(order: int) -> int: ...


@hs.step
def tell(receipt: int) -> int: ...


@hs.step
def ship(receipt: int) -> int: ...


@hs.workflow(id="checkout", version="1")
def checkout(order: int) -> int:
    receipt = charge(order)
    return ship(receipt)


@hs.workflow(id="checkout", version="2")
def with_a_notice(order: int) -> int:
    if order < 0:
        hs.fail("Negative", "an order")
    receipt = charge(order)
    told = 0
    for _ in range(2):
        told = told + tell(receipt)
    label = ship(receipt)
    return label + told


@hs.workflow(id="checkout", version="3")
def renamed(order: int) -> int:
    paid = charge(order)
    return ship(paid)


PLANS = plans_of([checkout.definition, with_a_notice.definition, renamed.definition])


def test_what_lies_ahead_may_change() -> None:
    run = Driven(PLANS["1"], {"order": 7}, seed=1, failing=0)
    assert run.migrate(PLANS["2"]).refused is None
    run.finish()
    wanted = Driven(PLANS["2"], {"order": 7}, seed=1, failing=0)
    wanted.finish()
    assert run.state.status == "Completed"
    assert run.state.output == wanted.state.output


def test_a_step_that_runs_under_another_name_is_in_the_way() -> None:
    run = Driven(PLANS["1"], {"order": 7}, seed=1, failing=0)
    refused = run.migrate(PLANS["3"]).refused
    assert refused is not None
    assert [str(each) for each in refused.obstacles] == [
        "step `receipt` is running and is not in version 3"
    ]


def test_the_difference_is_told_by_steps() -> None:
    found = differences(*(Described(definition=each.definition) for each in (checkout, renamed)))
    steps = [(each.change, each.path) for each in found.changes if each.what == "step"]
    assert ("removed", "receipt") in steps
    assert ("added", "paid") in steps

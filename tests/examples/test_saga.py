"""What a failure undoes, and in which order."""

from __future__ import annotations

import pytest
from saga import (
    Declined,
    Order,
    OutOfStock,
    Undeliverable,
    charge,
    checkout,
    checkout_with_undo,
    refund,
    release,
    ship,
)

import heliostat as hs
from heliostat.testing import Simulation

ORDER = Order(id="7", item="book", amount=20, address="Main Street")


@pytest.fixture
def real() -> Simulation:
    """The steps run themselves, as they stand in the example."""
    return Simulation(runs_functions=True)


def test_nothing_is_undone_where_nothing_fails(real: Simulation) -> None:
    run = real.run(checkout, ORDER)
    assert run.result() == "parcel-7 of reservation-7"
    assert run.calls(refund) == run.calls(release) == []


def test_what_was_done_is_undone_newest_first(real: Simulation) -> None:
    run = real.run(checkout, ORDER.model_copy(update={"address": "nowhere"}))
    assert run.failure is not None
    assert (run.failure.type, run.failure.message) == ("Undeliverable", "nowhere")
    assert run.steps[-2:] == ["refund", "release"]
    assert run.calls(refund) == [{"receipt": "receipt-7"}]


@pytest.mark.parametrize(
    ("change", "error", "undone"),
    [({"item": "unicorn"}, OutOfStock, []), ({"amount": 900.0}, Declined, ["release"])],
)
def test_nothing_else_is(
    real: Simulation, change: dict[str, object], error: type[Exception], undone: list[str]
) -> None:
    run = real.run(checkout, ORDER.model_copy(update=change))
    assert run.failure is not None
    assert run.failure.type == error.__name__
    assert [step for step in run.steps if step in ("refund", "release")] == undone


def test_what_passes_is_tried_again_and_what_is_final_is_not(hs_simulation: Simulation) -> None:
    hs_simulation.runs_functions = True
    hs_simulation.step(charge).raises(ConnectionError(), times=4).runs()
    hs_simulation.step(ship).raises(Undeliverable("moved away"))
    run = hs_simulation.run(checkout, ORDER)
    assert len(run.calls(charge)) == 5
    assert len(run.calls(ship)) == 1


def test_the_words_of_undo_are_simulated(real: Simulation) -> None:
    assert real.run(checkout_with_undo, ORDER).result() == "parcel-7 of reservation-7"
    with pytest.raises(hs.errors.DefinitionError, match="HS012"):
        _ = checkout_with_undo.definition

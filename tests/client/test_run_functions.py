"""Compiled functions run and started over a real host, whose runners are this process."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import heliostat as hs
from heliostat.actors.client.client import Client
from heliostat.actors.dispatch.protocol import Assignment
from heliostat.api.cli.story import event_lines
from heliostat.engine.errors import Duplicate, ExecutionFailed, InputError
from tests.client.inprocess import deployment

BOUND_S = 60.0


class Order(BaseModel):
    id: str
    total: float


class Declined(Exception): ...


@hs.step(retry=hs.Retry(max_attempts=1))
def charge(order: Order) -> float:
    if order.total > 100:
        raise Declined("no money")
    return order.total * 2


@hs.workflow
def paid(order: Order) -> Order:
    total = charge(order)
    return Order(id=order.id, total=total)


@hs.workflow
def all_paid(orders: list[Order]) -> list[Order]:
    return hs.map(paid(order) for order in orders)


@hs.workflow
def asked(order: Order) -> str:
    won = hs.wait(go=hs.on_signal("go"))
    return f"{order.id} {won.name}"


ORDER = Order(id="o", total=5)


def work(assignment: Assignment) -> Any:
    """Calls the step that is meant, as a runner would."""
    assert assignment.code.target.endswith(":charge")
    try:
        return charge(Order.model_validate(assignment.input["order"]))
    except Declined as error:
        return error


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with deployment(tmp_path, work) as client:
        yield client


class TestRunning:
    def test_a_result_has_the_annotated_type(self, client: Client) -> None:
        assert paid.options(client=client).run(ORDER) == Order(id="o", total=10)

    async def test_without_blocking_an_event_loop(self, client: Client) -> None:
        handle = await paid.options(client=client).start_async(ORDER)
        assert await handle.result_async(BOUND_S) == Order(id="o", total=10)
        assert await paid.options(client=client).run_async(ORDER) == Order(id="o", total=10)

    def test_workflows_that_it_starts_are_registered_before_it(self, client: Client) -> None:
        assert all_paid.options(client=client).run([ORDER, ORDER]) == [Order(id="o", total=10)] * 2
        assert {each.id for each in client.definitions()} == {"paid", "all-paid"}

    def test_a_handle_can_what_handles_can(self, client: Client) -> None:
        handle = asked.options(client=client).start(ORDER)
        handle.signal("go")
        assert handle.result(BOUND_S) == "o go"
        assert handle.status().status == "Completed"

    def test_the_same_id_is_the_same_start(self, client: Client) -> None:
        on = paid.options(client=client, id="one", priority=8, tags={"a": "b"})
        assert on.start(ORDER).id == on.start(ORDER).id == "one"
        with pytest.raises(Duplicate):
            on.start(Order(id="other", total=1))
        status = client.get("one").status()
        assert (status.priority, status.tags) == (8, {"a": "b"})

    def test_a_client_starts_it_by_object_and_by_id(self, client: Client) -> None:
        assert client.start(paid, paid.input(ORDER)).result(BOUND_S) == {"id": "o", "total": 10}
        assert client.start("paid", paid.input(ORDER)).result(BOUND_S)["total"] == 10

    def test_arguments_are_checked_before_anything_starts(self, client: Client) -> None:
        with pytest.raises(TypeError, match="missing a required argument: 'order'"):
            paid.options(client=client).start()  # type: ignore[call-arg]
        with pytest.raises(InputError, match="order"):
            paid.options(client=client).start("no order").result(BOUND_S)  # type: ignore[arg-type]


class TestFailures:
    """A failure leads to the line of the function, wherever it is told."""

    LINE = 1 + Path(__file__).read_text().splitlines().index("    total = charge(order)")

    def test_what_is_raised_shows_the_line(self, client: Client) -> None:
        with pytest.raises(ExecutionFailed) as raised:
            paid.options(client=client).run(Order(id="o", total=500))
        shown = "".join(traceback.format_exception(raised.value))
        place = f"test_run_functions.py:{self.LINE}:13"
        assert f"failed in step 'total' ({place}): Declined: no money" in shown
        assert (
            f'test_run_functions.py", line {self.LINE}, in paid\n  total = charge(order)' in shown
        )

    def test_a_child_that_fails_leads_to_the_call(self, client: Client) -> None:
        with pytest.raises(ExecutionFailed) as raised:
            all_paid.options(client=client).run([Order(id="o", total=500)])
        shown = "".join(traceback.format_exception(raised.value))
        assert "no money" in shown
        assert "return hs.map(paid(order) for order in orders)" in shown

    def test_history_and_state_tell_the_place(self, client: Client) -> None:
        handle = client.start(paid, paid.input(Order(id="o", total=500)))
        with pytest.raises(ExecutionFailed, match=f"py:{self.LINE}:13"):
            handle.result(BOUND_S)
        failure = handle.status().failure
        assert failure is not None
        assert failure.place == f"test_run_functions.py:{self.LINE}:13"
        told = "\n".join(map(event_lines, handle.history()))
        assert f"Declined at {failure.place}: no money" in told

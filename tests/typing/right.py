"""What users write: every line passes mypy --strict and pyright."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypedDict, assert_type

from pydantic import BaseModel

import heliostat as hs
from heliostat.testing import Run, Simulation


class Order(BaseModel):
    id: str
    total: float
    lines: list[str] = []


@dataclass
class Label:
    number: int
    text: str | None = None


class Address(TypedDict):
    street: str


class Approval(BaseModel):
    approved: bool


class Declined(Exception): ...


@hs.step
def charge(order: Order) -> str:
    return order.id


@hs.step(
    name="print-label",
    retry=hs.Retry(max_attempts=3, on=[OSError], never_on=["Declined"]),
    timeout="30s",
    num_cpus=0.5,
    memory="1GiB",
    resources={"printer": 1},
    effects="at_most_once",
)
def print_label(order: Order, *, copies: int = 1) -> Label:
    return Label(copies)


@hs.step
def send(to: Address, at: datetime) -> None: ...


@hs.block
def line(text: str, order: Order) -> int:
    if text == "":
        return 0
    label = print_label.using(id="first", timeout="5s")(order, copies=2)
    return label.number


@hs.workflow
def parcel(order: Order) -> Label:
    return print_label(order)


@hs.workflow(id="check-out", version="3", deadline="30d", priority=7, tags={"team": "shop"})
def checkout(order: Order, express: bool = False) -> str:
    try:
        receipt = charge(order)
    except (Declined, hs.Timeout) as error:
        return f"declined: {error}"
    assert_type(receipt, str)
    if order.total > 1000:
        decision = hs.human(
            "approve", Approval, show=order, assignees=["ann"], deadline=timedelta(days=2)
        )
        assert_type(decision, Approval)
        if not decision.approved:
            hs.fail("Rejected", "no")
    labels = hs.map((parcel(order) for _ in order.lines), concurrency=5)
    assert_type(labels, list[Label])
    some = hs.map((line(each, order) for each in order.lines), completion="any")
    assert_type(some, list[int | None])
    label, number = hs.parallel(print_label(order), line("x", order))
    assert_type(label, Label)
    assert_type(number, int)
    quick, slow = hs.race(charge(order), parcel(order))
    text = quick.result if quick.done else str(slow.result.number)
    won = hs.wait(
        paid=hs.on_event("order.paid", where=hs.event.data.id == order.id),
        stop=hs.on_signal("stop"),
        late=hs.after("3d"),
    )
    hs.sleep(timedelta(minutes=5))
    send({"street": "Main Street"}, hs.now())
    hs.undo(charge, order)
    hs.publish("order.done", {"id": order.id})
    hs.signal("other", "go")
    reply = hs.http("POST", "https://example.com", body={"id": hs.uuid()})
    script = hs.script("print(1)", language="shell")
    return f"{text}{won.name}{reply.status}{script}{sum(each or 0 for each in some)}{number}"


@hs.workflow
def choose(kind: Literal["a", "b"]) -> int:
    if kind == "a":
        return 1
    hs.fail("NotYet")


def outside(order: Order) -> None:
    assert_type(checkout.result("x"), str)
    assert_type(charge(order), str)
    checkout.simulate(order, outcomes={"charge": "r-1"})
    checkout.diagram("dot")


async def run_and_started(order: Order, client: hs.Client) -> None:
    assert_type(checkout.run(order, express=True), str)
    assert_type(await checkout.run_async(order), str)
    assert_type(checkout.start(order), hs.FunctionHandle[str])
    handle = await checkout.options(client=client, id="o-1", priority=8).start_async(order)
    assert_type(handle.result(timeout=5.0), str)
    assert_type(await handle.result_async(), str)
    assert_type(checkout.options(tags={"shop": "north"}).run(order), str)
    client.register(checkout)
    client.start(checkout, checkout.input(order)).result()


def printed(order: Order, *, copies: int = 1) -> Label:
    return Label(copies, order.id)


def test(hs_simulation: Simulation) -> None:
    order = Order(id="1", total=5)
    hs_simulation.step(charge).raises(Declined, times=2).returns("r-1")
    hs_simulation.step(charge).does(lambda order: order.id)
    hs_simulation.step(print_label).does(printed)
    hs_simulation.step(parcel).returns(Label(1))
    hs_simulation.step("first").returns({"number": 3})
    hs_simulation.person("approve").answers(Approval(approved=True), after=timedelta(hours=1))
    hs_simulation.at("2h").event("order.paid", {"id": "1"}).signal("stop")
    run = hs_simulation.run(checkout, order, express=True)
    assert_type(run, Run[str])
    assert_type(run.result(), str)

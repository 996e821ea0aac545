"""Workflows as plain Python: each is compiled, simulated and type-checked by tests."""

from datetime import timedelta

from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    total: float
    lines: list[str]


class Approval(BaseModel):
    approved: bool


class Receipt(BaseModel):
    id: str
    amount: float


class BadLine(Exception): ...


@hs.step
def fetch(line: str) -> str:
    raise NotImplementedError


@hs.step
def store(document: str) -> bool:
    raise NotImplementedError


@hs.step
def note(line: str, why: str) -> bool:
    raise NotImplementedError


@hs.step(retry=hs.Retry(max_attempts=5, never_on=[BadLine]))
def charge(order: Order) -> Receipt:
    raise NotImplementedError


@hs.step
def refund(receipt: Receipt) -> None: ...


@hs.step
def job_state(job: str) -> str:
    raise NotImplementedError


@hs.step
def ship(order: Order) -> str:
    raise NotImplementedError


@hs.workflow
def saga(order: Order) -> str:
    if order.total > 1000:
        try:
            decision = hs.human(
                "approve", Approval, show=order, assignees=["group:credit"], deadline="48h"
            )
        except hs.DeadlineExceeded:
            hs.fail("OrderRejected", "nobody approved in time")  # NoReturn
        if not decision.approved:
            hs.fail("OrderRejected", f"order {order.id} was not approved")
    receipt = charge(order)
    hs.undo(refund, receipt)  # registers compensation, runs nothing
    return ship(order)


@hs.workflow
def poll(job: str) -> str:
    delay = 5
    for _ in range(20):
        state = job_state(job)
        if state != "running":
            return state
        hs.sleep(timedelta(seconds=delay))
        delay = min(delay * 2, 300)
    hs.fail("GaveUp", f"job {job} still runs")


@hs.block  # inlined as a body: own variables, no child execution
def one(line: str) -> bool:
    try:
        return store(fetch.using(timeout="30s")(line))
    except BadLine as error:
        return note(line, str(error))


@hs.workflow
def all_lines(order: Order) -> list[bool]:
    return hs.map((one(line) for line in order.lines), concurrency=20)  # the only fan-out


@hs.workflow
def race(order: Order) -> str:
    receipt = charge(order)
    won = hs.wait(
        picked=hs.on_event("carrier.picked_up", where=hs.event.data.receipt == receipt.id),
        stop=hs.on_signal("stop"),
        late=hs.after("3d"),
    )
    if won.name == "late":
        return "late"
    return ship(order)


@hs.workflow
def side_by_side(order: Order) -> str:
    stored, receipt = hs.parallel(one("header"), charge(order))  # waits for all
    return ship(order) if stored and receipt.amount > 1 else "kept"


@hs.workflow
def ship_parcel(order: Order) -> str:
    return ship(order)


@hs.workflow
def ship_all(orders: list[Order]) -> list[str]:
    return hs.map(
        (ship_parcel(order) for order in orders), concurrency=5
    )  # calling a workflow = a child execution


@hs.block
def withdrawn() -> str:
    return hs.wait(withdraw=hs.on_signal("withdraw")).name


@hs.workflow
def region(line: str) -> str:
    work, stop = hs.race(fetch(line), withdrawn())  # the first to finish; the other is withdrawn
    return "withdrawn" if stop.done else work.result

"""What users get wrong: mypy --strict and pyright both tell each line that says so, and no other."""

from pydantic import BaseModel

import heliostat as hs
from heliostat.testing import Simulation


class Order(BaseModel):
    id: str
    total: float


class Approval(BaseModel):
    approved: bool


@hs.step
def charge(order: Order) -> str:
    return order.id


@hs.step
def count(text: str) -> int:
    return len(text)


@hs.block
def both(order: Order) -> int:
    return count(charge(order))


@hs.workflow
def checkout(order: Order) -> str:
    charge("o-1")  # wrong: a text is no order
    charge(order, 1)  # wrong: too many arguments
    charge()  # wrong: too few
    charge(ordr=order)  # wrong: no such argument
    charge(order).append("x")  # wrong: a text has no append
    total: int = order.totl  # wrong: no such member
    number: str = count("x")  # wrong: it returns a number
    both(3)  # wrong: blocks have types too
    hs.human("approve", Approval, assignes=["ann"])  # wrong: a misspelt option
    hs.human("approve", Approval).aproved  # wrong: no such member of the form
    hs.human("approve", "Approval")  # wrong: the form is a class
    hs.sleep(5)  # wrong: which unit?
    hs.wait(late="3d")  # wrong: hs.after("3d")
    hs.map(count)  # wrong: a generator of calls
    labels: list[int] = hs.map((count(x) for x in ["a"]), completion="any")  # wrong: may be None
    hs.map((count(x) for x in ["a"]), completion="some")  # wrong: no such completion
    one, two, three = hs.parallel(count("a"), count("b"))  # wrong: two results
    hs.race(count("a"), count("b")).done  # wrong: two branches
    hs.http("FETCH", "https://example.com")  # wrong: no such method
    hs.undo(charge, "o-1")  # wrong: a text is no order
    hs.signal("other")  # wrong: which signal?
    hs.publish({"id": 1})  # wrong: which event?
    hs.sleeep("5s")  # wrong: no such name
    return count("x")  # wrong: a number is returned


@hs.step(retries=3)  # wrong: retry=hs.Retry(max_attempts=3)
def again() -> None: ...


@hs.step(retry=hs.Retry(attempts=3))  # wrong: max_attempts
def again_and_again() -> None: ...


@hs.workflow(prio=3)  # wrong: priority
def urgent() -> None: ...


@hs.workflow
def failing() -> None:
    hs.fail(404)  # wrong: the type is a text


def outside(order: Order) -> None:
    checkout.input("o-1")  # wrong: a text is no order
    checkout.result("x").append("y")  # wrong: the result is a text
    checkout.diagram("pdf")  # wrong: no such language


def run_and_started(order: Order) -> None:
    checkout.run()  # wrong: an order is missing
    checkout.run("o-1")  # wrong: a text is no order
    checkout.run(order).append("x")  # wrong: it is a text
    checkout.start(order, id="o-1")  # wrong: options have their own place
    checkout.options(id="o-1").start(order).result().append("x")  # wrong: it is a text
    checkout.options(key="o-1")  # wrong: no such option


def test(hs_simulation: Simulation) -> None:
    hs_simulation.step(charge).returns(7)  # wrong: it returns a text
    hs_simulation.step(charge).does(lambda one, two: "x")  # wrong: it has one argument
    hs_simulation.step(count).raises("Busy")  # wrong: an error, not its name
    hs_simulation.run(checkout)  # wrong: an order is missing
    hs_simulation.run(checkout, "o-1")  # wrong: a text is no order
    hs_simulation.run(checkout, Order(id="1", total=2)).result().append("x")  # wrong: it is a text
    hs_simulation.person("approve").returns(Approval(approved=True))  # wrong: answers

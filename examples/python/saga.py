"""An order saga: when a step fails, what was done before it is undone, newest first."""

from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    item: str
    amount: float
    address: str


class OutOfStock(Exception): ...


class Declined(Exception): ...


class Undeliverable(Exception): ...


PATIENT = hs.Retry(max_attempts=5, initial="200ms", never_on=[OutOfStock, Declined, Undeliverable])


@hs.step(retry=PATIENT)
def reserve(order: Order) -> str:
    if order.item == "unicorn":
        raise OutOfStock(order.item)
    return f"reservation-{order.id}"


@hs.step(retry=PATIENT)
def release(reservation: str) -> None:
    print(f"{reservation} is free again")


@hs.step(retry=PATIENT)
def charge(order: Order) -> str:
    if order.amount > 500:
        raise Declined(f"{order.amount:g} is beyond the limit of the card")
    return f"receipt-{order.id}"


@hs.step(retry=PATIENT)
def refund(receipt: str) -> None:
    print(f"{receipt} is paid back")


@hs.step(retry=PATIENT)
def ship(order: Order, reservation: str) -> str:
    if order.address == "nowhere":
        raise Undeliverable(order.address)
    return f"parcel-{order.id} of {reservation}"


@hs.workflow
def checkout(order: Order) -> str:
    """Each `try` holds what follows a step; its `except` undoes the step and raises again."""
    reservation = reserve(order)
    try:
        receipt = charge(order)
        try:
            return ship(order, reservation)
        except Exception:
            refund(receipt)
            raise
    except Exception:
        release(reservation)
        raise


@hs.workflow
def checkout_with_undo(order: Order) -> str:
    """The same in the words of `hs.undo`: compiled and simulated, not to be registered yet."""
    reservation = reserve(order)
    hs.undo(release, reservation)
    receipt = charge(order)
    hs.undo(refund, receipt)
    return ship(order, reservation)


if __name__ == "__main__":
    print(checkout.run(Order(id="7", item="book", amount=20, address="Main Street")))

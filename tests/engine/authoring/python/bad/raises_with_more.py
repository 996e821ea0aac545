from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    total: float
    lines: list[str] = []


@hs.step
def charge(order: Order) -> str: ...


class Declined(Exception): ...


@hs.workflow
def checkout(order: Order) -> str:
    if order.total < 0:
        raise Declined(order.id, order.total)
    return charge(order)

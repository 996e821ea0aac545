from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    total: float
    lines: list[str] = []


@hs.step
def charge(order: Order) -> str: ...


SEEN: list[str] = []


@hs.workflow
def checkout(order: Order) -> str:
    if order.id in SEEN:
        return "again"
    return charge(order)

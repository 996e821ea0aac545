from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    total: float
    lines: list[str] = []


@hs.step
def charge(order: Order) -> str: ...


@hs.workflow
def checkout(order: Order) -> str:
    for index, (a, *b) in enumerate(zip(order.lines, order.lines)):
        charge(order)
    return "done"

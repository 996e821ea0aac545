from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    total: float
    lines: list[str] = []


@hs.step
def charge(order: Order) -> str: ...


count = 0


@hs.workflow
def checkout(order: Order) -> str:
    global count
    count += 1
    return charge(order)

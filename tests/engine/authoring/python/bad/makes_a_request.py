from urllib.request import urlopen

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
    reply = urlopen(f"http://shop/{order.id}")
    return charge(order)

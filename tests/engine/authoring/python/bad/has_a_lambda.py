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
    lines = sorted(order.lines, key=lambda line: line.lower())
    return lines[0]

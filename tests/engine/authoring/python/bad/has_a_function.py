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
    def priced(line: str) -> float:
        return 1.0

    return str([priced(line) for line in order.lines])

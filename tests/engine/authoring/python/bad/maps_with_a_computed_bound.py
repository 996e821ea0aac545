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
    receipts = hs.map((charge(order) for _ in order.lines), concurrency=len(order.lines))
    return receipts[0]

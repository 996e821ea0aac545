from decimal import Decimal

from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    total: Decimal


@hs.step
def charge(order: Order) -> str: ...


@hs.workflow
def checkout(order: Order) -> str:
    if order.total > 1000 or not order.total:
        return "no"
    return f"{order.total * 2}: {max(order.total, order.total)}"

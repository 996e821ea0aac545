from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    total: float
    lines: list[str] = []


@hs.step
def charge(order: Order) -> str: ...


def worth(order: Order) -> bool:
    return order.total > 0


@hs.workflow
def checkout(order: Order) -> str:
    return charge(order) if worth(order) else "nothing"

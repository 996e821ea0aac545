from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    total: float


@hs.step
def charge(order: Order) -> str: ...


@hs.workflow
def checkout(order: Order) -> str:
    return charge(order.model_copy(update={"total": 3}))

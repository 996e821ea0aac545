from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    total: float


@hs.step
def charge(order: Order) -> str: ...


@hs.workflow
def checkout(order: Order) -> str:
    for attempt in range(3):
        hs.sleep(2**attempt)
    return charge(order)

from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    total: float


@hs.step
def charge(order: Order) -> str: ...


@hs.workflow
def checkout(order: Order) -> str:
    if hs.human("approve", bool | Order, assignees=["ann"]):
        return charge(order)
    return hs.human("why", "str", assignees=["ann"])

from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    total: float


@hs.step
def charge(order: Order) -> str: ...


class Shop:
    @hs.step
    def pack(self, order: Order) -> str: ...


@hs.workflow
def checkout(order: Order) -> str:
    return Shop().pack(order)

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
    print(order)
    receipt = chrage(order)
    with open("x") as file:
        pass
    return receipt + 1

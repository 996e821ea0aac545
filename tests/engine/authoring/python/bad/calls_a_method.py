from pydantic import BaseModel

import heliostat as hs


class Order(BaseModel):
    id: str
    total: float
    lines: list[str] = []


@hs.step
def charge(order: Order) -> str: ...


class Order(Order):  # type: ignore[no-redef]
    def worth(self) -> bool:
        return self.total > 0


@hs.workflow
def checkout(order: Order) -> str:
    return charge(order) if order.worth() else "nothing"

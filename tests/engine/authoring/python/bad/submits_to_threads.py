from concurrent.futures import ThreadPoolExecutor

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
    with ThreadPoolExecutor() as pool:
        future = pool.submit(charge, order)
    return future.result()

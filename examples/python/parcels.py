"""Executions by the thousand: each parcel is one of its own, with an id, a history, a retry."""

from pydantic import BaseModel

import heliostat as hs


class Parcel(BaseModel):
    id: str
    grams: int


class Report(BaseModel):
    shipped: int
    stayed: list[str]


class TooHeavy(Exception): ...


@hs.step(retry=hs.Retry(max_attempts=3, never_on=[TooHeavy]))
def label(parcel: Parcel) -> str:
    if parcel.grams > 30_000:
        raise TooHeavy(parcel.id)
    return f"label-{parcel.id}"


@hs.step
def hand_over(parcel: Parcel, printed: str) -> str:
    return f"{parcel.id} under {printed}"


@hs.workflow
def ship(parcel: Parcel) -> str:
    printed = label(parcel)
    return hand_over(parcel, printed)


@hs.workflow
def ship_all(parcels: list[Parcel]) -> Report:
    """200 at a time; one that fails keeps nobody up, and can be retried by its id."""
    shipped = hs.map((ship(parcel) for parcel in parcels), concurrency=200, completion="all_done")
    stayed = [parcels[index].id for index, done in enumerate(shipped) if done is None]
    return Report(shipped=len(parcels) - len(stayed), stayed=stayed)


if __name__ == "__main__":
    print(ship_all.run([Parcel(id=str(number), grams=number * 31) for number in range(1000)]))

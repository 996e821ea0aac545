"""Slot leases: what is not renewed is free again, and nobody gets more than there is."""

from __future__ import annotations

from heliostat.actors.dispatch.slots import SlotCount, SlotHolding, SlotRequest
from heliostat.engine.plan.plan import Resources


class Clock:
    now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


def slots(count: int) -> tuple[SlotCount, Clock]:
    clock = Clock()
    return SlotCount("node", count, clock), clock


def test_no_more_is_granted_than_there_is() -> None:
    granted, _ = slots(2)
    holding = SlotHolding(granted, holder="a", ttl_ms=100)
    assert [holding.take(index) for index in range(3)] == [True, True, False]
    holding.give_back(0)
    assert holding.take(2)


def test_what_is_not_renewed_is_free_again() -> None:
    granted, clock = slots(1)
    first, second = (SlotHolding(granted, holder=name, ttl_ms=100) for name in "ab")
    assert first.take(0)
    clock.now_ms = 99
    assert not second.take(1)
    assert first.renew() == []
    clock.now_ms = 198
    assert not second.take(1)
    clock.now_ms = 200
    assert second.take(1)
    assert first.renew() == [0]


def test_a_shape_is_left_to_ray() -> None:
    granted, _ = slots(1)
    shape = Resources(num_cpus=1)
    assert granted.request(SlotRequest(holder="a", count=1, ttl_ms=100, shape=shape)) == []

"""What imported steps do: wait without computing, or compute for a known time."""

from __future__ import annotations

import time

import pytest

from heliostat.api.importing import work
from heliostat.api.importing.work import burn, sleep


def test_sleeping_takes_its_time_and_no_cpu() -> None:
    begun, used = time.perf_counter(), time.thread_time()
    assert sleep(0.3) >= 0.3
    assert time.perf_counter() - begun >= 0.3
    assert time.thread_time() - used < 0.3  # a collection of garbage may fall into it


def test_burning_uses_as_much_cpu_as_said() -> None:
    used = time.thread_time()
    took = burn(0.1)
    assert time.thread_time() - used >= 0.1
    assert took >= 0.1


class Counted:
    """In place of the module `time`: each look at the CPU's clock finds a tenth of a second more,
    and whoever sleeps is noted."""

    def __init__(self) -> None:
        self.looks, self.slept = 0, list[float]()

    def perf_counter(self) -> float:
        return 0.0

    def thread_time(self) -> float:
        self.looks += 1
        return self.looks / 10

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.mark.parametrize(("seconds", "looks"), [(0.0, 2), (0.25, 4), (1.05, 12)])
def test_burning_ends_at_the_first_look_that_finds_enough(
    monkeypatch: pytest.MonkeyPatch, seconds: float, looks: int
) -> None:
    monkeypatch.setattr(work, "time", clock := Counted())
    burn(seconds)
    assert clock.looks == looks


def test_no_time_is_slept_for_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "time", clock := Counted())
    sleep(0.0)
    sleep(-1.0)
    assert clock.slept == [0.0, 0.0]

"""What imported steps do: wait without computing, or compute for a known time."""

from __future__ import annotations

import time

from heliostat.api.importing.work import burn, sleep


def test_sleeping_takes_its_time_and_no_cpu() -> None:
    begun, used = time.perf_counter(), time.thread_time()
    assert sleep(0.1) >= 0.1
    assert time.perf_counter() - begun >= 0.1
    assert time.thread_time() - used < 0.05


def test_burning_uses_as_much_cpu_as_said() -> None:
    used = time.thread_time()
    took = burn(0.1)
    assert 0.1 <= time.thread_time() - used < 0.15
    assert took >= 0.1


def test_nothing_is_done_in_no_time() -> None:
    assert sleep(0.0) < 0.1
    assert burn(0.0) < 0.1

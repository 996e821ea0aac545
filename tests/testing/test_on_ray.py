"""The fixture that starts a deployment: steps run as they do in production."""

from __future__ import annotations

import heliostat as hs

BOUND_S = 120.0


@hs.step
def double(number: int) -> int:
    return number * 2


@hs.workflow
def doubled(numbers: list[int]) -> list[int]:
    return hs.map(double(number) for number in numbers)


def test_a_workflow_runs_on_the_sessions_deployment(hs_deployment: hs.Client) -> None:
    handle = doubled.options(client=hs_deployment).start([1, 2, 3])
    assert handle.result(timeout=BOUND_S) == [2, 4, 6]

"""Compiled functions over HTTP: no code travels, and all else is as within the cluster."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

import heliostat as hs
from heliostat.actors.client.client import Client
from heliostat.engine.errors import ExecutionFailed, InputError
from tests.client_http.conftest import Place

BOUND_S = 60.0

MODULE = """\
from dataclasses import dataclass

import heliostat as hs


@dataclass
class Counted:
    n: int


@hs.step
def increment(n: int) -> int:
    return n + 1


@hs.workflow
def inner(n: int) -> int:
    return increment(n)


@hs.workflow
def counted(n: int) -> Counted:
    if n < 0:
        hs.fail("Negative", f"{n}")
    return Counted(n=inner(n))
"""


@pytest.fixture
def module(place: Place, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the deployment's code folder, which is at hand here too."""
    (place.home / "functions_over_http.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(place.home))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    return importlib.import_module("functions_over_http")


def test_they_are_run_with_the_workflows_that_they_start(module: Any, over_http: Client) -> None:
    on = module.counted.options(client=over_http)
    assert on.run(1) == module.Counted(n=2)
    known = {each.id: each.version for each in over_http.definitions()}
    assert "+" in known["counted"]
    assert "+" in known["inner"]
    assert over_http.register(module.counted).existed


def test_a_failure_leads_to_the_line(module: Any, over_http: Client) -> None:
    with pytest.raises(ExecutionFailed, match=r"functions_over_http\.py:24:9\): Negative: -1"):
        module.counted.options(client=over_http).run(-1)


async def test_an_event_loop_is_not_blocked(module: Any, over_http: Client) -> None:
    handle = await module.counted.options(client=over_http, id="counted-1").start_async(3)
    assert (handle.id, await handle.result_async(BOUND_S)) == ("counted-1", module.Counted(n=4))


def test_steps_of_a_function_are_refused_with_the_cure(over_http: Client) -> None:
    @hs.step
    def nowhere(n: int) -> int:
        return n

    @hs.workflow
    def main(n: int) -> int:
        return nowhere(n)

    with pytest.raises(InputError, match=r"no code is shipped.*`nowhere`.*heliostat up --code"):
        main.options(client=over_http).run(1)

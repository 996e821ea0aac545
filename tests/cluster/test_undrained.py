"""Every actor that is made avoids the nodes that an operator drains. Nothing here starts Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util.scheduling_strategies import NotIn

from heliostat.actors import remote
from heliostat.actors.launcher import create_launcher
from heliostat.actors.launching import LauncherSettings
from heliostat.actors.objects.keeper import ObjectsSettings, create_keeper
from heliostat.actors.scheduler.handle import create_scheduler
from heliostat.actors.settings import Settings
from heliostat.actors.undrained import NODE_LABEL, DrainedNodes

PREFIX = "heliostat/w1/3"

Create = Callable[[Settings], Any]


def _launcher(settings: Settings) -> Any:
    name = f"{PREFIX}/launcher"
    return create_launcher(
        LauncherSettings(deployment="w1", name=name, blobs="b", scratch="s", environments="e")
    )


def _keeper(settings: Settings) -> Any:
    return create_keeper(ObjectsSettings(keeper=f"{PREFIX}/objects", bytes=1))


EVERY: Sequence[Create] = (
    lambda settings: remote.create_host(settings, 0),
    lambda settings: remote.create_carrier(settings, f"{PREFIX}/spare/x", None),
    remote.create_supervisor,
    create_scheduler,
    _launcher,
    _keeper,
)
NAMES = ("host", "carrier", "supervisor", "scheduler", "launcher", "keeper")


class Ray:
    """Takes down the options that an actor would be made with."""

    def __init__(self) -> None:
        self.options_used: dict[str, Any] = {}
        self.prefixes: list[str] = []
        self.drained: list[str] = []

    def __call__(self, *_: Any, **__: Any) -> Ray:
        return self

    def options(self, **options: Any) -> Ray:
        self.options_used = options
        return self

    def remote(self, *_: Any) -> str:
        return "handle"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Ray:
    fake = Ray()

    def drained(self: DrainedNodes) -> list[str]:
        fake.prefixes.append(self._prefix)
        return fake.drained

    monkeypatch.setattr(ray, "remote", fake)
    monkeypatch.setattr(DrainedNodes, "all", drained)
    return fake


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(deployment="w1", generation=3, data_dir=str(tmp_path), journal="memory")


@pytest.mark.parametrize("create", EVERY, ids=NAMES)
def test_it_is_never_put_on_a_node_that_is_drained(
    create: Create, fake: Ray, settings: Settings
) -> None:
    fake.drained = ["n1", "n2"]
    assert create(settings) == "handle"
    strategy = fake.options_used["scheduling_strategy"]
    (rule,) = strategy.hard
    assert (rule.key, type(rule.operator), rule.operator.values) == (
        NODE_LABEL,
        NotIn,
        ["n1", "n2"],
    )
    assert fake.prefixes == [f"{PREFIX}/draining/"]
    assert fake.options_used["memory"] > 0  # else Ray heeds no strategy


@pytest.mark.parametrize("create", EVERY, ids=NAMES)
def test_where_nothing_is_drained_ray_chooses(
    create: Create, fake: Ray, settings: Settings
) -> None:
    create(settings)
    assert fake.options_used["scheduling_strategy"] == "DEFAULT"

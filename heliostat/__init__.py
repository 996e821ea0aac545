"""Durable, verified workflows on Ray.

    import heliostat as hs

    with hs.connect() as client:
        client.register("order.yaml")
        print(client.start("order", {"id": "o-1"}).result())

Importing this package loads neither Ray nor anything else that is heavy: names are looked up when
they are first used. Nothing is implemented here.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client
    from heliostat.actors.client.handle import Handle
    from heliostat.actors.client.tasks import Task
    from heliostat.actors.runner.current import current
    from heliostat.cluster.connect import connect
    from heliostat.engine import errors
    from heliostat.engine.authoring.json_schema import definition_schema
    from heliostat.engine.authoring.loading import load_definition
    from heliostat.engine.authoring.steps import Retry, step
    from heliostat.engine.errors import HeliostatError
    from heliostat.engine.simulator import simulate

__all__ = [
    "Client",
    "Handle",
    "HeliostatError",
    "Retry",
    "Task",
    "__version__",
    "connect",
    "current",
    "definition_schema",
    "errors",
    "load_definition",
    "simulate",
    "step",
]

_HOMES = {
    "Client": "heliostat.actors.client.client",
    "Handle": "heliostat.actors.client.handle",
    "HeliostatError": "heliostat.engine.errors",
    "Retry": "heliostat.engine.authoring.steps",
    "Task": "heliostat.actors.client.tasks",
    "connect": "heliostat.cluster.connect",
    "current": "heliostat.actors.runner.current",
    "definition_schema": "heliostat.engine.authoring.json_schema",
    "load_definition": "heliostat.engine.authoring.loading",
    "simulate": "heliostat.engine.simulator",
    "step": "heliostat.engine.authoring.steps",
}


def __getattr__(name: str) -> object:
    if name == "errors":
        return import_module("heliostat.engine.errors")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'heliostat' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

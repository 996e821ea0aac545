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
    from heliostat.actors.client.comparing import diff
    from heliostat.actors.client.handle import Handle
    from heliostat.actors.client.tasks import Task
    from heliostat.actors.runner.current import current
    from heliostat.api.client.connecting import connect
    from heliostat.api.functions.handle import FunctionHandle
    from heliostat.api.functions.workflow import Workflow, workflow
    from heliostat.engine import errors
    from heliostat.engine.authoring.json_schema import definition_schema
    from heliostat.engine.authoring.loading import load_definition
    from heliostat.engine.authoring.python.decorators import Block, block
    from heliostat.engine.authoring.python.failures import (
        ChildFailed,
        DeadlineExceeded,
        OutOfMemory,
        PermanentServiceError,
        RunnerLost,
        SchemaError,
        ScriptError,
        ServiceError,
        StepError,
        TaskFailed,
        Timeout,
        TooFewItems,
        TransientServiceError,
        UnexpectedStatus,
    )
    from heliostat.engine.authoring.python.intrinsics import (
        NotCompiled,
        after,
        event,
        fail,
        http,
        human,
        now,
        on_event,
        on_signal,
        parallel,
        publish,
        race,
        script,
        signal,
        sleep,
        undo,
        uuid,
        wait,
    )
    from heliostat.engine.authoring.python.intrinsics import fan_out as map
    from heliostat.engine.authoring.steps import Retry, step
    from heliostat.engine.errors import HeliostatError
    from heliostat.engine.simulator import simulate

__all__ = [
    "Block",
    "ChildFailed",
    "Client",
    "DeadlineExceeded",
    "FunctionHandle",
    "Handle",
    "HeliostatError",
    "NotCompiled",
    "OutOfMemory",
    "PermanentServiceError",
    "Retry",
    "RunnerLost",
    "SchemaError",
    "ScriptError",
    "ServiceError",
    "StepError",
    "Task",
    "TaskFailed",
    "Timeout",
    "TooFewItems",
    "TransientServiceError",
    "UnexpectedStatus",
    "Workflow",
    "__version__",
    "after",
    "block",
    "connect",
    "current",
    "definition_schema",
    "diff",
    "errors",
    "event",
    "fail",
    "http",
    "human",
    "load_definition",
    "map",
    "now",
    "on_event",
    "on_signal",
    "parallel",
    "publish",
    "race",
    "script",
    "signal",
    "simulate",
    "sleep",
    "step",
    "undo",
    "uuid",
    "wait",
    "workflow",
]

_HOMES = {
    "Client": "heliostat.actors.client.client",
    "Handle": "heliostat.actors.client.handle",
    "HeliostatError": "heliostat.engine.errors",
    "Retry": "heliostat.engine.authoring.steps",
    "Task": "heliostat.actors.client.tasks",
    "connect": "heliostat.api.client.connecting",
    "current": "heliostat.actors.runner.current",
    "definition_schema": "heliostat.engine.authoring.json_schema",
    "diff": "heliostat.actors.client.comparing",
    "load_definition": "heliostat.engine.authoring.loading",
    "simulate": "heliostat.engine.simulator",
    "step": "heliostat.engine.authoring.steps",
    "workflow": "heliostat.api.functions.workflow",
    "block": "heliostat.engine.authoring.python.decorators",
    "Workflow": "heliostat.api.functions.workflow",
    "FunctionHandle": "heliostat.api.functions.handle",
    "Block": "heliostat.engine.authoring.python.decorators",
    "sleep": "heliostat.engine.authoring.python.intrinsics",
    "wait": "heliostat.engine.authoring.python.intrinsics",
    "on_event": "heliostat.engine.authoring.python.intrinsics",
    "on_signal": "heliostat.engine.authoring.python.intrinsics",
    "after": "heliostat.engine.authoring.python.intrinsics",
    "event": "heliostat.engine.authoring.python.intrinsics",
    "human": "heliostat.engine.authoring.python.intrinsics",
    "signal": "heliostat.engine.authoring.python.intrinsics",
    "publish": "heliostat.engine.authoring.python.intrinsics",
    "parallel": "heliostat.engine.authoring.python.intrinsics",
    "race": "heliostat.engine.authoring.python.intrinsics",
    "script": "heliostat.engine.authoring.python.intrinsics",
    "http": "heliostat.engine.authoring.python.intrinsics",
    "fail": "heliostat.engine.authoring.python.intrinsics",
    "undo": "heliostat.engine.authoring.python.intrinsics",
    "now": "heliostat.engine.authoring.python.intrinsics",
    "uuid": "heliostat.engine.authoring.python.intrinsics",
    "StepError": "heliostat.engine.authoring.python.failures",
    "DeadlineExceeded": "heliostat.engine.authoring.python.failures",
    "Timeout": "heliostat.engine.authoring.python.failures",
    "RunnerLost": "heliostat.engine.authoring.python.failures",
    "OutOfMemory": "heliostat.engine.authoring.python.failures",
    "SchemaError": "heliostat.engine.authoring.python.failures",
    "NotCompiled": "heliostat.engine.authoring.python.intrinsics",
    "ChildFailed": "heliostat.engine.authoring.python.failures",
    "PermanentServiceError": "heliostat.engine.authoring.python.failures",
    "ScriptError": "heliostat.engine.authoring.python.failures",
    "ServiceError": "heliostat.engine.authoring.python.failures",
    "TaskFailed": "heliostat.engine.authoring.python.failures",
    "TooFewItems": "heliostat.engine.authoring.python.failures",
    "TransientServiceError": "heliostat.engine.authoring.python.failures",
    "UnexpectedStatus": "heliostat.engine.authoring.python.failures",
}
_CALLED = {"map": "fan_out"}
"""Names that are others where they live."""


def __getattr__(name: str) -> object:
    if name == "errors":
        return import_module("heliostat.engine.errors")
    if name in _CALLED:
        intrinsics = import_module("heliostat.engine.authoring.python.intrinsics")
        found = globals()[name] = getattr(intrinsics, _CALLED[name])
        return found
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'heliostat' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

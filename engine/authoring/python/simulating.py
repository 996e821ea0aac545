"""`workflow.simulate(…)`: a compiled function in the simulator, its steps by scripted outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_jsonable_python

if TYPE_CHECKING:
    from heliostat.engine.simulator import SimulationResult

SIMULATORS: Final = (
    "outcomes", "timeline", "functions", "seed", "faults", "cancel_at_ms", "execution_id", "tags",
    "start_at_ms", "turns_max",
)  # fmt: skip
"""The keywords that are the simulator's and not the function's."""


def simulated(workflow: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> SimulationResult:
    """Run a workflow in the simulator, with those that it starts.

    Raises:
        DefinitionError: a function has faults.
        InputError: outcomes name neither a step nor a function, or have faults.
    """
    from heliostat.engine.simulator import simulate

    settings = {name: kwargs.pop(name) for name in SIMULATORS if name in kwargs}
    children = workflow.children()
    functions = dict(settings.pop("functions", None) or {})
    outcomes = dict(settings.pop("outcomes", None) or {})
    script: dict[str, Any] = {}
    for each in (workflow, *children):
        main = each is workflow
        for id, name in each.compiled.targets.items():
            key = id if main else f"{each.id}:{id}"
            told = next((k for k in (key, name) if k in outcomes), None)
            if told is not None:
                script[key] = outcome(outcomes[told])
    known = {name for each in (workflow, *children) for name in each.compiled.targets.values()}
    for key, value in outcomes.items():
        if key not in script and key not in known:
            script[key] = value
    return simulate(
        workflow.plan,
        workflow.input(*args, **kwargs),
        script,
        definitions=[each.plan for each in children],
        functions=functions,
        **settings,
    )


def outcome(told: Any) -> Any:
    """An outcome as the simulator reads it: an object of a model's is what is returned."""
    if isinstance(told, BaseException):
        bases = [each.__name__ for each in type(told).__mro__[1:] if each is not object]
        return {"raise": {"type": type(told).__name__, "message": str(told), "bases": bases}}
    if isinstance(told, type) and issubclass(told, BaseException):
        return outcome(told())
    if isinstance(told, list):
        return [outcome(each) for each in told]
    if isinstance(told, Mapping) and told.keys() and told.keys() <= {"visits", "items"}:
        return {by: outcome(each) for by, each in told.items()}
    if told is None or isinstance(told, str | int | float | Mapping) or callable(told):
        return told
    if type(told).__module__.startswith("heliostat."):
        return told
    return {"output": to_jsonable_python(told)}

"""What one attempt of a step takes, and what one visit or item of a step with steps inside holds.

Amounts are whole numbers of ten-thousandths, as Ray counts: sums of them are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from heliostat.engine.plan.plan import Plan, Resources, StepPlan

UNITS: Final = 10_000
"""Of one CPU, permit, byte or whatever is counted."""

CPUS_DEFAULT: Final = 1.0
"""CPUs of an attempt that declares other resources and no `num_cpus`; dispatch takes the same."""

Kind: TypeAlias = Literal["semaphore", "deployment", "node"]
"""Of one execution; a semaphore that all executions share; what attempts take of a node."""

_ORDER: Final[Mapping[str, int]] = {"CPU": 0, "GPU": 1, "memory": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Something that is taken and given back."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return self.name if self.kind == "node" else f"semaphore {self.name}"

    def amount(self, units: int) -> str:
        """So much of it, for people."""
        if self.kind == "node" and self.name == "memory":
            return memory(units / UNITS)
        return f"{units / UNITS:g}"


Demand: TypeAlias = Mapping[Resource, int]


def demand(step: StepPlan) -> Demand:
    """What the step itself takes: an attempt, or a visit or item that has steps inside."""
    found = {Resource(kind="semaphore", name=name): count * UNITS for name, count in step.uses}
    for name, count in step.semaphores.items():
        found[Resource(kind="deployment", name=name)] = count * UNITS
    if step.activity is not None:
        for name, amount in needs(step.activity.resources).items():
            found[Resource(kind="node", name=name)] = round(amount * UNITS)
    return found


def needs(resources: Resources) -> Mapping[str, float]:
    """What an attempt takes of a node, in Ray's names; empty where it runs on a warm runner."""
    if not resources.any:
        return {}
    cpus = resources.num_cpus if resources.num_cpus is not None else CPUS_DEFAULT
    found = {
        "CPU": cpus,
        "GPU": resources.num_gpus or 0,
        "memory": float(resources.memory or 0),
        **resources.custom,
    }
    return {name: amount for name, amount in found.items() if amount}


def resources_of(plan: Plan) -> list[Resource]:
    """All that steps of a plan take, as a report lists it."""
    found = {each for step in plan.steps if not step.retired for each in demand(step)}
    return sorted(found, key=lambda each: (each.kind, _ORDER.get(each.name, 3), each.name))


def memory(size: float) -> str:
    """Bytes for people."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.4g} {unit}"
        size /= 1024
    raise AssertionError("unreachable")

"""`@hs.step`: marks a function as an activity, and keeps the options that its author gives it.

    @hs.step(retry=hs.Retry(max_attempts=5, never_on=[BadLine]), timeout="30s")
    def charge(order: Order) -> Receipt: ...

A marked function is still called as before; only a runner, which imports it by name, looks at the
options. A definition overrides them field by field, and what both say together (`merge`) is stored
with the version: a change in the code does not change the past.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, ParamSpec, TypeVar, overload

from msgspec import Struct

from ..expressions.time import parse_duration
from ..plan import plan
from .fields import Effects, RetryPolicy, memory_bytes
from .model import ActivityStep, AttemptFields, CommonFields, RetriedFields, SubWorkflowStep

P = ParamSpec("P")
R = TypeVar("R")

GRACE_MS_DEFAULT: Final = 10_000
"""What a cancelled attempt gets to end by itself."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Which errors of an attempt are followed by another attempt, and after which back-off.

    Args:
        max_attempts: attempts at most, the first included.
        initial: the first back-off, as a duration with its unit.
        factor: what each further back-off is multiplied by.
        max: the longest back-off.
        jitter: draw each back-off from its upper half, so that many do not come back at once.
        on: error classes or their names; empty means every error.
        never_on: error classes or their names that are never retried, whatever `on` says.
    """

    max_attempts: int | None = None
    initial: str | None = None
    factor: float | None = None
    max: str | None = None
    jitter: bool | None = None
    on: Sequence[type[BaseException] | str] | None = None
    never_on: Sequence[type[BaseException] | str] | None = None


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """What a decorator said; None where it said nothing."""

    name: str | None = None
    retry: Retry = field(default_factory=Retry)
    timeout: str | None = None
    grace: str | None = None
    num_cpus: float | None = None
    num_gpus: float | None = None
    memory: int | str | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    effects: Effects | None = None


class ActivityOptions(Struct, frozen=True, kw_only=True):
    """What definition and decorator say together: how an activity is attempted. Stored."""

    retry: plan.Retry = plan.Retry()
    timeout_ms: int | None = None
    grace_ms: int = GRACE_MS_DEFAULT
    effects: Effects = "at_least_once"
    resources: plan.Resources = plan.Resources()


class Step(Generic[P, R]):
    """A function that is an activity: called, it is the function; named, it has options."""

    __heliostat__ = "step"

    def __init__(self, function: Callable[P, R], options: StepOptions) -> None:
        functools.update_wrapper(self, function)
        self.function, self.options = function, options

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def using(self, *, id: str | None = None, **options: Any) -> Step[P, R]:
        """The same function with some options replaced, for one place that calls it.

        Args:
            id: in a workflow, the step's id.
            options: as of `@hs.step`.
        """
        return Step(self.function, replace(self.options, **options))

    def __repr__(self) -> str:
        return f"<step {self.function.__module__}:{self.function.__qualname__}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        # By name where the name leads back here, as functions are pickled; else by value, for
        # a script's own functions exist in no other process.
        function = self.function
        if function.__module__ != "__main__" and "<locals>" not in function.__qualname__:
            return function.__qualname__
        return Step, (function, self.options)


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: str | None = None,
    grace: str | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: int | str | None = None,
    resources: Mapping[str, float] | None = None,
    effects: Effects | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: str | None = None,
    grace: str | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: int | str | None = None,
    resources: Mapping[str, float] | None = None,
    effects: Effects | None = None,
) -> Step[P, R] | Callable[[Callable[P, R]], Step[P, R]]:
    """Mark a function as an activity.

    Args:
        name: the name it is registered by; None registers it as `module:function`.
        retry: which errors are retried.
        timeout: bound of one attempt, as `"90s"`.
        grace: what a cancelled attempt gets to end by itself; `"0s"` kills at once.
        num_cpus: CPUs that one attempt holds.
        num_gpus: GPUs that one attempt holds.
        memory: bytes, or a text such as `"2GiB"`, that Ray sets aside for one attempt; it is not
            enforced, but an attempt that Ray ends for its memory fails as OutOfMemory.
        resources: other resources by name, as Ray's nodes declare them.
        effects: `at_most_once` if the function must never run again after a lost attempt.

    Raises:
        ValueError: an option that no definition could have either.
    """
    options = StepOptions(
        name=name,
        retry=retry if retry is not None else Retry(),
        timeout=timeout,
        grace=grace,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        memory=memory,
        resources=dict(resources or {}),
        effects=effects,
    )
    _validate(options)
    if function is not None:
        return Step(function, options)
    return lambda decorated: Step(decorated, options)


def merge(step: CommonFields, options: StepOptions | None = None) -> ActivityOptions:
    """What the step's fields and the decorator's options say together, the step first.

    A step that makes no attempt has the defaults; a body, a parallel step and a `sub_workflow`
    have what they can say: their `retry`, the last a `grace` too.
    """
    said = options if options is not None else StepOptions()
    if not isinstance(step, AttemptFields):
        grace = step.grace if isinstance(step, SubWorkflowStep) else None
        return ActivityOptions(
            retry=_merged_retry(step.retry, said.retry)
            if isinstance(step, RetriedFields)
            else plan.Retry(),
            grace_ms=GRACE_MS_DEFAULT if grace is None else parse_duration(grace),
        )
    needs, custom = step.resources, {**said.resources, **step.resources.custom}
    timeout = step.timeout if step.given("timeout") else said.timeout
    grace = step.grace if step.given("grace") or said.grace is None else said.grace
    effects = step.effects if step.given("effects") or said.effects is None else said.effects
    memory = needs.memory if needs.given("memory") else said.memory
    return ActivityOptions(
        retry=_merged_retry(step.retry, said.retry),
        timeout_ms=None if timeout is None else parse_duration(timeout),
        grace_ms=parse_duration(grace),
        effects=effects,
        resources=plan.Resources(
            num_cpus=needs.num_cpus if needs.given("num_cpus") else said.num_cpus,
            num_gpus=needs.num_gpus if needs.given("num_gpus") else said.num_gpus,
            memory=None if memory is None else memory_bytes(memory),
            custom={name: float(custom[name]) for name in sorted(custom)},
            runtime_env=needs.runtime_env,
        ),
    )


def _merged_retry(policy: RetryPolicy, said: Retry) -> plan.Retry:
    def of(field: str) -> Any:
        value = getattr(said, field)
        return getattr(policy, field) if policy.given(field) or value is None else value

    return plan.Retry(
        max_attempts=of("max_attempts"),
        initial_ms=parse_duration(of("initial")),
        factor=float(of("factor")),
        max_ms=parse_duration(of("max")),
        jitter=of("jitter"),
        on=_error_names(of("on")),
        never_on=_error_names(of("never_on")),
    )


def _error_names(errors: Sequence[type[BaseException] | str]) -> tuple[str, ...]:
    return tuple(error if isinstance(error, str) else error.__name__ for error in errors)


def _validate(options: StepOptions) -> None:
    """Refuse at the decorator what a definition would be refused for."""
    retry = {
        name: value
        for name, value in vars(options.retry).items()
        if value is not None and name not in ("on", "never_on")
    }
    retry["on"] = list(_error_names(options.retry.on or ()))
    retry["never_on"] = list(_error_names(options.retry.never_on or ()))
    resources = {
        name: getattr(options, name)
        for name in ("num_cpus", "num_gpus", "memory")
        if getattr(options, name) is not None
    }
    given = {"timeout": options.timeout, "grace": options.grace, "effects": options.effects}
    ActivityStep.model_validate(
        {
            "id": "step",
            "type": "activity",
            "activity": "module:function",
            "retry": retry,
            "resources": {**resources, "custom": dict(options.resources)},
            **{name: value for name, value in given.items() if value is not None},
        }
    )

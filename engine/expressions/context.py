"""What an evaluation may read: the port `Context`, and a plain class that implements it.

The kernel implements `Context` over its state, so that nothing is copied for an evaluation. An
evaluation reads and never writes, reads each name at most as often as the text does, and may
share parts of what it read in its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, Literal, Protocol, TypeAlias

from ..values import Value
from .time import Instant


class _Missing(Enum):
    """A class of its own with a single member, which type checkers can tell apart from values."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing.MISSING
"""Nothing is there, as opposed to a null."""

Missing: TypeAlias = Literal[_Missing.MISSING]


class StepView(Protocol):
    """A step as its scope sees it: the latest ended visit's results, the latest visit's status.

    All five are read as attributes and may be computed when asked for.
    """

    @property
    def output(self) -> Value: ...
    @property
    def status(self) -> Value: ...
    @property
    def error(self) -> Value: ...
    @property
    def items(self) -> Value: ...
    @property
    def finished(self) -> Value: ...


class Context(Protocol):
    """All that `$` can reach. What is not available at a place is `None` there."""

    @property
    def input(self) -> Value: ...
    @property
    def vars(self) -> Mapping[str, Value]: ...
    @property
    def item(self) -> Value: ...
    @property
    def index(self) -> int | None: ...
    @property
    def execution(self) -> Mapping[str, Value]: ...
    @property
    def now(self) -> Instant: ...
    @property
    def output(self) -> Value: ...
    @property
    def error(self) -> Mapping[str, Value] | None: ...
    @property
    def event(self) -> Value | None: ...
    @property
    def secrets(self) -> Mapping[str, Value] | None:
        """Sealed ones: no evaluation sees a secret's value."""
        ...

    @property
    def uuid_seed(self) -> str:
        """The address and the field; `uuid()` adds its place in the field's text."""
        ...

    def step(self, step_id: str) -> StepView | None:
        """The step of this scope or one around it; `None` if it was never visited."""
        ...

    def extract(self, root: tuple[str, ...], path: str) -> Value | Missing:
        """The part of a value that is not here, as `reads` announced it.

        Asked only when a path meets a reference. `root` is `("input",)`, `("event",)`,
        `("output",)` or `("steps", id)`, which means that step's output; `path` is canonical and
        relative to it, `$` for all of it.
        """
        ...


_EPOCH: Final = Instant(0)


class EvaluationContext:
    """A `Context` made of plain values, for whoever has them at hand."""

    __slots__ = (
        "_extract",
        "_steps",
        "error",
        "event",
        "execution",
        "index",
        "input",
        "item",
        "now",
        "output",
        "secrets",
        "uuid_seed",
        "vars",
    )

    def __init__(
        self,
        *,
        input: Value = None,
        vars: Mapping[str, Value] | None = None,
        steps: Mapping[str, StepView] | None = None,
        item: Value = None,
        index: int | None = None,
        execution: Mapping[str, Value] | None = None,
        now: Instant = _EPOCH,
        output: Value = None,
        error: Mapping[str, Value] | None = None,
        event: Value | None = None,
        secrets: Mapping[str, Value] | None = None,
        uuid_seed: str = "",
        extract: Callable[[tuple[str, ...], str], Value | Missing] | None = None,
    ) -> None:
        self.input = input
        self.vars = vars if vars is not None else {}
        self.item, self.index = item, index
        self.execution = execution if execution is not None else {}
        self.now, self.output, self.error, self.event = now, output, error, event
        self.secrets, self.uuid_seed = secrets, uuid_seed
        self._steps = steps if steps is not None else {}
        self._extract = extract

    def step(self, step_id: str) -> StepView | None:
        return self._steps.get(step_id)

    def extract(self, root: tuple[str, ...], path: str) -> Value | Missing:
        return MISSING if self._extract is None else self._extract(root, path)


class StepResult:
    """A `StepView` made of plain values."""

    __slots__ = ("error", "finished", "items", "output", "status")

    def __init__(
        self,
        *,
        output: Value = None,
        status: str | None = None,
        error: Value = None,
        items: Value = None,
        finished: Value = None,
    ) -> None:
        self.output, self.status, self.error = output, status, error
        self.items, self.finished = items, finished

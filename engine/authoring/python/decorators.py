"""`@hs.workflow` and `@hs.block`: functions that are compiled, and never called.

    @hs.workflow
    def checkout(order: Order) -> Shipment: ...

    checkout.definition      # what is registered: the object that YAML gives
    checkout.to_yaml()       # the same as text
    checkout.simulate(order, outcomes={"charge": receipt})

Here is what needs no deployment; running it is `api/functions/`. The function is compiled when one
of these is first asked for, so that it may name steps that are written below it.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Self, TypeVar

from pydantic import ConfigDict, TypeAdapter
from pydantic_core import PydanticSerializationError, to_jsonable_python

from ...errors import DefinitionError
from ...plan.compile import compile_plan
from ...plan.plan import Plan
from ..activities import check_activities
from ..drawing import Language, diagram
from ..model import Definition
from . import types
from .compiler import Compiled, compile_function
from .intrinsics import NotCompiled
from .source import Place, remember

if TYPE_CHECKING:
    from heliostat.engine.simulator import SimulationResult

P = ParamSpec("P")
R = TypeVar("R")

_ANY_OBJECT: Final = ConfigDict(arbitrary_types_allowed=True)


class Marked(Generic[P, R]):
    """A function that is compiled."""

    __heliostat__ = ""

    def __init__(self, function: Callable[P, R]) -> None:
        """Mark a function.

        Raises:
            TypeError: it is no plain function, but a class, or what another decorator made.
        """
        if not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
            raise TypeError(
                f"@hs.{self.__heliostat__} marks a function whose source is compiled, and "
                f"{function!r} is none: let it stand directly above `def`, without other decorators"
            )
        functools.update_wrapper(self, function)
        self.function = function
        remember(function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """For type checkers: what a call within a workflow gives.

        Raises:
            NotCompiled: always.
        """
        raise NotCompiled(
            f"{self.function.__name__} is compiled and never called: call it in a workflow, or use "
            ".simulate(…), .run(…) or .start(…) of a workflow"
        )

    def __repr__(self) -> str:
        name = f"{self.function.__module__}:{self.function.__qualname__}"
        return f"<{self.__heliostat__} {name}>"


class Block(Marked[P, R]):
    """A function that is inlined where it is called, with variables of its own."""

    __heliostat__ = "block"

    def using(self, *, id: str | None = None) -> Block[P, R]:
        """The same block; in a workflow, called under this id."""
        return self


class WorkflowFunction(Marked[P, R]):
    """A function that is compiled into a definition; `hs.Workflow` can run it too."""

    __heliostat__ = "workflow"

    def __init__(
        self, function: Callable[P, R], *, id: str | None = None, options: Mapping[str, Any]
    ) -> None:
        super().__init__(function)
        self.id = id or function.__name__.replace("_", "-")
        self._compiled: Compiled | None = None
        self._plan: Plan | None = None
        self._options = {name: value for name, value in options.items() if value is not None}

    def using(self, *, id: str | None = None, **options: Any) -> Self:
        """The same workflow; in a workflow, called under this id and with these options."""
        return self

    @property
    def compiled(self) -> Compiled:
        """The definition, whether or not it can be registered; made once, and again where a name
        that the function uses stands for something else meanwhile.

        Raises:
            DefinitionError: with a diagnostic for each fault.
        """
        if self._compiled is None or not self._compiled.is_current:
            self._compiled, self._plan = self._compile(), None
        return self._compiled

    def _compile(self) -> Compiled:
        compiled = compile_function(self.function, self.id, self._options)
        for warning in compiled.warnings:
            warnings.warn(warning, UserWarning, stacklevel=3)
        return compiled

    @property
    def definition(self) -> Definition:
        """The definition that is registered.

        Raises:
            DefinitionError: the function has faults, or uses what is not built yet: `hs.undo`.
        """
        compiled = self.compiled
        if compiled.undone:
            raise DefinitionError(self.function.__qualname__, compiled.undone)
        return compiled.definition

    def children(self) -> list[WorkflowFunction[..., Any]]:
        """The workflows that this one starts, and those that they start, without itself."""
        found: list[WorkflowFunction[..., Any]] = []
        waiting: list[WorkflowFunction[..., Any]] = [self]
        while waiting:
            for each in waiting.pop().compiled.workflows.values():
                if each is not self and not any(each is one for one in found):
                    found.append(each)
                    waiting.append(each)
        return found

    def to_yaml(self) -> str:
        """The definition as YAML that means the same."""
        from .yaml import as_yaml

        return as_yaml(self.definition)

    @property
    def plan(self) -> Plan:
        """What a simulation runs: the definition, and what its steps' decorators say."""
        compiled = self.compiled
        if self._plan is None:
            options = check_activities(compiled.definition, registered=compiled.steps)
            self._plan = compile_plan(compiled.definition, activities=options)
        return self._plan

    def diagram(self, language: Language = "mermaid") -> str:
        """A picture of the definition, as the text of a Mermaid flowchart or of a Graphviz graph.

        Raises:
            DefinitionError: the function has faults.
        """
        return diagram(self.compiled.definition, language)

    def input(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """The input of an execution, from the arguments of a call.

        Raises:
            TypeError: the arguments are not those of the function.
        """
        bound = inspect.signature(self.function).bind(*args, **kwargs)
        bound.apply_defaults()
        return {name: _plain(value) for name, value in bound.arguments.items()}

    def result(self, output: Any) -> R:
        """An execution's output as the annotated type."""
        made: R = self._returned.validate_python([output])[0]
        return made

    @functools.cached_property
    def _returned(self) -> TypeAdapter[list[Any]]:
        # In a list, since a model has a configuration of its own and takes none from around it.
        listed = types.given(list, types.hints(self.function).get("return", Any))
        return TypeAdapter(listed, config=_ANY_OBJECT)

    def place_of(self, step: str | None) -> Place | None:
        """Where in the source a step stands."""
        return self.compiled.places.get(step or "")

    def simulate(
        self,
        *args: Any,
        outcomes: Mapping[str, Any] | None = None,
        timeline: Iterable[Any] = (),
        functions: Mapping[str, Callable[..., Any]] | None = None,
        seed: int = 0,
        **more: Any,
    ) -> SimulationResult:
        """Run with virtual time, no Ray, and scripted outcomes; see `heliostat.simulate`.

        The arguments are those of the function; `more` may hold other options of the simulator.

        Args:
            outcomes: by a step's id, or by the name of the function that steps call; steps that
                have none return None.
            timeline: what comes from outside, each at its instant.
            functions: by the name that steps call them by, what is called in their place.
            seed: draws the order of what happens at the same time.
        """
        from .simulating import simulated

        told = {"outcomes": outcomes, "timeline": timeline, "functions": functions, "seed": seed}
        return simulated(self, args, {**more, **told})


def _plain(value: Any) -> Any:
    """An argument as JSON; tables, arrays and the like as they are."""
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:
        return value


def block(function: Callable[P, R]) -> Block[P, R]:
    """Mark a function that is inlined where a workflow calls it."""
    return Block(function)

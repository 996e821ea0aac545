"""What is known while one function is compiled: its scope, its names, what catches its errors."""

from __future__ import annotations

import ast
import builtins
import inspect
import json
import types as pytypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Union, get_origin

from ...errors import DefinitionError
from ..diagnostics import Diagnostic, Findings
from .analysis import Facts, facts_of
from .failures import names_of
from .graph import Scope, Step, Way
from .joining import join, joinable
from .names import Names, said
from .pieces import root_of
from .source import FunctionSource, Place
from .types import UNKNOWN, hints

_OF_NAMES: Final = ("HS404", "HS410", "HS413")
"""Faults of names that mean nothing, or not what they should."""


class Refusal(Exception):
    """A statement cannot be compiled; the fault is noted, the next statement is looked at."""


@dataclass(frozen=True)
class Expr:
    """An expression of the language that stands for one of Python's.

    `safe` means that evaluating it raises nothing; `boolean` that its value is one.
    """

    text: str
    type: Any = Any
    safe: bool = False
    boolean: bool = False
    path: bool = False
    constant: bool = False
    value: Any = None
    step: Step | None = None
    """The step whose output this is, untouched."""
    parts: tuple[Expr, ...] | None = None
    """Of a tuple: what unpacking it gives."""
    members: Mapping[str, Expr] | None = None
    """Of an object: what reading these members of it gives."""

    @property
    def data(self) -> Any:
        """As a data field says it."""
        if self.constant and not (isinstance(self.value, str) and "$" in self.value):
            return self.value
        return self.text if self.path else f"${{ {self.text} }}"

    @property
    def truth(self) -> str:
        """As a condition."""
        return self.text if self.boolean else f"truthy({self.text})"


def constant(value: Any) -> Expr:
    """A literal."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        text = f"({text})"
    return Expr(
        text,
        type(value),
        safe=True,
        boolean=isinstance(value, bool),
        constant=True,
        value=value,
    )


@dataclass(eq=False)
class Handler:
    """An `except` clause: the classes it takes, and the ways that lead to it."""

    node: ast.ExceptHandler
    kinds: tuple[type, ...]
    ways: list[tuple[Step, Way]] = field(default_factory=list)


@dataclass(eq=False)
class Trying:
    """A `try` whose handlers are asked."""

    handlers: list[Handler]


@dataclass(eq=False)
class Finally:
    """A `finally` that everything passes which leaves what is before it."""

    name: str
    ways: list[Way] = field(default_factory=list)
    errors: list[tuple[Step, Way]] = field(default_factory=list)
    exits: dict[str, Loop | None] = field(default_factory=dict)


@dataclass(eq=False)
class Loop:
    """A loop that `break` and `continue` mean."""

    breaks: list[Way] = field(default_factory=list)
    continues: list[Way] = field(default_factory=list)
    bound: list[frozenset[str]] = field(default_factory=list)


@dataclass
class Program:
    """What all functions of one definition share."""

    ids: Names = field(default_factory=Names)
    findings: list[Findings] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)
    """By a step's id, the name of the function that it calls."""
    steps: dict[str, Any] = field(default_factory=dict)
    """The steps that are called, by the names that the definition calls them."""
    named: dict[tuple[str, int], tuple[dict[str, Any], Any]] = field(default_factory=dict)
    """What names outside stood for, with the module's names that they were looked up in."""
    workflows: dict[str, Any] = field(default_factory=dict)
    points: list[dict[str, Any]] = field(default_factory=list)
    undone: list[Diagnostic] = field(default_factory=list)


class Frame:
    """One function on its way into a scope."""

    def __init__(
        self, program: Program, function: Any, *, prefix: str = "", within: tuple[Any, ...] = ()
    ) -> None:
        self.program, self.function, self.prefix = program, function, prefix
        self.within = (*within, function)
        self.source = FunctionSource(function)
        self.hints = hints(function)
        self.findings = self.source.findings()
        program.findings.append(self.findings)
        self.facts: Facts = facts_of(self.source.tree)
        self.scope = Scope()
        self.variables = Names()
        self.names: dict[str, Expr] = {}
        self.bound: frozenset[str] | None = frozenset()
        """Names that have a value here on every way; None where nothing leads."""
        self.frames: list[Trying | Finally | Loop] = []
        self.caught: list[str] = []
        """The variables that hold the errors of the handlers around, innermost last."""
        self.doubtful: set[str] = set()
        """Names that statements with faults would have made."""
        self.pure: str | None = None
        """Why no step may be called here, if so."""
        closure = inspect.getclosurevars(function)
        self.outside = {**vars(builtins), **function.__globals__, **closure.nonlocals}

    # -- faults

    def refuse(self, code: str, node: ast.AST, message: str, cure: str | None = None) -> Refusal:
        """Note a fault; to be raised.

        That a name is missing is no news where the statement that makes it has a fault.
        """
        if code in _OF_NAMES and root_of(node) in self.doubtful:
            return Refusal()
        start, end = self.source.offsets(node)
        self.findings.add_at(code, start, end, message, cure)
        return Refusal()

    # -- names

    def variable(self, wanted: str, initial: Any = None) -> str:
        """A new variable of the scope; its name."""
        name = self.variables.unique(wanted)
        self.scope.variables[name] = initial
        return name

    def resolve(self, node: ast.expr) -> Any:
        """The object outside of the function that a name or a dotted name stands for."""
        if isinstance(node, ast.Name):
            if node.id in self.facts.locals:
                return UNKNOWN
            return self.found_outside(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.resolve(node.value)
            if owner is UNKNOWN:
                return UNKNOWN
            if isinstance(owner, pytypes.ModuleType | type):
                return getattr(owner, node.attr, UNKNOWN)
        return UNKNOWN

    def annotation(self, node: ast.expr) -> Any:
        """The type that is written here, as `list[int]` or `Approval | None`; `UNKNOWN` if none."""
        if isinstance(node, ast.Constant) and node.value is None:
            return None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            parts = (self.annotation(node.left), self.annotation(node.right))
            return UNKNOWN if UNKNOWN in parts else Union[parts]  # noqa: UP007  # of values
        if not isinstance(node, ast.Subscript):
            found = self.resolve(node)
            return found if isinstance(found, type) or get_origin(found) is not None else UNKNOWN
        generic, inner = self.resolve(node.value), node.slice
        nodes = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if generic is Literal:
            arguments = tuple(each.value for each in nodes if isinstance(each, ast.Constant))
        else:
            arguments = tuple(self.annotation(each) for each in nodes)
        if generic is UNKNOWN or UNKNOWN in arguments or len(arguments) < len(nodes):
            return UNKNOWN
        try:
            return generic[arguments]
        except TypeError:
            return UNKNOWN

    def found_outside(self, name: str) -> Any:
        """What a name outside of the function stands for now; `UNKNOWN` if for nothing."""
        found = self.outside.get(name, UNKNOWN)
        space = self.function.__globals__
        if space.get(name, UNKNOWN) is found:
            self.program.named[name, id(space)] = (space, found)
        return found

    # -- steps

    def step_id(self, wanted: str, node: ast.AST, *, own: bool = False) -> str:
        """A free id; one of the user's that is taken is numbered with a warning."""
        base = f"{self.prefix}{wanted}"
        id = self.program.ids.unique(base)
        if own and id != base:
            place = self.source.place(node)
            self.program.warnings.append(
                f"{place}: step {base!r} is there already, this one is {id!r}: give it a name of "
                "its own by .using(id=…)"
            )
        self.program.places[id] = self.source.place(node)
        return id

    def add(
        self,
        id: str,
        fields: dict[str, Any],
        *,
        ways: list[Way] | None = None,
        raises: bool = True,
    ) -> Step:
        """Add a step where control is, with what catches its errors."""
        step = self.scope.add(Step(id, fields, raises=raises), ways)
        if raises:
            self.catch(step)
        return step

    def decide(
        self,
        wanted: str,
        node: ast.AST,
        *,
        ways: list[Way] | None = None,
        raises: bool = True,
        **fields: Any,
    ) -> Step:
        """Add a decision, which people read as what is written there.

        One that only assigns becomes part of the step before it where nobody could tell.
        """
        name = said(node)
        if ways is None and fields.keys() == {"assign"}:
            step = joinable(self.scope, fields["assign"], raises=raises, caught=self.is_caught)
            if step is not None:
                join(step, fields["assign"], name)
                if raises:
                    step.raises = True
                    self.program.places[step.id] = self.source.place(node)
                return step
        id = self.step_id(wanted, node)
        if name is not None:
            fields["name"] = name
        return self.add(id, {"type": "decision", **fields}, ways=ways, raises=raises)

    @property
    def is_caught(self) -> bool:
        """Whether errors of what is added here lead to somewhere."""
        return any(not isinstance(each, Loop) for each in self.frames)

    def catch(self, step: Step) -> None:
        """Lead the errors of a step to the handlers around it."""
        for frame in reversed(self.frames):
            if isinstance(frame, Trying):
                for handler in frame.handlers:
                    for kind in handler.kinds:
                        for name in (None,) if kind is Exception else names_of(kind):
                            if any(known.error == name for known in step.catches):
                                continue  # an earlier clause has it
                            way = Way(error=name)
                            step.catches.append(way)
                            handler.ways.append((step, way))
                        if kind is Exception:
                            return
            elif isinstance(frame, Finally):
                way = Way()
                step.catches.append(way)
                frame.errors.append((step, way))
                return

    def landed(
        self,
        errors: list[tuple[Step, Way]],
        told: dict[str, Callable[[str], Any]],
        node: ast.AST,
    ) -> list[Way]:
        """A decision for each step that may fail, which keeps the error in variables."""
        by_step: dict[Step, list[Way]] = {}
        for step, way in errors:
            by_step.setdefault(step, []).append(way)
        ways: list[Way] = []
        for step, led in by_step.items():
            self.scope.pending = led
            error = f"$.steps.{step.id}.error"
            assigned = {name: value(error) for name, value in told.items()}
            id = self.program.ids.unique(f"caught_{step.id}")
            self.program.places[id] = self.source.place(node)
            fields = {"type": "decision", "name": said(node), "assign": assigned}
            self.add(id, fields, raises=False)
            ways += self.scope.take()
        return ways


def stop(program: Program, name: str) -> None:
    """Raise what was found, all of it.

    Raises:
        DefinitionError: a function has faults.
    """
    found = [fault for findings in program.findings for fault in findings.all()]
    if found:
        raise DefinitionError(name, list(dict.fromkeys(found)))

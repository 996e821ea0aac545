"""Recording inputs without copying what the history holds already.

A visit's input is recorded in the event that activates it. Where a part of it is a large value
that an earlier event holds (a step's output, the execution's input), the part is recorded as a
`Held` in place of a copy: a thousand items that all receive one table cost one table.

Only parts written as bare paths are looked at: what an operator or a function made is new.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from msgspec import Struct

from heliostat.engine.expressions import Data, Expression
from heliostat.engine.expressions.ast import Index, Name, Path
from heliostat.engine.expressions.roots import entry
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.values import Held, Value

HELD_BYTES_MIN: Final = 1024
"""Below this a copy is cheaper than a pointer and its bookkeeping."""


class HoldingPart(Struct, frozen=True):
    """A part of a data field that passes on a value unchanged: where, and whose."""

    where: tuple[str | int, ...]  # in the field's tree
    step_id: str | None  # None: the execution's input
    path: tuple[str | int, ...]


@lru_cache(maxsize=4096)
def holding_parts(data: Data) -> tuple[HoldingPart, ...]:
    """The parts of a data field that may be recorded as `Held`."""
    found = (
        holding_part(part, where) for where, part in data.parts() if isinstance(part, Expression)
    )
    return tuple(part for part in found if part is not None)


@lru_cache(maxsize=4096)
def holding_part(expression: Expression, where: tuple[str | int, ...] = ()) -> HoldingPart | None:
    """What a bare definite path passes on, or None for any other expression."""
    node = expression.ast
    if not isinstance(node, Path) or not node.definite or node.root != "$":
        return None
    origin = entry(node)
    if origin.root == "input":
        step_id = None
    elif origin.root == "steps" and origin.field == "output":
        step_id = origin.step
    else:
        return None
    path: list[str | int] = []
    for segment in origin.rest:
        selector = segment.selectors[0]
        if isinstance(selector, Name):
            path.append(selector.name)
        elif isinstance(selector, Index) and selector.index >= 0:
            path.append(selector.index)
        else:
            return None
    return HoldingPart(where, step_id, tuple(path))


def passes_on(data: Data) -> str | None:
    """The step whose whole output a data field passes on unchanged, if it does nothing else."""
    parts = holding_parts(data)
    if len(parts) == 1 and parts[0].where == () and parts[0].path == ():
        return parts[0].step_id
    return None


def record(
    data: Data, value: Value, state: ExecutionState, context: ScopeContext
) -> tuple[Value, bool]:
    """A field's value as it is to be recorded, and whether anything in it is `Held`."""
    if not exceeds(value, HELD_BYTES_MIN):
        return value, False  # and so does no part of it
    recorded, holds = value, False
    for part in holding_parts(data):
        held = hold(part, _at(value, part.where), state, context)
        if held is not None:
            recorded, holds = _with(recorded, part.where, held), True
    return recorded, holds


def hold(
    part: HoldingPart, value: Value, state: ExecutionState, context: ScopeContext
) -> Held | None:
    """A pointer to `value`, if it is large and the history holds it."""
    if not exceeds(value, HELD_BYTES_MIN):
        return None
    if part.step_id is None:
        return Held(None, part.path) if _leads_to(state.input, part.path, value) else None
    reading = context.step(part.step_id)
    settled = reading.settled if reading is not None else None
    if settled is None or not _leads_to(settled.value, part.path, value):
        return None
    return context.pointer(part.step_id, settled, part.path)


def _leads_to(tree: Value, path: tuple[str | int, ...], value: Value) -> bool:
    """Whether the path finds this very value; one into a reference does not, it was extracted."""
    for part in path:
        if isinstance(part, str):
            if not isinstance(tree, dict):
                return False
            tree = tree[part]
        else:
            if not isinstance(tree, list):
                return False
            tree = tree[part]
    return tree is value


def exceeds(value: Value, limit: int) -> bool:
    """Whether a value takes more than about `limit` bytes; looks at no more than that much."""
    return _spend(value, limit) < 0


def _spend(value: Value, left: int) -> int:
    left -= 8
    if left < 0:
        return left
    if isinstance(value, str):
        return left - len(value)
    if isinstance(value, dict):
        for key, item in value.items():
            left = _spend(item, left - len(key))
            if left < 0:
                break
    elif isinstance(value, list):
        for item in value:
            left = _spend(item, left)
            if left < 0:
                break
    return left


def _at(tree: Value, where: tuple[str | int, ...]) -> Value:
    for part in where:
        tree = tree[part]
    return tree


def _with(tree: Value, where: tuple[str | int, ...], leaf: Value) -> Value:
    """The tree with one part replaced; what the original shares with the state stays untouched."""
    if not where:
        return leaf
    first, rest = where[0], where[1:]
    if isinstance(tree, dict):
        return {**tree, first: _with(tree[first], rest, leaf)}
    copy = list(tree)
    assert isinstance(first, int)
    copy[first] = _with(copy[first], rest, leaf)
    return copy

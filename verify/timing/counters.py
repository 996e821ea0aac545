"""Loops that count: how often a step is visited where a variable says when the loop is left.

    - id: poll
      assign: {tries: '${ $.vars.tries + 1 }'}
      next: [{when: $.output == "done", to: end}, {when: $.vars.tries >= 20, to: gave_up}, {to: pause}]

A step counts if each visit of it adds a constant to a variable of its scope that begins with a
constant and that nothing else assigns, and if, from a value on, none of its ways stays in the loop.
Conditions see what was just assigned, so that the visit that comes to this value is the last.
"""  # noqa: E501 - the example is a definition

from __future__ import annotations

from collections.abc import Collection
from math import ceil

from heliostat.engine.expressions import Expression
from heliostat.engine.expressions.ast import And, Arithmetic, Compare, Literal, Name, Node
from heliostat.engine.expressions.ast import Path as Query
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.verify.timing.durations import constant


def counted_visits(plan: Plan, step: StepPlan, loop: Collection[int]) -> int | None:
    """How often a step is visited at most each time that a token goes round a loop; None where it
    does not count.

    Args:
        loop: numbers of the steps from which each other can be reached, this one among them.
    """
    if step.when is not None or step.foreach is not None or step.split != "first":
        return None  # a skipped visit adds nothing
    if any(edge.target in loop for edge in step.error_edges):
        return None  # nor does a failed one
    for name, value in step.assign:
        adds = _added(value.expression, name)
        first = constant(plan.scopes[step.scope].variables.get(name))
        if adds is None or first is None or not _assigned_once(plan, step, name):
            continue
        match first:
            case (int() as begins,) if not isinstance(begins, bool):
                most = _leaves_at(step, name, loop)
                if most is not None:
                    return max(1, ceil((most - begins) / adds))
    return None


def _added(expression: Expression | None, name: str) -> int | None:
    """What `$.vars.name + 2` adds: whole numbers alone, since sums of others are not exact."""
    match expression and expression.ast:
        case Arithmetic(op="+", left=left, right=Literal(value=by)) if _reads(left, name):
            pass
        case Arithmetic(op="+", left=Literal(value=by), right=right) if _reads(right, name):
            pass
        case _:
            return None
    return by if isinstance(by, int) and not isinstance(by, bool) and by > 0 else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _reads(node: Node, name: str) -> bool:
    """Whether it is `$.vars.name`."""
    if not isinstance(node, Query) or node.root != "$":
        return False
    names = [each.selectors for each in node.segments if not each.descendant]
    members = [one[0].name for one in names if len(one) == 1 and isinstance(one[0], Name)]
    return len(members) == len(node.segments) and members == ["vars", name]


def _assigned_once(plan: Plan, step: StepPlan, name: str) -> bool:
    """Whether no other step assigns to any variable of this name."""
    return not any(
        name in dict(other.assign) or name in dict(other.append)
        for other in plan.steps
        if other.number != step.number
    )


def _leaves_at(step: StepPlan, name: str, loop: Collection[int]) -> float | None:
    """From which value of the variable on none of the step's ways stays in the loop."""
    found = list[float]()
    for edge in step.routes:
        condition = None if edge.when is None else edge.when.ast
        if edge.target in loop:
            below = _bound(condition, name, ("<", "<="))
            if below is None:
                return None  # a way that stays, whatever the variable is
            found.append(below)
        else:
            above = _bound(condition, name, (">", ">="), whole=True)
            if above is not None:  # from here on, this or an earlier way is taken
                found.append(above)
                break
    return max(found, default=None)


def _bound(
    condition: Node | None, name: str, ops: tuple[str, str], *, whole: bool = False
) -> float | None:
    """The number that a condition compares the variable with, so that it fails from there on (`<`)
    or holds from there on (`>=`); of several that must all hold one will do, unless the condition
    has to be this alone. After `<=` and `>` one more visit follows: it is the next whole number."""
    match condition:
        case Compare(first=first, rest=((op, Literal(value=value)),)) if _reads(first, name):
            if op in ops:
                number = _number(value)
                if number is None:
                    return None
                return number if op in ("<", ">=") else _after(number)
        case And(operands=operands) if not whole:
            bounds = [_bound(each, name, ops) for each in operands]
            known = [each for each in bounds if each is not None]
            return min(known, default=None)
    return None


def _after(number: float) -> float:
    """A bound for what is above a number: with whole steps, the next whole number."""
    return float(int(number // 1) + 1)

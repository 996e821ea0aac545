"""The order in which Python evaluates.

What calls steps cannot stand within an expression of the language. Such calls become steps before
it, in Python's order: an operand that stands before a call and may itself raise is computed by a
decision first.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from . import types
from .frame import Expr, Frame
from .graph import Way
from .intrinsics import INTRINSICS
from .names import slug
from .types import UNKNOWN


class Evaluating(Frame):
    """Knows what has to happen before an expression has a value."""

    def value(self, node: ast.expr, hint: str | None = None) -> Expr:
        """The value of an expression; `hint` is the name that it will be assigned to."""
        raise NotImplementedError

    def values(self, nodes: Sequence[ast.expr]) -> list[Expr]:
        """The values of several, evaluated from left to right."""
        found: list[Expr] = []
        for node in nodes:
            if self.calls(node):
                found = [
                    self.kept(each, before) for each, before in zip(found, nodes, strict=False)
                ]
            found.append(self.value(node))
        return found

    def truth(self, found: Expr, node: ast.expr) -> str:
        """A value as a condition."""
        if datetime not in types.options(found.type):  # every instant is true
            self.computable(node, found.type)
        return found.truth

    def computable(self, node: ast.AST, *kinds: Any) -> None:
        """Refuse to compute with what is a text here: "1.5" * 2 would be "1.51.5"."""
        kind = next((each for each in map(types.written, kinds) if each is not None), None)
        if kind is not None:
            money = "; money may be a number of cents"
            raise self.refuse(
                "HS403",
                node,
                f"a {kind.__name__} is a text here, and cannot be computed with",
                f"do it in a step{money if kind is Decimal else ''}",
            )

    def kept(self, found: Expr, node: ast.expr) -> Expr:
        """A value that is evaluated now and not later: where it may raise, by a decision."""
        if found.safe or not self.scope.reachable:
            return found
        name = self.variable("value")
        self.decide(slug("compute", node), node, assign={name: found.data})
        return Expr(f"$.vars.{name}", found.type, safe=True, path=True)

    def calls(self, node: ast.AST) -> bool:
        """Whether something has to happen before the expression has a value."""
        for each in ast.walk(node):
            if isinstance(each, ast.ListComp | ast.DictComp):
                return True
            if isinstance(each, ast.GeneratorExp):
                return True
            if isinstance(each, ast.Call) and self.makes_step(each):
                return True
        return False

    def makes_step(self, node: ast.Call) -> bool:
        """Whether a call is one of a step, a block, a workflow or of heliostat itself."""
        found = self.resolve(node.func)
        if found is UNKNOWN:
            using = node.func.func if isinstance(node.func, ast.Call) else None
            if not (isinstance(using, ast.Attribute) and using.attr == "using"):
                return False
            found = self.resolve(using.value)
        if isinstance(found, type):
            return False
        try:
            return found in INTRINSICS or hasattr(found, "__heliostat__")
        except TypeError:
            return False

    def _keep(self, node: ast.expr, name: str) -> None:
        """Evaluate into a variable."""
        self.store(self.value(node), name, node)

    def store(self, found: Expr, variable: str, node: ast.AST) -> None:
        """Put a value into a variable: by the step that has it as output, or by a decision."""
        step = found.step
        if step is not None and self.scope.steps[-1] is step:
            own = found.data.replace(f"$.steps.{step.id}.output", "$.output")
            step.fields.setdefault("assign", {})[variable] = own
            return
        if self.scope.reachable:
            self.decide(
                f"set_{variable}", node, raises=not found.safe, assign={variable: found.data}
            )

    def ways(self, test: str) -> list[Way]:
        """Two ways: one where a condition holds, one where it does not."""
        return [Way(when=test), Way()]

"""Python's operators in their strict forms; the language's own where the types leave no doubt."""

from __future__ import annotations

import ast
from datetime import datetime
from typing import Any, Final

from . import types
from .frame import Expr, constant
from .reading import Reading

ARITHMETIC: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add_strict",
    ast.Sub: "sub_strict",
    ast.Mult: "mul_strict",
    ast.Div: "div_strict",
    ast.FloorDiv: "floordiv_strict",
    ast.Mod: "mod_strict",
    ast.Pow: "pow_strict",
}
ORDER: Final[dict[type[ast.cmpop], tuple[str, str]]] = {
    ast.Lt: ("<", "lt_strict"),
    ast.LtE: ("<=", "le_strict"),
    ast.Gt: (">", "gt_strict"),
    ast.GtE: (">=", "ge_strict"),
}

_PLAIN_EQUAL: Final = (str, int, float)


class Operators(Reading):
    """Compiles arithmetic and comparisons."""

    def _binop(self, node: ast.BinOp) -> Expr:
        operate = ARITHMETIC.get(type(node.op))
        if operate is None:
            raise self.refuse("HS403", node, "bit operators are not compiled", "do it in a step")
        left, right = self.values([node.left, node.right])
        return self.arithmetic(node, operate, left, right)

    def arithmetic(
        self, node: ast.AST, operate: str, left: Expr, right: Expr, assigning: str | None = None
    ) -> Expr:
        """The result of an arithmetic operator, or of its assigning form."""
        self.computable(node, left.type, right.type)
        if operate == "mod_strict" and left.type is str:
            raise self.refuse("HS403", node, "`%` of a text is not compiled", "an f-string")
        numbers = types.is_number(left.type) and types.is_number(right.type)
        kind: Any = Any
        if numbers:
            kind = float if operate == "div_strict" or float in (left.type, right.type) else int
            kind = float | int if operate == "pow_strict" else kind
        elif operate == "add_strict":
            if left.type is str and right.type is str:
                kind = str
            elif {left.type, right.type} <= {str, int, float} and str in (left.type, right.type):
                raise self.refuse(
                    "HS412",
                    node,
                    f"`+` of {types.name_of(left.type)} and {types.name_of(right.type)}",
                    "write an f-string, or str(…)",
                )
        third = "" if assigning is None else f', "{assigning}"'
        return Expr(f"{operate}({left.text}, {right.text}{third})", kind)

    def _unaryop(self, node: ast.UnaryOp) -> Expr:
        if isinstance(node.op, ast.Not):
            inner = self.value(node.operand)
            text = f"(not {self.truth(inner, node.operand)})"
            return Expr(text, bool, safe=inner.safe, boolean=True)
        if isinstance(node.op, ast.Invert):
            raise self.refuse("HS403", node, "bit operators are not compiled", "do it in a step")
        inner = self.value(node.operand)
        self.computable(node, inner.type)
        number = inner.constant and type(inner.value) in (int, float)
        if number and isinstance(node.op, ast.USub):
            return constant(-inner.value)
        name = "neg_strict" if isinstance(node.op, ast.USub) else "pos_strict"
        return Expr(f"{name}({inner.text})", inner.type if types.is_number(inner.type) else Any)

    def _compare(self, node: ast.Compare) -> Expr:
        nodes = [node.left, *node.comparators]
        if len(nodes) > 2 and any(self.calls(each) for each in node.comparators[1:]):
            raise self.refuse(
                "HS403",
                node,
                "a chain of comparisons that calls steps is not compiled",
                "call them before and compare the results",
            )
        found = self.values(nodes)
        pairs = [
            self._pair(op, left, right, node)
            for op, left, right in zip(node.ops, found, found[1:], strict=False)
        ]
        safe = all(each.safe for each in pairs)
        if len(pairs) == 1:
            return pairs[0]
        return Expr(f"({' and '.join(e.text for e in pairs)})", bool, safe=safe, boolean=True)

    def _pair(self, op: ast.cmpop, left: Expr, right: Expr, node: ast.Compare) -> Expr:
        safe = left.safe and right.safe
        both, kinds = f"{left.text}, {right.text}", (left.type, right.type)
        if isinstance(op, ast.Is | ast.IsNot):
            alone = right.value is None or type(right.value) is bool or types.is_enum(right.type)
            if not (right.constant and alone):
                raise self.refuse(
                    "HS403",
                    node,
                    "`is` is compiled with None, True, False and members of enums only",
                    "write `==`",
                )
            sign = "==" if isinstance(op, ast.Is) else "!="
            return Expr(f"({left.text} {sign} {right.text})", bool, safe=safe, boolean=True)
        nothing = any(each.constant and each.value is None for each in (left, right))
        times = [datetime in types.options(kind) for kind in kinds]
        if not nothing and any(times) and not isinstance(op, ast.In | ast.NotIn):
            return self._of_instants(op, left, right, node)
        if not nothing:
            self.computable(node, *kinds, *map(types.element_of, kinds))
        if isinstance(op, ast.Eq | ast.NotEq):
            if any(map(types.is_apart, kinds)) and any(kind in _PLAIN_EQUAL for kind in kinds):
                shown = f"{types.name_of(left.type)} and {types.name_of(right.type)}"
                cure = "compare members, or their `.value`"
                raise self.refuse("HS412", node, f"`==` of {shown} never holds", cure)
            alike = left.type in _PLAIN_EQUAL and left.type is right.type
            texts = (left.constant and type(left.value) is str) or (
                right.constant and type(right.value) is str
            )
            if alike or texts or nothing or "$.event." in both:
                sign = "==" if isinstance(op, ast.Eq) else "!="
                return Expr(f"({left.text} {sign} {right.text})", bool, safe=safe, boolean=True)
            negated = "not " if isinstance(op, ast.NotEq) else ""
            text = f"({negated}eq_strict({both}))" if negated else f"eq_strict({both})"
            return Expr(text, bool, safe=safe, boolean=True)
        if isinstance(op, ast.In | ast.NotIn):
            text = f"in_strict({both})"
            text = f"(not {text})" if isinstance(op, ast.NotIn) else text
            return Expr(text, bool, boolean=True)
        plain, strictly = ORDER[type(op)]
        numbers = types.is_number(left.type) and types.is_number(right.type)
        if numbers or "$.event." in both:
            return Expr(f"({left.text} {plain} {right.text})", bool, safe=safe, boolean=True)
        if {*kinds} <= {str, int, float} and str in kinds and left.type is not right.type:
            raise self.refuse(
                "HS412",
                node,
                f"`{plain}` of {types.name_of(left.type)} and {types.name_of(right.type)}",
                "compare values of one type",
            )
        return Expr(f"{strictly}({both})", bool, boolean=True)

    def _of_instants(self, op: ast.cmpop, left: Expr, right: Expr, node: ast.Compare) -> Expr:
        """Two instants: their texts may say the same one in several ways."""
        equal = isinstance(op, ast.Eq | ast.NotEq)
        kinds = (left.type, right.type)
        if not all(
            kind is datetime or (not equal and datetime in types.options(kind)) for kind in kinds
        ):
            raise self.refuse(
                "HS412",
                node,
                f"this compares {types.name_of(left.type)} with {types.name_of(right.type)}",
                "compare two times: hs.now(), and what a step returns as datetime",
            )
        sign = {ast.Eq: "==", ast.NotEq: "!="}.get(type(op)) or ORDER[type(op)][0]
        text = f"(instant({left.text}) {sign} instant({right.text}))"
        return Expr(text, bool, boolean=True)

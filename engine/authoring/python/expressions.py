"""Python's expressions as expressions of the language, in strict forms.

Here is the entry, and what evaluates only a part: `and`, `or` and `if … else` whose parts call
steps become decisions that route; comprehensions become loops. The rest lies below: `operators.py`,
`reading.py`, and the order of evaluation in `evaluating.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any, Final

from .frame import Expr
from .names import slug
from .operators import Operators

_UNSUPPORTED: Final[dict[type[ast.AST], tuple[str, str, str]]] = {
    ast.Lambda: ("HS406", "a lambda is a function within the function", "write a step or a block"),
    ast.Await: ("HS409", "`await` is not compiled: calling a step waits for it", "remove `await`"),
    ast.Yield: ("HS407", "a workflow is no generator", "collect in a list and return it"),
    ast.YieldFrom: ("HS407", "a workflow is no generator", "collect in a list and return it"),
    ast.NamedExpr: ("HS403", "`:=` is not compiled", "assign on a line of its own"),
    ast.Set: ("HS403", "sets are no JSON", "use a list, or a dict"),
    ast.SetComp: ("HS403", "sets are no JSON", "use a list comprehension"),
    ast.Starred: ("HS403", "`*` is not compiled here", "name each argument"),
    ast.GeneratorExp: (
        "HS407",
        "a generator is not compiled here",
        "write a list comprehension: [… for … in …]",
    ),
}


class Expressions(Operators):
    """Compiles expressions; what they need to happen before becomes steps of the scope."""

    def call(self, node: ast.Call, hint: str | None = None) -> Expr:
        """A call; the next layer knows them."""
        raise NotImplementedError

    def value(self, node: ast.expr, hint: str | None = None) -> Expr:
        """The value of an expression; `hint` is the name that it will be assigned to."""
        if isinstance(node, ast.Call):
            return self.call(node, hint)
        if type(node) in _COMPILED:
            handle: Callable[[Any], Expr] = getattr(self, f"_{type(node).__name__.lower()}")
            return handle(node)
        code, message, cure = _UNSUPPORTED.get(
            type(node), ("HS403", f"`{ast.unparse(node)[:60]}` is not compiled", "do it in a step")
        )
        raise self.refuse(code, node, message, cure)

    # -- what evaluates only a part

    def _boolop(self, node: ast.BoolOp) -> Expr:
        if any(self.calls(each) for each in node.values):
            return self._routed_boolop(node)
        found = [self.value(each) for each in node.values]
        word = "and" if isinstance(node.op, ast.And) else "or"
        safe = all(each.safe for each in found)
        if all(each.boolean for each in found):
            text = f"({f' {word} '.join(each.text for each in found)})"
            return Expr(text, bool, safe=safe, boolean=True)
        text = found[-1].text
        for each, part in zip(reversed(found[:-1]), reversed(node.values[:-1]), strict=True):
            yes, no = (text, each.text) if word == "and" else (each.text, text)
            text = f"({yes} if {self.truth(each, part)} else {no})"
        kinds = {each.type for each in found}
        return Expr(text, kinds.pop() if len(kinds) == 1 else Any, safe=safe)

    def _routed_boolop(self, node: ast.BoolOp) -> Expr:
        result = self.variable("value")
        ended = []
        for each in node.values[:-1]:
            self._keep(each, result)
            test = self.decide(
                slug("if", each), each, ways=self.ways(f"truthy($.vars.{result})"), raises=False
            )
            go, stop = test.ways if isinstance(node.op, ast.And) else reversed(test.ways)
            ended.append(stop)
            self.scope.pending = [go]
        self._keep(node.values[-1], result)
        self.scope.pending += ended
        return Expr(f"$.vars.{result}", Any, safe=True, path=True)

    def _ifexp(self, node: ast.IfExp) -> Expr:
        if self.calls(node.body) or self.calls(node.orelse):
            return self._routed_ifexp(node)
        test = self.value(node.test)
        yes, no = self.value(node.body), self.value(node.orelse)
        text = f"({yes.text} if {self.truth(test, node.test)} else {no.text})"
        kind = yes.type if yes.type is no.type else Any
        safe = test.safe and yes.safe and no.safe
        return Expr(text, kind, safe=safe, boolean=yes.boolean and no.boolean)

    def _routed_ifexp(self, node: ast.IfExp) -> Expr:
        result = self.variable("value")
        test = self.value(node.test)
        chosen = self.decide(
            slug("if", node.test),
            node.test,
            ways=self.ways(self.truth(test, node.test)),
            raises=not test.safe,
        )
        if not self.scope.reachable:
            return Expr("null", safe=True)
        yes, no = chosen.ways
        self.scope.pending = [yes]
        self._keep(node.body, result)
        ended = self.scope.take()
        self.scope.pending = [no]
        self._keep(node.orelse, result)
        self.scope.pending += ended
        return Expr(f"$.vars.{result}", Any, safe=True, path=True)

    # -- comprehensions

    def _listcomp(self, node: ast.ListComp) -> Expr:
        return self.comprehension(node, node.generators, [node.elt], grows="list")

    def _dictcomp(self, node: ast.DictComp) -> Expr:
        return self.comprehension(node, node.generators, [node.key, node.value], grows="dict")

    def comprehension(
        self,
        node: ast.expr,
        generators: Sequence[ast.comprehension],
        parts: Sequence[ast.expr],
        *,
        grows: str,
    ) -> Expr:
        """A comprehension: a loop that fills a variable; the next layers know loops."""
        raise NotImplementedError


_COMPILED: Final = frozenset(
    {
        ast.Constant, ast.Name, ast.List, ast.Tuple, ast.Dict, ast.JoinedStr, ast.Attribute,
        ast.Subscript, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.IfExp, ast.ListComp,
        ast.DictComp,
    }
)  # fmt: skip
"""What is compiled; anything else is a fault."""

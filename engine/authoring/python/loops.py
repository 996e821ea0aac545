"""Loops and comprehensions: a decision that takes the next element, and is led back to."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import types
from .errors import Errors
from .frame import Expr, Loop
from .graph import Step, Way
from .names import slug
from .pieces import cure_of, either_way, targets_of


class Loops(Errors):
    """Compiles loops."""

    def assign(self, target: ast.expr, found: Expr, node: ast.AST) -> None:
        """Give a value to a name, or its parts to several; the last layer knows names."""
        raise NotImplementedError

    def declared(self, name: str, kind: Any = Any) -> str:
        """The variable of a name, which has a value from here on; the last layer knows."""
        raise NotImplementedError

    def _while_statement(self, node: ast.While) -> None:
        loop = Loop()
        count = len(self.scope.steps)
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        if endless or self.calls(node.test):
            self.decide(slug("while", node.test), node, raises=False)
        if endless:
            over: list[Way] = []
            head = self.scope.steps[-1]
        else:
            test = self.value(node.test)
            step = self.decide(
                slug("while", node.test),
                node.test,
                ways=self.ways(self.truth(test, node.test)),
                raises=not test.safe,
            )
            head = self.scope.steps[count]
            inside, outside = step.ways
            self.scope.pending, over = [inside], [outside]
        after = self.bound
        self.turn(loop, head, node.body)
        self.scope.pending = over
        self.bound = after if over else None
        self._after(loop, node.orelse)

    def turn(self, loop: Loop, head: Step, body: Sequence[ast.stmt]) -> None:
        """The body of a loop, led back to its head."""
        self.frames.append(loop)
        self.statements(body)
        self.frames.pop()
        self.scope.pending += loop.continues
        self.scope.lead(head)

    def _after(self, loop: Loop, orelse: Sequence[ast.stmt]) -> None:
        self.statements(orelse)
        self.scope.pending += loop.breaks
        for bound in loop.bound:
            self.bound = either_way(self.bound, bound)

    def _for_statement(self, node: ast.For) -> None:
        items = self.value(node.iter)
        if not self.scope.reachable:
            return
        loop = Loop()
        after = self.bound
        head, over = self.head(node, node.target, items)
        self.turn(loop, head, node.body)
        self.scope.pending, self.bound = [over], after
        self._after(loop, node.orelse)

    def head(self, node: ast.AST, target: ast.expr, items: Expr) -> tuple[Step, Way]:
        """The decision that takes the next element: where a loop begins, and its way out."""
        listed, index = self.variable("items"), self.variable("index")
        self.decide(
            slug("for", target),
            node,
            assign={listed: f"${{ iterate({items.text}) }}", index: 0},
        )
        kind = types.element_of(items.type)
        if isinstance(target, ast.Name):
            element = self.declared(target.id, kind)
        elif isinstance(target, ast.Tuple):
            element = self.variable("element")
        else:
            raise self.refuse("HS402", target, "only names are assigned", cure_of(target))
        there, at = f"$.vars.{listed}", f"$.vars.{index}"
        taken = f"at({there}, {at}) if {at} < len({there}) else $.vars.{element}"
        ways = [Way(when=f"{at} <= len({there})"), Way()]
        head = self.decide(
            slug("each", target),
            node,
            ways=ways,
            raises=False,
            assign={element: f"${{ {taken} }}", index: f"${{ {at} + 1 }}"},
        )
        self.scope.pending = [ways[0]]
        if isinstance(target, ast.Tuple):
            found = Expr(f"$.vars.{element}", kind, safe=True, path=True)
            self.assign(target, found, target)
        return head, ways[1]

    # -- comprehensions

    def comprehension(
        self,
        node: ast.expr,
        generators: Sequence[ast.comprehension],
        parts: Sequence[ast.expr],
        *,
        grows: str,
    ) -> Expr:
        """A comprehension as a loop with names of its own."""
        made = self.variable(grows, [] if grows == "list" else {})
        empty: Any = [] if grows == "list" else {}
        self.decide(slug("begin", grows), node, raises=False, assign={made: empty})
        names, bound = dict(self.names), self.bound
        self._nested(node, generators, parts, made)
        self.names, self.bound = names, bound
        return Expr(f"$.vars.{made}", list if grows == "list" else dict, safe=True, path=True)

    def _nested(
        self,
        node: ast.expr,
        generators: Sequence[ast.comprehension],
        parts: Sequence[ast.expr],
        made: str,
    ) -> None:
        if not generators:
            self._grow(node, parts, made)
            return
        first = generators[0]
        if first.is_async:
            raise self.refuse("HS409", first.iter, "`async for` is not compiled", "write `for`")
        items = self.value(first.iter)
        for name in targets_of(first.target):
            self.names.pop(name, None)
        head, over = self.head(node, first.target, items)
        skipped: list[Way] = []
        for test in first.ifs:
            found = self.value(test)
            step = self.decide(
                slug("if", test),
                test,
                ways=self.ways(self.truth(found, test)),
                raises=not found.safe,
            )
            self.scope.pending = [step.ways[0]]
            skipped.append(step.ways[1])
        self._nested(node, generators[1:], parts, made)
        self.scope.pending += skipped
        self.scope.lead(head)
        self.scope.pending = [over]

    def _grow(self, node: ast.expr, parts: Sequence[ast.expr], made: str) -> None:
        found = self.values(parts)
        safe = all(each.safe for each in found)
        if len(found) == 1:
            step = found[0].step
            if step is not None and self.scope.steps[-1] is step:
                text = found[0].text.replace(f"$.steps.{step.id}.output", "$.output", 1)
                step.fields.setdefault("assign", {})[made] = {"append": text}
                return
            self.decide("append", node, raises=not safe, assign={made: {"append": found[0].data}})
            return
        entry = f"entry({found[0].text}, {found[1].text})"
        value = f"${{ merge($.vars.{made}, {entry}) }}"
        self.decide("put", node, assign={made: value})

    @contextmanager
    def naming(self, target: ast.expr, value: Expr) -> Iterator[None]:
        """For a while names mean parts of a value."""
        names, bound = dict(self.names), self.bound
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, ast.Tuple):
            kinds = types.elements_of(value.type, len(target.elts))
            whole = f"unpack({value.text}, {len(target.elts)})"
            for index, each in enumerate(target.elts):
                if not isinstance(each, ast.Name):
                    raise self.refuse("HS402", each, "names only are unpacked into", None)
                self.names[each.id] = Expr(f"at({whole}, {index})", kinds[index])
        self.bound = (bound or frozenset()) | set(targets_of(target))
        yield
        self.names, self.bound = names, bound

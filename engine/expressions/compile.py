"""From syntax tree to closures: each node becomes a function of the context and a budget.

Operators raise `Failure`, which knows no place; the closure of the node adds it. Closures of
operands are compiled with `passing=False`: a value that is not here may be handed on, from a path
through lists, objects, `if` and `default` to the result, but never operated on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from ..errors import ExpressionError
from ..values import Value
from .ast import (
    And,
    Arithmetic,
    Call,
    Compare,
    Conditional,
    Default,
    ListOf,
    Literal,
    Negative,
    Node,
    Not,
    ObjectOf,
    Or,
    Path,
    children,
)
from .context import MISSING, Context
from .errors import Failure
from .functions import FUNCTIONS, call
from .limits import INTEGER_MAX, INTEGER_MIN
from .operators import ARITHMETIC, COMPARE, negate
from .paths import compile_find, compile_nodes, compile_path
from .values import Budget, Run, article

TIME_ROOTS: Final = frozenset({"now", "execution"})
TIME_FUNCTIONS: Final = frozenset({"instant", "duration", "seconds"})


def compile_expression(node: Node, source: str, *, place: str = "") -> Run:
    """The expression as a closure.

    Args:
        source: the text that spans count in, for errors.
        place: where the text stands, so that no two `uuid()` of a field are alike.
    """
    return _Compiler(source, place).value(node, passing=True)


def is_constant(node: Node) -> bool:
    """Whether the expression reads nothing, neither the context nor its place."""
    if isinstance(node, Path) or (isinstance(node, Call) and node.name == "uuid"):
        return False
    return all(map(is_constant, children(node)))


def makes_times(node: Node) -> bool:
    """Whether an instant or duration may be in the result; data as read holds them as strings."""
    match node:
        case Path(segments=segments):
            first = segments[0].selectors[0]
            return getattr(first, "name", "") in TIME_ROOTS
        case Call(name=name) if name in TIME_FUNCTIONS:
            return True
    return any(map(makes_times, children(node)))


class _Compiler:
    def __init__(self, source: str, place: str) -> None:
        self._source, self._place = source, place

    def value(self, node: Node, *, passing: bool = False) -> Run:
        match node:
            case Literal(value=value):
                return lambda context, budget: value
            case Path():
                return compile_path(node, self._source, passing=passing)
            case ListOf(items=items):
                parts = [self.value(item, passing=passing) for item in items]
                return lambda context, budget: [part(context, budget) for part in parts]
            case ObjectOf(entries=entries):
                members = [(key, self.value(part, passing=passing)) for key, part in entries]
                return lambda context, budget: {k: part(context, budget) for k, part in members}
            case Conditional(condition=condition, then=then, otherwise=otherwise):
                test = self.condition(condition, "`if`")
                yes = self.value(then, passing=passing)
                no = self.value(otherwise, passing=passing)
                return lambda c, b: yes(c, b) if test(c, b) else no(c, b)
            case Default(options=options):
                return self._default([self.value(o, passing=passing) for o in options])
            case And(operands=operands):
                return self._and([self.condition(operand, "`and`") for operand in operands])
            case Or(operands=operands):
                return self._or([self.condition(operand, "`or`") for operand in operands])
            case Not(operand=operand):
                inverted = self.condition(operand, "`not`")
                return lambda context, budget: not inverted(context, budget)
            case Compare():
                return self._compare(node)
            case Arithmetic():
                return self._arithmetic(node)
            case Negative(operand=operand):
                return self._guarded(node, negate, self.value(operand))
            case Call():
                return self._call(node)

    def condition(self, node: Node, asker: str) -> Callable[[Context, Budget], bool]:
        """A closure whose value is a boolean, or an error that says who asked for one."""
        run = self.value(node)
        if isinstance(node, And | Or | Not | Compare):
            return run
        source, span = self._source, node.span

        def test(context: Context, budget: Budget) -> bool:
            value = run(context, budget)
            if value is True or value is False:
                return value
            raise Failure(f"{asker} needs a boolean, not {article(value)}").at(source, span)

        return test

    @staticmethod
    def _default(options: list[Run]) -> Run:
        *first, last = options

        def run(context: Context, budget: Budget) -> Value:
            for option in first:
                value = option(context, budget)
                if value is not None:
                    return value
            return last(context, budget)

        return run

    @staticmethod
    def _and(tests: list[Run]) -> Run:
        def run(context: Context, budget: Budget) -> bool:
            for test in tests:  # noqa: SIM110 - a generator costs as much as two tests
                if not test(context, budget):
                    return False
            return True

        return run

    @staticmethod
    def _or(tests: list[Run]) -> Run:
        def run(context: Context, budget: Budget) -> bool:
            for test in tests:  # noqa: SIM110 - as above
                if test(context, budget):
                    return True
            return False

        return run

    def _compare(self, node: Compare) -> Run:
        first = self.value(node.first)
        pairs = [(COMPARE[op], self.value(operand)) for op, operand in node.rest]
        source, span = self._source, node.span
        if len(pairs) > 1:

            def run_chain(context: Context, budget: Budget) -> bool:
                left = first(context, budget)
                for compare, operand in pairs:
                    right = operand(context, budget)
                    try:
                        if not compare(left, right, budget):
                            return False
                    except Failure as failure:
                        raise failure.at(source, span) from None
                    left = right
                return True

            return run_chain
        compare_two, second = pairs[0]
        if node.rest[0][0] == "==":

            def run_equal(context: Context, budget: Budget) -> bool:
                left, right = first(context, budget), second(context, budget)
                if type(left) is str and type(right) is str:  # by far the commonest
                    return left == right
                try:
                    return compare_two(left, right, budget)
                except Failure as failure:
                    raise failure.at(source, span) from None

            return run_equal

        def run(context: Context, budget: Budget) -> bool:
            left, right = first(context, budget), second(context, budget)
            try:
                return compare_two(left, right, budget)
            except Failure as failure:
                raise failure.at(source, span) from None

        return run

    def _arithmetic(self, node: Arithmetic) -> Run:
        operate = ARITHMETIC[node.op]
        first, second = self.value(node.left), self.value(node.right)
        source, span = self._source, node.span
        quick_sign = {"+": 1, "-": -1}.get(node.op, 0)

        def run(context: Context, budget: Budget) -> Value:
            left, right = first(context, budget), second(context, budget)
            if quick_sign and type(left) is int and type(right) is int:
                result = left + right if quick_sign == 1 else left - right
                if INTEGER_MIN <= result <= INTEGER_MAX:
                    return result
            try:
                return operate(left, right, budget)
            except Failure as failure:
                raise failure.at(source, span) from None

        return run

    def _guarded(self, node: Node, operate: Callable[[Value], Value], operand: Run) -> Run:
        source, span = self._source, node.span

        def run(context: Context, budget: Budget) -> Value:
            value = operand(context, budget)
            try:
                return operate(value)
            except Failure as failure:
                raise failure.at(source, span) from None

        return run

    def _call(self, node: Call) -> Run:
        source, span, name = self._source, node.span, node.name
        function = FUNCTIONS.get(name)
        if function is None or not function.accepts(len(node.arguments)):
            # `check` reports it when the definition is registered; nothing unchecked may run past.
            wrong = "there is no such function" if function is None else f"takes {function.arity}"
            error = Failure(f"`{name}`: {wrong}").at(source, span)
            return lambda context, budget: _raise(error)
        if name == "has":
            return self._has(node)
        if name == "uuid":
            place = f"{self._place}@{span[0]}"
            return lambda context, budget: str(
                uuid5(NAMESPACE_URL, f"heliostat:{context.uuid_seed}#{place}")
            )
        arguments = [self.value(argument) for argument in node.arguments]

        def run(context: Context, budget: Budget) -> Value:
            values = [argument(context, budget) for argument in arguments]
            try:
                return call(name, function, budget, values)
            except Failure as failure:
                raise failure.at(source, span) from None

        return run

    def _has(self, node: Call) -> Run:
        path = node.arguments[0]
        if not isinstance(path, Path):
            error = Failure("`has` takes a path").at(self._source, path.span)
            return lambda context, budget: _raise(error)
        if not path.definite:
            nodes = compile_nodes(path, self._source)
            return lambda context, budget: bool(nodes(context, budget))
        find = compile_find(path, self._source, passing=True)
        return lambda context, budget: find(context, budget) is not MISSING


def _raise(error: ExpressionError) -> Value:
    raise ExpressionError(*error.args)


def boolean(value: Value, source: str, node: Node) -> bool:
    """The value of a condition, which has to be a boolean."""
    if value is True or value is False:
        return bool(value)
    raise Failure(f"a condition needs a boolean, not {article(value)}").at(source, node.span)

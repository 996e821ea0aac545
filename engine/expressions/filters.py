"""Filters of paths, as RFC 9535 §2.3.5 defines them: its typing rules, and closures for running.

Comparisons never fail: those across types are false, what is missing equals what is missing. One
thing is stricter than the RFC: an instant compared with a string, which at rest is what the data
holds, would quietly be false, and is an `ExpressionError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from ..values import Value
from .ast import And, Call, Compare, Literal, Node, Not, Or, Path
from .context import MISSING, Context, Missing
from .errors import Failure, SyntaxProblem
from .paths import Nodes, NotHere, Test, compile_find, compile_nodes, compile_segments, key_of
from .regexp import pattern
from .suggest import did_you_mean
from .time import Duration, Instant
from .values import KINDS, Budget, equal, scan

Operand: TypeAlias = Callable[[Context, Budget, Value], Value | Missing]

_ARITY: Final = {"length": 1, "count": 1, "value": 1, "match": 2, "search": 2}
_LOGICAL: Final = frozenset({"match", "search"})
_TAKES_NODES: Final = frozenset({"count", "value"})
_NUMBERS: Final = frozenset({int, float})


def well_typed(condition: Node) -> None:
    """Refuse what RFC 9535 calls not well-typed (§2.4.3).

    Raises:
        SyntaxProblem: at the first part that is not.
    """
    match condition:
        case And(operands=operands) | Or(operands=operands):
            for operand in operands:
                well_typed(operand)
        case Not(operand=operand):
            well_typed(operand)
        case Compare(first=first, rest=((_, second),)):
            _comparable(first)
            _comparable(second)
        case Path():
            pass
        case Call(name=name):
            _call(condition)
            if name not in _LOGICAL:
                raise SyntaxProblem(
                    f"`{name}` gives a value, not a condition", condition.span, "compare it"
                )
        case _:
            raise SyntaxProblem("a literal is no condition", condition.span, "compare it")


def _comparable(operand: Node) -> None:
    if isinstance(operand, Path) and not operand.definite:
        raise SyntaxProblem(
            "this path may find several values, which cannot be compared",
            operand.span,
            "use `value(…)` or `count(…)`",
        )
    if isinstance(operand, Call):
        _call(operand)
        if operand.name in _LOGICAL:
            raise SyntaxProblem(f"`{operand.name}` is a condition of its own", operand.span)


def _call(call: Call) -> None:
    arity = _ARITY.get(call.name)
    if arity is None:
        cure = did_you_mean(call.name, _ARITY)
        raise SyntaxProblem(
            f"a filter has no function {call.name!r}", call.name_span, cure, "HS103"
        )
    if len(call.arguments) != arity:
        raise SyntaxProblem(
            f"`{call.name}` takes {arity} argument{'s' if arity > 1 else ''}, "
            f"not {len(call.arguments)}",
            call.span,
            None,
            "HS104",
        )
    for argument in call.arguments:
        if call.name not in _TAKES_NODES:
            _comparable(argument)
        elif not isinstance(argument, Path):
            raise SyntaxProblem(f"`{call.name}` takes a path", argument.span)
    if call.name in _LOGICAL and isinstance(call.arguments[1], Literal):
        _literal_pattern(call.arguments[1])


def _literal_pattern(literal: Literal) -> None:
    text = literal.value
    if type(text) is not str:
        raise SyntaxProblem("a pattern is a string", literal.span)
    try:
        pattern(text)
    except ValueError as wrong:
        raise SyntaxProblem(f"this is no I-Regexp: {wrong}", literal.span) from None
    if text.startswith("^") or (text.endswith("$") and not text.endswith("\\$")):
        # I-Regexp reads both as plain characters, which nobody means at these places.
        raise SyntaxProblem(
            "patterns have no anchors",
            literal.span,
            "`match` means all of the text, `search` a part of it",
        )


def compile_test(condition: Node, source: str) -> Test:
    """The condition of a filter, `well_typed` before, as a closure over the element at hand."""
    match condition:
        case And(operands=operands):
            tests = [compile_test(operand, source) for operand in operands]
            return lambda c, b, node: all(test(c, b, node) for test in tests)
        case Or(operands=operands):
            tests = [compile_test(operand, source) for operand in operands]
            return lambda c, b, node: any(test(c, b, node) for test in tests)
        case Not(operand=operand):
            inner = compile_test(operand, source)
            return lambda c, b, node: not inner(c, b, node)
        case Compare(first=first, rest=((op, second),)):
            left, right = _compile_operand(first, source), _compile_operand(second, source)
            compare = _COMPARE[op]
            return lambda c, b, node: compare(left(c, b, node), right(c, b, node), b)
        case Path():
            nodes = _compile_nodes(condition, source)
            return lambda c, b, node: bool(nodes(c, b, node))
        case Call(name=name, arguments=(subject, wanted)):
            text, regexp = _compile_operand(subject, source), _compile_operand(wanted, source)
            whole = name == "match"
            return lambda c, b, node: _matched(text(c, b, node), regexp(c, b, node), whole, b)
    raise AssertionError(f"not well-typed: {condition}")


def _compile_nodes(path: Path, source: str) -> Callable[[Context, Budget, Value], list[Value]]:
    if path.root == "$":
        fixed: Nodes = compile_nodes(path, source)
        return lambda c, b, node: fixed(c, b)
    select = compile_segments(path.segments, source)
    return lambda c, b, node: select([node], c, b)


def _compile_operand(operand: Node, source: str) -> Operand:
    match operand:
        case Literal(value=value):
            return lambda c, b, node: value
        case Path(root="$"):
            find = compile_find(operand, source)
            return lambda c, b, node: find(c, b)
        case Path():
            return _relative(operand)
        case Call(name="length", arguments=(argument,)):
            subject = _compile_operand(argument, source)
            return lambda c, b, node: _length(subject(c, b, node))
        case Call(name="count", arguments=(Path() as path,)):
            counted = _compile_nodes(path, source)
            return lambda c, b, node: len(counted(c, b, node))
        case Call(name="value", arguments=(Path() as path,)):
            nodes = _compile_nodes(path, source)
            return lambda c, b, node: _only(nodes(c, b, node))
    raise AssertionError(f"not well-typed: {operand}")


def _relative(path: Path) -> Operand:
    """A definite path from `@`: the part of a filter that runs most often."""
    keys = [key_of(segment) for segment in path.segments]

    def find(context: Context, budget: Budget, node: Value) -> Value | Missing:
        for key in keys:
            if type(node) is dict:
                node = node.get(key, MISSING)
            elif type(node) is list:
                if type(key) is not int or not -len(node) <= key < len(node):
                    return MISSING
                node = node[key]
            else:
                if node is not MISSING:
                    _here(node)
                return MISSING
        return node

    return find


def _only(nodes: list[Value]) -> Value | Missing:
    return nodes[0] if len(nodes) == 1 else MISSING


def _length(value: Value | Missing) -> int | Missing:
    _here(value)
    return len(value) if isinstance(value, str | list | dict) else MISSING


def _matched(text: Value | Missing, regexp: Value | Missing, whole: bool, budget: Budget) -> bool:
    _here(text)
    if type(text) is not str or type(regexp) is not str:
        return False
    try:
        compiled = pattern(regexp)
    except ValueError:  # from the data; RFC 9535 §2.4.6: the result is false
        return False
    return compiled.matches(text, budget) if whole else compiled.occurs(text, budget)


def _here(value: Value | Missing) -> None:
    if value is not MISSING and type(value) not in KINDS:
        raise NotHere


def _equal(left: Value | Missing, right: Value | Missing, budget: Budget) -> bool:
    if left is MISSING or right is MISSING:
        return left is right
    _here(left)
    _here(right)
    _refuse_time_as_text(left, right)
    return equal(left, right, budget)


def _less(left: Value | Missing, right: Value | Missing, budget: Budget) -> bool:
    _here(left)
    _here(right)
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return bool(left < right)  # type: ignore[operator]  # numbers, by the line above
    _refuse_time_as_text(left, right)
    if type(left) is type(right) and type(left) in (str, Instant, Duration):
        if type(left) is str:
            scan(budget, len(left))
        return bool(left < right)  # type: ignore[operator]  # of one ordered type
    return False


def _refuse_time_as_text(left: Value | Missing, right: Value | Missing) -> None:
    types = {type(left), type(right)}
    if str in types and (Instant in types or Duration in types):
        raise Failure(
            "a filter compares a time with a string, which is never true: data holds times as "
            "strings; compare strings, or filter in a step"
        )


_COMPARE: Final[dict[str, Callable[[Value | Missing, Value | Missing, Budget], bool]]] = {
    "==": _equal,
    "!=": lambda a, b, budget: not _equal(a, b, budget),
    "<": _less,
    ">": lambda a, b, budget: _less(b, a, budget),
    "<=": lambda a, b, budget: _less(a, b, budget) or _equal(a, b, budget),
    ">=": lambda a, b, budget: _less(b, a, budget) or _equal(a, b, budget),
}

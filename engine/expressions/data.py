"""Data fields: JSON trees in whose strings expressions may stand, and the expressions themselves.

A string is a value if, trimmed, it is exactly one `${ … }` or one bare path; with `${ … }` inside
other text it is a template; else it is itself, `$${` standing for `${`. What looks like an
expression and is none of these is refused, as it would otherwise travel on as text. Keys are never
interpolated. A field that holds no expression is a constant and is shared, not copied: nobody may
write to what `evaluate` returns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from ..errors import ExpressionError
from ..values import Json, Sealed, Value
from .ast import Call, Node, Path, Span, children
from .compile import boolean, compile_expression, is_constant, makes_times
from .context import Context
from .errors import DataProblems, Failure, Problem, SyntaxProblem
from .limits import DEPTH_MAX
from .parse import parse
from .roots import entry
from .values import Run, as_text, new_budget, resting

Place: TypeAlias = tuple[str | int, ...]


class Expression:
    """An expression ready to run. `source` is the whole string it was written in.

    Immutable and without state: one may be evaluated by many executions.
    """

    __slots__ = ("_run", "ast", "place", "source")

    def __init__(self, source: str, ast: Node, place: str = "") -> None:
        self.source, self.ast, self.place = source, ast, place
        self._run = compile_expression(ast, source, place=place)

    def evaluate(self, context: Context) -> Value:
        """The value, in which instants and durations are still such.

        Raises:
            ExpressionError: there is none.
        """
        return self._run(context, new_budget())

    def test(self, context: Context) -> bool:
        """The value of a condition.

        Raises:
            ExpressionError: there is none, or it is no boolean.
        """
        return boolean(self._run(context, new_budget()), self.source, self.ast)

    @property
    def is_bare_path(self) -> bool:
        return isinstance(self.ast, Path)

    @property
    def constant(self) -> bool:
        return is_constant(self.ast)

    def at_rest(self) -> Run:
        """The closure, of whose result instants and durations take their form at rest."""
        if not makes_times(self.ast):
            return self._run
        run, source, span = self._run, self.source, self.ast.span

        def run_at_rest(context: Context, budget: list[int]) -> Value:
            value = run(context, budget)
            try:
                return resting(value)
            except Failure as failure:
                raise failure.at(source, span) from None

        return run_at_rest

    def __reduce__(self) -> tuple[type[Expression], tuple[str, Node, str]]:
        return Expression, (self.source, self.ast, self.place)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and (self.source, self.ast, self.place) == (
            other.source,
            other.ast,
            other.place,
        )

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


class Template:
    """Text with expressions in it; its value is a string, or sealed where a secret is in it."""

    __slots__ = ("_join", "_runs", "parts", "source")

    def __init__(self, source: str, parts: tuple[str | Expression, ...]) -> None:
        self.source, self.parts = source, parts
        self._runs = [part if isinstance(part, str) else _printing(part) for part in parts]
        secret = any(_names_secret(each.ast) for each in self.expressions)
        self._join: Callable[[list[Any]], str | Sealed] = Sealed.joined if secret else "".join

    def evaluate(self, context: Context) -> str | Sealed:
        """The text.

        Raises:
            ExpressionError: a part has no value, or is null.
        """
        return self.run(context, new_budget())

    def run(self, context: Context, budget: list[int]) -> str | Sealed:
        """As `evaluate`, within what is left of a field's budget."""
        return self._join(
            [run if type(run) is str else run(context, budget) for run in self._runs]  # type: ignore[operator]  # strings apart, they are closures
        )

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(part for part in self.parts if isinstance(part, Expression))

    def __repr__(self) -> str:
        return f"Template({self.source!r})"


def at_rest(value: Value) -> Value:
    """A value as data holds it, instants and durations as strings; for what `evaluate` gave.

    Raises:
        ExpressionError: it is nested too deeply.
    """
    try:
        return resting(value)
    except Failure as failure:
        raise ExpressionError(failure.message) from None


class Data:
    """A data field, compiled. `parts` says which expressions stand where in its tree."""

    __slots__ = ("_hash", "_key", "_made", "_parts", "_run", "constant", "value")

    def __init__(
        self,
        value: Json,
        parts: dict[Place, Expression | Template],
        made: tuple[Callable[..., Data], tuple[Json, ...]] | None = None,
    ) -> None:
        """`made` says how to make it anew, where `parse_data` of the value would not."""
        self.value, self._parts = value, parts
        self._made = made or (parse_data, (value,))
        self.constant = not parts
        # Text tells `1` from `true`; hashed once, as plans look parts of fields up by the field.
        self._key = repr(value if made is None else made[1])
        self._hash = hash(self._key)
        around = {place[:length] for place in parts for length in range(len(place) + 1)}
        self._run = _tree(value, (), parts, around)

    def evaluate(self, context: Context) -> Value:
        """The value at rest: JSON, with references where something is only passed on.

        Raises:
            ExpressionError: some part has no value.
        """
        return self._run(context, new_budget())

    def parts(self) -> Iterator[tuple[Place, Expression | Template]]:
        """Every expression and template with the keys and indices that lead to it."""
        return iter(self._parts.items())

    def expressions(self) -> Iterator[tuple[Place, Expression]]:
        """Every expression, those within templates too."""
        for place, part in self._parts.items():
            for each in part.expressions if isinstance(part, Template) else (part,):
                yield place, each

    @property
    def is_bare_path(self) -> bool:
        """Whether all of the field is one path, so that its value is merely passed on."""
        whole = self._parts.get(())
        return isinstance(whole, Expression) and whole.is_bare_path

    @property
    def expression(self) -> Expression | None:
        """The expression that is all of the field, if it is one."""
        whole = self._parts.get(())
        return whole if isinstance(whole, Expression) else None

    def __reduce__(self) -> tuple[Callable[..., Data], tuple[Json, ...]]:
        return self._made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Data) and self._key == other._key

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Data({self._key})"


@lru_cache(maxsize=4096)
def parse_expression(source: str) -> Expression:
    """Read an expression, which may be wrapped in one `${ }`.

    Raises:
        SyntaxProblem: it is none; says where and, if it can, what to write instead.
    """
    start, end = _trimmed(source)
    if source.startswith("${", start):
        close = _closing(source, start)
        if close + 1 == end:
            return Expression(source, parse(source, (start + 2, close)))
    return Expression(source, parse(source))


def parse_data(value: Json) -> Data:
    """Read a data field.

    Raises:
        DataProblems: naming everything that is wrong in it, each with its place.
    """
    parts: dict[Place, Expression | Template] = {}
    problems: list[Problem] = []
    # Not by recursion, for a file may be nested deeper than the interpreter allows.
    pending: list[tuple[Place, Json]] = [((), value)]
    while pending:
        place, node = pending.pop()
        if len(place) > DEPTH_MAX:
            message = f"the data is nested deeper than {DEPTH_MAX} levels"
            problems.append(Problem("HS108", message, (0, 0), path=place))
        elif isinstance(node, str):
            try:
                part = parse_string(node, place)
            except SyntaxProblem as problem:
                problems.append(replace(problem.problem, path=place))
            else:
                if not isinstance(part, str) or part != node:
                    parts[place] = part if not isinstance(part, str) else Template(node, (part,))
        elif isinstance(node, dict):
            pending.extend(((*place, key), node[key]) for key in reversed(node))
        elif isinstance(node, list):
            pending.extend(((*place, i), node[i]) for i in reversed(range(len(node))))
    if problems:
        raise DataProblems(tuple(problems))
    return Data(value, parts)


def parse_fields(fields: Mapping[str, Json], constants: Mapping[str, Json]) -> Data:
    """Several data fields as one mapping, in which constants stand as they are.

    Args:
        constants: never interpolated, whatever they look like.

    Raises:
        DataProblems: as `parse_data` of `fields` does.
    """
    data = parse_data(dict(fields))
    made = parse_fields, (dict(fields), dict(constants))
    return Data({**constants, **fields}, dict(data.parts()), made)


_WRAP_NEEDED: Final = re.compile(r"\$(?:\.[A-Za-z_]\w*)(?:\.\w+|\[[^\]\s]*\])*")
_OPENING: Final = re.compile(r"\$?\$\{")
_PATH_SHAPE: Final = re.compile(r"\$(?:\.{1,2}\w+|\.{0,2}\[[^\]]*\]|\.\*)*")


def parse_string(source: str, place: Place = ()) -> Expression | Template | str:
    """What a string of a data field is: an expression, a template, or the text it stands for.

    Raises:
        SyntaxProblem: it is neither.
    """
    start, end = _trimmed(source)
    if source.startswith(("$.", "$["), start):
        return _bare_path(source, (start, end), place)
    if "$" not in source:
        return source
    parts: list[str | Expression] = []
    at = 0
    while (opening := _OPENING.search(source, at)) is not None:
        if opening[0] == "$${":
            _add_text(parts, source, (at, opening.start()))
            parts.append("${")
            at = opening.end()
            continue
        close = _closing(source, opening.start())
        node = parse(source, (opening.end(), close))
        expression = _expression(source, node, place)
        if (opening.start(), close + 1) == (start, end):
            return expression
        _add_text(parts, source, (at, opening.start()))
        parts.append(expression)
        at = close + 1
    _add_text(parts, source, (at, len(source)))
    if any(isinstance(part, Expression) for part in parts):
        return Template(source, _merged(parts))
    return "".join(str(part) for part in parts)


def _bare_path(source: str, span: Span, place: Place) -> Expression:
    start, end = span
    for_text = 'for the text itself write `${ "…" }`'
    try:
        node = parse(source, span)
    except SyntaxProblem as problem:
        if problem.problem_code == "HS102" and not _PATH_SHAPE.fullmatch(source, start, end):
            raise _unwrapped(source, span) from None  # the name is told when it is wrapped
        head = source[start : problem.span[0]]
        if problem.problem_code != "HS101" or head.count("[") > head.count("]"):
            raise  # a path all the same, and wrong in itself
        message = f"{source[start:end]!r} begins like a path and is none"
        raise SyntaxProblem(
            message, span, f"wrap what is one in `${{ }}`; {for_text}", "HS112"
        ) from None
    if not isinstance(node, Path):
        raise _unwrapped(source, span)
    return _expression(source, node, place)


def _unwrapped(source: str, span: Span) -> SyntaxProblem:
    text = source[slice(*span)]
    return SyntaxProblem(f'"{text}" is an expression', span, f"wrap it: ${{ {text} }}", "HS112")


def _add_text(parts: list[str | Expression], source: str, span: Span) -> None:
    """Add plain text, in which no path may stand unwrapped."""
    start, end = span
    if (found := _WRAP_NEEDED.search(source, start, end)) is not None:
        raise SyntaxProblem(
            f"`{found[0]}` stands in text as it is",
            found.span(),
            f"wrap it: ${{ {found[0]} }}",
            "HS112",
        )
    if start < end:
        parts.append(source[start:end])


def _merged(parts: list[str | Expression]) -> tuple[str | Expression, ...]:
    merged: list[str | Expression] = []
    for part in parts:
        if merged and isinstance(part, str) and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)


def _expression(source: str, node: Node, place: Place) -> Expression:
    if _uses_place(node):
        return Expression(source, node, "/".join(map(str, place)))
    return _shared(source, node)


@lru_cache(maxsize=4096)
def _shared(source: str, node: Node) -> Expression:
    return Expression(source, node)


def _uses_place(node: Node) -> bool:
    if isinstance(node, Call) and node.name == "uuid":
        return True
    return any(map(_uses_place, children(node)))


def _names_secret(node: Node) -> bool:
    """Whether a secret may be the value of an expression; what operates on one has no value."""
    if isinstance(node, Path):
        return node.root == "$" and entry(node).root == "secrets"
    return any(map(_names_secret, children(node)))


def _trimmed(source: str) -> Span:
    start = len(source) - len(source.lstrip())
    return start, max(start, len(source.rstrip()))


_BRACE_OR_STRING: Final = re.compile(r"""[{}]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)


def _closing(source: str, opening: int) -> int:
    """Where the `${` at `opening` is closed; braces in strings and of objects do not count."""
    depth = 0
    for found in _BRACE_OR_STRING.finditer(source, opening + 1):
        if found[0] == "{":
            depth += 1
        elif found[0] == "}":
            depth -= 1
            if depth == 0:
                return found.start()
    raise SyntaxProblem(
        "`${` is never closed",
        (opening, opening + 2),
        "close it by `}`, or write `$${` for the characters themselves",
    )


# Running: the tree of a field as nested closures, constants shared.


def _printing(expression: Expression) -> Run:
    run, source, span = expression._run, expression.source, expression.ast.span

    def printed(context: Context, budget: list[int]) -> str | Sealed:
        value = run(context, budget)
        if type(value) is str:
            budget[1] -= len(value)
            if budget[1] >= 0:
                return value
        if type(value) is Sealed:
            return value
        try:
            if value is None:
                raise Failure("null cannot stand in a text: use `default`")
            return as_text(value, budget)
        except Failure as failure:
            raise failure.at(source, span) from None

    return printed


def _tree(
    value: Json,
    place: Place,
    parts: dict[Place, Expression | Template],
    around: set[Place],  # the places in which some part stands
) -> Run:
    part = parts.get(place)
    if isinstance(part, Expression):
        return part.at_rest()
    if isinstance(part, Template):
        return part.run
    if place not in around:
        return lambda context, budget: value
    if isinstance(value, dict):
        inner = {key: _tree(each, (*place, key), parts, around) for key, each in value.items()}
        members = list(inner.items())
        return lambda context, budget: {key: run(context, budget) for key, run in members}
    runs = [_tree(each, (*place, i), parts, around) for i, each in enumerate(value)]
    return lambda context, budget: [run(context, budget) for run in runs]

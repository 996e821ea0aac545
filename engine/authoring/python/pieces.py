"""Small questions about pieces of a syntax tree, and sets of names."""

from __future__ import annotations

import ast


def error_of(path: str) -> dict[str, str]:
    """What is kept of an error, by the path of it."""
    return {"type": f"{path}.type", "message": f"{path}.message", "bases": f"{path}.bases"}


def either_way(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """What has a value whichever way control came."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def targets_of(target: ast.expr) -> list[str]:
    """The names that are assigned."""
    return [each.id for each in ast.walk(target) if isinstance(each, ast.Name)]


def root_of(node: ast.AST) -> str | None:
    """The name that an expression begins with."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None


def names_made(node: ast.stmt) -> frozenset[str]:
    """The names that an import, a definition or a `global` gives a meaning."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return frozenset((each.asname or each.name).split(".")[0] for each in node.names)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return frozenset({node.name})
    return frozenset(node.names if isinstance(node, ast.Global | ast.Nonlocal) else ())


def first_line(node: ast.AST) -> ast.AST:
    """What is shown of a statement with a body: its first line."""
    line = getattr(node, "lineno", 1)
    column = getattr(node, "col_offset", 0)
    width = 10_000 if getattr(node, "body", None) else 0
    if not width:
        return node
    return ast.Pass(lineno=line, col_offset=column, end_lineno=line, end_col_offset=width)


def cure_of(target: ast.expr) -> str:
    """What to write instead of assigning to something that is no name."""
    if isinstance(target, ast.Subscript):
        owner = ast.unparse(target.value)
        return f"{owner} = {{**{owner}, {ast.unparse(target.slice)}: …}}"
    if isinstance(target, ast.Attribute):
        return "values do not change: make a new one, or change it in a step"
    return "assign to names"

"""What can be told of a function before it is compiled: which names it assigns, where, how often;
and whether a list that grows may be known by two names.

Values of a workflow are JSON and are copied, so that two names never share a list. `xs.append(v)`
therefore is compiled only where Python could not tell the difference: the list was made here, and
nothing else holds it.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field


@dataclass
class Facts:
    """What one function does with its names."""

    locals: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    assigned: dict[str, int] = field(default_factory=dict)
    looped: set[str] = field(default_factory=set)
    """Names that are assigned within a loop."""
    grown: set[str] = field(default_factory=set)
    """Names whose list is appended to."""
    changed: set[str] = field(default_factory=set)
    """Names that `+=` and its kin change."""
    shared: dict[str, ast.AST] = field(default_factory=dict)
    """Of those, the ones that something else may hold, and where."""
    returns: int = 0
    trying: bool = False


def facts_of(function: ast.FunctionDef) -> Facts:
    """Look at a function's body."""
    facts = Facts()
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        facts.parameters.add(argument.arg)
    facts.locals |= facts.parameters
    for statement in function.body:
        _walk(statement, facts, looped=False)
    for name in facts.grown | facts.changed:
        for statement in function.body:
            if (found := _shared(statement, name)) is not None:
                facts.shared.setdefault(name, found)
    return facts


def _walk(node: ast.AST, facts: Facts, *, looped: bool) -> None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
        if not isinstance(node, ast.Lambda):
            facts.locals.add(node.name)
        return
    if isinstance(node, ast.Return):
        facts.returns += 1
    if isinstance(node, ast.Try):
        facts.trying = True
    if isinstance(node, ast.ExceptHandler) and node.name:
        _assign(node.name, facts, looped)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        _assign(node.id, facts, looped)
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        _assign(node.target.id, facts, True)
        facts.changed.add(node.target.id)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "append"
        and isinstance(node.func.value, ast.Name)
    ):
        facts.grown.add(node.func.value.id)
    for child in ast.iter_child_nodes(node):
        inside = looped or isinstance(node, ast.For | ast.While)
        _walk(child, facts, looped=inside)


def _assign(name: str, facts: Facts, looped: bool) -> None:
    facts.locals.add(name)
    facts.assigned[name] = facts.assigned.get(name, 0) + 1
    if looped:
        facts.looped.add(name)


def _shared(node: ast.AST, name: str) -> ast.AST | None:
    """Where a list becomes known by another name, or comes from one."""
    for each in ast.walk(node):
        if isinstance(each, ast.Assign | ast.AnnAssign):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            value = each.value
            if value is None:
                continue
            own = any(isinstance(target, ast.Name) and target.id == name for target in targets)
            if own and (not _is_fresh(value) or len(targets) > 1):
                return value
            if any(
                isinstance(inner, ast.Name) and inner.id == name
                for target in targets
                if isinstance(target, ast.Tuple | ast.List)
                for inner in ast.walk(target)
            ):
                return each
            if (found := _held(value, name)) is not None:
                return found
        if isinstance(each, ast.For):
            if isinstance(each.iter, ast.Name) and each.iter.id == name and _grows(each, name):
                return each.iter
            if any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(each.target)):
                return each.target
        if isinstance(each, ast.Call) and getattr(each.func, "attr", None) == "append":
            for argument in each.args:
                if (found := _held(argument, name)) is not None:
                    return found
    return None


def _is_fresh(value: ast.expr) -> bool:
    """Whether an expression makes a value that nothing else holds."""
    if isinstance(value, ast.Call):
        if isinstance(value.func, ast.Name):
            return value.func.id not in ("max", "min")
        return not (isinstance(value.func, ast.Attribute) and value.func.attr == "get")
    return isinstance(value, ast.List | ast.ListComp | ast.BinOp | ast.Constant | ast.JoinedStr)


def _held(value: ast.expr, name: str) -> ast.AST | None:
    """Whether what an expression makes may hold the list itself."""
    if isinstance(value, ast.Name):
        return value if value.id == name else None
    parts: list[ast.expr] = []
    if isinstance(value, ast.List | ast.Tuple):
        parts = value.elts
    elif isinstance(value, ast.Dict):
        parts = value.values
    elif isinstance(value, ast.IfExp):
        parts = [value.body, value.orelse]
    elif isinstance(value, ast.BoolOp):
        parts = value.values
    elif isinstance(value, ast.BinOp):
        parts = [value.left, value.right]
        return next((f for p in parts if isinstance(p, ast.List) and (f := _held(p, name))), None)
    elif isinstance(value, ast.ListComp | ast.DictComp):
        parts = [value.elt] if isinstance(value, ast.ListComp) else [value.value]
    elif isinstance(value, ast.Call):
        arguments = value.args
        builders = ("list", "sorted", "reversed", "enumerate", "zip", "max", "min")
        if isinstance(value.func, ast.Name) and value.func.id in builders:
            parts = [a for a in arguments if not isinstance(a, ast.Name)] or (
                list(arguments) if value.func.id in ("max", "min", "zip") else []
            )
    return next((found for part in parts if (found := _held(part, name)) is not None), None)


def _grows(loop: ast.For, name: str) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "append"
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        for statement in loop.body
        for node in ast.walk(statement)
    )

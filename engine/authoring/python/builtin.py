"""Calls that need no step: built-in functions, methods of data, models and dataclasses made."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any, Final

from ...expressions.strict import METHOD_NAMES
from . import types
from .advice import METHODS, OF_CALLS, meant
from .expressions import Expressions
from .frame import Expr, constant
from .types import UNKNOWN

BUILTINS: Final[dict[Any, tuple[str, int, int | None, Any]]] = {
    abs: ("abs_strict", 1, 1, Any),
    all: ("all_strict", 1, 1, bool),
    any: ("any_strict", 1, 1, bool),
    bool: ("truthy", 1, 1, bool),
    enumerate: ("enumerate_strict", 1, 2, Any),
    float: ("float_strict", 0, 1, float),
    int: ("int_strict", 1, 1, int),
    len: ("len_strict", 1, 1, int),
    list: ("list_strict", 0, 1, list),
    max: ("max_strict", 1, None, Any),
    min: ("min_strict", 1, None, Any),
    range: ("range_strict", 1, 3, list[int]),
    repr: ("repr_strict", 1, 1, str),
    reversed: ("reversed_strict", 1, 1, Any),
    round: ("round_strict", 1, 2, Any),
    sorted: ("sorted_strict", 1, 1, Any),
    str: ("str_strict", 0, 1, str),
    sum: ("sum_strict", 1, 2, Any),
    tuple: ("list_strict", 0, 1, list),
    zip: ("zip_strict", 1, None, Any),
}
"""Built-in functions: the strict one, how many arguments, and the type of the result."""

_SECOND: Final = {
    "enumerate_strict": "start",
    "round_strict": "ndigits",
    "sorted_strict": "reverse",
    "sum_strict": "start",
}
"""Second arguments that may be given by name."""

_INSTEAD: Final = {
    ("zip_strict", "strict"): "compare the lengths before",
    ("max_strict", "default"): "max({0}) if {0} else …",
    ("min_strict", "default"): "min({0}) if {0} else …",
}


_COMPUTING: Final = frozenset(
    {
        "abs_strict", "all_strict", "any_strict", "int_strict", "max_strict", "min_strict",
        "round_strict", "sorted_strict", "sum_strict", "truthy",
    }
)  # fmt: skip
"""Those that would take the text of what is a text only here."""


class Builtins(Expressions):
    """Compiles calls of what is Python's own, or only data."""

    def _builtin(self, node: ast.Call, name: str, least: int, most: int | None, kind: Any) -> Expr:
        second = None
        keywords = list(node.keywords)
        if name == "zip_strict":
            keywords = [each for each in keywords if not _is_plainly_false(each)]
        if len(node.args) == len(keywords) == 1 and keywords[0].arg == _SECOND.get(name):
            second = keywords.pop().value
        shown = ast.unparse(node.func)
        if keywords:
            option = keywords[0].arg
            cure = _INSTEAD.get((name, str(option)), "do it in a step").format(
                *map(ast.unparse, node.args)
            )
            message = f"`{shown}` is compiled without `{option}`"
            raise self.refuse("HS411", keywords[0], message, cure)
        nodes = self._arguments(ast.Call(node.func, node.args, []))
        if second is not None:
            nodes.append(second)
        count = len(node.args)
        if count < least or (most is not None and count > most):
            raise self.refuse("HS411", node, f"`{shown}` takes other arguments here", None)
        of = nodes[0] if count == 1 else None
        if name == "str_strict" and isinstance(of, ast.Name) and of.id in self.caught_names():
            return replace(self.names[of.id], type=str)
        if not count:
            made = {"list_strict": Expr("[]", list, safe=True), "str_strict": constant("")}
            return made.get(name, constant(0.0))
        if name in ("any_strict", "all_strict") and isinstance(nodes[0], ast.GeneratorExp):
            raise self.refuse(
                "HS407",
                nodes[0],
                f"`{shown}` of a generator stops half-way",
                "write a list, `[… for … in …]`, or a loop",
            )
        found = self.values([self._eager(each) for each in nodes])
        if name == "str_strict":
            self._shown(nodes[0], found[0].type)
        if name in _COMPUTING:
            kinds = [each.type for each in found]
            self.computable(node, *kinds, *map(types.element_of, kinds))
        if name in ("sorted_strict", "list_strict", "reversed_strict"):
            element = types.element_of(found[0].type)
            kind = types.list_of(element)
        if name == "abs_strict" and types.is_number(found[0].type):
            kind = found[0].type
        numeric = name in ("min_strict", "max_strict") and len(found) > 1
        if numeric and len({each.type for each in found}) == 1:
            kind = found[0].type
        text = f"{name}({', '.join(each.text for each in found)})"
        boolean = kind is bool
        return Expr(text, kind, boolean=boolean, safe=name in ("truthy", "str_strict"))

    def _arguments(self, node: ast.Call) -> list[ast.expr]:
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                raise self.refuse("HS411", argument, "`*` is not compiled", "name each argument")
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.refuse("HS411", keyword, "`**` is not compiled", "name each argument")
        return [*node.args, *(keyword.value for keyword in node.keywords)]

    def _eager(self, node: ast.expr) -> ast.expr:
        """A generator as the list that it would make."""
        if isinstance(node, ast.GeneratorExp):
            return ast.copy_location(ast.ListComp(node.elt, node.generators), node)
        return node

    def _method(self, node: ast.Call, function: ast.Attribute) -> Expr:
        name = function.attr
        if name == "append":
            cure = f"{ast.unparse(node)}, and then {ast.unparse(function.value)}"
            raise self.refuse("HS403", node, "`append` stands on a line of its own", cure)
        if node.keywords or name not in METHOD_NAMES:
            raise self._no_method(node, function)
        nodes = [function.value, *(self._eager(each) for each in self._arguments(node))]
        base, *rest = self.values(nodes)
        texts = [base.text, constant(name).text, *(each.text for each in rest)]
        kind: Any = Any
        if base.type is str:
            kind = types.return_of(str, name)
        elif (items := types.mapping_of(base.type)) is not None and name in ("keys", "values"):
            kind = types.list_of(items[name == "values"])
        return Expr(f"method({', '.join(texts)})", kind)

    def _no_method(self, node: ast.Call, function: ast.Attribute) -> Exception:
        owner, name = ast.unparse(function.value), function.attr
        given = ast.unparse(node.args[0]) if node.args else "…"
        if name in METHODS:
            cure = METHODS[name].format(owner=owner, given=given)
        elif name in OF_CALLS and isinstance(function.value, ast.Call):
            cure = f"{owner} is the result itself"
        elif name == "result":
            cure = f"what a call gives is the result: {owner}"
        elif self._is_marked(function):
            cure = "a step is a plain function: write it outside of the class"
        else:
            cure = "call a step with the value, or a function marked with @hs.block"
        return self.refuse("HS410", node, f"the method `{name}` is not compiled", cure)

    def _is_marked(self, function: ast.Attribute) -> bool:
        """Whether it is a step of a class that is made here."""
        made = function.value.func if isinstance(function.value, ast.Call) else function.value
        kind = self.resolve(made)
        return isinstance(kind, type) and hasattr(
            getattr(kind, function.attr, None), "__heliostat__"
        )

    def _made(self, node: ast.Call, model: type) -> Expr:
        """A model's members as an object; nothing is validated."""
        fields = types.fields_of(model)
        assert fields is not None
        if node.args and not types.is_dataclass(model):
            cure = f"{model.__name__}({', '.join(f'{name}=…' for name in fields)})"
            raise self.refuse("HS411", node, "its members are given by name", cure)
        nodes = self._arguments(node)
        names = [*list(fields)[: len(node.args)], *(str(each.arg) for each in node.keywords)]
        values = self.values(nodes)
        entries: dict[str, str] = {}
        for name, value, each in zip(names, values, nodes, strict=True):
            if name not in fields:
                place = next((key for key in node.keywords if key.value is each), each)
                cure = meant(name, fields) or f"it has {', '.join(fields)}"
                message = f"{model.__name__} has no member `{name}`"
                raise self.refuse("HS411", place, message, cure)
            if not types.fits(value.type, fields[name][0]):
                raise self.refuse(
                    "HS412",
                    each,
                    f"`{name}` is {types.name_of(fields[name][0])}, this is "
                    f"{types.name_of(value.type)}",
                )
            entries[types.key_of(model, name)] = value.text
        for name in fields:
            key = types.key_of(model, name)
            if key not in entries:
                default = types.default_of(model, name)
                if default is UNKNOWN:
                    raise self.refuse(
                        "HS411", node, f"{model.__name__} needs `{name}`", f"{name}=…"
                    )
                entries[key] = self._literal(node, default).text
        inner = ", ".join(f"{constant(name).text}: {text}" for name, text in entries.items())
        return Expr(f"{{{inner}}}", model, safe=all(each.safe for each in values))


def _is_plainly_false(keyword: ast.keyword) -> bool:
    """Whether it is `strict=False`, which says nothing new."""
    value = keyword.value
    return keyword.arg == "strict" and isinstance(value, ast.Constant) and value.value is False

"""Calls: of steps, blocks and workflows, of what heliostat offers, of built-ins and methods."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import types as pytypes
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from ..fields import is_name
from ..steps import Retry
from ..steps import Step as Marked
from . import types
from .advice import BUILT_IN, OF_MARKED, OUTSIDE_MODULES, OUTSIDE_WORLD, meant
from .builtin import BUILTINS, Builtins
from .frame import Expr
from .intrinsics import INTRINSICS
from .types import UNKNOWN

_OPTIONS: Final = ("timeout", "grace", "effects")
_NEEDS: Final = ("num_cpus", "num_gpus", "memory")


class Calls(Builtins):
    """Compiles calls."""

    def inline(
        self, block: Any, given: dict[str, Expr], node: ast.Call, prefix: str
    ) -> tuple[dict[str, Any], Any]:
        """A block's vars, steps and output, and the type of the latter; the next layer knows."""
        raise NotImplementedError

    def call(self, node: ast.Call, hint: str | None = None) -> Expr:
        """The value of a call."""
        found = self.resolve(node.func)
        if found is UNKNOWN:
            return self._unknown(node, hint)
        name = INTRINSICS.get(found) if hashable(found) else None
        if name is not None:
            handle: Callable[[ast.Call, str | None], Expr] = getattr(self, f"_hs_{name}")
            return handle(node, hint)
        if hasattr(found, "__heliostat__") or isinstance(found, Marked):
            return self._step(node, hint)
        if hashable(found) and found in BUILTINS:
            return self._builtin(node, *BUILTINS[found])
        if isinstance(found, type) and types.fields_of(found) is not None:
            return self._made(node, found)
        raise self._no_step(node, found)

    def _unknown(self, node: ast.Call, hint: str | None) -> Expr:
        function = node.func
        if isinstance(function, ast.Call) and self.makes_step(node):
            return self._step(node, hint)
        if isinstance(function, ast.Attribute):
            owner = self.resolve(function.value)
            if isinstance(owner, pytypes.ModuleType):
                message = f"`{ast.unparse(function.value)}` has no `{function.attr}`"
                names = [name for name in dir(owner) if not name.startswith("_")]
                raise self.refuse("HS404", function, message, meant(function.attr, names))
            if owner is not UNKNOWN:
                raise self._of_outside(node, function, owner)
            return self._method(node, function)
        if isinstance(function, ast.Name) and function.id in self.facts.locals:
            raise self.refuse(
                "HS410", function, f"`{function.id}` is a value here", "call a step by its name"
            )
        shown = ast.unparse(function)
        cure = meant(shown, [*self.facts.locals, *self.outside]) or "import it"
        raise self.refuse("HS404", function, f"nothing is called `{shown}`", cure)

    def _of_outside(self, node: ast.Call, function: ast.Attribute, owner: Any) -> Exception:
        """A method of something that the function does not make."""
        shown, name = ast.unparse(function.value), function.attr
        if hasattr(owner, "__heliostat__"):
            message = f"`{shown}` is a {owner.__heliostat__}, and called as a function is"
            cure = OF_MARKED.get(name, OF_MARKED["run"])
            return self.refuse("HS410", node, message, cure.format(owner=shown))
        module = type(owner).__module__.split(".")[0].lstrip("_")
        if module in OUTSIDE_MODULES:
            message = f"`{ast.unparse(function)}` reaches outside of the workflow"
            return self.refuse("HS408", node, message, OUTSIDE_MODULES[module])
        return self.refuse(
            "HS410", node, f"`{shown}` is from outside, and its methods reach there", "in a step"
        )

    def _no_step(self, node: ast.Call, found: Any) -> Exception:
        shown = ast.unparse(node.func)
        module = (getattr(found, "__module__", None) or "").split(".")[0].lstrip("_")
        if isinstance(node.func, ast.Attribute):
            owner = self.resolve(node.func.value)
            module = getattr(owner, "__name__", module).split(".")[0]
            if isinstance(owner, type):
                module = owner.__module__.split(".")[0]
        if found is timedelta:
            return self.refuse(
                "HS403",
                node,
                "a timedelta stands in hs.sleep, hs.after and `deadline` only",
                "compute with times in a step",
            )
        if isinstance(node.func, ast.Name) and node.func.id in OUTSIDE_WORLD:
            cure = "do it in a step"
            return self.refuse("HS408", node, f"`{shown}` reaches outside of the workflow", cure)
        if module in OUTSIDE_MODULES:
            cure = OUTSIDE_MODULES[module]
            message = f"`{shown}` gives another result each time, or reaches outside"
            return self.refuse("HS408", node, message, cure)
        if found is getattr(builtins, shown, None):
            cure = BUILT_IN.get(shown, "do it in a step")
            return self.refuse("HS410", node, f"`{shown}` is not compiled", cure)
        if isinstance(found, type):
            return self.refuse("HS410", node, f"`{shown}` cannot be made here", "make it in a step")
        if module in sys.stdlib_module_names:
            return self.refuse("HS410", node, f"`{shown}` is not compiled", "call it in a step")
        if callable(found):
            return self.refuse(
                "HS410",
                node,
                f"`{shown}` is neither a step nor a block nor a workflow",
                "mark it with @hs.step to run it, with @hs.block to compile it as well",
            )
        return self.refuse("HS410", node, f"`{shown}` cannot be called", None)

    # -- steps, blocks, workflows

    def _step(self, node: ast.Call, hint: str | None) -> Expr:
        id, fields, kind = self.unit(node, hint)
        step = self.add(id, fields)
        return Expr(f"$.steps.{id}.output", kind, safe=True, path=True, step=step)

    def unit(
        self, node: ast.Call, hint: str | None, *, inner: bool = False, early: bool = False
    ) -> tuple[str, dict[str, Any], Any]:
        """What a call does, as a step's id and fields, and the type of its result.

        Args:
            inner: it runs for an element: its arguments call nothing.
            early: it runs in a branch: its arguments are evaluated before any branch begins, as
                Python would, so that one that raises is no branch that fails.
        """
        target, options = self._target(node)
        given = self._bound(node, target, inner=inner, early=early)
        function = target.function
        name = options.pop("id", None)
        if name is not None and not (isinstance(name, str) and is_name(name)):
            raise self.refuse("HS416", node, "this id is no name", "letters, digits and _")
        wanted = name or hint or function.__name__
        id = self.step_id(wanted, node, own=True)
        kind = types.hints(function).get("return", Any)
        kind = type(None) if kind is None else kind
        role = getattr(target, "__heliostat__", "step")
        self.program.targets[id] = function.__name__
        if role == "block":
            if options:
                raise self.refuse(
                    "HS416", node, "a block has no options but `id`", "give them to its steps"
                )
            fields, _ = self.inline(target, given, node, f"{id}_")
            return id, fields, kind
        if "version" in options and role != "workflow":
            raise self.refuse("HS416", node, "only a workflow has versions", "leave `version` out")
        told = {parameter: each.data for parameter, each in given.items()}
        if role == "workflow":
            self.program.workflows[target.id] = target
            fields = {"type": "sub_workflow", "workflow": target.id, "input": told}
        else:
            activity = self.activity(target, node)
            fields = {"type": "activity", "activity": activity}
            if told:
                fields["input"] = told
        return id, {**fields, **options}, kind

    def activity(self, step: Any, node: ast.AST) -> str:
        """The name that a definition calls a step's function by."""
        function = step.function
        if step.options.name:
            name = str(step.options.name)
        elif function.__module__ == "__main__" or "<locals>" in function.__qualname__:
            name = function.__name__
        else:
            name = f"{function.__module__}:{function.__qualname__}"
        known = self.program.steps.setdefault(name, step)
        if known.function is not function:
            raise self.refuse(
                "HS416",
                node,
                f"another step is called `{name}` too, and is shipped by that name",
                '@hs.step(name="…") for one of them',
            )
        return name

    def _target(self, node: ast.Call) -> tuple[Any, dict[str, Any]]:
        """What is called, and the options that `using` gives it here."""
        function = node.func
        if isinstance(function, ast.Call):
            inner = function.func
            if not (isinstance(inner, ast.Attribute) and inner.attr == "using"):
                raise self.refuse("HS410", node, "what a call returns cannot be called", None)
            target = self.resolve(inner.value)
            return target, self._using(function)
        return self.resolve(function), {}

    def _using(self, node: ast.Call) -> dict[str, Any]:
        if node.args:
            raise self.refuse("HS411", node, "`using` takes its options by name", "id=…, retry=…")
        options: dict[str, Any] = {}
        for keyword in node.keywords:
            name = keyword.arg
            value = self.static(keyword.value)
            if name == "id":
                options["id"] = value
            elif name == "retry" and isinstance(value, Retry):
                options["retry"] = _retry_fields(value)
            elif name in _OPTIONS:
                options[name] = value
            elif name in _NEEDS:
                options.setdefault("resources", {})[name] = value
            elif name == "resources":
                options.setdefault("resources", {})["custom"] = dict(value)
            elif name == "uses":
                options["uses"] = dict(value)
            elif name == "version" and isinstance(value, str):
                options["version"] = value
            else:
                raise self.refuse(
                    "HS411",
                    keyword,
                    f"`using` has no `{name}`",
                    f"id, retry, uses, resources, {', '.join((*_OPTIONS, *_NEEDS))}",
                )
        return options

    def _bound(
        self, node: ast.Call, target: Any, *, inner: bool, early: bool = False
    ) -> dict[str, Expr]:
        """The arguments of a call, by the names of the function's parameters."""
        function = target.function
        signature = inspect.signature(function)
        nodes = self._arguments(node)
        if inner and (found := next((each for each in nodes if self.calls(each)), None)):
            raise self.refuse(
                "HS416",
                found,
                "here stands one call of a step, block or workflow; its arguments call nothing",
                "put both calls in a block, or make this one before",
            )
        values = self.values(nodes)
        if early:
            values = [self.kept(*each) for each in zip(values, nodes, strict=True)]
        places = dict(zip(map(id, values), nodes, strict=True))
        count = len(node.args)
        keywords = {
            str(keyword.arg): each
            for keyword, each in zip(node.keywords, values[count:], strict=True)
        }
        known = types.hints(function)
        shown = _shown_call(function, signature, known)
        for keyword in node.keywords:
            name = str(keyword.arg)
            if name not in signature.parameters:
                message = f"{function.__name__} has no parameter `{name}`"
                raise self.refuse(
                    "HS411", keyword, message, meant(name, signature.parameters) or shown
                )
        try:
            bound = signature.bind(*values[:count], **keywords)
        except TypeError as error:
            raise self.refuse("HS411", node, f"{function.__name__}: {error}", shown) from None
        for name, value in bound.arguments.items():
            if not isinstance(value, Expr):
                raise self.refuse(
                    "HS411",
                    node,
                    f"`{name}` of {function.__name__} takes any number of arguments",
                    "let it take a list",
                )
            wanted = known.get(name, Any)
            if not types.fits(value.type, wanted):
                raise self.refuse(
                    "HS412",
                    places[id(value)],
                    f"`{name}` of {function.__name__} is {types.name_of(wanted)}, this is "
                    f"{types.name_of(value.type)}",
                    None,
                )
        return dict(bound.arguments)

    def static(self, node: ast.expr) -> Any:
        """A value that is known when the workflow is compiled."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.List | ast.Tuple):
            return [self.static(each) for each in node.elts]
        if isinstance(node, ast.Dict) and None not in node.keys:
            return {
                self.static(key): self.static(each)
                for key, each in zip(node.keys, node.values, strict=True)
                if key is not None
            }
        if isinstance(node, ast.Call):
            function = self.resolve(node.func)
            if function is timedelta or function is Retry:
                try:
                    return function(
                        *(self.static(each) for each in node.args),
                        **{str(each.arg): self.static(each.value) for each in node.keywords},
                    )
                except TypeError as error:
                    raise self.refuse("HS411", node, str(error)) from None
        found = self.resolve(node)
        if found is UNKNOWN:
            raise self.refuse(
                "HS416", node, "this is fixed when the workflow is compiled", "write it out"
            )
        return found


def hashable(value: Any) -> bool:
    """Whether a value can be looked up."""
    return type(value).__hash__ is not None


def _retry_fields(retry: Retry) -> dict[str, Any]:
    fields = {name: value for name, value in vars(retry).items() if value is not None}
    for name in ("on", "never_on"):
        if name in fields:
            fields[name] = [
                error if isinstance(error, str) else error.__name__ for error in fields[name]
            ]
    return fields


def _shown_call(function: Any, signature: inspect.Signature, known: dict[str, Any]) -> str:
    """How a function is called, with the types of its parameters in short."""
    shown = [
        f"{name}: {types.name_of(known[name])}" if name in known else name
        for name in signature.parameters
    ]
    return f"{function.__name__}({', '.join(shown)})"

"""Statements as steps: the function's control flow in `next` notation, one scope a function.

A statement is a piece of a chain; `if` is a decision with two ways, a loop is a decision that is
led back to, `except` is where the `on_error` of the steps within the `try` leads, and whatever
leaves a `finally` notes in a variable where it goes and passes it. A block is a body.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from . import types
from .frame import Expr, Refusal, constant
from .intrinsics import INTRINSICS
from .loops import Loops
from .names import slug
from .pieces import cure_of, either_way, first_line, names_made
from .types import UNKNOWN

_ELSEWHERE: Final[dict[type[ast.AST], tuple[str, str, str]]] = {
    ast.FunctionDef: (
        "HS406",
        "a function within a workflow is not compiled",
        "write it outside and mark it with @hs.block or @hs.step",
    ),
    ast.AsyncFunctionDef: ("HS406", "a function within a workflow is not compiled", "@hs.block"),
    ast.ClassDef: ("HS406", "a class within a workflow is not compiled", "write it outside"),
    ast.With: ("HS402", "`with` is not compiled", "try … finally, or do it in a step"),
    ast.AsyncWith: ("HS409", "`async with` is not compiled", "do it in a step"),
    ast.AsyncFor: ("HS409", "`async for` is not compiled", "write `for`"),
    ast.Global: ("HS405", "`global` is not compiled", "pass values as input and return them"),
    ast.Nonlocal: ("HS405", "`nonlocal` is not compiled", "pass values as input, return them"),
    ast.Delete: ("HS402", "`del` is not compiled", "make a new list or dict without it"),
    ast.Match: ("HS402", "`match` is not compiled", "write if … elif"),
    ast.Import: ("HS402", "`import` within a workflow is not compiled", "import at the top"),
    ast.ImportFrom: ("HS402", "`import` within a workflow is not compiled", "import at the top"),
    ast.Assert: ("HS402", "`assert` is not compiled", "if not …: raise ValueError(…)"),
    ast.TryStar: ("HS402", "`except*` is not compiled", "write `except`"),
}
_OPERATORS: Final = {
    ast.Add: "add_strict",
    ast.Sub: "sub_strict",
    ast.Mult: "mul_strict",
    ast.Div: "div_strict",
    ast.FloorDiv: "floordiv_strict",
    ast.Mod: "mod_strict",
    ast.Pow: "pow_strict",
}


class Lowering(Loops):
    """Compiles a function's body into its scope."""

    result: str | None = None
    """The variable that holds what is returned; None while nothing was."""
    output: Any = None
    """What the scope's `output` says."""

    # -- the function

    def parameters(self, given: dict[str, Expr] | None = None) -> None:
        """Bind the parameters: of a workflow to its input, of a block to what it is given."""
        arguments = self.source.tree.args
        if arguments.args and arguments.args[0].arg in ("self", "cls"):
            cure = "write a function outside of the class"
            self._note("HS401", arguments.args[0], "a method is not compiled", cure)
        for argument in (arguments.vararg, arguments.kwarg):
            if argument is not None:
                self._note("HS411", argument, "`*` and `**` parameters are not compiled", "a list")
        plain = [*arguments.posonlyargs, *arguments.args]
        defaults: dict[str, ast.expr] = {
            each.arg: node
            for each, node in zip(
                plain[len(plain) - len(arguments.defaults) :], arguments.defaults, strict=True
            )
        }
        for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if default is not None:
                defaults[each.arg] = default
        for each in (*plain, *arguments.kwonlyargs):
            try:
                self._parameter(each, defaults.get(each.arg), given)
            except Refusal:
                self.names[each.arg] = Expr("null")
            self.bound = (self.bound or frozenset()) | {each.arg}

    def _parameter(
        self, each: ast.arg, default: ast.expr | None, given: dict[str, Expr] | None
    ) -> None:
        name, kind = each.arg, self.hints.get(each.arg, Any)
        changes = name in self.facts.assigned or name in self.facts.grown
        kept = Any if name in self.facts.assigned else kind
        fallback = None if default is None else self._default(default)
        if given is not None:
            found = given.get(name, fallback)
            assert found is not None
            variable = self.variable(name, found.data)
            self.names[name] = Expr(f"$.vars.{variable}", kept, safe=True, path=True)
            return
        path = f"$.input.{name}"
        if fallback is None and not changes:
            self.names[name] = Expr(path, kept, safe=True, path=True)
            return
        initial = path
        if fallback is not None:
            initial = f"${{ {path} if has({path}) else {fallback.text} }}"
        variable = self.variable(name, initial)
        self.names[name] = Expr(f"$.vars.{variable}", kept, safe=True, path=True)

    def _default(self, node: ast.expr) -> Expr:
        value = self.static(node) if not isinstance(node, ast.UnaryOp) else None
        if isinstance(node, ast.UnaryOp):
            return self.value(node)
        if type(value) is list and not value:
            return Expr("[]", list, safe=True)
        return self.outer(node, tuple(value) if type(value) is list else value)

    def compile(self) -> None:
        """Compile all statements, noting every fault."""
        self.statements(self.source.tree.body)
        if not self.scope.steps:
            self.decide("nothing", self.source.tree, raises=False)
        if self.scope.reachable and self.result is not None and self.finals:
            self.decide("set_result", self.source.tree, raises=False, assign={self.result: None})
        if self.result is not None:
            self.output = f"$.vars.{self.result}"

    def statements(self, body: Sequence[ast.stmt]) -> None:
        """One after the other; what can never be reached is left out."""
        for statement in body:
            if not self.scope.reachable:
                return
            try:
                self.statement(statement)
            except Refusal:
                self._go_on(statement)

    def statement(self, node: ast.stmt) -> None:
        """Compile one statement."""
        name = f"_{type(node).__name__.lower()}_statement"
        handle: Callable[[Any], None] | None = getattr(self, name, None)
        if handle is not None:
            handle(node)
            return
        code, message, cure = _ELSEWHERE.get(
            type(node), ("HS402", "this statement is not compiled", "do it in a step")
        )
        raise self.refuse(code, first_line(node), message, cure)

    def _note(self, code: str, node: ast.AST, message: str, cure: str | None) -> None:
        self.refuse(code, node, message, cure)

    def _go_on(self, node: ast.stmt) -> None:
        """Behind a statement with a fault: what it would have assigned is taken for there, and
        what it would have made is not missed again."""
        self.doubtful |= names_made(node)
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                self.doubtful.add(each.id)
                self.names.setdefault(each.id, Expr("null"))
                if self.bound is not None:
                    self.bound |= {each.id}

    # -- simple statements

    def _pass_statement(self, node: ast.Pass) -> None:
        return

    def _expr_statement(self, node: ast.Expr) -> None:
        value = node.value
        if isinstance(value, ast.Constant):
            return
        if (
            isinstance(value, ast.Call)
            and isinstance(value.func, ast.Attribute)
            and value.func.attr == "append"
            and self.resolve(value.func) is UNKNOWN
        ):
            self._append(value, value.func)
            return
        if isinstance(value, ast.Attribute | ast.Name | ast.Constant):
            self.value(value)
            return
        self.kept(self.value(value), value)

    def _append(self, node: ast.Call, function: ast.Attribute) -> None:
        target = function.value
        if not isinstance(target, ast.Name) or target.id not in self.facts.locals:
            raise self.refuse(
                "HS402", node, "only a list of one name can grow", "xs = […]; xs.append(v)"
            )
        if len(node.args) != 1 or node.keywords:
            raise self.refuse("HS411", node, "`append` takes one value", None)
        if target.id in self.facts.shared:
            line = getattr(self.facts.shared[target.id], "lineno", 0)
            raise self.refuse(
                "HS414",
                node,
                f"`{target.id}` may be known by another name (line {line}), which would grow too",
                f"grow a list made here: {target.id} = [*…], or list(…)",
            )
        self._name(target)
        variable = self.names[target.id].text.removeprefix("$.vars.")
        found = self.value(node.args[0])
        step = found.step
        if step is not None and self.scope.steps[-1] is step:
            own = found.data.replace(f"$.steps.{step.id}.output", "$.output")
            step.fields.setdefault("assign", {})[variable] = {"append": own}
            return
        self.decide(
            f"append_{target.id}",
            node,
            raises=not found.safe,
            assign={variable: {"append": found.data}},
        )

    def _assign_statement(self, node: ast.Assign) -> None:
        if len(node.targets) > 1:
            names = [ast.unparse(each) for each in node.targets]
            cure = f"{names[0]} = …, then {names[1]} = {names[0]}"
            raise self.refuse("HS402", node, "`a = b = …` is not compiled", cure)
        self._assigned(node.targets[0], node.value, node)

    def _annassign_statement(self, node: ast.AnnAssign) -> None:
        if node.value is None:
            return
        self._assigned(node.target, node.value, node)

    def _assigned(self, target: ast.expr, value: ast.expr, node: ast.stmt) -> None:
        hint = target.id if isinstance(target, ast.Name) else None
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Call):
            found = self.resolve(value.func)
            word = None if found is UNKNOWN else INTRINSICS.get(found)
            names = [each.id for each in target.elts if isinstance(each, ast.Name)]
            if word in ("parallel", "race") and len(names) == len(target.elts) == len(value.args):
                self.assign(target, self.side_by_side(value, word, names), node)
                return
        self.assign(target, self.value(value, hint), node)

    def _augassign_statement(self, node: ast.AugAssign) -> None:
        if not isinstance(node.target, ast.Name):
            raise self.refuse("HS402", node, "only names are assigned", cure_of(node.target))
        operate = _OPERATORS.get(type(node.op))
        if operate is None:
            raise self.refuse("HS403", node, "bit operators are not compiled", "do it in a step")
        if isinstance(node.value, ast.List | ast.ListComp):
            name = node.target.id
            raise self.refuse(
                "HS414",
                node,
                f"`{name} += […]` changes the list for everybody who holds it",
                f"{name}.append(…), or {name} = {name} + […]",
            )
        left = self._name(ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target))
        if self.calls(node.value):
            left = self.kept(left, node.target)
        right = self.value(node.value)
        held = node.target.id in self.facts.shared or node.target.id in self.facts.parameters
        how = "shared" if held else "own"
        self.assign(node.target, self.arithmetic(node, operate, left, right, how), node)

    def assign(self, target: ast.expr, found: Expr, node: ast.AST) -> None:
        """Give a value to a name, or its parts to several."""
        if not self.scope.reachable:
            return
        if isinstance(target, ast.Name):
            self._bind(target.id, found, node)
            return
        if not isinstance(target, ast.Tuple | ast.List):
            raise self.refuse("HS402", target, "only names are assigned", cure_of(target))
        if not all(isinstance(each, ast.Name) for each in target.elts):
            self._unpack_deeply(target, found, node)
            return
        names = [each.id for each in target.elts if isinstance(each, ast.Name)]
        parts = self._parts(target, found)
        if all(part.path and self._once(name) for part, name in zip(parts, names, strict=True)):
            for name, part in zip(names, parts, strict=True):
                self.names[name] = part
                self.bound = None if self.bound is None else self.bound | {name}
            return
        assigned: dict[str, Any] = {}
        for name, part in zip(names, parts, strict=True):
            assigned[self.declared(name, part.type)] = part.data
        safe = all(part.safe for part in parts)
        self.decide(slug("set", target), node, raises=not safe, assign=assigned)

    def _parts(self, target: ast.Tuple | ast.List, found: Expr) -> tuple[Expr, ...]:
        """The values that unpacking gives."""
        count = len(target.elts)
        if found.parts is not None and len(found.parts) == count:
            return found.parts
        if not found.path:
            found = self.kept(replace(found, safe=False), target)
        kinds = types.elements_of(found.type, count)
        whole = f"unpack({found.text}, {count})"
        return tuple(Expr(f"at({whole}, {index})", kind) for index, kind in enumerate(kinds))

    def _unpack_deeply(self, target: ast.Tuple | ast.List, found: Expr, node: ast.AST) -> None:
        """Unpack into parts that are unpacked themselves, from the outside in."""
        for each in target.elts:
            if isinstance(each, ast.Starred):
                cure = "slices: first, rest = xs[0], xs[1:]"
                raise self.refuse("HS402", each, "`*` is not compiled here", cure)
        parts = self._parts(target, found)
        held = [self.variable("part") for _ in parts]
        assigned = {name: part.data for name, part in zip(held, parts, strict=True)}
        safe = all(part.safe for part in parts)
        self.decide(slug("set", target), node, raises=not safe, assign=assigned)
        for name, part, each in zip(held, parts, target.elts, strict=True):
            kept = Expr(f"$.vars.{name}", part.type, safe=True, path=True)
            self.assign(each, kept, node)

    def _once(self, name: str) -> bool:
        """Whether a name stands for one value for good."""
        return (
            self.facts.assigned.get(name, 0) == 1
            and name not in self.facts.looped
            and name not in self.facts.grown
            and name not in self.facts.parameters
        )

    def _bind(self, name: str, found: Expr, node: ast.AST) -> None:
        if self._once(name) and found.step is not None:
            self.names[name] = replace(found, step=None)
            self.bound = None if self.bound is None else self.bound | {name}
            return
        variable = self.declared(name, found.type)
        self.store(found, variable, node)

    def declared(self, name: str, kind: Any = Any) -> str:
        """The variable of a name, which has a value from here on; its type if it has only one."""
        known = self.names.get(name)
        if known is not None and known.text.startswith("$.vars.") and "." not in known.text[7:]:
            variable = known.text[7:]
        else:
            variable = self.variable(name, [] if name in self.facts.grown else None)
        once = self.facts.assigned.get(name, 0) == 1 and name not in self.facts.parameters
        kept = kind if once and kind is not None else Any
        self.names[name] = Expr(f"$.vars.{variable}", kept, safe=True, path=True)
        if self.bound is not None:
            self.bound |= {name}
        return variable

    # -- leaving

    def _return_statement(self, node: ast.Return) -> None:
        wanted = self.hints.get("return", Any)
        found = constant(None) if node.value is None else self.value(node.value)
        if not self.scope.reachable:
            return
        if not types.fits(found.type, wanted):
            raise self.refuse(
                "HS412",
                node,
                f"{self.function.__name__} returns {types.name_of(wanted)}, this is "
                f"{types.name_of(found.type)}",
            )
        last = self.source.tree.body[-1] is node and self.facts.returns == 1
        if last and found.safe and self.result is None:
            self.output = found.data
        else:
            if self.result is None:
                self.result = self.variable("result")
            self.store(found, self.result, node)
        self.leave("return", None)

    # -- branches

    def _if_statement(self, node: ast.If) -> None:
        test = self.value(node.test)
        if not self.scope.reachable:
            return
        if test.constant:
            self.statements(node.body if test.value else node.orelse)
            return
        step = self.decide(
            slug("if", node.test),
            node.test,
            ways=self.ways(self.truth(test, node.test)),
            raises=not test.safe,
        )
        yes, no = step.ways
        before = self.bound
        self.scope.pending = [yes]
        self.statements(node.body)
        ended, there = self.scope.take(), self.bound
        self.scope.pending, self.bound = [no], before
        self.statements(node.orelse)
        self.scope.pending += ended
        self.bound = either_way(there, self.bound)

    # -- blocks

    def inline(
        self, block: Any, given: dict[str, Expr], node: ast.Call, prefix: str
    ) -> tuple[dict[str, Any], Any]:
        """A block as the vars, steps and output of a body or branch."""
        function = block.function
        if function in self.within:
            raise self.refuse(
                "HS417",
                node,
                f"`{function.__name__}` would be inlined into itself",
                "make it a workflow: calling one is an execution of its own",
            )
        inner = Lowering(self.program, function, prefix=prefix, within=self.within)
        inner.parameters(given)
        inner.compile()
        content: dict[str, Any] = {}
        if inner.scope.variables:
            content["vars"] = inner.scope.variables
        content["steps"] = inner.scope
        content["output"] = inner.output
        return content, inner.hints.get("return", Any)

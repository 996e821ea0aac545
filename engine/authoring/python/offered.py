"""Calls of what heliostat offers beside Python: waits, people, fan-out, scripts, times."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, get_origin

from . import types
from .advice import EXAMPLES, meant
from .calls import Calls, hashable
from .forms import filled_in, is_form
from .frame import Expr, constant
from .intrinsics import INTRINSICS, Ran, Response, Won
from .names import slug
from .types import UNKNOWN

_UNITS: Final = {
    "weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1,
    "milliseconds": 0.001,
}  # fmt: skip


class Offered(Calls):
    """Compiles the functions of heliostat; each is a method named after one."""

    # -- heliostat's own

    def keywords(
        self, node: ast.Call, positional: Sequence[str], named: Sequence[str] = ()
    ) -> dict[str, ast.expr]:
        """The arguments of one of heliostat's functions, by name."""
        self._arguments(node)
        shown = ast.unparse(node.func)
        if len(node.args) > len(positional):
            takes = f"takes {', '.join(positional)}" if positional else "takes nothing"
            raise self.refuse("HS411", node, f"`{shown}` {takes}", self._example(node))
        given = dict(zip(positional, node.args, strict=False))
        for keyword in node.keywords:
            name = str(keyword.arg)
            if name not in (*positional, *named):
                options = (*positional, *named)
                cure = meant(name, options) or ", ".join(options)
                raise self.refuse("HS411", keyword, f"`{shown}` has no `{name}`", cure)
            given[name] = keyword.value
        return given

    def needed(self, node: ast.Call, given: dict[str, ast.expr], name: str) -> ast.expr:
        """An argument that must be there."""
        if name not in given:
            shown = ast.unparse(node.func)
            raise self.refuse("HS411", node, f"`{shown}` needs `{name}`", self._example(node))
        return given[name]

    def _example(self, node: ast.Call) -> str | None:
        """How the function of heliostat that is called here is called."""
        return EXAMPLES.get(INTRINSICS.get(self.resolve(node.func), ""))

    def text(self, node: ast.expr, what: str) -> str:
        """A text that is known when the workflow is compiled."""
        found = self.static(node)
        if not isinstance(found, str):
            raise self.refuse("HS416", node, f"{what} is a text", None)
        return found

    def moment(self, node: ast.expr) -> Any:
        """A duration as a data field says it."""
        if isinstance(node, ast.Call) and self.resolve(node.func) is timedelta:
            return self._timedelta(node)
        found = self.value(node)
        if found.type in (int, float) or isinstance(node, ast.BinOp | ast.UnaryOp):
            raise self.refuse(
                "HS412",
                node,
                "a bare number has no unit",
                f"timedelta(seconds={ast.unparse(node)})",
            )
        return found.data

    def _timedelta(self, node: ast.Call) -> Any:
        if node.args or not node.keywords:
            raise self.refuse("HS411", node, "say which unit", "timedelta(seconds=…)")
        terms: list[str] = []
        fixed: float | None = 0.0
        for keyword in node.keywords:
            factor = _UNITS.get(str(keyword.arg))
            if factor is None:
                raise self.refuse("HS411", keyword, f"no unit: {keyword.arg}", ", ".join(_UNITS))
            found = self.value(keyword.value)
            if found.constant and type(found.value) in (int, float):
                fixed = None if fixed is None else fixed + found.value * factor
            else:
                fixed = None
            terms.append(found.text if factor == 1 else f"mul_strict({found.text}, {factor})")
        if fixed is not None:
            ms = round(fixed * 1000)
            return f"{ms // 1000}s" if ms % 1000 == 0 else f"{ms}ms"
        text = terms[0]
        for term in terms[1:]:
            text = f"add_strict({text}, {term})"
        return f"${{ seconds({text}) }}"

    def _hs_sleep(self, node: ast.Call, hint: str | None) -> Expr:
        given = self.keywords(node, ["duration"])
        duration = self.moment(self.needed(node, given, "duration"))
        self.add(self.step_id("sleep", node), {"type": "timer", "duration": duration})
        return constant(None)

    def _hs_wait(self, node: ast.Call, hint: str | None) -> Expr:
        if node.args or not node.keywords:
            message = "what is waited for is given by name"
            raise self.refuse("HS411", node, message, EXAMPLES["wait"])
        alternatives = [self._alternative(str(each.arg), each.value) for each in node.keywords]
        id = self.step_id(hint or "wait", node, own=hint is not None)
        step = self.add(id, {"type": "wait", "any": alternatives})
        return Expr(f"$.steps.{id}.output", Won, safe=True, path=True, step=step)

    def _alternative(self, name: str, node: ast.expr) -> dict[str, Any]:
        kind = None
        if isinstance(node, ast.Call):
            found = self.resolve(node.func)
            kind = INTRINSICS.get(found) if hashable(found) else None
        if kind == "after":
            assert isinstance(node, ast.Call)
            given = self.keywords(node, ["duration"])
            return {"name": name, "timer": self.moment(self.needed(node, given, "duration"))}
        if kind not in ("on_event", "on_signal"):
            raise self.refuse(
                "HS416",
                node,
                "an alternative is hs.on_event, hs.on_signal or hs.after",
                "hs.race(…) waits for the first of several calls",
            )
        assert isinstance(node, ast.Call)
        word, first = ("event", "type") if kind == "on_event" else ("signal", "name")
        given = self.keywords(node, [first], ["where"])
        written: dict[str, Any] = {
            "name": name,
            word: self.text(self.needed(node, given, first), f"the {first}"),
        }
        if "where" in given:
            if self.calls(given["where"]):
                raise self.refuse(
                    "HS416", given["where"], "`where` calls nothing", "call it before the wait"
                )
            written["where"] = self.truth(self.value(given["where"]), given["where"])
        return written

    def _hs_human(self, node: ast.Call, hint: str | None) -> Expr:
        named = ["show", "assignees", "candidates", "deadline"]
        given = self.keywords(node, ["id", "form"], named)
        wanted = self.text(self.needed(node, given, "id"), "the id")
        form = self._form(self.needed(node, given, "form"))
        fields: dict[str, Any] = {"type": "human"}
        schema = types.schema_of(form)
        if schema is not None:
            fields["form"] = schema
        shown = [name for name in ("show", "assignees", "candidates") if name in given]
        found = self.values([given[name] for name in shown])
        for name, each in zip(shown, found, strict=True):
            fields["input" if name == "show" else name] = each.data
        if "deadline" in given:
            fields["deadline"] = self.moment(given["deadline"])
        id = self.step_id(wanted, node, own=True)
        step = self.add(id, fields)
        return replace(filled_in(form, f"$.steps.{id}.output"), step=step)

    def _form(self, node: ast.expr) -> Any:
        """What a person fills in: a type whose answers have one shape."""
        form = self.annotation(node)
        if form is UNKNOWN or not is_form(form):
            cure = "a model, a dataclass, a TypedDict, dict, bool, str, Literal, …"
            raise self.refuse(
                "HS416", node, "a form is a type, and all or none of it objects", cure
            )
        return form

    def _hs_signal(self, node: ast.Call, hint: str | None) -> Expr:
        given = self.keywords(node, ["execution", "name", "data"])
        name = self.text(self.needed(node, given, "name"), "the name")
        nodes = [
            self.needed(node, given, "execution"),
            *([given["data"]] if "data" in given else []),
        ]
        receiver, *data = self.values(nodes)
        sent = {"execution": receiver.data, "name": name}
        if data:
            sent["data"] = data[0].data
        self.decide(slug("signal", name), node, signal=[sent])
        return constant(None)

    def _hs_publish(self, node: ast.Call, hint: str | None) -> Expr:
        given = self.keywords(node, ["event", "data"])
        name = self.text(self.needed(node, given, "event"), "the event")
        told: dict[str, Any] = {"event": name}
        if "data" in given:
            told["data"] = self.value(given["data"]).data
        self.decide(slug("publish", name), node, publish=[told])
        return constant(None)

    def _hs_parallel(self, node: ast.Call, hint: str | None) -> Expr:
        return self.side_by_side(node, "parallel", None)

    def _hs_race(self, node: ast.Call, hint: str | None) -> Expr:
        return self.side_by_side(node, "race", None)

    def side_by_side(self, node: ast.Call, word: str, names: Sequence[str] | None) -> Expr:
        """`hs.parallel` and `hs.race`: a branch for each call."""
        if node.keywords or len(node.args) < 2:
            message = f"hs.{word} takes two or more calls, each written out"
            raise self.refuse("HS411", node, message, EXAMPLES[word])
        branches: list[dict[str, Any]] = []
        kinds: list[Any] = []
        taken: set[str] = set()
        parallel = self.step_id(word, node)
        for position, each in enumerate(node.args):
            if not (isinstance(each, ast.Call) and self.makes_step(each)):
                message = f"hs.{word} takes calls of steps, blocks and workflows"
                raise self.refuse("HS416", each, message, EXAMPLES[word])
            found = self.resolve(each.func)
            if found is not UNKNOWN and hashable(found) and found in INTRINSICS:
                raise self.refuse(
                    "HS416",
                    each,
                    f"`{ast.unparse(each.func)}` cannot stand here",
                    "put it in a block",
                )
            target, _ = self._target(each)
            name = names[position] if names else target.function.__name__
            while name in taken:
                name += "_"
            taken.add(name)
            id, fields, kind = self.unit(each, name if names else None, early=True)
            kinds.append(kind)
            if "steps" in fields:
                branches.append({"name": name, **fields})
            else:
                branches.append({"name": name, "steps": [{"id": id, **fields}]})
        fields = {"type": "parallel", "branches": branches}
        if word == "race":
            fields["completion"] = "any"
        self.add(parallel, fields)
        parts: list[Expr] = []
        for branch, kind in zip(branches, kinds, strict=True):
            path = f"$.steps.{parallel}.output.{branch['name']}"
            if word == "race":
                text = f'{{"done": has({path}), "result": {path}}}'
                parts.append(Expr(text, types.given(Ran, kind), safe=True))
            else:
                parts.append(Expr(path, kind, safe=True, path=True))
        text = f"[{', '.join(part.text for part in parts)}]"
        whole = types.given(tuple, *(part.type for part in parts))
        return Expr(text, whole, safe=True, parts=tuple(parts))

    def _hs_map(self, node: ast.Call, hint: str | None) -> Expr:
        given = self.keywords(node, ["calls"], ["concurrency", "completion", "at_least"])
        calls = self.needed(node, given, "calls")
        if not isinstance(calls, ast.GeneratorExp | ast.ListComp) or len(calls.generators) != 1:
            message = "hs.map takes one generator of calls"
            raise self.refuse("HS416", calls, message, EXAMPLES["map"])
        generator, element = calls.generators[0], calls.elt
        if generator.ifs:
            cure = "make a list first: [x for x in xs if …]"
            raise self.refuse("HS416", generator.ifs[0], "hs.map has no `if`", cure)
        if not (isinstance(element, ast.Call) and self.makes_step(element)):
            raise self.refuse(
                "HS416",
                element,
                "hs.map runs a call of a step, a block or a workflow",
                "[… for … in …] computes a list",
            )
        found = self.resolve(element.func)
        if found is not UNKNOWN and hashable(found) and found in INTRINSICS:
            shown = ast.unparse(element.func)
            raise self.refuse("HS416", element, f"`{shown}` cannot stand here", "put it in a block")
        items = self.value(generator.iter)
        item = Expr("$.item", types.element_of(items.type), safe=True, path=True)
        with self.naming(generator.target, item):
            id, fields, kind = self.unit(element, hint, inner=True)
        text = (
            items.text if items.type is list or _is_list(items.type) else f"iterate({items.text})"
        )
        fields["foreach"] = text
        if "concurrency" in given:
            fields["concurrency"] = self._count(given["concurrency"])
        rule = self._rule(given)
        if rule != "all":
            fields["completion"] = rule
            kind = Any if kind is Any else kind | None  # of an element that has not completed
        step = self.add(id, fields)
        whole = types.list_of(kind)
        return Expr(f"$.steps.{id}.output", whole, safe=True, path=True, step=step)

    def _rule(self, given: Mapping[str, ast.expr]) -> Any:
        """When an `hs.map` is over."""
        if "at_least" in given:
            if "completion" in given:
                raise self.refuse("HS416", given["at_least"], "`completion` says it already", None)
            return {"at_least": self._count(given["at_least"])}
        if "completion" not in given:
            return "all"
        rule = self.static(given["completion"])
        if rule not in ("all", "any", "all_done"):
            cure = '"all", "any" or "all_done"; at_least=2 for two'
            raise self.refuse("HS416", given["completion"], "there is no such completion", cure)
        return rule

    def _count(self, node: ast.expr) -> int:
        """A number that is known when the workflow is compiled."""
        count = self.static(node)
        if type(count) is not int or count < 1:
            raise self.refuse("HS416", node, "a number from 1", None)
        return count

    def naming(self, target: ast.expr, value: Expr) -> Any:
        """Names that mean parts of a value for a while; the next layer knows targets."""
        raise NotImplementedError

    def _hs_script(self, node: ast.Call, hint: str | None) -> Expr:
        given = self.keywords(node, ["source"], ["language", "input", "env", "timeout"])
        source = self.text(self.needed(node, given, "source"), "the source")
        fields: dict[str, Any] = {"type": "script", "language": "python", "source": source}
        for name in ("language", "timeout"):
            if name in given:
                fields[name] = self.text(given[name], name)
        if "input" in given:
            fields["input"] = self.value(given["input"]).data
        if "env" in given:
            fields["env"] = self.members(given["env"])
        id = self.step_id(hint or "script", node, own=hint is not None)
        step = self.add(id, fields)
        return Expr(f"$.steps.{id}.output", Any, safe=True, path=True, step=step)

    def _hs_http(self, node: ast.Call, hint: str | None) -> Expr:
        named = ["body", "headers", "query", "timeout"]
        given = self.keywords(node, ["method", "url"], named)
        fields: dict[str, Any] = {
            "type": "service_call",
            "method": self.text(self.needed(node, given, "method"), "the method"),
        }
        self.needed(node, given, "url")
        wanted = [name for name in ("url", "body", "query") if name in given]
        found = self.values([given[name] for name in wanted])
        fields.update({name: each.data for name, each in zip(wanted, found, strict=True)})
        if "headers" in given:
            fields["headers"] = self.members(given["headers"])
        if "timeout" in given:
            fields["timeout"] = self.text(given["timeout"], "timeout")
        id = self.step_id(hint or "http", node, own=hint is not None)
        step = self.add(id, fields)
        return Expr(f"$.steps.{id}.output", Response, safe=True, path=True, step=step)

    def members(self, node: ast.expr) -> dict[str, Any]:
        """A dict that is written out, as data by its keys."""
        if not isinstance(node, ast.Dict) or None in node.keys:
            raise self.refuse("HS416", node, "write the dict out here", '{"name": value}')
        names = [self.text(key, "a key") for key in node.keys if key is not None]
        return {name: each.data for name, each in zip(names, self.values(node.values), strict=True)}

    def _hs_fail(self, node: ast.Call, hint: str | None) -> Expr:
        given = self.keywords(node, ["type", "message"])
        nodes = [
            self.needed(node, given, "type"),
            *([given["message"]] if "message" in given else []),
        ]
        kind, *message = self.values(nodes)
        told = {"type": kind.data, "message": message[0].data if message else ""}
        label = slug("fail", kind.value) if kind.constant else "fail"
        self.fail(label, node, told)
        return constant(None)

    def fail(self, label: str, node: ast.AST, told: dict[str, Any]) -> None:
        """A decision that fails: nothing is behind it."""
        self.decide(label, node, ways=[], fail=told)
        self.bound = None

    def _hs_undo(self, node: ast.Call, hint: str | None) -> Expr:
        if not node.args:
            message = "hs.undo takes a step and its arguments"
            raise self.refuse("HS411", node, message, EXAMPLES["undo"])
        call = ast.copy_location(ast.Call(node.args[0], node.args[1:], node.keywords), node)
        if not self.makes_step(call):
            raise self.refuse("HS416", node.args[0], "hs.undo takes a step", EXAMPLES["undo"])
        target, _ = self._target(call)
        given = self._bound(call, target, inner=False)
        told = {name: each.data for name, each in given.items()}
        name = target.function.__name__
        self.decide(
            f"undo_{name}", node, output={"undo": self.activity(target, node), "input": told}
        )
        undone = self.source.findings()
        undone.add_at(
            "HS012",
            *self.source.offsets(node),
            "`hs.undo` is compiled and simulated; compensation is not built yet",
            "undo in an `except` around what follows, and raise again",
        )
        self.program.undone += undone.all()
        return constant(None)

    def _hs_now(self, node: ast.Call, hint: str | None) -> Expr:
        return replace(self._recorded(node, "now", "$.now"), type=datetime)

    def _hs_uuid(self, node: ast.Call, hint: str | None) -> Expr:
        return self._recorded(node, "uuid", "${ uuid() }")

    def _recorded(self, node: ast.Call, word: str, value: str) -> Expr:
        self.keywords(node, [])
        name = self.variable(word)
        self.decide(word, node, raises=False, assign={name: value})
        return Expr(f"$.vars.{name}", str, safe=True, path=True)

    def _misplaced(self, node: ast.Call, hint: str | None) -> Expr:
        shown = ast.unparse(node.func)
        raise self.refuse("HS416", node, f"`{shown}` stands in hs.wait only", self._example(node))

    _hs_on_event = _hs_on_signal = _hs_after = _misplaced


def _is_list(kind: Any) -> bool:
    return get_origin(types.plain(kind)) is list

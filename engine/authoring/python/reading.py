"""What is written out or read: names, literals, texts, members of data."""

from __future__ import annotations

import ast
from dataclasses import replace
from enum import Enum, IntEnum, StrEnum
from typing import Any

from ..fields import STEP_NAME
from . import types
from .advice import meant
from .evaluating import Evaluating
from .frame import Expr, constant
from .intrinsics import event
from .types import UNKNOWN


class Reading(Evaluating):
    """Compiles what is no operation."""

    # -- names and literals

    def _constant(self, node: ast.Constant) -> Expr:
        if isinstance(node.value, bytes | complex) or node.value is Ellipsis:
            raise self.refuse("HS403", node, "this literal is no JSON", "use a text or a number")
        if isinstance(node.value, int) and abs(node.value) >= 2**63:
            raise self.refuse("HS403", node, "an integer of more than 64 bits", "do it in a step")
        if isinstance(node.value, float) and node.value in (float("inf"), float("-inf")):
            raise self.refuse("HS403", node, "no finite number", "do it in a step")
        return constant(node.value)

    def _name(self, node: ast.Name) -> Expr:
        if node.id in self.facts.locals:
            found = self.names.get(node.id)
            if found is None or (self.bound is not None and node.id not in self.bound):
                raise self.refuse(
                    "HS413",
                    node,
                    f"`{node.id}` has no value here on every way",
                    f"give it one before: `{node.id} = None`",
                )
            if found.type is BaseException:
                raise self.refuse(
                    "HS415", node, "of an error only its text is known", f"str({node.id})"
                )
            return found
        found_outside = self.found_outside(node.id)
        if found_outside is UNKNOWN:
            cure = meant(node.id, [*self.names, *self.outside]) or "import it"
            raise self.refuse("HS404", node, f"nothing is called `{node.id}`", cure)
        return self.outer(node, found_outside)

    def outer(self, node: ast.expr, value: Any) -> Expr:
        """A constant from outside the function."""
        shown = ast.unparse(node)
        if value is None or type(value) in (bool, int, float, str):
            return constant(value)
        if type(value) is tuple:
            return self._literal(node, list(value))
        if isinstance(value, Enum):
            return replace(self.outer(node, value.value), type=type(value))
        if type(value) in (list, dict, set):
            raise self.refuse(
                "HS405",
                node,
                f"`{shown}` is {types.name_of(type(value))} outside of the function, which may "
                "change while the workflow runs",
                "pass it as input, make it a tuple, or return it from a step",
            )
        if hasattr(value, "__heliostat__"):
            message = f"`{shown}` is a {value.__heliostat__}, and no value"
            raise self.refuse("HS410", node, message, f"call it: {shown}(…)")
        if shown == "os.environ":
            cure = "read it in a step: it may be another one when the workflow runs"
            raise self.refuse("HS408", node, f"`{shown}` reaches outside of the workflow", cure)
        raise self.refuse(
            "HS404",
            node,
            f"`{shown}` is {types.name_of(type(value))} from outside, which cannot be kept in a "
            "definition",
            "numbers, texts, members of enums and tuples of them can; return anything else from a "
            "step",
        )

    def _literal(self, node: ast.expr, value: Any) -> Expr:
        if type(value) is list:
            parts = [self._literal(node, each) for each in value]
            return Expr(f"[{', '.join(part.text for part in parts)}]", list, safe=True)
        return self.outer(node, value)

    def _list(self, node: ast.List | ast.Tuple) -> Expr:
        starred = any(isinstance(each, ast.Starred) for each in node.elts)
        nodes = [each.value if isinstance(each, ast.Starred) else each for each in node.elts]
        parts = self.values(nodes)
        if starred:
            laid = [
                part.text if isinstance(each, ast.Starred) else f"[{part.text}]"
                for part, each in zip(parts, node.elts, strict=True)
            ]
            return Expr(f"spread({', '.join(laid)})", list)
        kind: Any = list
        if isinstance(node, ast.Tuple) and parts:
            kind = types.given(tuple, *(part.type for part in parts))
        return Expr(
            f"[{', '.join(part.text for part in parts)}]",
            kind,
            safe=all(part.safe for part in parts),
            parts=tuple(parts),
        )

    _tuple = _list

    def _dict(self, node: ast.Dict) -> Expr:
        nodes: list[ast.expr] = []
        for key, inner in zip(node.keys, node.values, strict=True):
            nodes += [inner] if key is None else [key, inner]
        parts = iter(self.values(nodes))
        pieces: list[str] = []
        safe, seen = True, dict[str, str]()
        simple = True
        for key in node.keys:
            if key is None:
                if seen:
                    pieces.append(_object(seen))
                    seen = {}
                pieces.append(next(parts).text)
                simple = safe = False
                continue
            name, each = next(parts), next(parts)
            safe &= each.safe
            if name.constant and isinstance(name.value, str):
                seen.pop(name.value, None)
                seen[name.value] = each.text
            else:
                if name.constant:
                    raise self.refuse("HS403", key, "keys are texts in JSON", 'as "1"')
                if seen:
                    pieces.append(_object(seen))
                    seen = {}
                pieces.append(f"entry({name.text}, {each.text})")
                simple = safe = False
        if simple:
            return Expr(_object(seen), dict, safe=safe)
        if seen:
            pieces.append(_object(seen))
        return Expr(f"merge({', '.join(pieces)})", dict)

    def _joinedstr(self, node: ast.JoinedStr) -> Expr:
        holes = [part for part in node.values if isinstance(part, ast.FormattedValue)]
        found = iter(self.values([self._printed(hole.value) for hole in holes]))
        parts: list[str] = []
        safe = True
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts.append(constant(part.value).text)
                continue
            assert isinstance(part, ast.FormattedValue)
            each = next(found)
            text, kind = each.text, each.type
            safe &= each.safe
            if part.conversion in (114, 97):
                text, kind = f"repr_strict({text})", str
            elif part.conversion == 115:
                text, kind = f"str_strict({text})", str
            if part.format_spec is not None:
                spec = part.format_spec
                assert isinstance(spec, ast.JoinedStr)
                if not all(isinstance(each, ast.Constant) for each in spec.values):
                    raise self.refuse(
                        "HS403", part, "a computed format is not compiled", "write it out"
                    )
                written = "".join(str(each.value) for each in spec.values)  # type: ignore[attr-defined]
                text, safe = f"format_strict({text}, {constant(written).text})", False
            elif kind is not str:
                self._shown(part.value, kind)
                text = f"str_strict({text})"
            parts.append(text)
        return Expr(f"text({', '.join(parts)})", str, safe=safe)

    def _printed(self, node: ast.expr) -> ast.expr:
        """An error is printed as its text."""
        if isinstance(node, ast.Name) and node.id in self.caught_names():
            text = ast.Call(ast.Name("str", ast.Load()), [node], [])
            return ast.fix_missing_locations(ast.copy_location(text, node))
        return node

    def _shown(self, node: ast.expr, kind: Any) -> None:
        """Refuse to print what prints otherwise in Python: models are objects here, and members of
        enums their values."""
        if types.is_enum(kind) and not issubclass(types.plain(kind), StrEnum | IntEnum):
            shown = f"`{ast.unparse(node)}.value`"
            raise self.refuse(
                "HS403",
                node,
                f"the text of {types.name_of(kind)} is not that of Python here",
                shown,
            )
        if types.fields_of(kind) is not None and not types.is_object(kind):
            raise self.refuse(
                "HS403",
                node,
                f"the text of {types.name_of(kind)} is not that of Python here",
                "name the members that you want to show",
            )

    # -- members

    def _attribute(self, node: ast.Attribute) -> Expr:
        outside = self.resolve(node)
        if outside is not UNKNOWN:
            return self.outer(node, outside)
        if self.resolve(node.value) is event:
            return Expr(f"$.event.{node.attr}", Any, safe=True, path=True)
        if isinstance(node.value, ast.Name) and node.value.id in self.caught_names():
            return self._of_error(node)
        base = self.value(node.value)
        if base.path and base.text.startswith("$.event."):
            return Expr(f"{base.text}.{node.attr}", Any, safe=True, path=True)
        if types.is_enum(base.type) and node.attr in ("name", "value"):
            return self._of_member(node, base)
        fields = types.fields_of(base.type)
        if fields is not None:
            if node.attr not in fields:
                cure = meant(node.attr, fields) or f"it has {', '.join(fields)}"
                kind = types.name_of(base.type)
                raise self.refuse("HS412", node, f"{kind} has no member `{node.attr}`", cure)
            if base.members is not None and node.attr in base.members:
                return base.members[node.attr]
            kind, there = fields[node.attr]
            key = types.key_of(base.type, node.attr)
            if there and base.path and STEP_NAME.fullmatch(key):
                return Expr(f"{base.text}.{key}", kind, safe=True, path=True)
            return Expr(f"attribute({base.text}, {constant(key).text})", kind)
        if types.is_plain(base.type):
            raise self.refuse(
                "HS412", node, f"{types.name_of(base.type)} has no member `{node.attr}`", None
            )
        return Expr(f"attribute({base.text}, {constant(node.attr).text})")

    def _of_member(self, node: ast.Attribute, base: Expr) -> Expr:
        """The name or the value of an enum's member, which is its value."""
        if node.attr == "value":
            return replace(base, type=types.value_of(base.type), step=None)
        if not base.constant:
            raise self.refuse(
                "HS403", node, "of a member its value is known", f"{ast.unparse(node.value)}.value"
            )
        return constant(base.type(base.value).name)

    def caught_names(self) -> set[str]:
        """The names that hold errors here."""
        return {name for name, each in self.names.items() if each.type is BaseException}

    def _of_error(self, node: ast.Attribute) -> Expr:
        raise self.refuse(
            "HS415",
            node,
            f"of an error only its text is known, not `.{node.attr}`",
            f"str({ast.unparse(node.value)})",
        )

    def _subscript(self, node: ast.Subscript) -> Expr:
        if isinstance(node.slice, ast.Slice):
            parts = [node.slice.lower, node.slice.upper, node.slice.step]
            given = self.values([node.value, *(part for part in parts if part is not None)])
            base, rest = given[0], iter(given[1:])
            bounds = [constant(None) if part is None else next(rest) for part in parts]
            if parts[2] is None:
                bounds.pop()
            kind = base.type if base.type is str else Any
            kind = base.type if types.element_of(base.type) is not Any else kind
            return Expr(f"slice({', '.join(each.text for each in (base, *bounds))})", kind)
        base, key = self.values([node.value, node.slice])
        if base.members is not None and key.constant and types.is_object(base.type):
            member = base.members.get(str(key.value))
            if member is not None:
                return member
        kind = types.item_of(base.type, key.value if key.constant else None)
        return Expr(f"at({base.text}, {key.text})", kind)


def _object(entries: dict[str, str]) -> str:
    inner = ", ".join(f"{constant(name).text}: {text}" for name, text in entries.items())
    return f"{{{inner}}}"

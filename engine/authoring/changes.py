"""What changed between two versions of a definition, in the terms of definitions.

A step is known by its path: the scopes around it and its id. So one that moved into a body is
removed in one place and added in another, and one that was renamed likewise. Ways are the clauses
of `next` and the `needs`; what `on_error` says is a field of its step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from ..calendars import Calendar
from ..plan.numbering import scope_path, within
from ..values import Json
from .bundle import FUNCTIONS
from .canonical import content
from .fields import END_TARGET
from .model import ActivityStep, Definition, Step
from .scopes import Scope, scopes_of
from .steps import ActivityOptions

Kind: TypeAlias = Literal["added", "removed", "changed"]
What: TypeAlias = Literal["definition", "scope", "step", "way", "module"]

_ABSENT: Final = object()
_OF_SCOPES: Final = frozenset({"start", "vars", "output", "steps"})
"""Fields of a definition or a body that are told of its scope."""

_ELSEWHERE: Final = frozenset({"id", "type", "steps", "branches", "next", "needs"})
"""Fields of a step that its path, its ways and its scopes tell."""

_NAMES: Final = frozenset({"version", "namespace"})
"""What tells two versions apart is no change of what they say."""

_HASH_CHARS: Final = 12
_SHOWN_CHARS: Final = 60


class FieldChange(Struct, frozen=True):
    """A field that is another one; what was not written is null."""

    field: str
    before: Json = None
    after: Json = None


class Change(Struct, frozen=True, kw_only=True):
    """One thing that was added, removed or changed.

    `path` is empty for the definition itself and the root scope, `parcel/pick` for a step within a
    body, `both.left/pick` for one within a branch, `a -> b` for a way between steps of a scope, and
    a file's name for a module.
    """

    what: What
    change: Kind
    path: str
    type: str | None = None  # of a step
    fields: tuple[FieldChange, ...] = ()


class Differences(Struct, frozen=True, kw_only=True):
    """All that differs, in the order: definition, scopes, steps, ways, modules."""

    before: str  # `id@version`
    after: str
    changes: tuple[Change, ...] = ()
    code_compared: bool = True
    """False where the code of one side is not known: its modules and options were left out."""

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if not self.changes:
            yield f"{self.before} and {self.after} do not differ"
        else:
            yield f"{self.before} -> {self.after}"
        for change in self.changes:
            kind = f" ({change.type})" if change.type is not None else ""
            where = change.path or ("root" if change.what == "scope" else "")
            yield f"{_SIGNS[change.change]} {change.what} {where}{kind}".rstrip()
            for each in change.fields:
                yield f"    {each.field}: {_shown(each.before)} -> {_shown(each.after)}"
        if not self.code_compared:
            yield "code was not compared: that of one side is not known here"


_SIGNS: Final[Mapping[Kind, str]] = {"added": "+", "removed": "-", "changed": "~"}


@dataclass(frozen=True, kw_only=True)
class Described:
    """One side of a comparison: a definition, and what registration fixed beside it."""

    definition: Definition
    activities: Mapping[str, ActivityOptions] | None = None
    """What decorators and definition say together; None where it is not known."""
    children: Mapping[str, str] | None = None
    """Pinned versions; None before registration."""
    calendars: Mapping[str, Calendar] = field(default_factory=dict)
    modules: Mapping[str, str] | None = field(default=None, repr=False)
    """The hash of each file of its code; None where that is not known."""

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self.definition.id}@{self.definition.version}"


def differences(before: Described, after: Described) -> Differences:
    """What changed from one version to another."""
    old, new = _Parts(before), _Parts(after)
    changes = [*_definition(old, new), *_scopes(old, new), *_steps(old, new), *_ways(old, new)]
    compared = before.modules is not None and after.modules is not None
    if before.modules is not None and after.modules is not None:
        changes += _modules(before.modules, after.modules)
    return Differences(
        before=before.name, after=after.name, changes=tuple(changes), code_compared=compared
    )


class _Parts:
    """A definition taken apart: scopes by path, steps by path, the ways of each scope."""

    def __init__(self, described: Described) -> None:
        self.described = described
        self.scopes: dict[str, Scope] = {}
        self.steps: dict[str, Step] = {}
        for scope in scopes_of(described.definition):
            path = scope_path(scope)
            self.scopes[path] = scope
            for step in scope.steps:
                self.steps[within(path, step.id)] = step

    def fields(self, step: Step) -> dict[str, Any]:
        """What a step says, but for its place, its ways and what is told of its scopes."""
        scope = _OF_SCOPES if step.type == "body" else frozenset()
        said = content(step)
        return {name: said[name] for name in said if name not in _ELSEWHERE | scope}

    def options(self, step: Step) -> Json:
        """What decorator and definition say together, where it is known."""
        known = self.described.activities
        return None if known is None else msgspec.to_builtins(known.get(step.id))

    def code(self, step: Step) -> str | None:
        """The hash of the file that an activity's function is in, where it is shipped."""
        modules = self.described.modules or {}
        if not isinstance(step, ActivityStep):
            return None
        module, colon, _ = step.activity.partition(":")
        if not colon:
            return modules.get(f"{FUNCTIONS}{step.activity}.pickle")
        base = module.replace(".", "/")
        return modules.get(f"{base}.py", modules.get(f"{base}/__init__.py"))


def _definition(old: _Parts, new: _Parts) -> Iterator[Change]:
    fields = _fields(_definition_fields(old.described), _definition_fields(new.described))
    if fields:
        yield Change(what="definition", change="changed", path="", fields=fields)


def _definition_fields(described: Described) -> dict[str, Any]:
    said = content(described.definition)
    fields = {name: said[name] for name in said if name not in _OF_SCOPES | _NAMES}
    metadata = fields.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("python"), dict):
        # Where a function's steps are written moves with every line above them.
        python = {name: each for name, each in metadata["python"].items() if name != "places"}
        fields["metadata"] = metadata | {"python": python}
    for name, calendar in described.calendars.items():
        fields[f"calendars.{name}"] = _calendar(calendar)
    return fields


def _calendar(calendar: Calendar) -> Json:
    plain: dict[str, Any] = msgspec.to_builtins(calendar)
    return plain | {"holidays": sorted(plain["holidays"])}


def _scopes(old: _Parts, new: _Parts) -> Iterator[Change]:
    for path in _in_order(old.scopes, new.scopes):
        before, after = old.scopes.get(path), new.scopes.get(path)
        if before is None or after is None:
            yield Change(what="scope", change="added" if before is None else "removed", path=path)
            continue
        fields = _fields(_scope_fields(before), _scope_fields(after))
        if fields:
            yield Change(what="scope", change="changed", path=path, fields=fields)


def _scope_fields(scope: Scope) -> dict[str, Any]:
    said: dict[str, Any] = {"notation": scope.notation}
    if scope.notation == "state_machine":
        said["start"] = scope.first
    if scope.variables:
        said["vars"] = dict(scope.variables)
    if scope.has_output:
        said["output"] = scope.output
    return said


def _steps(old: _Parts, new: _Parts) -> Iterator[Change]:
    for path in _in_order(old.steps, new.steps):
        before, after = old.steps.get(path), new.steps.get(path)
        if before is not None and after is not None:
            fields = tuple(_step_fields(old, new, before, after))
            if fields:
                yield Change(
                    what="step", change="changed", path=path, type=after.type, fields=fields
                )
        elif before is not None:
            yield Change(what="step", change="removed", path=path, type=before.type)
        elif after is not None:
            yield Change(what="step", change="added", path=path, type=after.type)


def _step_fields(old: _Parts, new: _Parts, before: Step, after: Step) -> Iterator[FieldChange]:
    if before.type != after.type:
        yield FieldChange("type", before.type, after.type)
    said = _fields(old.fields(before), new.fields(after))
    yield from said
    if _clauses(before) != _clauses(after) and set(_clauses(before)) == set(_clauses(after)):
        # The same ways, tried in another order.
        yield FieldChange("next", content(before)["next"], content(after)["next"])
    pinned, now_pinned = old.described.children, new.described.children
    if pinned is not None and now_pinned is not None:
        yield from _fields(
            {"pinned version": pinned.get(before.id)}, {"pinned version": now_pinned.get(after.id)}
        )
    options, now_options = old.options(before), new.options(after)
    if not said and options is not None and now_options is not None:
        # Of the decorator: what the definition itself says of them is told above.
        yield from _fields(options, now_options)
    code, now_code = old.code(before), new.code(after)
    if code is not None and now_code is not None and code != now_code:
        yield FieldChange("code", code[:_HASH_CHARS], now_code[:_HASH_CHARS])


def _clauses(step: Step) -> list[tuple[str, str | None]]:
    return [(route.to, route.when) for route in step.next or ()]


def _ways(old: _Parts, new: _Parts) -> Iterator[Change]:
    was, will = dict(_all_ways(old)), dict(_all_ways(new))
    for path in _in_order(was, will):
        fields = _fields({"when": was.get(path)}, {"when": will.get(path)})
        if path not in will:
            yield Change(what="way", change="removed", path=path)
        elif path not in was:
            yield Change(what="way", change="added", path=path, fields=fields)
        elif fields:
            yield Change(what="way", change="changed", path=path, fields=fields)


def _all_ways(parts: _Parts) -> Iterator[tuple[str, Json]]:
    """Every way by its two ends, with its condition; where several clauses lead there, theirs."""
    for path, scope in parts.scopes.items():
        found: dict[str, list[Json]] = {}
        for way in scope.graph.ways:
            if way.kind == "on_error":
                continue
            routes = scope.by_id[way.source].next or ()
            when = routes[way.index].when if way.kind == "next" else None
            ends = f"{way.source} -> {way.target or END_TARGET}"
            found.setdefault(within(path, ends), []).append(when)
        for ends, conditions in found.items():
            yield ends, conditions[0] if len(conditions) == 1 else conditions


def _modules(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in _in_order(before, after):
        if name not in after:
            yield Change(what="module", change="removed", path=name)
        elif name not in before:
            yield Change(what="module", change="added", path=name)
        elif before[name] != after[name]:
            yield Change(what="module", change="changed", path=name)


# -- small parts


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(name, before.get(name), after.get(name))
        for name in _in_order(before, after)
        if before.get(name, _ABSENT) != after.get(name, _ABSENT)
    )


def _in_order(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """All names: those of the first in its order, then what only the second has."""
    return list(dict.fromkeys((*before, *after)))


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"

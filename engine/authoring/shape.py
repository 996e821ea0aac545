"""From a tree to a definition: which fields there are, and of which types.

Pydantic reads the tree; this module says its errors in the words of the language and with the
place of the value. To name all faults at once it puts stand-ins in place of the parts that were
refused and reads again, until there is a definition: its structure can then be checked too.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final

from msgspec import Struct
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from . import not_built
from .diagnostics import ALL_CODES, Findings
from .fields import ErrorClause, Failing, NextClause, ResourceNeeds, RetryPolicy
from .model import STEP_TYPES, Definition
from .repair import repair
from .source import Path

_PASSES_MAX: Final = 20
"""Each pass removes what it refused; more than a few are needed only by crafted nonsense."""

_MODELS: Final[dict[str, type[BaseModel]]] = {
    "on_error": ErrorClause,
    "next": NextClause,
    "retry": RetryPolicy,
    "resources": ResourceNeeds,
    "fail": Failing,
}

_MISSING: Final = {
    "id": "give it an id of letters, digits and _",
    "version": 'as `version: "1"`',
    "activity": 'as `activity: "module:function"`',
    "to": "say where to: a step's id, or `end`",
}
_WANTED: Final = {
    "next": "a step's id or a list of {when, to}",
    "needs": "a list of steps' ids",
    "foreach": "an expression",
    "when": "an expression",
}
_TYPES: Final[dict[str, str]] = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


class Lost(Struct, frozen=True):
    """What the text has and the definition lacks: names that the checks must still know."""

    steps: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()


def shaped(tree: Any, findings: Findings) -> tuple[Definition | None, Lost]:
    """The definition in a tree, with stand-ins for the parts that cannot be read.

    Every such part is in the findings; `findings.damaged` is set if the order of the steps may be
    another than in the text. Lists keep their lengths, so that paths stay those of the tree. The
    definition is None if nothing is left of it.
    """
    if not isinstance(tree, dict):
        findings.add("HS006", (), "a definition is a mapping", "begin with `id:`")
        return None, Lost()
    rest = copy.deepcopy(tree)
    known = _names(tree)
    for _ in range(_PASSES_MAX):
        try:
            return Definition.model_validate(rest), known
        except ValidationError as error:
            faults = [_report(fault, rest, findings) for fault in error.errors()]
            if not _repaired(rest, faults, findings):
                return None, known
    return None, known


def _repaired(tree: dict[str, Any], faults: Sequence[Path], findings: Findings) -> bool:
    done: list[Path] = []
    for path in faults:
        if any(path[: len(replaced)] == replaced for replaced in done):
            continue  # what it is about is not there any more
        replaced = repair(tree, path, findings)
        if replaced is None:
            return False
        done.append(replaced)
    return True


def _names(tree: dict[str, Any]) -> Lost:
    steps, variables = tree.get("steps"), tree.get("vars")
    return Lost(
        steps=frozenset(
            step["id"]
            for step in (steps if isinstance(steps, list) else ())
            if isinstance(step, dict) and isinstance(step.get("id"), str)
        ),
        variables=frozenset(variables if isinstance(variables, dict) else ()),
    )


def _report(fault: ErrorDetails, tree: Any, findings: Findings) -> Path:
    """Note one of pydantic's errors; answers the path of what it is about."""
    where = _without_tags(fault["loc"])
    kind, context, value = fault["type"], fault.get("ctx", {}), fault.get("input")
    field = str(where[-1]) if where else ""
    if kind == "extra_forbidden":
        _unknown_field(where, tree, findings)
    elif kind == "missing":
        findings.add("HS010", where, f"`{field}` is required here", _MISSING.get(field))
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        _unknown_type(value, where, findings)
    elif kind in ALL_CODES:
        code, message, cure = kind, str(context.get("message")), context.get("cure")
        if field == "[key]":  # the name of a variable
            where = where[:-1]
            findings.add(code, where, message, cure, at="key")
        else:
            findings.add(code, where, message, cure)
    elif kind in _TYPES:
        wanted = _WANTED.get(field, _TYPES[kind])
        cure = f'quote it: "{value}"' if wanted == "a string" and _plain(value) else None
        findings.add("HS013", where, f"{wanted} is wanted, not {_told(value)}", cure)
    elif kind == "literal_error":
        _unknown_value(field, value, context, where, findings)
    elif kind == "too_short":
        findings.add("HS010", where, "at least one step is needed", "add one")
    else:
        bounds = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
        told = [f"{words} {context[key]}" for key, words in bounds.items() if key in context]
        message = f"the number must be {told[0]}" if told else fault["msg"]
        findings.add("HS018", where, message)
    return where


def _without_tags(loc: Sequence[str | int]) -> Path:
    """Pydantic puts the step's type behind its index; the tree has no such level."""
    return tuple(
        key
        for index, key in enumerate(loc)
        if not (index >= 2 and loc[index - 2] == "steps" and key in STEP_TYPES)
    )


def _unknown_field(where: Path, tree: Any, findings: Findings) -> None:
    field = str(where[-1])
    owner: Any = tree
    for key in where[:-1]:
        owner = owner[key]
    known, planned, kind = _owner(where[:-1], owner)
    if field in planned:
        what, _, instead = planned[field].partition("; ")
        findings.add("HS012", where, f"{what} is not built yet", instead or None, at="key")
        return
    if (kind, field) in not_built.MISPLACED:
        message = f"a step of type `{kind}` has no `{field}`"
        findings.add("HS021", where, message, not_built.MISPLACED[kind, field], at="key")
        return
    if field in not_built.NUMBERED_MS:
        cure = f'write `{field.removesuffix("_ms")}` with a unit, as in "90s"'
    else:
        close = get_close_matches(field, known, n=1, cutoff=0.6)
        listed = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
        cure = f"did you mean `{close[0]}`?" if close else f"known here: {listed}"
    findings.add("HS011", where, f"there is no field `{field}`", cure, at="key")


def _owner(path: Path, owner: Any) -> tuple[list[str], dict[str, str], str]:
    """Fields of the model that a mapping is read as, its fields not built, and a step's type."""
    if not path:
        return _fields(Definition), not_built.DEFINITION_FIELDS, ""
    if len(path) == 2 and path[0] == "steps":
        kind = owner.get("type") if isinstance(owner, dict) else None
        return _fields(STEP_TYPES[str(kind)]), not_built.STEP_FIELDS, str(kind)
    name = next(str(key) for key in reversed(path) if isinstance(key, str))
    model = _MODELS[name]
    return _fields(model), not_built.OTHER_FIELDS.get(model.__name__, {}), ""


def _fields(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _unknown_type(step: Any, where: Path, findings: Findings) -> None:
    kind = step.get("type") if isinstance(step, dict) else None
    if kind is None:
        if isinstance(step, dict) and "steps" in step:
            message = f"{not_built.STEP_FIELDS['steps']} is not built yet"
            findings.add("HS012", (*where, "steps"), message, at="key")
            return
        known = ", ".join(STEP_TYPES)
        findings.add("HS010", (*where, "type"), "`type` is required here", f"one of: {known}")
    elif not isinstance(kind, str):
        findings.add("HS013", (*where, "type"), f"a string is wanted, not {_told(kind)}")
    elif kind in not_built.STEP_TYPES:
        findings.add("HS012", (*where, "type"), f"step type `{kind}` is not built yet")
    else:
        names = [*STEP_TYPES, *not_built.STEP_TYPES]
        close = get_close_matches(kind, names, n=1, cutoff=0.5)
        cure = f"did you mean `{close[0]}`?" if close else f"one of: {', '.join(STEP_TYPES)}"
        findings.add("HS014", (*where, "type"), f"there is no step type `{kind}`", cure)


def _unknown_value(
    field: str, value: Any, context: dict[str, Any], where: Path, findings: Findings
) -> None:
    if isinstance(value, str) and (field, value) in not_built.VALUES:
        findings.add("HS012", where, f"{not_built.VALUES[field, value]} is not built yet")
        return
    allowed = str(context.get("expected")).replace("'", "")
    close = get_close_matches(str(value), allowed.replace(" or ", ", ").split(", "), n=1)
    cure = f"did you mean `{close[0]}`?" if close else f"write {allowed}"
    findings.add("HS014", where, f"{_told(value)} is not a value of `{field}`", cure)


def _plain(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _told(value: Any) -> str:
    """A value, as a person would name it in a sentence."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = str(value)
    return f"`{text}`" if len(text) <= 40 else f"`{text[:37]}…`"

"""From a tree to a definition: which fields there are, and of which types.

Pydantic reads the tree; this module says its errors in the words of the language and with the
place of the value. To name all faults at once it puts stand-ins in place of the parts that were
refused and reads again, until there is a definition: its structure can then be checked too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Final

from msgspec import Struct
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from . import fields, not_built
from .diagnostics import ALL_CODES, Findings
from .misplaced import guessed, misplaced
from .model import STEP_TYPES, Branch, Definition
from .repair import ORDERING, repair
from .source import Path

_PASSES_MAX: Final = 20
"""Each pass removes what it refused; more than a few are needed only by crafted nonsense."""

_MODELS: Final[dict[str, type[BaseModel]]] = {
    "on_error": fields.ErrorClause,
    "next": fields.NextClause,
    "retry": fields.RetryPolicy,
    "resources": fields.ResourceNeeds,
    "fail": fields.Failing,
    "branches": Branch,
    "publish": fields.Publication,
    "signal": fields.Signalling,
    "any": fields.Alternative,
    "escalate": fields.Escalation,
    "intervention_points": fields.InterventionPoint,
    "handlers": fields.Handler,
    "actions": fields.Action,
    "properties": fields.DeclaredProperty,
    "start": fields.Starting,
    "trigger": fields.Triggering,
    "cancel": fields.Recipient,
    "pause": fields.Recipient,
    "resume": fields.Recipient,
    "custom": fields.Custom,
}
"""By the field that holds the mapping, or a list of such."""

_MISSING: Final = {
    "id": "give it an id of letters, digits and _",
    "name": "give it a name of letters, digits and _",
    "version": 'as `version: "1"`',
    "activity": 'as `activity: "module:function"`',
    "to": "say where to: a step's id, or `end`",
    "event": "the type of the event, as `order.paid`",
    "execution": "the id of an execution, or an expression for it",
    "workflow": "the id of a registered workflow",
    "language": "`python` or `shell`",
    "source": "the script itself, as a text",
    "url": "as `url: https://…`",
    "branches": "as `branches: [{name: a, steps: [ … ]}]`",
    "actions": "what is done when the event comes: `start`, `signal`, `trigger`, `cancel`, …",
    "after": 'a duration, as `after: "4h"`',
    "step": "the id of a step of the definition",
    "steps": "as `steps: [{id: a, …}]`",
    "type": "the name of the error, as `OutOfStock`",
    "message": "what went wrong, for people",
    "per": "as `{per: deployment}`",
}
_WANTED: Final = {
    "next": "a step's id or a list of {when, to}",
    "needs": "a list of steps' ids",
    "cancels": "a list of steps' ids",
    "foreach": "an expression",
    "when": "an expression",
    "where": "an expression",
    "publish": "a list of {event, data}",
    "signal": "a list of {execution, name, data}",
    "any": "a list of {event}, {signal} or {timer}",
    "branches": "a list of {name, steps}",
    "handlers": "a list of {event, where, actions}",
    "actions": "a list of actions",
    "properties": "a list of {id, ctl}, {id, ltl}, …",
    "different_people": "a list of steps' ids",
    "undone": "a mapping from a step's id to that of the step that undoes it",
    "ctl": "a formula",
    "ltl": "a formula",
    "intervention_points": "a list of {id, assignees, form, …}",
    "escalate": "a list of {after, assignees}",
    "on_error": "a list of clauses",
    "steps": "a list of steps",
    "form": "a JSON Schema, that is a mapping,",
}
_ADDED: Final = {
    "steps": "at least one step is needed",
    "branches": "at least one branch is needed",
    "actions": "at least one action is needed",
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


_ELSEWHERE: Final = {
    "timeout": "a whole execution is bounded by `deadline`",
    "retry": "say it on the steps, or on a body around them",
    "next": "say it on the steps",
    "needs": "say it on the steps",
    "uses": "say it on the steps; `semaphores` says how many there are",
}
"""Fields of steps that are written on a definition."""


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
            faults = _reported(error.errors(), rest, findings)
            if not _repaired(rest, faults, findings):
                return None, known
    return None, known


def _reported(faults: Sequence[ErrorDetails], tree: Any, findings: Findings) -> list[Path]:
    """Note the faults; one value that fits none of a union's members is told of once."""
    places: list[Path] = []
    for fault in faults:
        where = _within_the_tree(fault["loc"])
        if _beside(fault, where):
            continue
        if where not in places or fault["type"] == "extra_forbidden":
            places.append(_report(fault, where, tree, findings))
    return places


def _beside(fault: ErrorDetails, where: Path) -> bool:
    """Whether it says of a value only that it is not the other thing that might stand there."""
    kind, value = fault["type"], fault.get("input")
    if where[-1:] == ("signal",) and fault["loc"][-1] != "signal":  # on a step: a list, or a name
        return (kind, type(value)) in (("string_type", list), ("list_type", str))
    if where[-2:-1] == ("semaphores",):
        return kind == "int_type" and isinstance(value, dict)
    return False


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
    scopes = [*_scopes(tree)]
    return Lost(
        steps=frozenset(
            step["id"]
            for scope in scopes
            for step in _mappings(scope.get("steps"))
            if isinstance(step.get("id"), str)
        ),
        variables=frozenset(
            name
            for scope in scopes
            for name in (scope["vars"] if isinstance(scope.get("vars"), dict) else ())
        ),
    )


def _scopes(owner: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The definition, its bodies and branches; the reader has bounded the depth."""
    yield owner
    for step in _mappings(owner.get("steps")):
        if "steps" in step:
            yield from _scopes(step)
        for branch in _mappings(step.get("branches")):
            yield from _scopes(branch)


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _report(fault: ErrorDetails, where: Path, tree: Any, findings: Findings) -> Path:
    """Note one of pydantic's errors; answers the path of what it is about."""
    kind, context, value = fault["type"], fault.get("ctx", {}), fault.get("input")
    field = str(where[-1]) if where else ""
    if where[-2:-1] == ("semaphores",):
        message = f"a semaphore has a whole number, 1 or more, not {_told(value)}"
        findings.add("HS013" if kind == "int_type" else "HS018", where, message, "as `llm: 4`")
    elif kind == "extra_forbidden":
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
        wanted = _wanted(where, kind, tree)
        cure = f'quote it: "{value}"' if wanted == "a string" and _plain(value) else None
        if where[-2:-1] == ("next",) and isinstance(value, str):
            cure = (
                f"write {{to: {value}}}; the first that holds is taken, with `split: all` every one"
            )
        findings.add("HS013", where, f"{wanted} is wanted, not {_told(value)}", cure)
    elif kind == "literal_error":
        _unknown_value(field, value, context, where, findings)
    elif kind == "too_short":
        findings.add("HS010", where, _ADDED.get(field, "at least one is needed"), "add one")
    else:
        bounds = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
        told = [f"{words} {context[key]}" for key, words in bounds.items() if key in context]
        message = f"the number must be {told[0]}" if told else fault["msg"]
        findings.add("HS018", where, message)
    return where


def _wanted(where: Path, kind: str, tree: Any) -> str:
    field = where[-1] if where else ""
    if field == "signal" and ("any" in where or _at(tree, where[:-1]).get("type") == "wait"):
        return "the name of a signal"
    if isinstance(field, str) and not (field in ("start", "signal") and "actions" in where):
        return _WANTED.get(field, _TYPES[kind]) if kind != "model_type" else _TYPES[kind]
    return _TYPES[kind]


def _within_the_tree(loc: Sequence[str | int]) -> Path:
    """A place as the tree has it: pydantic names in it the member of a union that it tried."""
    return tuple(
        key
        for index, key in enumerate(loc)
        if not (
            (index >= 2 and loc[index - 2] == "steps" and key in STEP_TYPES)
            or (index >= 2 and loc[index - 2] == "semaphores" and key != "per" and key != "[key]")
            or (index >= 1 and loc[index - 1] == "signal" and "[" in str(key))
            or (index >= 1 and loc[index - 1] == "memory")
        )
    )


def _unknown_field(where: Path, tree: Any, findings: Findings) -> None:
    field = str(where[-1])
    owner = _at(tree, where[:-1])
    known, planned, kind = _owner(where[:-1], owner)
    cure: str | None
    if field in planned:
        what, _, instead = planned[field].partition("; ")
        findings.add("HS012", where, f"{what} is not built yet", instead or None, at="key")
        return
    if kind and (better := misplaced(kind, field)) is not None:
        subject = "a step with `steps`" if kind == "body" else f"a step of type `{kind}`"
        findings.add("HS021", where, f"{subject} has no `{field}`", better, at="key")
        return
    if field.endswith("_ms") and field.removesuffix("_ms") in known:
        cure = f'write `{field.removesuffix("_ms")}` with a unit, as in "90s"'
    elif where[-3:-2] == ("branches",) and field in STEP_TYPES["parallel"].model_fields:
        cure = "say it on the parallel step, or on the steps of the branch"
    elif len(where) == 1 and field in _ELSEWHERE:
        cure = _ELSEWHERE[field]
    else:
        close = get_close_matches(field, known, n=1, cutoff=0.6)
        findings.damaged |= bool(close) and close[0] in ORDERING
        listed = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
        cure = f"did you mean `{close[0]}`?" if close else f"known here: {listed}"
    findings.add("HS011", where, f"there is no field `{field}`", cure, at="key")


def _at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _owner(path: Path, owner: Any) -> tuple[list[str], dict[str, str], str]:
    """Fields of the model that a mapping is read as, its fields not built, and a step's type."""
    if not path:
        return _fields(Definition), not_built.DEFINITION_FIELDS, ""
    if len(path) >= 2 and path[-2] == "steps":
        kind = str(owner.get("type", "body"))
        return _fields(STEP_TYPES[kind]), not_built.STEP_FIELDS, kind
    if len(path) == 2 and path[0] == "semaphores":
        return _fields(fields.SemaphoreScope), {}, ""
    model = _MODELS[next(str(key) for key in reversed(path) if isinstance(key, str))]
    return _fields(model), not_built.OTHER_FIELDS.get(model.__name__, {}), ""


def _fields(model: type[BaseModel]) -> list[str]:
    names = [info.alias or name for name, info in model.model_fields.items()]
    return [name for name in names if model is not STEP_TYPES["body"] or name != "type"]


def _unknown_type(step: Any, where: Path, findings: Findings) -> None:
    kind = step.get("type") if isinstance(step, dict) else None
    known = ", ".join(name for name in STEP_TYPES if name != "body")
    if not isinstance(step, dict):
        findings.add("HS013", where, f"a step is a mapping, not {_told(step)}", "as `- id: …`")
    elif "type" not in step:
        guess = guessed(set(step))
        cure = f"add `type: {guess}`" if guess else f"one of: {known}"
        findings.add("HS010", (*where, "type"), "`type` is required here", cure)
    elif not isinstance(kind, str):
        findings.add("HS013", (*where, "type"), f"a string is wanted, not {_told(kind)}")
    else:
        close = get_close_matches(kind, [name for name in STEP_TYPES if name != "body"], n=1)
        cure = f"did you mean `{close[0]}`?" if close else f"one of: {known}"
        findings.add("HS014", (*where, "type"), f"there is no step type `{kind}`", cure)


def _unknown_value(
    field: str, value: Any, context: dict[str, Any], where: Path, findings: Findings
) -> None:
    if isinstance(value, str) and (field, value) in not_built.VALUES:
        findings.add("HS012", where, f"{not_built.VALUES[field, value]} is not built yet")
        return
    if field == "type" and value == "body":
        message = "a body has no `type`: its `steps` say what it is"
        findings.add("HS014", where, message, "remove it", at="key")
        return
    allowed = str(context.get("expected")).replace("'", "")
    values = allowed.replace(" or ", ", ").split(", ")
    close = [each for each in values if each.lower() == str(value).lower()]
    close = close or get_close_matches(str(value), values, n=1)
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

"""What `hs.human` returns: the form that somebody filled in, as Python would see it.

The step's output is what was submitted with `completed_by` beside it, and what is no object stands
under `data`. Neither belongs to the form: a model that forbids other members would refuse the one,
and a form of `bool` would be true whatever was answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_origin

from pydantic_core import to_jsonable_python

from ..fields import STEP_NAME
from . import types
from .frame import Expr, constant
from .types import UNKNOWN

PERSON: Final = "completed_by"
"""Who completed the task, beside what was submitted."""


def is_form(form: Any) -> bool:
    """Whether it is known of what shape the answers are: all objects, or none."""
    shapes = {_is_object(each) for each in types.options(form)}
    return len(shapes) == 1 and None not in shapes


def filled_in(form: Any, path: str) -> Expr:
    """The form, of the output at `path`; members with a default have it where nobody said more."""
    if not _is_object(types.options(form)[0]):
        return Expr(f"{path}.data", form, safe=True, path=True)
    fields = types.fields_of(form) or {}
    members: dict[str, Expr] = {}
    for name, (kind, there) in fields.items():
        member = _member(form, name, kind, path) if there else None
        if member is not None:
            members[name] = member
    if fields and len(members) == len(fields):
        entries = (f"{_key(form, name)}: {each.text}" for name, each in members.items())
        text = f"{{{', '.join(entries)}}}"
    else:
        text = path if PERSON in fields else f'without({path}, "{PERSON}")'
    return Expr(text, form, safe=True, members=members)


def _member(form: Any, name: str, kind: Any, path: str) -> Expr | None:
    """A member that always has a value: one that must be submitted, or has a default."""
    key = types.key_of(form, name)
    if not STEP_NAME.fullmatch(key):
        return None
    path = f"{path}.{key}"
    if types.is_required(form, name):
        return Expr(path, kind, safe=True, path=True)
    default = types.default_of(types.plain(form), name)
    if default is UNKNOWN:
        return None
    told = constant(to_jsonable_python(default)).text
    return Expr(f"({path} if has({path}) else {told})", kind, safe=True)


def _key(form: Any, name: str) -> str:
    return constant(types.key_of(form, name)).text


def _is_object(form: Any) -> bool | None:
    """Whether values of this type are objects; None where it cannot be told."""
    kind = get_origin(form) or form
    if types.fields_of(form) is not None or kind in (dict, Mapping):
        return True
    return None if kind in (Any, object) else False

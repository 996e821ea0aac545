"""What registration stores of a version, and the plan that hosts make from it.

A version is immutable: its body is the definition as canonical JSON, and beside it stands what
registration fixed for ever: the numbers of steps and edges, what definition and decorators say
together, and the hash of the code that was shipped. Nothing of it is computed again later.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from ..calendars import Calendar
from ..plan.compile import compile_plan
from ..plan.numbering import Numbering, continue_numbering, make_numbering
from ..plan.plan import Plan
from .canonical import canonical, canonical_body, identity
from .model import Definition
from .steps import ActivityOptions

VERSION_FORMAT: Final = 1
"""Raised when a field changes its meaning; older formats stay readable."""

DIFFERENCE_LINES_MAX: Final = 60
"""A message is read on a terminal; who wants all of a rewritten file compares the files."""


class Compiled(Struct, frozen=True, kw_only=True):
    """What registration fixed beside the definition's own text."""

    numbering: Numbering
    activities: Mapping[str, ActivityOptions]
    children: Mapping[str, str] = {}
    """The versions of `sub_workflow` steps that say none, by step id."""
    calendars: Mapping[str, Calendar] = {}
    """Those that deadlines name, as they were configured."""
    code: str | None = None
    format: int = VERSION_FORMAT


class Stored(Protocol):
    """The part of a journal's row that a version is made from."""

    @property
    def content_hash(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def compiled(self) -> bytes: ...


class RegisteredVersion(Struct, frozen=True, kw_only=True):
    """A version as it is stored; equal content has equal hashes."""

    namespace: str
    id: str
    version: str
    content_hash: str
    """Of the definition, the options of its activities and its code together."""
    body: bytes
    compiled: bytes

    @property
    def fixed(self) -> Compiled:
        """The decoded second part."""
        return fixed_of(self)

    @property
    def definition(self) -> Definition:
        """The decoded first part; not checked again."""
        return Definition.model_validate_json(self.body)


def register(
    definition: Definition,
    *,
    activities: Mapping[str, ActivityOptions] | None = None,
    code: str | None = None,
    code_identity: str | None = None,
    children: Mapping[str, str] | None = None,
    calendars: Mapping[str, Calendar] | None = None,
    numbering: Numbering | None = None,
) -> RegisteredVersion:
    """The version to store for a definition that passed the checks.

    Args:
        activities: by step id, as `check_activities` answers.
        code: hash of the code bundle, if one is shipped.
        code_identity: what tells this code from other code; None: its bundle's hash.
        children: the versions of `sub_workflow` steps that say none, by step id.
        calendars: by name, those that deadlines may ask for.
        numbering: that of the version, if it is registered already, or the one that goes on from
            the version before (`numbering_after`); None numbers anew.
    """
    body = canonical_body(definition)
    options = {id: (activities or {})[id] for id in sorted(activities or {})}
    pinned = dict(sorted((children or {}).items()))
    named = dict(sorted((calendars or {}).items()))
    compiled = Compiled(
        numbering=numbering if numbering is not None else make_numbering(definition),
        activities=options,
        children=pinned,
        calendars=named,
        code=code,
    )
    identified = canonical(
        {
            "definition": identity(json.loads(body)),
            "activities": msgspec.to_builtins(options),
            "children": pinned,
            "calendars": {name: _plain(calendar) for name, calendar in named.items()},
            "code": code_identity or code,
        }
    )
    return RegisteredVersion(
        namespace=definition.namespace,
        id=definition.id,
        version=definition.version,
        content_hash=hashlib.sha256(identified).hexdigest(),
        body=body,
        compiled=_encode(compiled),
    )


def numbering_after(before: Stored, definition: Definition) -> Numbering:
    """The numbers of a version that is registered after another one: they go on from its own."""
    definition_before = Definition.model_validate_json(before.body)
    return continue_numbering(fixed_of(before).numbering, definition_before, definition)


def encode(version: RegisteredVersion) -> bytes:
    """A version as bytes, to send it."""
    return _encode(version)


def decode(data: bytes) -> RegisteredVersion:
    """What `encode` wrote.

    Raises:
        ValueError: the bytes are no version.
    """
    return _decode_version(data)


def fixed_of(version: Stored) -> Compiled:
    """What registration fixed of a stored version.

    Raises:
        ValueError: a later release stored it in a format that this one does not read.
    """
    fixed = _decode(version.compiled)
    if fixed.format > VERSION_FORMAT:
        raise ValueError(
            f"the version has format {fixed.format}; this release reads up to {VERSION_FORMAT}: "
            "it was registered by a later one"
        )
    return fixed


def plan_of(version: Stored) -> Plan:
    """The plan of a stored version, or of a journal's row of one. Raises as `fixed_of`."""
    fixed = fixed_of(version)
    return compile_plan(
        Definition.model_validate_json(version.body),
        numbering=fixed.numbering,
        code=fixed.code,
        activities=fixed.activities,
        children=fixed.children,
        calendars=fixed.calendars,
        content_hash=version.content_hash,
    )


def difference(old: Stored, new: Stored) -> str:
    """What registering `new` would change in `old`, for people; empty if nothing would."""
    before, after = _readable(old), _readable(new)
    lines = list(difflib.unified_diff(before, after, "registered", "new", n=2, lineterm=""))
    if len(lines) > DIFFERENCE_LINES_MAX:
        more = len(lines) - DIFFERENCE_LINES_MAX
        lines = [*lines[:DIFFERENCE_LINES_MAX], f"… and {more} more lines"]
    return "\n".join(lines)


def _readable(version: Stored) -> list[str]:
    fixed = _decode(version.compiled)
    parts: dict[str, Any] = {"definition": identity(json.loads(version.body))}
    parts["activity options"] = {
        id: _not_default(options) for id, options in fixed.activities.items()
    }
    parts["children"] = dict(fixed.children)
    parts["calendars"] = {name: _plain(each) for name, each in fixed.calendars.items()}
    parts["code"] = fixed.code
    return json.dumps(parts, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def _plain(calendar: Calendar) -> dict[str, Any]:
    """As JSON, its holidays in order: a set has none of its own."""
    plain: dict[str, Any] = msgspec.to_builtins(calendar)
    return plain | {"holidays": sorted(plain["holidays"])}


def _not_default(options: ActivityOptions) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(options)
    usual: dict[str, Any] = msgspec.to_builtins(ActivityOptions())
    return {name: value for name, value in plain.items() if value != usual[name]}


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Compiled).decode
_decode_version: Final = msgspec.msgpack.Decoder(RegisteredVersion).decode

"""A `Journal` in another process: the same port, its calls as bytes to the host that has the file.

A SQLite journal has one writing process. The actor of a dedicated execution is another one, and
appends through that host: `RemoteJournal` in the actor, `JournalDoor` in the host. Fencing is the
journal's own and holds as everywhere: the host looks at nothing of what passes.

What a call carries is made from the protocol itself, by its annotations: a method added to
`Journal` passes through here without another line.

What a broken call means:

- `append`: whether it was stored is unknown, and it may be stored later still: `OutcomeUnknown`.
- Everything else may be repeated without harm, or is found out by looking: `JournalUnavailable`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, get_type_hints

import msgspec
from msgspec import Struct

from heliostat.actors.calls import pack, unpack
from heliostat.engine.errors import (
    FormatMismatch,
    HeliostatError,
    InputError,
    JournalError,
    JournalLocked,
    JournalUnavailable,
    OutcomeUnknown,
)
from heliostat.engine.journal.protocol import Journal, JournalInfo

Ask: TypeAlias = Callable[[bytes], Awaitable[bytes]]
"""Calls the door; raises `NotAsked` when it surely was not reached, anything else when it may
have been."""

_ERRORS: Final[Mapping[str, type[HeliostatError]]] = {
    each.code: each
    for each in (
        InputError,
        JournalLocked,
        JournalUnavailable,
        FormatMismatch,
        OutcomeUnknown,
        JournalError,
    )
}

_INFO: Final = "info"


_NONE: Final = msgspec.Raw(pack(None))


class NotAsked(Exception):
    """The call did not leave: nothing of it has happened."""


class _Asked(Struct, array_like=True):
    """One call."""

    method: str
    arguments: msgspec.Raw


class _Answered(Struct, array_like=True):
    """Its answer: the value, or the code and text of an error."""

    value: msgspec.Raw = _NONE
    code: str | None = None
    message: str = ""


class _Method:
    """How one method's arguments and answer are written."""

    def __init__(self, name: str, signature: inspect.Signature, hints: Mapping[str, Any]) -> None:
        self.name = name
        self.signature = signature
        parameters = [each for each in signature.parameters.values() if each.name != "self"]
        self.positional = tuple(
            each.name for each in parameters if each.kind is not inspect.Parameter.KEYWORD_ONLY
        )
        self.arguments = msgspec.defstruct(
            f"_{name}", [_field(each, hints[each.name]) for each in parameters], kw_only=True
        )
        self.answer = hints["return"]

    def pack(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> bytes:
        values = dict(zip(self.positional, given, strict=False), **named)
        return pack(_Asked(self.name, msgspec.Raw(pack(self.arguments(**values)))))

    async def call(self, journal: Journal, arguments: bytes) -> Any:
        given = unpack(arguments, self.arguments)
        values = {name: getattr(given, name) for name in given.__struct_fields__}
        first = [values.pop(name) for name in self.positional]
        return await getattr(journal, self.name)(*first, **values)


def _field(parameter: inspect.Parameter, kind: Any) -> Any:
    if parameter.default is inspect.Parameter.empty:
        return parameter.name, kind
    return parameter.name, kind, parameter.default


def _methods() -> dict[str, _Method]:
    found = {}
    for name, member in vars(Journal).items():
        if name.startswith("_") or name == "close" or not inspect.iscoroutinefunction(member):
            continue
        found[name] = _Method(name, inspect.signature(member), get_type_hints(member))
    return found


_METHODS: Final = _methods()


class JournalDoor:
    """The side of the process that has the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def answer(self, body: bytes) -> bytes:
        """Make one call, and pack what comes of it; errors raised on purpose are answers."""
        asked = unpack(body, _Asked)
        if asked.method == _INFO:
            return pack(_Answered(msgspec.Raw(pack(self._journal.info))))
        method = _METHODS.get(asked.method)
        if method is None:
            return pack(_Answered(code=JournalError.code, message=f"no call {asked.method!r}"))
        try:
            value = await method.call(self._journal, bytes(asked.arguments))
        except HeliostatError as error:
            return pack(_Answered(code=error.code, message=str(error)))
        return pack(_Answered(msgspec.Raw(pack(value))))


def may_publish(body: bytes) -> bool:
    """Whether a call may have put events on the bus."""
    return unpack(body, _Asked).method in ("append", "publish")


def unavailable(why: str) -> bytes:
    """The answer of a process that has no journal open."""
    return pack(_Answered(code=JournalUnavailable.code, message=why))


class RemoteJournal:
    """`Journal` through a door; made by `open_remote`."""

    def __init__(self, ask: Ask, info: JournalInfo) -> None:
        self._ask = ask
        self._info = info
        self._closed = False

    @property
    def info(self) -> JournalInfo:
        return self._info

    async def close(self) -> None:
        """The journal itself stays open."""
        self._closed = True

    def __getattr__(self, name: str) -> Any:
        method = _METHODS.get(name)
        if method is None:
            raise AttributeError(name)

        async def call(*given: Any, **named: Any) -> Any:
            if self._closed:
                raise JournalError("the way to the journal is closed")
            return await _asked(self._ask, method, given, named)

        setattr(self, name, call)  # found at once the next time
        return call


async def open_remote(ask: Ask) -> Journal:
    """The way to a journal; raises `JournalUnavailable` while its process does not answer."""
    body = pack(_Asked(_INFO, _NONE))
    info = unpack(await _answered(ask, body, may_store=False), JournalInfo)
    journal: Any = RemoteJournal(ask, info)
    made: Journal = journal  # its methods are the protocol's, by construction
    return made


async def _asked(
    ask: Ask, method: _Method, given: tuple[Any, ...], named: Mapping[str, Any]
) -> Any:
    body = method.pack(given, named)
    value = await _answered(ask, body, may_store=method.name == "append")
    return unpack(value, method.answer)


async def _answered(ask: Ask, body: bytes, *, may_store: bool) -> bytes:
    try:
        answered = unpack(await ask(body), _Answered)
    except NotAsked as error:
        raise JournalUnavailable(
            f"the process with the journal does not answer: {error}"
        ) from error
    except Exception as error:  # whatever broke the call, what it led to is not known
        text = f"a call to the process with the journal broke: {type(error).__name__}: {error}"
        raise (OutcomeUnknown(text) if may_store else JournalUnavailable(text)) from error
    if answered.code is not None:
        raise _ERRORS.get(answered.code, JournalError)(answered.message)
    return bytes(answered.value)

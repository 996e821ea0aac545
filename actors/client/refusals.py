"""From a host's refusal, or an execution's end, back to the error that it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import to_builtins

from heliostat.actors.host.api import Ended, Refusal
from heliostat.engine import errors
from heliostat.engine.errors import ExecutionCanceled, ExecutionFailed, HeliostatError


class Refused(HeliostatError):
    """A refusal by a host of another release, with a code that this one does not know."""


def to_error(refusal: Refusal) -> HeliostatError:
    """The error with the refusal's code and text, to be raised in the client."""
    details = refusal.details
    match refusal.code:
        case "NOT_FOUND":
            _, _, cure = refusal.message.partition("; ")
            kind, name = details.get("kind", "thing"), details.get("name", refusal.message)
            return errors.NotFound(str(kind), str(name), cure)
        case "OVERLOADED":
            what, full, _ = refusal.message.partition(" is full")
            told = None if full else refusal.message
            return errors.Overloaded(what, float(details.get("retry_after_s", 1.0)), told)
        case "INVALID_DEFINITION":
            return errors.DefinitionError(
                str(details.get("name", "the definition")),
                details.get("diagnostics") or [refusal.message],
            )
        case "INVALID_INPUT":
            return errors.InputError(refusal.message, details)
        case "INVALID_CONFIGURATION":
            return errors.ConfigurationError(refusal.message, details)
        case "DUPLICATE_ERROR":
            return errors.Duplicate(refusal.message, details)
        case "UNMAPPED":
            return errors.Unmapped(refusal.message, details)
        case "DEPENDENCY_ERROR":
            return errors.Dependency(
                str(details.get("name", "the definition")),
                details.get("executions") or (),
                details.get("definitions") or (),
            )
        case "EXPRESSION_ERROR":
            return errors.ExpressionError(refusal.message)
    return _BY_CODE.get(refusal.code, Refused)(refusal.message)


def error_of_end(ended: Ended) -> HeliostatError | None:
    """What `result` raises in place of returning an output; None for a completed execution."""
    match ended.status:
        case "Completed":
            return None
        case "Canceled":
            return ExecutionCanceled(ended.key.execution_id)
    failure = {} if ended.failure is None else to_builtins(ended.failure)
    return ExecutionFailed(ended.key.execution_id, failure)


def _subclasses(type_: type[HeliostatError]) -> Iterator[type[HeliostatError]]:
    for subclass in type_.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


_BY_CODE: Final = {
    type_.code: type_
    for type_ in _subclasses(HeliostatError)
    if type_.__module__ == errors.__name__ and type_.__init__ is HeliostatError.__init__
}
"""Those made from one message."""

"""From an answer of the door back to the error that it was. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import structs

from heliostat.actors.client.refusals import to_error
from heliostat.actors.host.api import Refusal
from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.errors import (
    DefinitionError,
    HeliostatError,
    InputError,
    Unreachable,
)

_OURS: Final[Mapping[str, str]] = {
    "INVALID_STATE": "CONFLICT",
    "VERSION_CONFLICT": "CONFLICT",
    "TOO_LARGE": "INVALID_INPUT",
    "UNSUPPORTED_MEDIA_TYPE": "INVALID_INPUT",
    "METHOD_NOT_ALLOWED": "INVALID_INPUT",
    "FORBIDDEN": "INVALID_INPUT",
    "RESULT_TIMEOUT": "UNREACHABLE",
    "VALIDATION_ERROR": "INVALID_INPUT",
}
"""Codes of the wire that are called otherwise inside."""

_SHOWN_CHARS: Final = 300


class ToldDiagnostic(Diagnostic, frozen=True, kw_only=True):
    """A fault of a definition as the door told it, with its text."""

    text: str

    def __str__(self) -> str:
        return self.text


def error_of(body: Any, status: int, *, name: str = "the definition") -> HeliostatError:
    """The error that an answer tells.

    Args:
        body: what the answer says; of a proxy's own answer, its text.
        name: what a definition that was sent is called, for its faults.
    """
    if not isinstance(body, Mapping) or not isinstance(body.get("code"), str):
        return _foreign(body, status)
    code, message = body["code"], str(body.get("message", ""))
    details = body.get("details")
    facts = dict(details) if isinstance(details, Mapping) else {}
    if "diagnostics" in facts:
        return DefinitionError(name, [diagnostic(each) for each in facts["diagnostics"]])
    return to_error(Refusal(code=_OURS.get(code, code), message=message, details=facts))


def diagnostic(told: Mapping[str, Any]) -> Diagnostic:
    """One fault of a definition."""
    return ToldDiagnostic(
        file="",
        line=told.get("line") or 0,
        column=told.get("column") or 0,
        code=told.get("code") or "",
        step=told.get("step"),
        field=told.get("field"),
        message=str(told.get("message", "")),
        cure=told.get("cure"),
        severity="warning" if told.get("severity") == "warning" else "error",
        text=str(told.get("text") or told.get("message", "")),
    )


def with_cure(error: DefinitionError, codes: Sequence[str], cure: str) -> DefinitionError:
    """The error with one more line at each fault that has one of these codes."""
    return DefinitionError(
        error.name,
        [
            structs.replace(each, text=f"{each.text}\n   = {cure}")
            if isinstance(each, ToldDiagnostic) and each.code in codes
            else each
            for each in error.diagnostics
        ],
    )


def _foreign(body: Any, status: int) -> HeliostatError:
    """An answer that is not the door's: of a proxy before it, or of another server."""
    said = " ".join(str(body).split())[:_SHOWN_CHARS]
    text = f"the server answered {status} in words that are not heliostat's: {said!r}"
    if status >= 500 or status == 429:
        return Unreachable(text)
    return InputError(f"{text}; is this the address of a heliostat deployment?")

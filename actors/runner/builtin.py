"""What script and service steps are to a runner: two functions of our own, and their errors.

    BuiltinError                      everything below; its message says all, so it has no traceback
    ├── SecretMissing                 a secret that the step names is not set here
    ├── ScriptError
    │   ├── ScriptNotStarted          no such interpreter, an `env` that no process can have, …
    │   ├── ScriptFailed              exit code other than 0, or ended by a signal
    │   └── ScriptOutputInvalid       the last line of stdout is no JSON, or too long
    └── ServiceError
        ├── TransientServiceError     another attempt may help
        │   ├── ConnectError          no address, refused, no TLS
        │   │   └── ConnectTimeout
        │   ├── ReadTimeout           connected, and then silence
        │   ├── ConnectionCut         closed before the answer was complete
        │   └── TransientStatus       408, 425, 429, 5xx; an UnexpectedStatus too
        ├── PermanentServiceError     another attempt gets the same answer
        │   ├── PermanentStatus       every other; an UnexpectedStatus too
        │   ├── InvalidRequest        a URL, header or body that cannot be sent
        │   ├── CertificateError      the server is not who it should be
        │   ├── RedirectError         too many, or to where none may lead
        │   ├── InvalidResponse       not HTTP, or JSON that is none
        │   └── ResponseTooLarge
        └── UnexpectedStatus          above; each status is a class of its own, such as `Status404`

`retry` and `on_error` name any of them. `NEVER_RETRIED` in `engine/builtin.py` says which a step
repeats only where its `retry.on` names them. This module is small, for every runner imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from msgspec import Struct

from heliostat.engine.builtin import TARGETS as BY_TYPE

TARGETS: Final = frozenset(BY_TYPE.values())
"""Functions that get secrets, run with nothing of the users' importable, and know their step."""

TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})
"""And every status from 500 on."""


class Around(Struct, frozen=True, kw_only=True):
    """What one of the functions is told of its step beside its arguments."""

    folders: tuple[str, ...] = ()
    """Of the users' modules: those shipped with the version, then those of `code`."""
    timeout_ms: int | None = None
    """The step's own `timeout`, which ends the attempt from outside."""
    scrub: Callable[[str], str] = str
    """Takes the values of the attempt's secrets out of a text."""


class BuiltinError(Exception):
    """A script or service step failed; the message says all there is to say."""


class SecretMissing(BuiltinError):
    """A secret that the step names cannot be had here."""


class ScriptError(BuiltinError):
    """A script did not do what it should."""


class ScriptNotStarted(ScriptError):
    """The operating system refused to start the script."""


class ScriptFailed(ScriptError):
    """The script ended with an exit code other than 0, or by a signal."""

    def __init__(self, how: str, stderr: str) -> None:
        super().__init__(how, stderr)
        self.how, self.stderr = how, stderr

    def __str__(self) -> str:
        if not self.stderr:
            return f"the script {self.how} and wrote nothing to stderr"
        return f"the script {self.how}; stderr ends: {self.stderr}"


class ScriptOutputInvalid(ScriptError):
    """What the script printed last is no output."""


class ServiceError(BuiltinError):
    """A service was not reached, or did not answer as expected."""


class TransientServiceError(ServiceError):
    """Another attempt may well succeed."""


class PermanentServiceError(ServiceError):
    """Another attempt would get the same answer."""


class ConnectError(TransientServiceError):
    """No connection came about; nothing was sent."""


class ConnectTimeout(ConnectError):
    """No connection came about in time."""


class ReadTimeout(TransientServiceError):
    """The service stayed silent too long; whether it did what was asked is unknown."""


class ConnectionCut(TransientServiceError):
    """The connection ended before the answer did; whether it was done is unknown."""


class InvalidRequest(PermanentServiceError):
    """The step's fields make no request that could be sent."""


class CertificateError(PermanentServiceError):
    """The server's certificate is not valid for its name."""


class RedirectError(PermanentServiceError):
    """A redirect that is not followed."""


class InvalidResponse(PermanentServiceError):
    """The answer cannot be read."""


class ResponseTooLarge(PermanentServiceError):
    """The answer is longer than is read."""


class UnexpectedStatus(ServiceError):
    """The service answered with a status that `expect` does not name."""

    def __init__(
        self, request: str, status: int, expected: Sequence[str | int], excerpt: str
    ) -> None:
        super().__init__(request, status, tuple(expected), excerpt)
        self.request, self.status, self.excerpt = request, status, excerpt
        self.expected = tuple(expected)

    def __str__(self) -> str:
        wanted = " or ".join(map(str, self.expected))
        body = f": {self.excerpt}" if self.excerpt else ", with an empty body"
        return f"{self.request} answered {_called(self.status)}, not {wanted}{body}"


class TransientStatus(UnexpectedStatus, TransientServiceError):
    """A status that says: not now."""


class PermanentStatus(UnexpectedStatus, PermanentServiceError):
    """A status that says: not so."""


@lru_cache(maxsize=1024)
def status_error(status: int) -> type[UnexpectedStatus]:
    """The class of the error for a status, such as `Status404`."""
    transient = status in TRANSIENT_STATUSES or status >= 500
    base = TransientStatus if transient else PermanentStatus
    return type(f"Status{status}", (base,), {"__doc__": _called(status)})


def _called(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)

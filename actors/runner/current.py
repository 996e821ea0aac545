"""What user code may ask about the attempt it runs in, and how it learns that it shall stop.

    attempt = current()
    stripe.charge(amount, idempotency_key=attempt.idempotency_key)
    attempt.heartbeat({"rows": 10_000})
    if attempt.cancelled: ...

`current()` follows the call, also into coroutines; a thread that user code starts itself takes the
object along. Async functions are cancelled as asyncio does it, generators get `Cancelled` at their
next `yield`; other functions see the flag.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from heliostat.engine.identity import Address, ExecutionKey, idempotency_key

from .builtin import Around

_NOTHING_AROUND: Final = Around()


class Cancelled(BaseException):
    """The attempt was told to stop. Passes through `except Exception` on its way out."""


class NoAttempt(RuntimeError):
    """`current()` was called where no attempt runs."""

    def __str__(self) -> str:
        return "no attempt runs here: call current() inside a step's function, or pass it along"


class Current:
    """The attempt that this code runs in."""

    __slots__ = ("_on_stop", "_report", "_stopped", "_where", "around", "attempt", "step_id")

    def __init__(
        self,
        key: ExecutionKey,
        at: Address,
        step_id: str,
        report: Callable[[ExecutionKey, Address, Any], None],
    ) -> None:
        self._where = (key, at)
        self._report = report
        self._stopped = False
        self._on_stop: Callable[[], None] | None = None
        self.step_id = step_id
        self.attempt = at.attempt  # from 1
        self.around = _NOTHING_AROUND

    @property
    def namespace(self) -> str:
        return self._where[0].namespace

    @property
    def execution_id(self) -> str:
        return self._where[0].execution_id

    @property
    def address(self) -> Address:
        """Scope instance, step, visit and attempt."""
        return self._where[1]

    @property
    def idempotency_key(self) -> str:
        """One text for all attempts at this visit, to make an effect outside happen once."""
        key, at = self._where
        return idempotency_key(key, self.step_id, at)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt was told to stop: return within the grace, or be killed."""
        return self._stopped

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` when the attempt was told to stop."""
        if self._stopped:
            raise Cancelled

    def heartbeat(self, progress: Any = None) -> None:
        """Show watchers how far the attempt is. Lossy, bounded, never waits and never raises."""
        self._report(*self._where, progress)

    # For the runner; any thread may call `stop`.

    def stop(self) -> None:
        """Set the flag, and interrupt what can be interrupted."""
        self._stopped = True
        on_stop = self._on_stop
        if on_stop is not None:
            on_stop()

    def interrupt_with(self, on_stop: Callable[[], None] | None) -> None:
        """What `stop` also calls; at once when it came before. None: nothing any more."""
        self._on_stop = on_stop
        if on_stop is not None and self._stopped:
            on_stop()


_current: ContextVar[Current | None] = ContextVar("heliostat_current", default=None)

enter = _current.set
"""The executor thread makes one attempt after another and overwrites; it never resets."""


def current() -> Current:
    """The attempt that this code runs in.

    Raises:
        NoAttempt: none runs here, as in a thread that user code started itself.
    """
    attempt = _current.get()
    if attempt is None:
        raise NoAttempt
    return attempt

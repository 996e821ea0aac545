"""Every Ray call from a client to an execution host, repeated until one answers or a bound is met.

Every request that changes something carries an id drawn by the client, so repeating it is always
safe: whether a call that broke has arrived need not be known. Hosts come back by themselves; what
this module knows of them is a name.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any, Final, TypeVar

from heliostat.actors import names
from heliostat.actors.calls import pack, unpack
from heliostat.actors.client.refusals import to_error
from heliostat.actors.host.api import Refusal
from heliostat.actors.host.questions import ResultBatch, answer
from heliostat.engine.errors import Unreachable
from heliostat.engine.identity import ExecutionKey

_T = TypeVar("_T")

_PAUSE_S: Final = 0.05
_PAUSE_MAX_S: Final = 1.0
"""Between two tries: a killed host answers again after 0.7 s at the earliest."""

STREAM_SILENCE_S: Final = 5.0
"""A host says something every second; one that is silent for longer died, moved or froze."""

_CLOSING_S: Final = 0.25
"""How soon a silent stream sees that its client closes: a wait in Ray has no other end."""

_ANSWER_S: Final = 20.0
"""One try. A host waits up to 15 s for its journal, else answers within a second; a frozen one
never does."""


class Hosts:
    """The hosts of one deployment, by name; which of them serves an execution is asked here."""

    def __init__(
        self, *, deployment: str, generation: int, hosts: int, call_timeout_ms: int
    ) -> None:
        self._names = [names.host_name(deployment, generation, index) for index in range(hosts)]
        self._deployment = deployment
        self._call_timeout_s = call_timeout_ms / 1_000
        self._actors: dict[str, Any] = {}

    def of(self, key: ExecutionKey) -> str:
        """The host to ask about an execution: there is one with a SQLite journal."""
        return self._names[0]

    @property
    def any(self) -> str:
        """A host for what concerns no execution."""
        return self._names[0]

    def call(
        self,
        host: str,
        method: str,
        request: Any,
        answered: type[_T],
        *,
        timeout_s: float | None = None,
        answer_s: float = _ANSWER_S,
    ) -> _T:
        """The answer of a host's method; repeated while the host is away or cannot serve yet.

        Args:
            timeout_s: bound of all tries; None takes the client's own.
            answer_s: bound of one try.

        Raises:
            Unreachable: no answer within the bound; the request may have arrived all the same.
            HeliostatError: what the host refused the request with.
        """
        bound_s = self._call_timeout_s if timeout_s is None else timeout_s
        end_at = time.monotonic() + bound_s
        pause_s = _PAUSE_S
        away: tuple[type[Exception], ...] = (*gone(), Unreachable)
        while True:
            try:
                left_s = max(end_at - time.monotonic(), 0.001)
                return self._once(host, method, request, answered, min(left_s, answer_s))
            except away as error:
                self.forget(host)
                pause_s = min(pause_s * 2, _PAUSE_MAX_S) * random.uniform(0.5, 1.0)
                if time.monotonic() + pause_s >= end_at:
                    raise Unreachable(
                        f"deployment {self._deployment} has not answered `{method}` for "
                        f"{bound_s:g} s ({_reason(error)}); see `heliostat status`"
                    ) from error
                time.sleep(pause_s)

    def _once(self, host: str, method: str, request: Any, answered: type[_T], bound_s: float) -> _T:
        import ray

        arguments = () if request is None else (pack(request),)
        reference = getattr(self.actor(host), method).remote(*arguments)
        found = answer(ray.get(reference, timeout=bound_s), answered)
        if isinstance(found, Refusal):
            raise to_error(found)
        return found

    def results(self, host: str, client_id: str, closing: threading.Event) -> Iterator[ResultBatch]:
        """One opening of a client's result stream.

        Ends when the host closes it, falls silent, or soon after `closing` is set.

        Raises:
            Unreachable: the host died, or there is none just now.
        """
        import ray

        try:
            stream = self.actor(host).results.remote(client_id)
            silent_s = 0.0
            while silent_s < STREAM_SILENCE_S and not closing.is_set():
                if not ray.wait([stream], timeout=_CLOSING_S)[0]:
                    silent_s += _CLOSING_S
                    continue
                silent_s = 0.0
                try:
                    reference = next(stream)
                except StopIteration:
                    return
                yield unpack(ray.get(reference, timeout=STREAM_SILENCE_S), ResultBatch)
        except gone() as error:
            raise Unreachable(f"the result stream of {host} broke") from error
        finally:
            self.forget(host)

    def actor(self, host: str) -> Any:
        """The handle of a host; raises one of `gone()` when there is none by that name."""
        import ray

        actor = self._actors.get(host)
        if actor is None:
            try:
                actor = ray.get_actor(host, namespace=names.NAMESPACE)
            except ValueError as error:
                raise NoSuchActor(host) from error
            self._actors[host] = actor
        return actor

    def forget(self, host: str) -> None:
        """Look the host up anew: it may have been created again under its name."""
        self._actors.pop(host, None)


class NoSuchActor(Exception):
    """No actor has the name now; Ray says so by a `ValueError`, as a user's method might."""


def gone() -> tuple[type[Exception], ...]:
    """Errors that say: this host does not answer, one of the same name may soon."""
    from ray.exceptions import ActorUnschedulableError, GetTimeoutError, RayActorError

    return RayActorError, ActorUnschedulableError, GetTimeoutError, NoSuchActor


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, Unreachable) else type(error).__name__

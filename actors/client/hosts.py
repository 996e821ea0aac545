"""Every call from a client to an execution host, repeated until one answers or a bound is met.

Every request that changes something carries an id drawn by the client, so repeating it is always
safe: whether a call that broke has arrived need not be known, and it may be repeated at another
host. Hosts come back by themselves; what this module knows of them is a name, and in `routes.py`
which of them has which executions. What carries a call is `calling.py`'s.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import msgspec

from heliostat.actors import names
from heliostat.actors.calls import pack, unpack
from heliostat.actors.client.calling import Calls, Stream
from heliostat.actors.client.local_calls import LocalFirst
from heliostat.actors.client.ray_calls import RayCalls
from heliostat.actors.client.refusals import to_error
from heliostat.actors.client.routes import Routes
from heliostat.actors.host.api import Refusal
from heliostat.actors.host.questions import Directory, HostInfo, ResultBatch, answer
from heliostat.engine.errors import HeliostatError, InputError, Unreachable
from heliostat.engine.identity import ExecutionKey

_T = TypeVar("_T")

_PAUSE_S: Final = 0.05
_PAUSE_MAX_S: Final = 1.0
"""Between two tries: a killed host answers again after 0.7 s at the earliest."""

STREAM_SILENCE_S: Final = 5.0
"""A host says something every second; one that is silent for longer died, moved or froze."""

_CLOSING_S: Final = 0.25
"""How soon a silent stream sees that its client closes: a wait has no other end."""

ANSWER_S: Final = 20.0
"""One try. A host waits up to 15 s for its journal, else answers within a second; a frozen one
never does."""

_DIRECTORY_S: Final = 2.0
"""One try to hear who has what; a host answers it from memory."""

_REFRESH_PAUSE_S: Final = 0.2
"""Between two looks at who has what: hosts look themselves once a second."""

_INFO_S: Final = 5.0
"""How long a host beside the first may take to say how it is, before it is left out."""

_ASKED_AT_ONCE: Final = 16

_MOVES_MAX: Final = 4
"""Hosts that one request goes to at once, each named by the one before; then it pauses."""


class Moved(HeliostatError):
    """The host that was asked does not have the execution, and names the one that does."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.owner = owner

    def __str__(self) -> str:
        return f"the execution belongs to {self.owner!r} by now"


class Hosts:
    """The hosts of one deployment, by name; which of them serves an execution is asked here."""

    def __init__(
        self,
        *,
        deployment: str,
        generation: int,
        hosts: int,
        call_timeout_ms: int,
        calls: Calls | None = None,
    ) -> None:
        """Args:
        calls: how they are called; absent, over their sockets on this machine, else by Ray.
        """
        self._calls = calls or LocalFirst(RayCalls())
        self._routes = Routes(
            [names.host_name(deployment, generation, index) for index in range(hosts)]
        )
        self.deployment, self._generation = deployment, generation
        self.call_timeout_s = call_timeout_ms / 1_000
        self._refreshing = threading.Lock()
        self._refreshed_at = -_REFRESH_PAUSE_S

    @property
    def names(self) -> tuple[str, ...]:
        """Every host that is known, living or not."""
        return self._routes.names

    def of(self, key: ExecutionKey) -> str:
        """The host to ask about an execution."""
        if not self._routes.known:
            self.refresh()
        return self._routes.of(key)

    def learn(self, key: ExecutionKey, owner: str) -> None:
        """A host named this one as the execution's."""
        if names.is_host(owner) and owner not in self.names:
            self.refresh()  # a host has joined, and took more than this one shard
        self._routes.learn(key, owner)

    def ask(
        self,
        method: str,
        request: Any,
        answered: type[_T],
        *,
        key: ExecutionKey | None = None,
        timeout_s: float | None = None,
        answer_s: float = ANSWER_S,
    ) -> _T:
        """The answer of the host that has an execution, wherever it moves; or of any host.

        Args:
            key: the execution; None for what concerns no execution, or all of them.
            timeout_s: bound of all tries; None takes the client's own.
            answer_s: bound of one try.

        Raises:
            Unreachable: no answer within the bound; the request may have arrived all the same.
            HeliostatError: what the host refused the request with.
        """
        tries = Tries(self, method, timeout_s)
        while True:
            host = self._any(tries.failed) if key is None else self.of(key)
            try:
                return self.once(host, method, request, answered, min(tries.left_s, answer_s))
            except Moved as moved:
                assert key is not None, f"{method} concerns no execution"
                self.learn(key, moved.owner)
                tries.moved()
            except Unreachable as error:
                tries.again(host, error)

    def call(
        self,
        host: str,
        method: str,
        request: Any,
        answered: type[_T],
        *,
        timeout_s: float | None = None,
        answer_s: float = ANSWER_S,
    ) -> _T:
        """The answer of this very host; repeated while it is away or cannot serve yet.

        Raises:
            As `ask`.
        """
        tries = Tries(self, method, timeout_s)
        while True:
            try:
                return self.once(host, method, request, answered, min(tries.left_s, answer_s))
            except Unreachable as error:
                tries.again(host, error)

    def info(self, timeout_s: float | None = None) -> list[HostInfo]:
        """Of each host that answers, how it sees itself; waits only until one does.

        Raises:
            Unreachable: none answers within the bound.
        """
        bound_s = self.call_timeout_s if timeout_s is None else timeout_s
        end_at = time.monotonic() + bound_s
        # One that is frozen may not take all of the time that another would answer in.
        first = self.ask("info", None, HostInfo, timeout_s=bound_s, answer_s=max(bound_s / 3, 0.5))
        if first.state != "running" or len(self.names) > 1:
            self.refresh(bound_s=end_at - time.monotonic())
        found = {first.name: first}
        others = [name for name in self.names if name != first.name]
        left_s = min(_INFO_S, end_at - time.monotonic())
        if others and left_s > 0:
            with ThreadPoolExecutor(min(len(others), _ASKED_AT_ONCE)) as pool:
                for info in pool.map(lambda host: self._info(host, left_s), others):
                    if info is not None:
                        found[info.name] = info
        return [found[name] for name in sorted(found)]

    def _info(self, host: str, bound_s: float) -> HostInfo | None:
        try:
            return self.once(host, "info", None, HostInfo, bound_s)
        except HeliostatError:
            return None

    def scheduler(self, bound_s: float) -> dict[str, Any] | None:
        """How the deployment's scheduler sees itself; None where it does not answer in time."""
        from heliostat.actors.scheduler.scheduler import SchedulerInfo

        name = names.scheduler_name(self.deployment, self._generation)
        try:
            body = self._calls.call(name, "info", None, bound_s)
        except Unreachable:
            return None
        found: dict[str, Any] = msgspec.to_builtins(unpack(body, SchedulerInfo))
        return found

    def once(
        self, host: str, method: str, request: Any, answered: type[_T], bound_s: float = ANSWER_S
    ) -> _T:
        """One try.

        Raises:
            Unreachable: the host did not answer, or cannot serve just now.
            Moved: another host has the execution.
            HeliostatError: what the host refused the request with.
        """
        body = None if request is None else packed(request)
        found = answer(self._calls.call(host, method, body, bound_s), answered)
        if isinstance(found, Refusal):
            raise error_of(found)
        return found

    def refresh(self, *, without: str | None = None, bound_s: float | None = None) -> None:
        """Ask hosts, one after the other, who has what; harmless where none answers.

        Args:
            without: this one does not answer, and is asked last.
            bound_s: of all of it; None: as long as it takes.
        """
        end_at = math.inf if bound_s is None else time.monotonic() + bound_s
        if without is not None:
            self._routes.gone(without)
        with self._refreshing:  # one asks for all that wait
            if time.monotonic() - self._refreshed_at < _REFRESH_PAUSE_S:
                return
            for host in sorted(self.names, key=lambda name: name == without):
                left_s = min(_DIRECTORY_S, end_at - time.monotonic())
                if left_s <= 0:
                    break
                try:
                    directory = self.once(host, "directory", None, Directory, left_s)
                except HeliostatError:
                    continue
                self._routes.replace(directory)
                break
            self._refreshed_at = time.monotonic()

    def _any(self, failed: set[str]) -> str:
        """A host that has not failed this time; all have: the one that did first."""
        known = self.names
        return next((name for name in known if name not in failed), known[0])

    def results(self, host: str, client_id: str, closing: threading.Event) -> Iterator[ResultBatch]:
        """One opening of a client's result stream.

        Ends when the host closes it, falls silent, or soon after `closing` is set.

        Raises:
            Unreachable: the host died, or there is none just now.
        """
        stream = self._calls.open(host, "results", pack(client_id))
        try:
            silent_s = 0.0
            while silent_s < STREAM_SILENCE_S and not closing.is_set():
                try:
                    piece = stream.piece(_CLOSING_S)
                except TimeoutError:
                    silent_s += _CLOSING_S
                    continue
                silent_s = 0.0
                if piece is None:
                    return
                yield unpack(piece, ResultBatch)
        finally:
            stream.drop()
            self.forget(host)

    # a stream that is read piece by piece

    def open_stream(self, host: str, method: str, body: bytes) -> Stream:
        """Open a stream of this host; nothing is heard yet. Read it by `piece` or `piece_async`.

        Raises:
            Unreachable: there is no such host just now.
        """
        return self._calls.open(host, method, body)

    def piece(self, stream: Stream) -> bytes | None:
        """What it says next; None when the host ended it.

        Raises:
            Unreachable: the host died, or fell silent.
        """
        try:
            return stream.piece(STREAM_SILENCE_S)
        except TimeoutError as error:
            raise Unreachable("the stream fell silent") from error

    async def piece_async(self, stream: Stream) -> bytes | None:
        """`piece`, without blocking the event loop, and without a thread."""
        try:
            return await stream.piece_async(STREAM_SILENCE_S)
        except TimeoutError as error:
            raise Unreachable("the stream fell silent") from error

    def opened(self, piece: bytes, type: type[_T]) -> _T:
        """What a piece says; raises the refusal that it may be."""
        found = answer(piece, type)
        if isinstance(found, Refusal):
            raise error_of(found)
        return found

    def forget(self, host: str) -> None:
        """Look the host up anew: it may have been created again under its name."""
        self._calls.forget(host)

    def close(self) -> None:
        """Let go of what is kept open for calls."""
        self._calls.close()


class Tries:
    """The tries of one request, up to a bound."""

    def __init__(self, hosts: Hosts, method: str, timeout_s: float | None = None) -> None:
        self._hosts, self._method = hosts, method
        self._bound_s = hosts.call_timeout_s if timeout_s is None else timeout_s
        self._end_at = time.monotonic() + self._bound_s
        self._pause_s = _PAUSE_S
        self._moves = 0
        self.failed: set[str] = set()

    @property
    def left_s(self) -> float:
        return max(self._end_at - time.monotonic(), 0.001)

    def moved(self) -> None:
        """Go on at once at the host that was named; after some moves, when owners have settled."""
        self._moves += 1
        if self._moves > _MOVES_MAX:
            self.wait("its executions move from host to host")

    def again(self, host: str, error: Unreachable) -> None:
        """See who has what now, and go on elsewhere at once; pause where nobody else is."""
        known = set(self._hosts.names)
        if host in self.failed or self.failed | {host} >= known:
            self.failed.clear()
            self.wait(str(error), error)
        else:
            self.failed.add(host)
        if len(known) > 1 or host not in known:
            self._hosts.refresh(without=host)

    def wait(self, why: str, error: Exception | None = None) -> None:
        """Pause before the next try; raises `Unreachable` where the bound leaves none."""
        self._pause_s = min(self._pause_s * 2, _PAUSE_MAX_S) * random.uniform(0.5, 1.0)
        if time.monotonic() + self._pause_s >= self._end_at:
            raise Unreachable(
                f"deployment {self._hosts.deployment} has not answered `{self._method}` for "
                f"{self._bound_s:g} s ({why}); see `heliostat status`"
            ) from error
        time.sleep(self._pause_s)


def packed(request: Any) -> bytes:
    """A request as it travels; `InputError` where it carries what cannot be written."""
    try:
        return pack(request)
    except UnicodeEncodeError as error:
        raise InputError(f"the request has a text that cannot be stored: {error}") from error
    except OverflowError as error:
        raise InputError(f"the request has a number beyond 64 bits: {error}") from error


def error_of(refusal: Refusal) -> HeliostatError:
    """What a refusal is in a client."""
    owner = refusal.details.get("owner")
    if refusal.code == "NOT_OWNER" and isinstance(owner, str):
        return Moved(owner)
    return to_error(refusal)

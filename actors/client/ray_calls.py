"""Calls of actors by Ray, wherever they are: a millisecond or two there and back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from heliostat.actors import names
from heliostat.actors.client.calling import Stream
from heliostat.engine.errors import Unreachable

_FETCH_S: Final = 5.0
"""How long a piece may take to arrive once it is announced."""


class RayCalls:
    """See `Calls`, which this is."""

    def __init__(self) -> None:
        self._actors: dict[str, Any] = {}

    def call(self, name: str, method: str, body: bytes | None, timeout_s: float) -> bytes:
        """See `Calls`."""
        import ray

        try:
            reference = self._begun(name, method, body)
            answered: bytes = ray.get(reference, timeout=timeout_s)
        except gone() as error:
            self.forget(name)
            raise Unreachable(type(error).__name__) from error
        return answered

    def open(self, name: str, method: str, body: bytes) -> Stream:
        """See `Calls`."""
        try:
            return _RayStream(self._begun(name, method, body))
        except gone() as error:
            self.forget(name)
            raise Unreachable(type(error).__name__) from error

    def forget(self, name: str) -> None:
        """See `Calls`."""
        self._actors.pop(name, None)

    def close(self) -> None:
        """See `Calls`."""

    def _begun(self, name: str, method: str, body: bytes | None) -> Any:
        actor = self._actors.get(name)
        if actor is None:
            actor = self._actors[name] = find_actor(name)
        return getattr(actor, method).remote(*(() if body is None else (body,)))


class _RayStream:
    """A generator of an actor's."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def piece(self, timeout_s: float) -> bytes | None:
        import ray

        try:
            if not ray.wait([self._generator], timeout=timeout_s)[0]:
                raise TimeoutError
            reference = next(self._generator, None)
            if reference is None:
                return None
            piece: bytes = ray.get(reference, timeout=_FETCH_S)
        except gone() as error:
            raise Unreachable(type(error).__name__) from error
        return piece

    async def piece_async(self, timeout_s: float) -> bytes | None:
        try:
            async with asyncio.timeout(timeout_s):
                reference = await anext(self._generator, None)
                if reference is None:
                    return None
                piece: bytes = await reference
        except gone() as error:
            raise Unreachable(type(error).__name__) from error
        return piece

    def drop(self) -> None:
        import ray

        with suppress(*gone(), ValueError, TypeError):  # it ended, or its actor did
            ray.cancel(self._generator)


class NoSuchActor(Exception):
    """No actor has the name now; Ray says so by a `ValueError`, as a user's method might."""


def find_actor(name: str) -> Any:
    """Ray's handle of an actor; raises one of `gone()` when there is none by that name."""
    import ray

    try:
        return ray.get_actor(name, namespace=names.NAMESPACE)
    except ValueError as error:
        raise NoSuchActor(name) from error


def gone() -> tuple[type[Exception], ...]:
    """Errors that say: this actor does not answer, one of the same name may soon."""
    from ray.exceptions import ActorUnschedulableError, GetTimeoutError, RayActorError

    return RayActorError, ActorUnschedulableError, GetTimeoutError, NoSuchActor

"""Human tasks, as a program holds them: what a person is asked, and what a person may do about it.

A `Task` is a reading of one moment; `refresh` reads it again, as does every action. What is done
to it is a request to its execution, with an id of its own, so that repeating it is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast

from heliostat.actors.client.interface import Connection, Ways
from heliostat.actors.host.api import TaskInfo
from heliostat.engine.status import TaskStatus

_T = TypeVar("_T")


class Task:
    """A human task. Made by a `Client` or a `Handle`.

    Every method may raise `NotFound`; those that change something raise `Conflict` where the task
    has ended, or where another person has claimed it.
    """

    def __init__(self, ways: Ways, info: TaskInfo) -> None:
        self._ways = ways
        self.info = info
        """All that is known of it, as it was read last."""

    @property
    def task_id(self) -> str:
        """Its id, unique in its execution: its address, `scope:step:visit:attempt`."""
        return self.info.task_id

    @property
    def execution_id(self) -> str:
        """The execution that waits for it."""
        return self.info.key.execution_id

    @property
    def namespace(self) -> str:
        """The namespace of that execution."""
        return self.info.key.namespace

    @property
    def step(self) -> str:
        """The id of its step."""
        return self.info.step

    @property
    def name(self) -> str | None:
        """What people call it."""
        return self.info.name

    @property
    def status(self) -> TaskStatus:
        """Open, Claimed, Completed, Canceled (its step was withdrawn) or Failed (its deadline
        passed)."""
        return self.info.status

    @property
    def assignees(self) -> tuple[str, ...]:
        """The persons it was given to."""
        return self.info.assignees

    @property
    def candidates(self) -> tuple[str, ...]:
        """The persons who may claim it; a group is written `group:<name>`."""
        return self.info.candidates

    @property
    def claimed_by(self) -> str | None:
        """The person who works at it."""
        return self.info.claimed_by

    @property
    def form(self) -> dict[str, Any] | None:
        """A JSON Schema of what is to be submitted; None: anything."""
        return self.info.form

    @property
    def input(self) -> Any:
        """What the person is shown, references replaced by the values."""
        return self._ways.finish(self._ways.blocking.received(self.info.input))

    def __repr__(self) -> str:
        return f"<task {self.task_id} {self.step} of {self.info.key}: {self.status}>"

    def refresh(self) -> Task:
        """Read it again."""
        return self._now(self._ways.finish(self._read(self._ways.blocking)))

    async def refresh_async(self) -> Task:
        """`refresh`, without blocking the event loop."""
        return self._now(await self._read(self._ways.awaited))

    def claim(self, user: str) -> Task:
        """A person takes it on; claiming what one has claimed oneself is harmless."""
        return self._now(self._ways.finish(self._claim(self._ways.blocking, user)))

    async def claim_async(self, user: str) -> Task:
        """`claim`, without blocking the event loop."""
        return self._now(await self._claim(self._ways.awaited, user))

    def release(self, user: str, *, force: bool = False) -> Task:
        """Give it back.

        Args:
            force: although another person has claimed it.
        """
        return self._now(self._ways.finish(self._release(self._ways.blocking, user, force)))

    async def release_async(self, user: str, *, force: bool = False) -> Task:
        """`release`, without blocking the event loop."""
        return self._now(await self._release(self._ways.awaited, user, force))

    def assign(
        self, user: str, *, assignees: Sequence[str] = (), candidates: Sequence[str] = ()
    ) -> Task:
        """Give it to others, in place of those it was given to.

        Args:
            user: who does so.

        Raises:
            InputError: nobody is named.
        """
        ways = self._ways
        return self._now(ways.finish(self._assign(ways.blocking, user, assignees, candidates)))

    async def assign_async(
        self, user: str, *, assignees: Sequence[str] = (), candidates: Sequence[str] = ()
    ) -> Task:
        """`assign`, without blocking the event loop."""
        return self._now(await self._assign(self._ways.awaited, user, assignees, candidates))

    def complete(self, data: Any, user: str, *, force: bool = False) -> Task:
        """Submit what was asked for; the step completes with it, and with `completed_by`.

        Of a task that decides about a failed step the data is `{"resolution": "retry"}`,
        `{"resolution": "complete", "output": …}` or `{"resolution": "fail"}`.

        Args:
            data: JSON, of 64 KiB at most.
            user: who submits it.
            force: although another person has claimed it.

        Raises:
            InputError: no user is named, or the form does not allow the data.
        """
        ways = self._ways
        return self._now(ways.finish(self._complete(ways.blocking, data, user, force)))

    async def complete_async(self, data: Any, user: str, *, force: bool = False) -> Task:
        """`complete`, without blocking the event loop."""
        return self._now(await self._complete(self._ways.awaited, data, user, force))

    def fail(self, error: str, user: str, *, details: Any = None, force: bool = False) -> Task:
        """Give it up: the step fails as `TaskFailed`, and its `on_error` is asked.

        A task that decides about a failed step lets it fail as it had.

        Args:
            error: what went wrong, in words.
            user: who says so.
            details: JSON beside it, of 64 KiB at most; `$.error.details`.
            force: although another person has claimed it.
        """
        ways = self._ways
        return self._now(ways.finish(self._fail(ways.blocking, error, user, details, force)))

    async def fail_async(
        self, error: str, user: str, *, details: Any = None, force: bool = False
    ) -> Task:
        """`fail`, without blocking the event loop."""
        return self._now(await self._fail(self._ways.awaited, error, user, details, force))

    def heartbeat(
        self, progress: int | None = None, details: Any = None, *, user: str | None = None
    ) -> Task:
        """Say how far it is, 0 to 100, for who has claimed it. Each time that says something new
        is recorded, at most 1,000 times."""
        ways = self._ways
        return self._now(ways.finish(self._heartbeat(ways.blocking, progress, details, user)))

    async def heartbeat_async(
        self, progress: int | None = None, details: Any = None, *, user: str | None = None
    ) -> Task:
        """`heartbeat`, without blocking the event loop."""
        return self._now(await self._heartbeat(self._ways.awaited, progress, details, user))

    # helpers, each for both forms

    def _now(self, info: TaskInfo) -> Task:
        self.info = info
        return self

    async def _read(self, at: Connection) -> TaskInfo:
        return await at.task(self.info.key, self.task_id)

    async def _claim(self, at: Connection, user: str) -> TaskInfo:
        return await at.act_on_task(self.info.key, self.task_id, "claim", user)

    async def _release(self, at: Connection, user: str, force: bool) -> TaskInfo:
        return await at.act_on_task(self.info.key, self.task_id, "release", user, force=force)

    async def _assign(
        self, at: Connection, user: str, assignees: Sequence[str], candidates: Sequence[str]
    ) -> TaskInfo:
        return await at.act_on_task(
            self.info.key,
            self.task_id,
            "assign",
            user,
            assignees=assignees,
            candidates=candidates,
        )

    async def _complete(self, at: Connection, data: Any, user: str, force: bool) -> TaskInfo:
        return await at.act_on_task(
            self.info.key, self.task_id, "complete", user, data=data, force=force
        )

    async def _fail(
        self, at: Connection, error: str, user: str, details: Any, force: bool
    ) -> TaskInfo:
        return await at.act_on_task(
            self.info.key, self.task_id, "fail", user, error=error, data=details, force=force
        )

    async def _heartbeat(
        self, at: Connection, progress: int | None, details: Any, user: str | None
    ) -> TaskInfo:
        return await at.heartbeat_task(self.info.key, self.task_id, progress, details, user=user)


class TaskPage(list[Task]):
    """Tasks, newest first; `next_cursor` asks for the page after it, None: there is none."""

    def __init__(self, tasks: Iterable[Task] = (), next_cursor: str | None = None) -> None:
        super().__init__(tasks)
        self.next_cursor = next_cursor


def several(given: _T | Sequence[_T]) -> tuple[_T, ...]:
    """One text, or several."""
    return (cast("_T", given),) if isinstance(given, str) else tuple(cast("Sequence[_T]", given))

"""Human tasks, as a program holds them: what a person is asked, and what a person may do about it.

A `Task` is a reading of one moment; `refresh` reads it again, as does every action. What is done
to it is a request to its execution, with an id of its own, so that repeating it is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from heliostat.actors.client import values
from heliostat.actors.host.api import Accepted, TaskActionRequest, TaskInfo, TaskRequest
from heliostat.engine.errors import InputError
from heliostat.engine.ids import new_id
from heliostat.engine.kernel.stimuli import TaskVerb
from heliostat.engine.status import TaskStatus

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client


class Task:
    """A human task. Made by a `Client` or a `Handle`.

    Every method may raise `NotFound`; those that change something raise `Conflict` where the task
    has ended, or where another person has claimed it.
    """

    def __init__(self, client: Client, info: TaskInfo) -> None:
        self._client = client
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
        return self._client.received(self.info.input)

    def __repr__(self) -> str:
        return f"<task {self.task_id} {self.step} of {self.info.key}: {self.status}>"

    def refresh(self) -> Task:
        """Read it again."""
        key = self.info.key
        request = TaskRequest(key=key, task_id=self.task_id)
        self.info = self._client.ask("get_task", request, TaskInfo, key=key)
        return self

    async def refresh_async(self) -> Task:
        """`refresh`, without blocking the event loop."""
        return await asyncio.to_thread(self.refresh)

    def claim(self, user: str) -> Task:
        """A person takes it on; claiming what one has claimed oneself is harmless."""
        return self._act("claim", user)

    async def claim_async(self, user: str) -> Task:
        """`claim`, without blocking the event loop."""
        return await asyncio.to_thread(self.claim, user)

    def release(self, user: str, *, force: bool = False) -> Task:
        """Give it back.

        Args:
            force: although another person has claimed it.
        """
        return self._act("release", user, force=force)

    async def release_async(self, user: str, *, force: bool = False) -> Task:
        """`release`, without blocking the event loop."""
        return await asyncio.to_thread(self.release, user, force=force)

    def assign(
        self, user: str, *, assignees: Sequence[str] = (), candidates: Sequence[str] = ()
    ) -> Task:
        """Give it to others, in place of those it was given to.

        Args:
            user: who does so.

        Raises:
            InputError: nobody is named.
        """
        if isinstance(assignees, str) or isinstance(candidates, str):
            raise InputError("`assignees` and `candidates` are lists of persons: write ['ann']")
        if not assignees and not candidates:
            raise InputError("name those whom the task goes to: `assignees`, `candidates` or both")
        return self._act("assign", user, assignees=tuple(assignees), candidates=tuple(candidates))

    async def assign_async(
        self, user: str, *, assignees: Sequence[str] = (), candidates: Sequence[str] = ()
    ) -> Task:
        """`assign`, without blocking the event loop."""
        return await asyncio.to_thread(
            self.assign, user, assignees=assignees, candidates=candidates
        )

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
        submitted = values.plain(data, "the submission")
        return self._act("complete", user, data=submitted, force=force)

    async def complete_async(self, data: Any, user: str, *, force: bool = False) -> Task:
        """`complete`, without blocking the event loop."""
        return await asyncio.to_thread(self.complete, data, user, force=force)

    def _act(self, verb: TaskVerb, user: str, **more: Any) -> Task:
        if not user:
            raise InputError(f"say who wants to {verb} task {self.task_id!r}: `user` is empty")
        key = self.info.key
        request = TaskActionRequest(
            key=key, message_id=new_id(), task_id=self.task_id, verb=verb, user=user, **more
        )
        self._client.ask("act_on_task", request, Accepted, key=key)
        return self.refresh()


class TaskPage(list[Task]):
    """Tasks, newest first; `next_cursor` asks for the page after it, None: there is none."""

    def __init__(self, tasks: Iterable[Task] = (), next_cursor: str | None = None) -> None:
        super().__init__(tasks)
        self.next_cursor = next_cursor

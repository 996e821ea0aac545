"""An execution of a compiled function: a result of the annotated type, a failure with its line."""

from __future__ import annotations

from typing import Generic, TypeVar

from heliostat.actors.client.handle import Handle
from heliostat.actors.client.interface import End, Ways
from heliostat.engine.authoring.python.decorators import WorkflowFunction
from heliostat.engine.errors import ExecutionFailed
from heliostat.engine.identity import ExecutionKey

R = TypeVar("R")


class FunctionHandle(Handle, Generic[R]):
    """One execution of a compiled function; made by `start`. All else is as with a `Handle`."""

    def __init__(
        self, ways: Ways, key: ExecutionKey, end: End | None, workflow: WorkflowFunction[..., R]
    ) -> None:
        super().__init__(ways, key, end)
        self._workflow = workflow

    @classmethod
    def of(cls, handle: Handle, workflow: WorkflowFunction[..., R]) -> FunctionHandle[R]:
        """A handle that knows whose execution it is."""
        return cls(handle._ways, handle._key, handle._end, workflow)

    def result(self, timeout: float | None = None) -> R:
        """Wait for the end and return the output, as the type that the function says.

        Raises:
            ExecutionFailed: it failed; the message says in which step and at which line of the
                function, and what its code raised.
            ExecutionCanceled, ResultTimeout, NotFound: as `Handle.result`.
        """
        try:
            return self._workflow.result(super().result(timeout))
        except ExecutionFailed as failed:
            raise self._told(failed) from None

    async def result_async(self, timeout: float | None = None) -> R:  # noqa: ASYNC109 - as `result`
        """`result`, without blocking the event loop."""
        try:
            return self._workflow.result(await super().result_async(timeout))
        except ExecutionFailed as failed:
            raise self._told(failed) from None

    def _told(self, failed: ExecutionFailed) -> ExecutionFailed:
        """The failure with the line of the function, as a traceback would show it."""
        place = self._workflow.place_of(failed.failure.get("step"))
        if place is not None:
            failed.add_note(place.frame)
        traceback = failed.failure.get("traceback")
        if traceback:
            failed.add_note(f"In the step:\n{traceback.rstrip()}")
        return failed

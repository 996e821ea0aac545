"""A child execution whose definition nobody gave: it ends as the script says of its step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from heliostat.engine.kernel.events import Failure, Parent
from heliostat.engine.kernel.stimuli import AnyStimulus, Cancel, ChildEnded
from heliostat.engine.simulator.outcomes import Hangs, IsCanceled, Outcome, Raises, Returns
from heliostat.engine.values import Value

if TYPE_CHECKING:
    from heliostat.engine.simulator.world import World


class StandIn:
    """Tells the parent of an end, once: the one in the script, or that it was cancelled."""

    def __init__(self, world: World, id: str, parent: Parent, told: Any) -> None:
        self._world, self.id, self._parent = world, id, parent
        self._outcome = told if isinstance(told, Outcome) else Returns(None)
        self._over = self._canceling = False
        world.coverage.hit("child", type(self._outcome).__name__)
        if not isinstance(self._outcome, Hangs):
            self._later(self._outcome.after_ms, self._come_to_its_end)

    def receive(self, stimulus: AnyStimulus) -> None:
        """Be cancelled; all else is nothing to it."""
        if not isinstance(stimulus, Cancel) or self._canceling:
            return
        self._canceling = True
        if self._outcome.on_stop == "returns":
            self._later(self._outcome.stop_ms, self._end)
        elif self._outcome.on_stop == "ends":
            self._later(self._outcome.stop_ms, lambda: self._tell("Canceled"))

    def _later(self, after_ms: int, action: Any) -> None:
        self._world.agenda.later(self._world.agenda.now_ms + after_ms, action)

    def _come_to_its_end(self) -> None:
        if not self._canceling:
            self._end()

    def _end(self) -> None:
        outcome = self._outcome
        match outcome:
            case Raises():
                failure = Failure(type=outcome.type, message=outcome.message, mro=outcome.mro)
                self._tell("Failed", failure=failure)
            case IsCanceled():
                self._tell("Canceled")
            case Returns():
                self._tell("Completed", outcome.value, outcome.output_bytes, outcome.extracts)
            case Hangs():
                self._tell("Completed", outcome.value)
            case _:
                self._tell("Completed")

    def _tell(
        self,
        status: Literal["Completed", "Failed", "Canceled"],
        output: Value = None,
        output_bytes: int = 0,
        extracts: dict[str, Value] | None = None,
        failure: Failure | None = None,
    ) -> None:
        if self._over:
            return
        self._over = True
        ended = ChildEnded(
            now_ms=0,
            message_id=f"{self.id}:ended",
            at=self._parent.at,
            status=status,
            output=output,
            output_bytes=output_bytes,
            extracts=extracts,
            failure=failure,
        )
        self._world.tell_parent(self._parent.execution_id, ended)

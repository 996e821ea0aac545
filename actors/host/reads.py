"""What may be asked of a host without changing anything.

The live state answers where it is durable; while its commit is on its way, and for executions not
in memory, the journal does. Reads of the journal run beside the turns and never hold them up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from heliostat.actors.host.api import ExecutionView, Refusal, Watch
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.execution import LiveExecution, fold_stored
from heliostat.actors.host.ownership import Ownership
from heliostat.actors.host.plans import PlanStore
from heliostat.actors.host.questions import HistoryPage, HistoryRequest, WatchAnswers
from heliostat.actors.host.rendering import render
from heliostat.actors.host.requests import unknown
from heliostat.actors.host.starts import overloaded
from heliostat.actors.host.streams import ResultStreams, end_of
from heliostat.actors.host.tasks import task_id
from heliostat.engine.errors import InputError
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.journal.protocol import Journal
from heliostat.engine.kernel.codec import decode_event
from heliostat.engine.kernel.state import ExecutionState, Visit
from heliostat.engine.plan.plan import Plan
from heliostat.engine.status import TERMINAL

ACTIVE_MAX: Final = 100
"""Active visits that a view names; a wide `foreach` has many more."""

HISTORY_LIMIT: Final = 1_000
"""Events of one page."""


class Reads:
    """Status, history, and the ends that a client asks for again."""

    def __init__(
        self,
        *,
        journal: Journal,
        plans: PlanStore,
        ownership: Ownership,
        streams: ResultStreams,
        bounds: HostBounds,
        live: Callable[[ExecutionKey], LiveExecution | None],
        durable: Callable[[ExecutionKey], LiveExecution | None],
    ) -> None:
        self._journal, self._plans = journal, plans
        self._ownership, self._streams, self._bounds = ownership, streams, bounds
        self._live = live  # in memory
        self._durable = durable  # in memory, and not ahead of the journal

    async def status(self, key: ExecutionKey) -> ExecutionView | Refusal:
        """What an execution does now."""
        live = self._durable(key)
        if live is not None:
            return _view(key, live.hosted.plan, live.state)
        stored = await self._journal.load(key)
        if stored is None:
            return unknown(key)
        row = stored.row
        plan = (await self._plans.get(key.namespace, row.definition, row.version)).plan
        return _view(key, plan, await fold_stored(self._journal, stored, plan))

    async def history(self, request: HistoryRequest) -> HistoryPage | Refusal:
        """A page of events, as people read them."""
        if not 1 <= request.limit <= HISTORY_LIMIT or request.after_seq < 0:
            raise InputError(
                f"limit is {request.limit} and after_seq {request.after_seq}; "
                f"limit must be between 1 and {HISTORY_LIMIT:,}, after_seq not below 0"
            )
        key = request.key
        row = await self._journal.get_row(key)
        if row is None:
            return unknown(key)
        plan = (await self._plans.get(key.namespace, row.definition, row.version)).plan
        page = await self._journal.read(key, after_seq=request.after_seq, limit=request.limit)
        return HistoryPage(
            events=tuple(render(plan, seq, decode_event(body)) for seq, body in page),
            next_after_seq=page[-1][0] if len(page) == request.limit else None,
        )

    async def watch(self, request: Watch) -> WatchAnswers | Refusal:
        """Add executions to a client's stream; what ended already is sent at once."""
        if not self._streams.room(request.client, len(request.keys)):
            return overloaded("the list of watched executions", self._bounds)
        missing: list[ExecutionKey] = []
        elsewhere: list[tuple[ExecutionKey, str]] = []
        for key in request.keys:
            owner = self._ownership.owner_elsewhere(self._ownership.shard_name(key))
            if owner is not None:
                elsewhere.append((key, owner))
            elif not await self.watch_one(request.client, key):
                missing.append(key)
        self._streams.flush()
        return WatchAnswers(unknown=tuple(missing), elsewhere=tuple(elsewhere))

    async def watch_one(self, client: str, key: ExecutionKey) -> bool:
        """Watch one execution; False when there is none.

        Watched first and looked at then, so that no end falls between; one may be heard twice.
        """
        self._streams.watch(client, key)
        live = self._live(key)
        if live is not None and not live.rests_ended:
            return True
        row = await self._journal.get_row(key)
        if row is None:
            if self._live(key) is None:
                self._streams.unwatch(client, key)
                return False
        elif row.status in TERMINAL:
            stored = await self._journal.load(key)
            assert stored is not None, f"{key} has a row and no events"
            plan = (await self._plans.get(key.namespace, row.definition, row.version)).plan
            state = await fold_stored(self._journal, stored, plan)
            size = len(stored.events[-1]) if stored.events else 0
            self._streams.send(client, end_of(key, state), size)
            self._streams.flush()
        return True


def _active(plan: Plan, scope: int, visit: Visit) -> dict[str, Any]:
    told: dict[str, Any] = {
        "step": plan.steps[visit.step].id,
        "scope": scope,
        "visit": visit.visit,
        "attempt": visit.attempt,
        "phase": visit.phase,
    }
    if visit.child is not None:
        told["child"] = visit.child
    if visit.phase == "human":
        told["task_id"] = task_id(Address(scope, visit.step, visit.visit, visit.attempt))
    return told


def _view(key: ExecutionKey, plan: Plan, state: ExecutionState) -> ExecutionView:
    active = []
    for scope in state.scopes.values():
        for visit in scope.active.values():
            active.append(_active(plan, scope.number, visit))
            if len(active) == ACTIVE_MAX:
                break
        if len(active) == ACTIVE_MAX:
            break
    return ExecutionView(
        key=key,
        definition=state.definition,
        version=state.version,
        status=state.status,
        run=state.run,
        seq=state.seq,
        created_at_ms=state.created_at_ms,
        ended_at_ms=state.ended_at_ms,
        wake_at_ms=state.wake_at_ms,
        parent=None if state.parent is None else state.parent.execution_id,
        failure=state.failure,
        output=state.resolve(state.output) if state.ended else None,
        active=tuple(active),
    )

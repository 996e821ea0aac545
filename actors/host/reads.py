"""What may be asked of a host without changing anything.

The live state answers where it is durable; while its commit is on its way, and for executions not
in memory, the journal does. Reads of the journal run beside the turns and never hold them up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from heliostat.actors.calls import pack
from heliostat.actors.host.api import ExecutionView, Refusal, Watch
from heliostat.actors.host.attempts import Attempts, attempts_of
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.execution import Folded, LiveExecution, fold_stored
from heliostat.actors.host.ownership import Ownership
from heliostat.actors.host.plans import PlanStore
from heliostat.actors.host.questions import (
    HistoryPage,
    HistoryRequest,
    Located,
    VariablesView,
    WatchAnswers,
)
from heliostat.actors.host.rendering import placed, render
from heliostat.actors.host.requests import unknown
from heliostat.actors.host.starts import overloaded
from heliostat.actors.host.streams import ResultStreams, end_of
from heliostat.actors.host.tasks import task_id
from heliostat.engine.errors import InputError
from heliostat.engine.identity import Address, ExecutionKey, dedicated_key
from heliostat.engine.journal.protocol import Journal
from heliostat.engine.kernel.codec import decode_event
from heliostat.engine.kernel.state import ROOT, ExecutionState, Visit
from heliostat.engine.plan.plan import Plan
from heliostat.engine.status import TERMINAL
from heliostat.engine.values import Value

Reasons: TypeAlias = Callable[
    [Sequence[tuple[ExecutionKey, Address]]], Mapping[tuple[ExecutionKey, Address], str]
]
"""`Dispatch.reasons`."""

ACTIVE_MAX: Final = 100
"""Active visits that a view names; a wide `foreach` has many more."""

VARIABLES_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of the variables in one answer: values that are appended to may grow."""

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
        misfit: Callable[[ExecutionKey], str | None],
        reasons: Reasons,
    ) -> None:
        self._journal, self._plans = journal, plans
        self._ownership, self._streams, self._bounds = ownership, streams, bounds
        self._live = live  # in memory
        self._durable = durable  # in memory, and not ahead of the journal
        self._misfit = misfit  # why it does not go on, where this host has found that
        self._reasons = reasons  # why attempts have not begun

    async def status(self, key: ExecutionKey) -> ExecutionView | Refusal:
        """What an execution does now."""
        found = await self._state(key, followed=True)
        if found is None:
            return unknown(key)
        misfit = self._misfit(key) if found.misfit is None else str(found.misfit)
        return view_of(key, found.hosted.plan, found.state, self._reasons, misfit=misfit)

    async def variables(self, key: ExecutionKey) -> VariablesView | Refusal:
        """The variables of its root scope, as they are now, or were when it ended."""
        found = await self._state(key)
        return unknown(key) if found is None else _variables(found.state)

    async def attempts(self, key: ExecutionKey) -> Attempts | Refusal:
        """Its attempts that are under way, or have failed."""
        found = await self._state(key)
        return unknown(key) if found is None else attempts_of(key, found.hosted.plan, found.state)

    async def _state(self, key: ExecutionKey, *, followed: bool = False) -> Folded | None:
        """As far as it is durable; None where there is no such execution."""
        live = self._durable(key)
        if live is not None:
            return Folded(live.hosted, live.state)
        stored = await self._journal.load(key)
        if stored is None:
            return None
        return await fold_stored(self._journal, stored, self._plans, followed=followed)

    async def history(self, request: HistoryRequest) -> HistoryPage | Refusal:
        """A page of events, as people read them."""
        if not 1 <= request.limit <= HISTORY_LIMIT or request.after_seq < 0:
            raise InputError(
                f"limit is {request.limit} and after_seq {request.after_seq}; "
                f"limit must be between 1 and {HISTORY_LIMIT:,}, after_seq not below 0"
            )
        key = request.key
        page = await self._journal.read(key, after_seq=request.after_seq, limit=request.limit)
        # After the events: a version that one of them moved to tells those before it, too.
        row = await self._journal.get_row(key)
        if row is None:
            return unknown(key)
        plan = (await self._plans.get(key.namespace, row.definition, row.version)).plan
        return HistoryPage(
            events=tuple(render(plan, seq, decode_event(body)) for seq, body in page),
            next_after_seq=page[-1][0] if len(page) == request.limit else None,
        )

    async def locate(self, key: ExecutionKey) -> Located:
        """Who carries an execution."""
        row = await self._journal.get_row(key)
        own = self._ownership
        if row is not None and dedicated_key(row.shard) is not None:
            own.dedicated.learn(key)
            seen = own.dedicated.seen.get(row.shard)
            if seen is not None and seen.carrier is not None:
                return Located(exists=True, carrier=seen.carrier, dedicated=True)
        guard = own.owner_elsewhere(own.start_shard(key)) or own.name
        return Located(
            exists=row is not None,
            carrier=guard,
            dedicated=row is not None and dedicated_key(row.shard) is not None,
        )

    async def watch(self, request: Watch) -> WatchAnswers | Refusal:
        """Add executions to a client's stream; what ended already is sent at once."""
        if not self._streams.room(request.client, len(request.keys)):
            return overloaded("the list of watched executions", self._bounds)
        missing: list[ExecutionKey] = []
        elsewhere: list[tuple[ExecutionKey, str]] = []
        unowned: list[ExecutionKey] = []
        for key in request.keys:
            shard = self._ownership.start_shard(key)  # who guards it hears of its end too
            owner = self._ownership.owner_elsewhere(shard)
            if owner is not None:
                elsewhere.append((key, owner))
            elif self._ownership.find(shard) is None:
                unowned.append(key)  # its end would be another host's to tell
            elif not await self.watch_one(request.client, key):
                missing.append(key)
        self._streams.flush()
        return WatchAnswers(
            unknown=tuple(missing), elsewhere=tuple(elsewhere), unowned=tuple(unowned)
        )

    async def watch_one(self, client: str, key: ExecutionKey) -> bool:
        """Watch one execution; False when there is none.

        Watched first and looked at then, so that no end falls between; one may be heard twice.
        """
        self._streams.watch(client, key)
        live = self._live(key)
        if live is not None and not live.rests_ended:
            return True
        row = await self._journal.get_row(key)
        if row is not None and dedicated_key(row.shard) is not None:
            self._ownership.dedicated.learn(key)
        if row is None:
            if self._live(key) is None:
                self._streams.unwatch(client, key)
                return False
        elif row.status in TERMINAL:
            stored = await self._journal.load(key)
            assert stored is not None, f"{key} has a row and no events"
            hosted, state, *_ = await fold_stored(self._journal, stored, self._plans)
            size = len(stored.events[-1]) if stored.events else 0
            self._streams.send(client, end_of(key, state, hosted.plan), size)
            self._streams.flush()
        return True


def _variables(state: ExecutionState) -> VariablesView:
    root = state.scopes.get(ROOT)
    found: dict[str, Value] = {}
    left_out: list[str] = []
    left = VARIABLES_BYTES_MAX
    for name, recorded in ({} if root is None else root.variables).items():
        value = state.resolve(recorded)
        size = len(pack(value))
        if size > left:
            left_out.append(name)
        else:
            left -= size
            found[name] = value
    return VariablesView(variables=found, left_out=tuple(left_out))


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


def view_of(
    key: ExecutionKey,
    plan: Plan,
    state: ExecutionState,
    reasons: Reasons = lambda _: {},
    *,
    misfit: str | None = None,
) -> ExecutionView:
    """What an execution does now, from its state.

    Args:
        reasons: why attempts have not begun, where that is known.
        misfit: why it does not go on, where its history is none of its plan's.
    """
    visits = (
        (Address(scope.number, visit.step, visit.visit, visit.attempt), visit)
        for scope in state.scopes.values()
        for visit in scope.active.values()
    )
    shown = list(islice(visits, ACTIVE_MAX))
    waiting = reasons([(key, at) for at, visit in shown if visit.phase == "running"])
    active = []
    for at, visit in shown:
        told = _active(plan, at.scope, visit)
        if (reason := waiting.get((key, at))) is not None:
            told["waiting"] = reason
        active.append(told)
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
        priority=state.priority,
        tags=state.tags,
        correlation_id=state.correlation_id,
        metadata=state.metadata,
        parent=None if state.parent is None else state.parent.execution_id,
        failure=placed(plan, state.failure),
        output=state.resolve(state.output) if state.ended else None,
        violated=() if state.watched is None else tuple(state.watched.told),
        misfit=misfit,
        active=tuple(active),
    )

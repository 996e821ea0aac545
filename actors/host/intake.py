"""What waits for a turn: reports, requests, starts, messages and events; and what waits for its
shard to be served.

Everything that reaches an execution from outside comes through here, and comes back here when a
commit refused it. Queues are bounded where clients fill them; reports are bounded by what was sent,
messages and events by what the outbox and the event pump have under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from heliostat.actors.dispatch.protocol import Report
from heliostat.actors.host.api import Refusal
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Clock, Doorbell
from heliostat.actors.host.events import EventArrival
from heliostat.actors.host.ownership import Ownership
from heliostat.actors.host.post import Delivery
from heliostat.actors.host.requests import RequestItem
from heliostat.actors.host.starts import StartDesk, StartItem, overloaded
from heliostat.actors.names import is_dedicated
from heliostat.engine.identity import ExecutionKey

if TYPE_CHECKING:
    from heliostat.actors.host.turn import Reason


class Intake:
    """The queues of the turn loop. Leave something and the bell rings: one wake-up for all."""

    def __init__(
        self, *, ownership: Ownership, desk: StartDesk, clock: Clock, bounds: HostBounds
    ) -> None:
        self._ownership, self._clock, self._bounds = ownership, clock, bounds
        self.desk = desk
        self.bell: Doorbell = desk.bell
        self.starts: deque[StartItem] = desk.queue
        self.reports: deque[Report] = deque()
        self.requests: deque[RequestItem] = deque()
        self.arrivals: deque[Delivery | EventArrival] = deque()
        self._held: list[Reason] = []
        self.relay: Callable[[str, Delivery], bool] = lambda _host, _delivery: False
        """Hands a message on to the actor that carries its receiver; False: there is no way."""

    @property
    def waiting(self) -> bool:
        """Whether there is work for a turn."""
        return bool(self.reports or self.requests or self.starts or self.arrivals)

    def deliver(self, reports: Sequence[Report]) -> None:
        """A lane hands over reports."""
        self.reports.extend(reports)
        self.bell.ring()

    def arrive(self, arrival: Delivery | EventArrival) -> None:
        """Queue a message or an event for the next turn."""
        self.arrivals.append(arrival)
        self.bell.ring()

    def request(self, item: RequestItem) -> None:
        """Queue a request for the next turn, or refuse it."""
        if len(self.requests) + len(self._held) >= self._bounds.requests_queued:
            item.answer(overloaded("the queue of requests", self._bounds))
            return
        self.requests.append(item)
        self.bell.ring()

    def again(self, reasons: Sequence[Reason]) -> None:
        """Put reasons back into their queues, before what came since; timers are not kept here."""
        for reason in reversed(reasons):
            if isinstance(reason, StartItem):
                self.starts.appendleft(reason)
            elif isinstance(reason, RequestItem):
                self.requests.appendleft(reason)
            elif isinstance(reason, Report):
                self.reports.appendleft(reason)
            elif isinstance(reason, Delivery | EventArrival):
                self.arrivals.appendleft(reason)
        if reasons:
            self.bell.ring()

    def answer(self, reason: Reason, refusal: Refusal) -> None:
        """Refuse what somebody waits for; nobody waits for an answer to a report or a timer."""
        if isinstance(reason, StartItem):
            if not reason.answered:
                self.desk.answer(reason, refusal)
        elif isinstance(reason, RequestItem):
            reason.answer(refusal)
        elif isinstance(reason, Delivery):
            reason.told(reason, refusal)
        elif isinstance(reason, EventArrival):
            reason.done()

    # for shards that are not served here

    def hold(self, reason: Reason) -> None:
        """Keep a reason until its shard is served; `release` and `expire` bring it back."""
        self._held.append(reason)

    def elsewhere(self, reason: Reason, shard: str) -> None:
        """The shard is not ours: say so to clients, or wait until somebody is known to own it."""
        if isinstance(reason, EventArrival):
            reason.done()  # the shard's next owner passes it on
            return
        if not isinstance(reason, StartItem | RequestItem | Delivery):
            return  # whoever runs it holds its report, and tells the owner
        owner = self._ownership.owner_elsewhere(shard)
        if owner is None:
            self._held.append(reason)
        elif isinstance(reason, Delivery) and is_dedicated(owner) and self.relay(owner, reason):
            return  # who sent it knows the host that guards the execution, and not its actor
        else:
            self.answer(reason, _not_owner(reason.key, owner))

    def release(self) -> None:
        """A shard is served now: ask again for all that waited."""
        held, self._held = self._held, []
        self.again(held)

    def expire(self) -> None:
        """Refuse what waited too long for a shard; the rest is asked again."""
        held, self._held = self._held, []
        before_ms = self._clock.steady_ms() - self._bounds.claim_wait_ms
        again = []
        for reason in held:
            if isinstance(reason, StartItem | RequestItem) and reason.since_ms < before_ms:
                self.answer(reason, overloaded("the wait for this shard's owner", self._bounds))
            else:
                again.append(reason)
        self.again(again)

    def refuse_all(self, refusal: Refusal, also: Sequence[Reason] = ()) -> None:
        """The host ends: tell the clients whose requests were not committed."""
        waiting: list[Reason] = [*self.requests, *self.arrivals, *self._held, *also]
        self.requests.clear()
        self.arrivals.clear()
        self._held.clear()
        for reason in waiting:
            self.answer(reason, refusal)
        self.desk.refuse_all(refusal)


def _not_owner(key: ExecutionKey, owner: str) -> Refusal:
    return Refusal(
        code="NOT_OWNER",
        message=f"execution {key} belongs to host {owner!r}; ask there",
        details={"owner": owner},
    )

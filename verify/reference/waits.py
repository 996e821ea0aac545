"""Waits: what one takes, when it is open and of what was kept before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import (
    format_instant,
)
from heliostat.engine.simulator import (
    Arrives,
)
from heliostat.verify.reference.outside import call_of
from heliostat.verify.reference.ticks import Future, wait
from heliostat.verify.reference.words import (
    Failing,
    Frame,
    Undetermined,
    holds,
    without_value,
)

if TYPE_CHECKING:
    from heliostat.verify.reference.visits import Visit


class OpenWait:
    """A `wait` from its activation on."""

    def __init__(self, visit: Visit, frame: Frame) -> None:
        self._visit, self._frame = visit, frame
        self._world = visit.world
        step = visit.step
        self._ways = step.get("any") or [
            {key: step[key] for key in ("event", "signal", "timer", "where") if key in step}
        ]
        self._came = Future()
        self._failing: Failing | None = None
        self._timers = [
            (self._world.instant(way["timer"], frame), way.get("name", "timer"))
            for way in self._ways
            if "timer" in way
        ]

    async def run(self) -> Any:
        world, visit = self._world, self._visit
        self._take_kept()
        world.waits.append(self)
        told = world.outcomes(call_of(visit, self._frame, None, 1))
        if isinstance(told, Arrives):
            world.loop.spawn(self._arrival(told))
        due, name = min(self._timers, default=(None, None))
        try:
            while not self._came.done:
                await wait(self._came, until=due)
                if not self._came.is_done() and due is not None and world.loop.now >= due:
                    while world.paused is not None and not self._came.is_done():
                        await wait(world.paused, self._came)  # an open wait takes what comes
                    if not self._came.is_done():
                        return {"name": name, "data": None, "at": format_instant(due)}
        finally:
            world.waits.remove(self)
        if self._failing is not None:
            raise self._failing
        return self._came.value

    async def _arrival(self, told: Arrives) -> None:
        await wait(until=self._world.loop.now + told.after_ms)
        if self._world.over:
            return
        if told.kind == "signal":
            self._world.signal(told.name, told.data)
        else:
            self._world.event(told.name, told.data)

    def takes(self, kind: str, name: str, data: Any, at_ms: int) -> bool:
        """Whether it takes what came; it is then over."""
        if self._came.done:
            return False
        for way in self._ways:
            if way.get(kind) != name:
                continue
            event = {"kind": kind, "name": name, "data": data, "at": format_instant(at_ms)}
            context = self._world.context(self._frame, event=event)
            try:
                if "where" in way and not holds(way["where"], context):
                    continue
            except ExpressionError as error:
                self._failing = without_value(error)
            label = way.get("name", name)
            self._came.set({"name": label, "data": data, "at": format_instant(at_ms)})
            return True
        return False

    def _take_kept(self) -> None:
        """The earliest that came before it. A signal is then gone; an event is when the decision
        that opened this wait is over: others that it opens have the same."""
        world = self._world
        now, mine = world.loop.now, world.loop.current.spawned_at
        for entry, (at, _) in list(world.taken.items()):
            if at != now:
                world.events.remove(entry)
                del world.taken[entry]
        kept = [(each.at_ms, n, "signal", each) for n, each in enumerate(world.signals)]
        kept += [(each.at_ms, n, "event", each) for n, each in enumerate(world.events)]
        for at, _, kind, entry in sorted(kept, key=lambda each: each[:2]):
            if self.takes(kind, entry.name, entry.data, at):
                if kind == "signal":
                    world.signals.remove(entry)
                elif world.taken.setdefault(entry, (now, mine)) != (now, mine):
                    raise Undetermined("was it one decision that opened these waits?")
                return

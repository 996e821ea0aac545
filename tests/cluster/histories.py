"""What must be true of any recorded history, whatever was killed meanwhile, and of its effects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from heliostat.engine.status import TERMINAL

Event = Mapping[str, Any]
Effect = tuple[int, str, int, int]
"""Scope instance, step, visit, attempt."""

ENDS = {f"execution.{status.lower()}" for status in TERMINAL}
EXPLAINS = ("step.completed", "step.failed", "attempt.failed", "attempt.stopping", "attempt.ended")
"""What says of an attempt that it was made."""
REPEATED = ("task.claimed", "task.released", "task.assigned", "task.progressed")
"""What may be recorded of an attempt as often as people like."""
SETTLES = ("step.completed", "step.failed", "step.skipped")


def effect(at: Mapping[str, Any]) -> Effect:
    return at["scope"], at["step"], at["visit"], at["attempt"]


def read_effects(ledger: Path) -> dict[str, Counter[Effect]]:
    """By execution: which attempt of which step wrote how often."""
    effects: dict[str, Counter[Effect]] = {}
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    for line in lines:
        key, attempt = line.split()
        id, scope, step, visit = key.partition("/")[2].rsplit(":", 3)
        found = effects.setdefault(id, Counter())
        found[int(scope), step, int(visit), int(attempt)] += 1
    return effects


class History:
    """The recorded events of one execution, in order."""

    def __init__(self, id: str, events: Sequence[Event]) -> None:
        self._id, self.events = id, events
        self.told_again = [
            *(effect(event["at"]) for event in events if event["type"] == "attempt.lost"),
            *(
                effect(at)
                for event in events
                if event["type"] == "owner.changed"
                for at in event["reissued"]
            ),
        ]
        """Attempts of which it says that they may run, or have run, twice."""

    def kinds(self) -> Counter[str]:
        return Counter(event["type"] for event in self.events)

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]

    def completed(self) -> Counter[str]:
        """How often each step completed; a `foreach` counts its items and itself."""
        return Counter(e["at"]["step"] for e in self.events if e["type"] == "step.completed")

    def faults(self, effects: Counter[Effect], *, ended: bool = True) -> Iterator[str]:
        """All that contradicts itself, or the effects that were seen."""
        yield from self._gaps()
        yield from self._ends(ended)
        yield from self._doubled()
        yield from self._unexplained(effects)

    def _gaps(self) -> Iterator[str]:
        seqs = [event["seq"] for event in self.events]
        if seqs != list(range(1, len(seqs) + 1)):
            yield f"{self._id} has a gap: {seqs}"

    def _ends(self, ended: bool) -> Iterator[str]:
        """It starts once, and each run has one end, after which nothing happens to its steps."""
        kinds = [event["type"] for event in self.events]
        if kinds[:1] != ["execution.started"] or kinds.count("execution.started") != 1:
            yield f"{self._id} starts as {kinds}"
        ends = sum(kind in ENDS for kind in kinds)
        runs = 1 + kinds.count("execution.retried")
        if ends != runs - (not ended):
            yield f"{self._id} has {runs} runs and {ends} ends: {kinds}"
        over = False
        for event in self.events:
            if over and "at" in event:
                yield f"{self._id} has ended, and then: {event}"
            over = event["type"] in ENDS or (over and event["type"] != "execution.retried")

    def _doubled(self) -> Iterator[str]:
        """A transition that is recorded twice in one run, or a message that was taken twice."""
        run = 1
        seen: Counter[Any] = Counter()
        messages: Counter[tuple[str, str]] = Counter()
        for event in self.events:
            kind = event["type"]
            if kind == "execution.retried":
                run += 1
            if "at" in event and kind not in REPEATED:
                at = effect(event["at"])
                seen[run, kind, at] += 1
                if kind in SETTLES:
                    seen[run, "settled", at[:3]] += 1
            messages.update((kind, id) for id in _taken(event))
        for what, count in [*seen.items(), *messages.items()]:
            if count > 1:
                yield f"{self._id} records {what} {count} times"

    def _unexplained(self, effects: Counter[Effect]) -> Iterator[str]:
        """Effects that are missing, or happened again although the history does not say so."""
        effects = Counter(effects)
        told = Counter(self.told_again)
        for event in self.events:
            if "at" not in event:
                continue
            kind, at = event["type"], effect(event["at"])
            if kind == "step.completed" and event.get("runner") and not event.get("recovered"):
                if (count := effects.pop(at, 0)) != 1:
                    yield f"{self._id} completed {at} with {count} effects"
            elif kind in EXPLAINS:
                told[at] += 1
        for event in self.events:
            for at in event.get("withdrawn", ()):
                told[effect(at)] += 1
        for at, count in effects.items():
            if not told[at]:
                yield f"{self._id} had the effect {at}, of which its history says nothing"
            elif count > 1:
                yield f"{self._id} had the effect {at} {count} times"


def _taken(event: Event) -> Iterator[str]:
    """The message that it came with; several waits complete with one event."""
    if event["type"] != "step.completed" and event.get("message_id"):
        yield event["message_id"]
    if event.get("event_id"):
        handler = f" {event['handler']}" if "handler" in event else ""
        yield event["event_id"] + handler

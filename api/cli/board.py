"""An execution that is watched: what the live frames say so far, as lines for a terminal. Pure.

    order 3 · Running · 12 s
      ✔ charge          Completed      0.8 s
      ⠋ enrich          Running        120/400, 2 failed
        ⠋ fetch         Running
      · ship            Pending

Steps stand in the order of the definition, those of inner scopes below the step that opens them.
Where there are more than fit, what is going on and what failed is kept, and the rest is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from heliostat.api.client.reading import instant_ms
from heliostat.engine.status import TERMINAL

EVENTS_MAX: Final = 5
"""The last events that are shown."""

GLYPHS: Final[Mapping[str, tuple[str, str]]] = {
    "Completed": ("✔", "green"),
    "Failed": ("✘", "red"),
    "Canceled": ("⊘", "yellow"),
    "Skipped": ("↷", "dim"),
    "Waiting": ("◷", "cyan"),
    "Pending": ("·", "dim"),
}
"""By a step's status, with a colour; one that is not here is going on."""

SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_KEPT_LAST: Final = ("Completed", "Skipped", "Canceled", "Pending")


class Line(NamedTuple):
    """One step."""

    depth: int
    glyph: str
    colour: str
    name: str
    status: str
    more: str


class Board:
    """One execution."""

    def __init__(self, graph: Mapping[str, Any]) -> None:
        self._order = list(_nested(graph))
        self.state: dict[str, Any] = {}
        self.steps: dict[str, dict[str, Any]] = {}
        self.events: deque[Mapping[str, Any]] = deque(maxlen=EVENTS_MAX)
        self._seen = 0
        self.notice: Mapping[str, Any] | None = None

    @property
    def status(self) -> str:
        """The execution's."""
        return str(self.state.get("status", "Pending"))

    @property
    def ended(self) -> bool:
        """Whether its run has ended."""
        return self.status in TERMINAL

    def take(self, frame: Mapping[str, Any]) -> None:
        """See a frame."""
        match frame["type"]:
            case "state":
                self.state = dict(frame["state"])
                self.steps = dict(self.state.get("steps", {}))
                self._seen = frame["seq"]
            case "event":
                self.events.append(frame["event"])
                if frame["seq"] > self._seen:  # else the state has it already
                    self._seen = frame["seq"]
                    self.state["status"] = frame["status"]
                    self.steps |= frame["changes"]
            case "end":
                self.state["status"] = frame["status"]
                if self.events:
                    self.state["ended_at_ms"] = self.events[-1].get("at_ms")
            case "notice":
                self.notice = frame["notice"]

    def head(self, now_ms: int) -> str:
        """What it is, and for how long it goes on."""
        until_ms = now_ms
        if self.ended:
            said = self.state.get("ended_at")
            until_ms = instant_ms(said) if said else self.state.get("ended_at_ms") or now_ms
        begun = self.state.get("created_at")
        since = "" if begun is None else f" · {span(until_ms - instant_ms(begun))}"
        run = f", run {self.state['run']}" if self.state.get("run", 1) > 1 else ""
        what = f"{self.state.get('definition_id', '')} {self.state.get('version', '')}"
        return f"{what} · {self.status}{run}{since}"

    def lines(self, now_ms: int, *, at_most: int, tick: int = 0) -> list[Line]:
        """A line per step, and how many are left out."""
        shown = self._order
        left_out = len(shown) - at_most
        if left_out > 0:
            shown, left_out = self._fitting(at_most - 1)
        found = [self._line(depth, id, now_ms, tick) for depth, id in shown]
        if left_out > 0:
            counts: dict[str, int] = {}
            kept = {id for _, id in shown}
            for _, id in self._order:
                if id not in kept:
                    status = self._status(id)
                    counts[status] = counts.get(status, 0) + 1
            told = ", ".join(f"{count:,} {status}" for status, count in counts.items())
            found.append(Line(0, "…", "dim", f"{left_out:,} more", told, ""))
        return found

    def _fitting(self, at_most: int) -> tuple[list[tuple[int, str]], int]:
        """What is going on and what failed first; in the order of the definition all the same."""

        def rank(each: tuple[int, str]) -> int:
            status = self._status(each[1])
            return _KEPT_LAST.index(status) + 1 if status in _KEPT_LAST else 0

        kept = set(sorted(self._order, key=rank)[: max(at_most, 0)])
        return [each for each in self._order if each in kept], len(self._order) - len(kept)

    def _status(self, id: str) -> str:
        return str(self.steps.get(id, {}).get("status", "Pending"))

    def _line(self, depth: int, id: str, now_ms: int, tick: int) -> Line:
        step = self.steps.get(id, {})
        status = self._status(id)
        glyph, colour = GLYPHS.get(status, (SPINNER[tick % len(SPINNER)], "blue"))
        more = []
        if items := step.get("items"):
            words = f"{items['completed']:,}/{items['total']:,}"
            more += [words + (f", {items['failed']:,} failed" if items.get("failed") else "")]
        if step.get("attempt", 1) and step.get("attempt", 1) > 1:
            more.append(f"attempt {step['attempt']}")
        if step.get("visits", 0) > 1:
            more.append(f"{step['visits']} visits")
        if began := step.get("started_at"):
            ended = step.get("ended_at")
            going = status not in GLYPHS or status == "Waiting"
            if ended or going:
                until_ms = instant_ms(ended) if ended else now_ms
                more.append(span(until_ms - instant_ms(began)))
        if error := step.get("error"):
            more.append(f"{error.get('type')}: {error.get('message')}")
        return Line(depth, glyph, colour, id, status, "  ".join(more))


def span(ms: int) -> str:
    """A time for people."""
    ms = max(ms, 0)
    if ms < 10_000:
        return f"{ms / 1_000:.1f} s"
    if ms < 120_000:
        return f"{ms // 1_000} s"
    minutes = ms // 60_000
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _nested(graph: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Each step with its depth: inner scopes below the step that opens them."""
    nodes: dict[int, list[str]] = {}
    for node in graph["nodes"]:
        nodes.setdefault(node["scope"], []).append(node["id"])
    inner: dict[str, list[int]] = {}
    roots = []
    for scope in graph["scopes"]:
        owner = scope.get("step")
        if owner is None:
            roots.append(scope["id"])
        else:
            inner.setdefault(owner, []).append(scope["id"])
    open_ = [(0, id) for scope in reversed(roots) for id in reversed(nodes.get(scope, []))]
    while open_:
        depth, id = open_.pop()
        yield depth, id
        open_ += [
            (depth + 1, within)
            for scope in reversed(inner.get(id, []))
            for within in reversed(nodes.get(scope, []))
        ]

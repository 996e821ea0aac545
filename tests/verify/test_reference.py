"""The reference interpreter by itself: what it says where several things are at one instant."""

from __future__ import annotations

from typing import Any

from heliostat.engine.simulator import Hangs
from heliostat.verify.reference import interpret


def test_what_opens_together_begins_before_any_of_it_ends() -> None:
    """A decision that cancels a body and a list that is too short come to that when the body's
    steps have begun: these are to be stopped, which takes their grace."""
    inner = [{"id": "work", "type": "activity", "activity": "m:work", "grace": "7s", "needs": []}]
    body = {"id": "body", "steps": inner, "needs": []}
    settled: list[dict[str, Any]] = [
        {"id": "over", "type": "decision", "needs": [], "cancels": ["body"]},
        {"id": "over", "type": "decision", "needs": [], "foreach": "[]", "completion": "any"},
    ]
    for first in settled:
        tree = {"id": "together", "version": "1", "steps": [first, body]}
        ended = interpret(tree, None, lambda call: Hangs(on_stop="ignores"))
        assert (ended.calls, ended.elapsed_ms) == ({"work": 1}, 7_000)

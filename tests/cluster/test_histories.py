"""The judge of histories, judged: it finds each kind of fault, and none in a sound history."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.cluster.histories import Effect, History

AT = {"scope": 1, "step": "a", "visit": 1, "attempt": 1}
DONE = {"type": "step.completed", "at": AT, "runner": "runner/0"}
END = {"type": "execution.completed"}
ONCE: Counter[Effect] = Counter({(1, "a", 1, 1): 1})


def faults(
    *events: dict[str, Any], effects: Counter[Effect] = ONCE, skip: int | None = None
) -> list[str]:
    """Of a history that starts, and then has these events."""
    all_of_it = [{"type": "execution.started"}, *events]
    numbered = [{**event, "seq": n + (n == skip)} for n, event in enumerate(all_of_it, 1)]
    return list(History("x", numbered).faults(effects))


@pytest.mark.parametrize(
    "events",
    [
        pytest.param((DONE, END), id="one step"),
        pytest.param(
            (
                {"type": "step.failed", "at": AT},
                {"type": "execution.failed"},
                {"type": "execution.retried", "message_id": "m"},
                {**DONE, "at": {**AT, "attempt": 2}, "runner": None},
                END,
            ),
            id="retried by a person",
        ),
        pytest.param(
            (
                {"type": "event.kept", "event_id": "e"},
                {"type": "handler.fired", "event_id": "e", "handler": 0},
                DONE,
                END,
            ),
            id="one event, kept and handled",
        ),
    ],
)
def test_a_sound_history_has_none(events: tuple[dict[str, Any], ...]) -> None:
    assert faults(*events) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        pytest.param(faults(DONE, END, skip=2), "has a gap", id="gap"),
        pytest.param(faults(DONE), "1 runs and 0 ends", id="no end"),
        pytest.param(faults(DONE, END, END), "1 runs and 2 ends", id="two ends"),
        pytest.param(faults(END, DONE), "has ended, and then", id="after the end"),
        pytest.param(faults(DONE, DONE, END), "2 times", id="completed twice"),
        pytest.param(
            faults(DONE, {"type": "step.failed", "at": AT}, END), "'settled'", id="settled twice"
        ),
        pytest.param(
            faults(*[{"type": "signal.kept", "message_id": "m"}] * 2, DONE, END),
            "('signal.kept', 'm') 2 times",
            id="a signal twice",
        ),
        pytest.param(faults(DONE, END, effects=Counter()), "with 0 effects", id="no effect"),
        pytest.param(
            faults(DONE, END, effects=Counter({(1, "a", 1, 1): 2})), "with 2 effects", id="doubled"
        ),
        pytest.param(
            faults(DONE, END, effects=ONCE + Counter({(1, "a", 1, 2): 1})),
            "of which its history says nothing",
            id="an attempt that nobody knows",
        ),
    ],
)
def test_a_fault_is_found(found: list[str], told: str) -> None:
    assert any(told in fault for fault in found), found

"""The one-word summaries of an execution's state; PascalCase, also on the wire."""

from __future__ import annotations

from typing import Final, Literal

ExecutionStatus = Literal[
    "Pending",
    "Running",
    "Waiting",
    "Paused",
    "Compensating",
    "Completed",
    "Failed",
    "Canceled",
    "Compensated",
    "CompensationFailed",
]

TaskStatus = Literal["Open", "Claimed", "Completed", "Canceled", "Failed"]
"""Of a human task. Canceled: its step was withdrawn; Failed: its deadline passed."""

TERMINAL: Final[frozenset[str]] = frozenset(
    {"Completed", "Failed", "Canceled", "Compensated", "CompensationFailed"}
)
"""A run that reached one of these has ended."""

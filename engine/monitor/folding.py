"""Folding a stored history and following it at once; and checking one that is only looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from heliostat.engine.errors import HistoryMisfit
from heliostat.engine.kernel.apply import apply
from heliostat.engine.kernel.codec import OtherVersion, check_version, decode_event
from heliostat.engine.kernel.events import ExecutionEvent, ExecutionStarted
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.monitor.conformance import Conformance
from heliostat.engine.monitor.restored import marking_of
from heliostat.engine.monitor.tables import Tables

_CORRUPT: Final = (LookupError, ValueError, TypeError, AttributeError, AssertionError)
"""What booking an event raises that has what no kernel writes."""


def conformance_after(tables: Tables, state: ExecutionState) -> Conformance:
    """Follows what comes after a state: a snapshot's, or that of nothing."""
    conformance = Conformance(tables)
    if state.seq:
        conformance.go_on(tables, marking_of(tables.plan, state), state.seq)
    return conformance


def fold_followed(
    tables: Tables, bodies: Iterable[bytes], state: ExecutionState, conformance: Conformance
) -> None:
    """As `codec.fold`, and each event is followed before it is booked.

    Raises:
        HistoryMisfit: the history is none of this plan's; `state` is as before the event.
        OtherVersion: the execution was moved; likewise.
    """
    plan = tables.plan
    for body in bodies:
        number = state.seq + 1
        event = _decoded(body, number)
        check_version(plan, event)
        try:
            conformance.follow((event,))
            apply(plan, state, event)
        except _CORRUPT as error:
            name = str(type(event).__struct_config__.tag)
            why = f"it cannot be booked: {type(error).__name__}: {error}"
            raise HistoryMisfit(number, name, None, why) from error
        if conformance.lost:
            conformance.go_on(tables, marking_of(plan, state), state.seq)
    state.begun.clear()
    state.task_changes.clear()


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """How far a history is a run of its plan."""

    events: int
    fitting: int
    """Events before the first that does not fit."""
    misfit: HistoryMisfit | None = None


def check_history(bodies: Sequence[bytes], tables_of: Callable[[str], Tables]) -> Checked:
    """Follow a whole history.

    Args:
        bodies: its events as they are stored, from the first.
        tables_of: of a version of its definition.
    """
    state = ExecutionState()
    conformance: Conformance | None = None
    try:
        version = _first_version(bodies)
        while True:
            tables = tables_of(version)
            conformance = conformance or Conformance(tables)
            try:
                fold_followed(tables, bodies[state.seq :], state, conformance)
            except OtherVersion as other:
                version = other.version
            else:
                return Checked(events=len(bodies), fitting=len(bodies))
    except HistoryMisfit as misfit:
        return Checked(events=len(bodies), fitting=misfit.number - 1, misfit=misfit)


def _decoded(body: bytes, number: int) -> ExecutionEvent:
    try:
        return decode_event(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise HistoryMisfit(number, "unreadable", None, str(error)) from error


def _first_version(bodies: Sequence[bytes]) -> str:
    first = _decoded(bodies[0], 1) if bodies else None
    if not isinstance(first, ExecutionStarted):
        tag = "nothing" if first is None else str(type(first).__struct_config__.tag)
        raise HistoryMisfit(1, tag, None, "a history begins with its start")
    return first.version

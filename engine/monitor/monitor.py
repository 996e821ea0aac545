"""What is watched of one declared property."""

from __future__ import annotations

from dataclasses import dataclass

from heliostat.engine.monitor.automata import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """What is watched of one property; steps by number."""

    id: str
    digest: str
    """Of all that the numbers of its states hang on."""
    table: Table | None = None
    steps: tuple[int | None, ...] = ()
    """Of each of the table's atoms."""
    facts: tuple[str | None, ...] = ()
    """Of each of them, what has happened where it is true; None: it is asked of the state."""
    looks: bool = False
    """It asks what is open, which any event may change."""
    people: tuple[int, ...] = ()
    """Steps to be completed by different people."""
    apart: bool = False
    """These lie in one scope: in each of its instances by itself."""

"""A journal as the actor of a dedicated execution has it: through the process with the file."""

from __future__ import annotations

from typing import cast

from heliostat.actors.dedicated.remote_journal import JournalDoor, RemoteJournal
from heliostat.engine.journal.protocol import Journal


def through_a_door(journal: Journal) -> Journal:
    """The same journal, each of its calls as bytes."""
    return cast("Journal", RemoteJournal(JournalDoor(journal).answer, journal.info))

"""Durations for `verify --durations`: from a file, or from the history in a data directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from heliostat.engine.errors import InputError

if TYPE_CHECKING:
    from heliostat.engine.authoring.model import Definition
    from heliostat.verify.timing.durations import Measured

EXECUTIONS_MAX: Final = 200
"""Of a definition, the latest that have ended: older ones ran other code on other machines."""


def measured(place: Path, definition: Definition) -> Measured:
    """How long attempts of a definition's steps took.

    Args:
        place: a file of durations (see `verify/timing/history.py`), or the data directory of a
            deployment, which need not be up.

    Raises:
        InputError: there is no such place, it says no durations, or nothing of this definition.
    """
    if place.is_dir():
        return _of_deployment(place, definition)
    from heliostat.verify.timing.history import Unmeasured, read_measured

    try:
        return read_measured(json.loads(place.read_bytes()))
    except OSError as error:
        raise InputError(f"{place} cannot be read: {error.strerror or error}") from None
    except Unmeasured as error:
        raise InputError(f"{place}: {error}") from None
    except ValueError as error:
        raise InputError(f"{place} is no JSON: {error}") from None


def _of_deployment(place: Path, definition: Definition) -> Measured:
    from heliostat.api.cli.options import configuration
    from heliostat.cluster import reading
    from heliostat.engine.journal.protocol import ExecutionQuery
    from heliostat.engine.kernel.codec import decode_event
    from heliostat.verify.timing.history import History

    settings, history = configuration(place, None), History()
    query = ExecutionQuery(
        namespace=definition.namespace,
        definition=definition.id,
        status=("Completed", "Failed", "Canceled"),
        limit=EXECUTIONS_MAX,
    )
    for row in reading.read_list(settings, query).rows:
        stored = reading.read_stored(settings, row.key, after_seq=0)
        history.add(stored.plan, map(decode_event, stored.bodies))
    found = history.measured()
    if not found:
        raise InputError(
            f"{place} has no execution of {definition.id} that has ended and whose steps took time"
        )
    return found

"""What people note about an execution: how much of it is kept. Clients and hosts check the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from heliostat.engine.errors import InputError

ENTRIES_MAX: Final = 64
NAME_CHARS_MAX: Final = 200
VALUE_CHARS_MAX: Final = 4_096
BYTES_MAX: Final = 64 * 1024
"""Of all of it: every change is an event that has it whole."""


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raises `InputError`, naming the entry and the bound."""
    if len(metadata) > ENTRIES_MAX:
        raise InputError(f"there are {len(metadata)} entries; at most {ENTRIES_MAX} are kept")
    size = 0
    for name, value in metadata.items():
        if not 1 <= len(name) <= NAME_CHARS_MAX or len(value) > VALUE_CHARS_MAX:
            raise InputError(
                f"entry {name[:NAME_CHARS_MAX]!r} has a name of {len(name)} and a value of "
                f"{len(value):,} characters; a name has 1 to {NAME_CHARS_MAX}, a value up to "
                f"{VALUE_CHARS_MAX:,}"
            )
        try:
            size += len(name.encode()) + len(value.encode())
        except UnicodeEncodeError as error:
            raise InputError(f"entry {name!r} cannot be stored: {error.reason}") from error
    if size > BYTES_MAX:
        raise InputError(f"the entries take {size:,} bytes; {BYTES_MAX:,} are kept")

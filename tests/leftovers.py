"""Processes that a test began somewhere below it, found by the folder that their commands name."""

from __future__ import annotations

from pathlib import Path


def naming(folder: Path) -> dict[int, str]:
    """By pid, the command lines of processes that name a folder, as those of its runners and of
    its Ray do."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(folder) in line:
            found[int(path.parent.name)] = line
    return found

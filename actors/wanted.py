"""How many hosts a deployment is to have: a figure in its data directory, which all of it shares.

Settings say how many it began with, and travel in constructors that Ray repeats; this is what was
asked for since. Whoever brings it up or scales it writes, the supervisor reads at every look.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from heliostat.actors.settings import Settings

_FILE: Final = "hosts"


def hosts_wanted(settings: Settings) -> int:
    """As written last; else as the deployment began. Blocks for a moment."""
    try:
        return int((Path(settings.data_dir) / _FILE).read_text())
    except (OSError, ValueError):
        return settings.hosts


def want_hosts(data_dir: Path, hosts: int) -> None:
    """From the supervisor's next look on it is so many; readers see one figure or the other."""
    unfinished = data_dir / f"{_FILE}.{os.getpid()}"
    unfinished.write_text(f"{hosts}\n")
    unfinished.replace(data_dir / _FILE)

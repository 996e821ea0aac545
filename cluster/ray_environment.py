"""What must be set before Ray starts in this process, so that it stays on the loopback interface.

Ray reads these variables when it is imported and hands them on to every process it starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

LOOPBACK: Final[Mapping[str, str]] = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the node's address becomes 127.0.0.1
    "RAY_AUTH_MODE": "disabled",  # tokens guard what others can reach; nobody else can
}
QUIET: Final[Mapping[str, str]] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the default warns on every worker's start
}


def prepare_loopback() -> None:
    """For a Ray of our own: call before `import ray` where that can still be chosen."""
    os.environ.update(LOOPBACK)
    prepare_quiet()
    constants = sys.modules.get("ray._private.ray_constants")
    if constants is not None:  # the user imported Ray first; it has read the variable already
        vars(constants)["ENABLE_RAY_CLUSTER"] = False


def prepare_quiet() -> None:
    """For a Ray that somebody else started: only what keeps its remarks off the terminal."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)

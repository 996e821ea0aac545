"""What `up` and `down` need of the HTTP door, which lies above this package and is handed in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from heliostat.cluster.config import Configuration
from heliostat.cluster.record import DeploymentRecord, HttpRecord


class Door(Protocol):
    """A way in over HTTP that lives and ends with a deployment."""

    def place(self, configuration: Configuration) -> HttpRecord:
        """Where the door is going to be.

        Raises:
            Conflict: another program listens there.
            ConfigurationError: this machine cannot listen there.
        """
        ...

    def environment(self, data_dir: Path) -> Mapping[str, str]:
        """What a Ray of our own must have in its environment, so that the door is fast."""
        ...

    def warm(self, environment: Mapping[str, str]) -> None:
        """Do what can be done before Ray runs; called beside its start, in another thread."""
        ...

    def start(self, configuration: Configuration, record: DeploymentRecord) -> HttpRecord:
        """Open the door named in the record; returns when it answers. Harmless when it is open.

        Needs a connected Ray, and can be called beside other things that need it. What is returned
        goes into the record.

        Raises:
            Unreachable: it did not answer within `up_timeout_ms`.
            Conflict: the Ray of others has something else there.
        """
        ...

    def stop(self, record: DeploymentRecord) -> None:
        """Close it; what lives in a Ray of our own may be left to end with it.

        The record on disk does not name it any more, which its processes have seen or will see.
        Never raises. Needs a connected Ray.
        """
        ...

    def forget(self, data_dir: Path) -> None:
        """Remove what `environment` made, when the Ray that used it has ended; never raises."""
        ...

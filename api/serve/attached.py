"""A replica's way to the deployment of a data directory, which may go and come back.

The record in the data directory says where the deployment is. It is looked at in the background, so
that a request finds a client or is told that there is none.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from heliostat.actors.client.client import Client
from heliostat.api.http.door import Way, way_of
from heliostat.cluster.config import Configuration
from heliostat.cluster.connect import attach
from heliostat.cluster.record import DeploymentRecord, read_record
from heliostat.engine.errors import HeliostatError, Unreachable


class Attached:
    """The client of a deployment, made again when its record says that it is another one."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._why = f"no deployment is up in {configuration.data_dir}"
        self._record: DeploymentRecord | None = None
        self._client: Client | None = None
        self._way: Way | None = None
        self.leaving = False
        """Whether `heliostat down` has begun: it takes the door out of the record first."""
        self.left = False
        """Whether the live readers have been told."""
        self._lock = threading.Lock()  # attaching blocks, so it is done in threads

    def way(self) -> Way:
        """The way to the deployment.

        Raises:
            Unreachable: there is none at this moment.
        """
        if self.left:
            raise Unreachable("the deployment is being ended by `heliostat down`")
        way = self._way
        if way is None:
            raise Unreachable(self._why)
        return way

    def hosts_wanted(self) -> int:
        """How many hosts the deployment should have."""
        record = self._record
        return 1 if record is None else record.hosts

    def look(self) -> None:
        """Look at the record once, and attach where it names a deployment that is not attached."""
        with self._lock:
            record = read_record(self._configuration.data_dir)
            if self._record is not None and self._record.http is not None:
                self.leaving = record is None or record.http is None
            if record is not None and self._way is not None and _same(record, self._record):
                return
            self._close()
            try:
                client = attach(self._configuration)
            except HeliostatError as error:
                self._why = str(error)
                return
            self._client, self._record, self._way = client, record, way_of(client)

    def close(self) -> None:
        """Let go of the deployment, which goes on."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        client, self._client, self._way = self._client, None, None
        if client is not None:
            with suppress(HeliostatError):  # what it was attached to may be gone
                client.close()


def _same(record: DeploymentRecord, other: DeploymentRecord | None) -> bool:
    """Whether a client of the one is a client of the other."""
    return other is not None and (
        record.deployment_id,
        record.generation,
        record.hosts,
        record.ray,
        record.started_at_ms,
    ) == (other.deployment_id, other.generation, other.hosts, other.ray, other.started_at_ms)

"""A `Client` that calls hosts as Ray actors: where its parts are put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from heliostat.actors.client.client import Client
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.interface import Ways
from heliostat.actors.client.proving import Proving
from heliostat.actors.client.ray_connection import RayConnection
from heliostat.actors.client.ray_parts import RayParts
from heliostat.actors.client.waiting import Here, Threads, finish
from heliostat.engine.calendars import Calendar
from heliostat.engine.identity import DEFAULT_NAMESPACE
from heliostat.engine.journal.protocol import BlobStore


def ray_client(
    *,
    hosts: Hosts,
    blobs: BlobStore,
    namespace: str = DEFAULT_NAMESPACE,
    code_path: Sequence[Path] = (),
    calendars: Mapping[str, Calendar] | None = None,
    semaphores: Mapping[str, int] | None = None,
    proving: Proving | None = None,
    embedded: bool = False,
    close: Callable[[], None] = lambda: None,
) -> Client:
    """A client of these hosts.

    Args:
        code_path: where modules are looked for that no definition ships.
        semaphores: of the deployment, with their capacities; absent, registration does not check
            them.
        proving: how what is registered is proved; absent, it is not.
        close: called once, when the client has closed its stream.
    """
    threads = Threads()

    def end() -> None:
        threads.close()
        close()

    parts = RayParts(
        hosts=hosts,
        blobs=blobs,
        namespace=namespace,
        code_path=tuple(code_path),
        calendars=calendars or {},
        semaphores=semaphores,
        proving=proving,
        end_deployment=end,
    )
    ways = Ways(RayConnection(parts, threads), RayConnection(parts, Here()), finish)
    return Client(ways, embedded=embedded)

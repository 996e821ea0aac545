"""Another number of hosts for a deployment that runs: those that are missing are made, those that
are too many give up their shards, one after the other, and end. No execution waits for either: a
shard is kept by its host until the next one claims it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import Struct

from heliostat.actors.host.questions import DrainRequest, HostInfo
from heliostat.actors.journals import is_shared
from heliostat.actors.settings import Settings
from heliostat.actors.wanted import want_hosts
from heliostat.cluster import parts
from heliostat.cluster.config import Configuration
from heliostat.cluster.connect import NotUp
from heliostat.cluster.deployment import settings_of
from heliostat.cluster.ray_connection import connected
from heliostat.cluster.record import locked, read_record, write_record
from heliostat.engine.errors import ConfigurationError, HeliostatError


class ScaleReport(Struct, frozen=True, kw_only=True):
    """What `scale` found and did."""

    before: int
    hosts: int


def scale(
    configuration: Configuration, hosts: int, *, note: Callable[[str], None] = lambda _: None
) -> ScaleReport:
    """Have a deployment that runs carried by so many hosts; returns when those serve.

    Raises:
        NotUp: none runs in the data directory.
        ConfigurationError: its journal is written by one host.
        Unreachable: a new host did not come up within `up_timeout_ms`; it is tried further.
    """
    data_dir = configuration.data_dir
    with locked(data_dir, timeout_ms=configuration.up_timeout_ms):
        record = read_record(data_dir)
        if record is None or not record.ray_lives or record.ray.address is None:
            raise NotUp(
                f"no deployment is up in {data_dir}; start it with `heliostat up --hosts N`"
            )
        before = settings_of(configuration, record)
        if hosts > 1 and not is_shared(before.journal):
            raise ConfigurationError(
                f"{hosts} hosts are asked for, but the deployment in {data_dir} has a SQLite "
                f"journal, which one host writes; several share one on PostgreSQL"
            )
        after = settings_of(configuration, msgspec.structs.replace(record, hosts=hosts))
        # First what is wanted: the supervisor must not make again a host that leaves.
        want_hosts(data_dir, hosts)
        write_record(data_dir, msgspec.structs.replace(record, hosts=hosts))
        with connected(record.ray.address, ours=record.ray.owned):
            if hosts > before.hosts:
                note("starting hosts …")
                parts.ensure(after)
                parts.await_hosts(after, timeout_ms=configuration.up_timeout_ms)
            for index in range(before.hosts - 1, hosts - 1, -1):
                note(f"draining host {index} …")
                _end_host(before, index, wait_ms=configuration.drain_timeout_ms)
        return ScaleReport(before=before.hosts, hosts=hosts)


def _end_host(settings: Settings, index: int, *, wait_ms: int) -> None:
    """Have a host give up its shards, and end it; one that does not answer is ended all the same,
    and the others see that it is gone."""
    from heliostat.actors import remote

    name, bound_ms = settings.host_name(index), wait_ms + parts.STOP_MS
    request = DrainRequest(wait_ms=wait_ms)
    with suppress(HeliostatError), parts.calling(settings, timeout_ms=bound_ms) as hosts:
        hosts.call(name, "drain", request, HostInfo, answer_s=bound_ms / 1_000)
    remote.end_actor(name)

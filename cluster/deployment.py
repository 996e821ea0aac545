"""Bringing the deployment of a data directory up and down.

Whoever does either holds the directory's lock. `up` looks at what is there and adds what is
missing: nothing (it runs), the actors (Ray lives, they do not answer), or all of it (the first
start, or everything was killed). Executions are in the journal and go on with the host that opens
it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from heliostat import __version__
from heliostat.actors import names
from heliostat.actors.settings import Settings, check
from heliostat.cluster import parts
from heliostat.cluster.config import Configuration
from heliostat.cluster.processes import is_alive
from heliostat.cluster.ray_connection import connected
from heliostat.cluster.ray_node import start_ray, stop_ray
from heliostat.cluster.reading import journal_info
from heliostat.cluster.record import (
    DeploymentRecord,
    RayRecord,
    locked,
    read_record,
    remove_record,
    write_record,
)
from heliostat.engine.errors import Conflict, HeliostatError, Unreachable
from heliostat.engine.ids import new_id

Note = Callable[[str], None]

_LOOK_MS: Final = 5_000
"""How long a host may take to show that a deployment is up already; one that was just killed is
back within it."""


class UpReport(Struct, frozen=True, kw_only=True):
    """What `up` found and did."""

    deployment_id: str
    started: bool  # False: it was up already
    since: str
    address: str
    dashboard: str | None
    data_dir: Path
    seconds: float


class DownReport(Struct, frozen=True, kw_only=True):
    """What `down` found and did."""

    was_up: bool
    deployment_id: str | None = None
    drained: bool = False  # every attempt had reported; the others are made again
    seconds: float = 0.0


def up(configuration: Configuration, *, note: Note = lambda _: None) -> UpReport:
    """Start the deployment, or see that it runs; returns when a host answers.

    Raises:
        Unreachable: Ray or the hosts did not come up within the bound; what was started is ended.
        Conflict: a process runs an embedded deployment in the same directory.
        JournalLocked: another process brings it up or down at this moment.
    """
    begun = time.monotonic()
    data_dir = configuration.data_dir
    with locked(data_dir, timeout_ms=configuration.up_timeout_ms):
        record = read_record(data_dir)
        if record is not None and record.ray_lives:
            refuse_embedded(record, data_dir)
            found = _still_up(record, configuration, note)
            if found is not None:
                return _report(found, data_dir, begun, started=False)
        if record is not None:
            note("ending what is left of an earlier run …")
            stop_ray(record.ray)
            remove_record(data_dir)
        record = _start(configuration, record, note)
        return _report(record, data_dir, begun, started=True)


def down(configuration: Configuration, *, note: Note = lambda _: None) -> DownReport:
    """Drain and end the deployment; its executions go on with the next `up`.

    Raises:
        Conflict: the deployment belongs to a process that embeds it.
    """
    begun = time.monotonic()
    data_dir = configuration.data_dir
    if not data_dir.is_dir():
        return DownReport(was_up=False)
    with locked(data_dir, timeout_ms=configuration.up_timeout_ms):
        record = read_record(data_dir)
        if record is None:
            return DownReport(was_up=False)
        if record.ray_lives:
            refuse_embedded(record, data_dir)
        drained = _drain_and_stop(record, configuration, note) if record.ray_lives else False
        stop_ray(record.ray)
        remove_record(data_dir)
        return DownReport(
            was_up=True,
            deployment_id=record.deployment_id,
            drained=drained,
            seconds=round(time.monotonic() - begun, 1),
        )


def refuse_embedded(record: DeploymentRecord, data_dir: Path) -> None:
    """Raise `Conflict` where the deployment lives in another process and ends with it."""
    holder = record.ray.holder
    if record.mode == "embedded" and holder is not None and is_alive(holder):
        raise Conflict(
            f"process {holder.pid} runs an embedded deployment in {data_dir}, which ends with "
            f"it; close its client or end it first"
        )


def settings_of(configuration: Configuration, record: DeploymentRecord) -> Settings:
    """What the actors of a deployment are told."""
    return check(
        Settings(
            deployment=record.deployment_id,
            generation=record.generation,
            data_dir=str(configuration.data_dir),
            hosts=configuration.hosts,
            runners=configuration.runners or None,
            code=(str(configuration.code),),
            secrets_file=_text(configuration.secrets_file),
            node_resource=record.node_resource,
        )
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def new_record(
    configuration: Configuration, earlier: DeploymentRecord | None, *, embedded: bool
) -> DeploymentRecord:
    """The record of a deployment about to start: the journal's own id, if there is a journal."""
    info = journal_info(configuration.journal_path)
    if info is not None:
        deployment_id = info.deployment_id
    else:
        deployment_id = earlier.deployment_id if earlier is not None else new_id()
    return DeploymentRecord(
        mode="embedded" if embedded else "background",
        deployment_id=deployment_id,
        generation=1,
        node_resource=names.node_resource(deployment_id),
        code=str(configuration.code),
        ray=RayRecord(),
        calendars=dict(configuration.calendars),
        started_at_ms=time.time_ns() // 1_000_000,
        versions={"heliostat": __version__, "python": platform.python_version()},
    )


def _still_up(
    record: DeploymentRecord, configuration: Configuration, note: Note
) -> DeploymentRecord | None:
    """The record, when hosts answer or could be made to in a Ray that lives; else None."""
    assert record.ray.address is not None
    settings = settings_of(configuration, record)
    try:
        with connected(record.ray.address, ours=record.ray.owned):
            try:
                parts.await_hosts(settings, timeout_ms=_LOOK_MS)
            except Unreachable:
                note("Ray runs, but no host answers: creating what is missing …")
                parts.ensure(settings)
                parts.await_hosts(settings, timeout_ms=configuration.up_timeout_ms)
    except Unreachable:
        if not record.ray.owned:
            raise  # not ours to start again
        return None
    return record


def _start(
    configuration: Configuration, earlier: DeploymentRecord | None, note: Note
) -> DeploymentRecord:
    data_dir = configuration.data_dir
    record = new_record(configuration, earlier, embedded=False)

    def starting(ray: RayRecord) -> None:
        write_record(data_dir, msgspec.structs.replace(record, ray=ray))

    if configuration.ray_address is None:
        note("starting Ray …")
        ray = start_ray(
            data_dir,
            resources={record.node_resource: 1.0},
            dashboard=configuration.dashboard,
            timeout_ms=configuration.up_timeout_ms,
            starting=starting,
        )
    else:
        ray = RayRecord(address=configuration.ray_address, owned=False)
    with _undone_on_failure(data_dir, ray):
        assert ray.address is not None
        with connected(ray.address, ours=ray.owned):
            record = msgspec.structs.replace(
                record,
                ray=ray,
                node_resource=parts.resource_here(record.node_resource, ours=ray.owned),
            )
            write_record(data_dir, record)
            note("starting hosts and runners …")
            settings = settings_of(configuration, record)
            parts.ensure(settings)
            parts.await_hosts(settings, timeout_ms=configuration.up_timeout_ms)
    return record


@contextmanager
def _undone_on_failure(data_dir: Path, ray: RayRecord) -> Iterator[None]:
    try:
        yield
    except BaseException:
        stop_ray(ray)
        if ray.owned:
            remove_record(data_dir)
        raise


def _drain_and_stop(record: DeploymentRecord, configuration: Configuration, note: Note) -> bool:
    """Whether every attempt had reported when the hosts stopped."""
    assert record.ray.address is not None
    settings = settings_of(configuration, record)
    try:
        with connected(record.ray.address, ours=record.ray.owned):
            note("letting attempts report …")
            drained = parts.drain(settings, wait_ms=configuration.drain_timeout_ms)
            if not record.ray.owned:
                parts.kill(settings)
            return drained
    except HeliostatError:
        if not record.ray.owned:
            raise
        return False  # a Ray that does not answer is ended all the same


def _report(record: DeploymentRecord, data_dir: Path, begun: float, *, started: bool) -> UpReport:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.started_at_ms / 1_000))
    assert record.ray.address is not None
    return UpReport(
        deployment_id=record.deployment_id,
        started=started,
        since=since,
        address=record.ray.address,
        dashboard=record.ray.dashboard,
        data_dir=data_dir,
        seconds=round(time.monotonic() - begun, 1),
    )

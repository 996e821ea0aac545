"""Bringing the deployment of a data directory up and down.

Whoever does either holds the directory's lock. `up` looks at what is there and adds what is
missing: nothing (it runs), the actors (Ray lives, they do not answer), or all of it (the first
start, or everything was killed). Executions are in the journal and go on with the host that opens
it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from heliostat import __version__
from heliostat.actors import journals, names
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.settings import Settings, check
from heliostat.actors.wanted import want_hosts
from heliostat.cluster import parts
from heliostat.cluster.config import Configuration
from heliostat.cluster.doors import Door
from heliostat.cluster.processes import is_alive
from heliostat.cluster.ray_connection import connected
from heliostat.cluster.ray_node import start_ray, stop_ray
from heliostat.cluster.reading import beating_owners, journal_info
from heliostat.cluster.record import (
    DeploymentRecord,
    HttpRecord,
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


_LATE: Final = (
    "HTTP takes about ten times as long as it could, since this deployment came up without it: "
    "`heliostat down`, then `heliostat up`"
)


class UpReport(Struct, frozen=True, kw_only=True):
    """What `up` found and did."""

    deployment_id: str
    started: bool  # False: it was up already
    since: str
    address: str
    dashboard: str | None
    http: str | None  # where the HTTP door is; None: without
    here_only: bool  # whether only this machine reaches it
    slower: str | None  # why the door is slower than it could be, and how to change that
    data_dir: Path
    seconds: float


class DownReport(Struct, frozen=True, kw_only=True):
    """What `down` found and did."""

    was_up: bool
    deployment_id: str | None = None
    drained: bool = False  # every attempt had reported; the others are made again
    seconds: float = 0.0


def up(
    configuration: Configuration, *, door: Door | None = None, note: Note = lambda _: None
) -> UpReport:
    """Start the deployment, or see that it runs; returns when a host answers, and the door.

    Args:
        door: the way in over HTTP, opened where the configuration has `http`; None: without.

    Raises:
        Unreachable: Ray, the hosts or the door did not come up within the bound; what was started
            is ended.
        Conflict: a process runs an embedded deployment in the same directory, another program
            listens where the door should be, or somebody else's Ray runs a copy of the directory.
        JournalLocked: another process brings it up or down at this moment.
    """
    begun = time.monotonic()
    data_dir = configuration.data_dir
    door = door if configuration.http else None
    with locked(data_dir, timeout_ms=configuration.up_timeout_ms):
        record = read_record(data_dir)
        if record is not None and record.ray_lives and not _moves(record, configuration):
            refuse_embedded(record, data_dir)
            _refuse_other_journal(record, configuration)
            found = _still_up(record, configuration, door, note)
            if found is not None:
                return _report(found, data_dir, begun, started=False)
        if record is not None:
            note("ending what is left of an earlier run …")
            stop_ray(record.ray)
            remove_record(data_dir)
        record = _start(configuration, record, door, note)
        return _report(record, data_dir, begun, started=True)


def down(
    configuration: Configuration, *, door: Door | None = None, note: Note = lambda _: None
) -> DownReport:
    """Drain and end the deployment; its executions go on with the next `up`.

    Args:
        door: what closes the door that `up` opened; without, it ends with its Ray.

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
        drained = _drain_and_stop(record, configuration, door, note) if record.ray_lives else False
        stop_ray(record.ray)
        remove_record(data_dir)
        if door is not None and record.ray.owned:
            door.forget(data_dir)
        return DownReport(
            was_up=True,
            deployment_id=record.deployment_id,
            drained=drained,
            seconds=round(time.monotonic() - begun, 1),
        )


def _moves(record: DeploymentRecord, configuration: Configuration) -> bool:
    """Whether it is to come up on another Ray than it was on, that somebody else started too."""
    address = configuration.ray_address
    return not record.ray.owned and address is not None and address != record.ray.address


def refuse_second(configuration: Configuration) -> None:
    """Raise `Conflict` where hosts of another Ray write the journal: two sets of hosts with the
    same names would take each other's shards for ever. Nothing would be lost, and nothing done."""
    if not journals.is_shared(configuration.journal_name):
        return  # a file has a lock
    owners = beating_owners(configuration)
    if owners:
        raise Conflict(
            f"the journal in {journals.shown(configuration.journal_name)} is written by "
            f"{owners[0].name!r} on {owners[0].node!r}, whose Ray is not known here: end that "
            f"deployment with `heliostat down` in its own data directory"
        )


def refuse_embedded(record: DeploymentRecord, data_dir: Path) -> None:
    """Raise `Conflict` where the deployment lives in another process and ends with it."""
    holder = record.ray.holder
    if record.mode == "embedded" and holder is not None and is_alive(holder):
        raise Conflict(
            f"process {holder.pid} runs an embedded deployment in {data_dir}, which ends with "
            f"it; close its client or end it first"
        )


def _refuse_other_journal(record: DeploymentRecord, configuration: Configuration) -> None:
    if configuration.journal is not None and configuration.journal != record.journal:
        raise Conflict(
            f"the deployment in {configuration.data_dir} is up with its journal in "
            f"{journals.shown(record.journal or journals.SQLITE)}, not in "
            f"{journals.shown(configuration.journal)}; end it with `heliostat down` first"
        )


def settings_of(configuration: Configuration, record: DeploymentRecord) -> Settings:
    """What the actors of a deployment are told."""
    return check(
        Settings(
            deployment=record.deployment_id,
            generation=record.generation,
            data_dir=str(configuration.data_dir),
            journal=record.journal or journals.SQLITE,
            hosts=record.hosts,
            runners=configuration.runners or None,
            semaphores=configuration.semaphores,
            autoscaling=configuration.autoscaling,
            code=(str(configuration.code),),
            secrets_file=_text(configuration.secrets_file),
            node_resource=record.node_resource,
            objects_bytes=configuration.objects_bytes,
            dedicated_spares=configuration.dedicated_spares,
            host=HostBounds(
                keep_ms=configuration.retention,
                bus_keep_ms=configuration.bus_retention,
                conformance=configuration.conformance,
            ),
        )
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def new_record(
    configuration: Configuration, earlier: DeploymentRecord | None, *, embedded: bool
) -> DeploymentRecord:
    """The record of a deployment about to start: the journal's own id, if there is a journal."""
    info = journal_info(configuration)
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
        journal=configuration.journal,
        hosts=configuration.hosts,
        calendars=dict(configuration.calendars),
        semaphores=dict(configuration.semaphores),
        started_at_ms=time.time_ns() // 1_000_000,
        versions={"heliostat": __version__, "python": platform.python_version()},
    )


def _still_up(
    record: DeploymentRecord, configuration: Configuration, door: Door | None, note: Note
) -> DeploymentRecord | None:
    """The record, when hosts answer or could be made to in a Ray that lives; else None."""
    address = record.ray.address
    assert address is not None
    if configuration.hosts > record.hosts:  # fewer are no order: `heliostat scale` gives that one
        record = msgspec.structs.replace(record, hosts=configuration.hosts)
        write_record(configuration.data_dir, record)
    settings = settings_of(configuration, record)
    want_hosts(configuration.data_dir, settings.hosts)
    try:
        with connected(address, ours=record.ray.owned):
            try:
                parts.await_hosts(settings, timeout_ms=_LOOK_MS)
            except Unreachable:
                note("Ray runs, but no host answers: creating what is missing …")
                parts.ensure(settings)
                parts.await_hosts(settings, timeout_ms=configuration.up_timeout_ms)
            if door is not None:
                record = _opened(door, configuration, record)
    except Unreachable:
        if not record.ray.owned:
            raise  # not ours to start again
        return None
    return record


def _opened(door: Door, configuration: Configuration, record: DeploymentRecord) -> DeploymentRecord:
    """The record with the door in it, which is open."""
    if record.http is None:
        # Its Ray came up without, and its environment says nothing of the fast proxy.
        placed = msgspec.structs.replace(door.place(configuration), slower=_LATE)
        record = msgspec.structs.replace(record, http=placed)
    http = door.start(configuration, record)
    if http != read_http(configuration.data_dir):
        record = msgspec.structs.replace(record, http=http)
        write_record(configuration.data_dir, record)
    return record


def read_http(data_dir: Path) -> HttpRecord | None:
    """The door that the record names."""
    record = read_record(data_dir)
    return None if record is None else record.http


def _start(
    configuration: Configuration, earlier: DeploymentRecord | None, door: Door | None, note: Note
) -> DeploymentRecord:
    with ThreadPoolExecutor(1, thread_name_prefix="door") as beside:
        return _start_beside(configuration, earlier, door, beside, note)


def _start_beside(
    configuration: Configuration,
    earlier: DeploymentRecord | None,
    door: Door | None,
    beside: ThreadPoolExecutor,
    note: Note,
) -> DeploymentRecord:
    data_dir = configuration.data_dir
    refuse_second(configuration)
    record = new_record(configuration, earlier, embedded=False)
    environment: Mapping[str, str] = {}
    if door is not None:
        record = msgspec.structs.replace(record, http=door.place(configuration))
        if configuration.ray_address is None:
            environment = door.environment(data_dir)
        beside.submit(door.warm, environment)

    def starting(ray: RayRecord) -> None:
        write_record(data_dir, msgspec.structs.replace(record, ray=ray))

    if configuration.ray_address is None:
        note("starting Ray …")
        ray = start_ray(
            data_dir,
            resources={names.node_resource(record.deployment_id): 1.0},
            dashboard=configuration.dashboard,
            environment=environment,
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
                node_resource=parts.pinned_by(record, ours=ray.owned),
            )
            settings = settings_of(configuration, record)
            if not ray.owned:
                parts.refuse_copy(settings)
            write_record(data_dir, record)
            note(
                "starting hosts and runners …"
                if door is None
                else "starting hosts, runners, door …"
            )
            want_hosts(data_dir, settings.hosts)
            opening = None if door is None else beside.submit(door.start, configuration, record)
            parts.ensure(settings)
            parts.await_hosts(settings, timeout_ms=configuration.up_timeout_ms)
            if opening is not None:
                record = msgspec.structs.replace(record, http=opening.result())
                write_record(data_dir, record)
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


def _drain_and_stop(
    record: DeploymentRecord, configuration: Configuration, door: Door | None, note: Note
) -> bool:
    """Whether every attempt had reported when the hosts stopped."""
    assert record.ray.address is not None
    data_dir = configuration.data_dir
    settings = settings_of(configuration, record)
    try:
        with connected(record.ray.address, ours=record.ray.owned):
            if record.http is not None:
                # Its processes see that, and tell those who watch that it ends.
                write_record(data_dir, msgspec.structs.replace(record, http=None))
                if door is not None:
                    door.stop(record)
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
        http=None if record.http is None else record.http.address,
        here_only=record.http is not None and record.http.here_only,
        slower=None if record.http is None else record.http.slower,
        data_dir=data_dir,
        seconds=round(time.monotonic() - begun, 1),
    )

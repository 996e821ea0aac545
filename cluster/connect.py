"""`connect()`: where a client's parts are put together.

It attaches to the deployment of a data directory when one runs there, and else starts an embedded
one: Ray, host and runners on this machine, which end with the client or the process. The journal
stays, so that what had not ended goes on with the next `connect` or `heliostat up`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from heliostat.actors import names
from heliostat.actors.client.client import Client
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.opening import ray_client
from heliostat.actors.client.proving import Proving
from heliostat.actors.wanted import want_hosts
from heliostat.cluster import parts
from heliostat.cluster.config import Configuration, load_configuration
from heliostat.cluster.deployment import new_record, refuse_second, settings_of
from heliostat.cluster.ray_connection import connect_ray, own_address, start_ray_here
from heliostat.cluster.ray_node import stop_ray
from heliostat.cluster.record import (
    DeploymentRecord,
    RayRecord,
    locked,
    read_record,
    remove_record,
    write_record,
)
from heliostat.engine.authoring.model import Definition
from heliostat.engine.calendars import Calendar
from heliostat.engine.errors import HeliostatError, Unreachable
from heliostat.engine.identity import DEFAULT_NAMESPACE
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.plan.mapping import MigrationCheck, PlanMapping
from heliostat.verify.prover import Prover

_CLOSE_DRAIN_MS: Final = 1_000
"""How long closing an embedded deployment lets attempts report; the others are made again."""


def connect(
    data: str | Path | None = None,
    *,
    address: str | None = None,
    namespace: str = DEFAULT_NAMESPACE,
    config: str | Path | None = None,
    **settings: Any,
) -> Client:
    """A client of the deployment in a data directory; starts an embedded one when none runs.

        with hs.connect() as client:
            client.register("order.yaml")

    Args:
        data: the data directory; absent, as configured, else `.heliostat`.
        address: a Ray that somebody else started, as `host:port`, to embed in. Absent, the one
            that this process is connected to already, else a new one on this machine.
        namespace: of definitions and executions, where a call names none.
        config: a configuration file.
        settings: any other configuration key, as `runners=2`.

    Raises:
        ConfigurationError: a setting cannot be used.
        Unreachable: Ray or the hosts did not come up within `up_timeout_ms`.
    """
    configuration = load_configuration(
        {"data_dir": data, "ray_address": address, **settings},
        file=None if config is None else Path(config),
    )
    try:
        return attach(configuration, namespace=namespace)
    except NotUp:
        return embed(configuration, namespace=namespace)


class NotUp(Unreachable):
    """No deployment runs in the data directory."""


def attach(configuration: Configuration, *, namespace: str = DEFAULT_NAMESPACE) -> Client:
    """A client of the deployment that runs.

    Raises:
        NotUp: none does.
        Unreachable: its Ray does not answer.
    """
    record = read_record(configuration.data_dir)
    if record is None or not record.ray_lives:
        raise NotUp(
            f"no deployment is up in {configuration.data_dir}; start it with `heliostat up`, or "
            f"name another data directory with --data"
        )
    assert record.ray.address is not None
    release = connect_ray(record.ray.address, ours=record.ray.owned)
    return _client(configuration, record, namespace=namespace, embedded=False, close=release)


def embed(configuration: Configuration, *, namespace: str = DEFAULT_NAMESPACE) -> Client:
    """A client of a deployment that ends with it; attaches when one came up meanwhile."""
    data_dir = configuration.data_dir
    with locked(data_dir, timeout_ms=configuration.up_timeout_ms):
        earlier = read_record(data_dir)
        if earlier is not None and earlier.ray_lives:
            return attach(configuration, namespace=namespace)
        if earlier is not None:
            stop_ray(earlier.ray)
        record, release = _start(configuration, earlier)
    return _client(
        configuration,
        record,
        namespace=namespace,
        embedded=True,
        close=lambda: _end(configuration, record, release),
    )


def code_path(
    configuration: Configuration, record: DeploymentRecord | None = None
) -> tuple[Path, ...]:
    """Where modules are looked for that no definition ships: as runners do, as far as known."""
    record = record or read_record(configuration.data_dir)
    own = () if record is None else (Path(record.code),)
    return (*own, configuration.code)


def proving(configuration: Configuration) -> Proving:
    """How definitions are proved when they are registered."""
    prover = Prover(time_max_ms=configuration.verification_ms)
    return Proving(prover, configuration.verification, migrations=_checked)


def _checked(definition: Definition, mapping: PlanMapping) -> MigrationCheck:
    """What executions can come to; its solver is loaded by who asks."""
    from heliostat.verify.migration import checked

    return checked(definition, mapping)


def known_calendars(configuration: Configuration, record: DeploymentRecord) -> dict[str, Calendar]:
    """Those of this process's configuration, and others that the deployment came up with."""
    return {**record.calendars, **configuration.calendars}


def _start(
    configuration: Configuration, earlier: DeploymentRecord | None
) -> tuple[DeploymentRecord, Callable[[], None]]:
    refuse_second(configuration)
    record = new_record(configuration, earlier, embedded=True)
    address = configuration.ray_address or own_address()
    if address is None:
        ray, release = start_ray_here(
            configuration.data_dir,
            resources={names.node_resource(record.deployment_id): 1.0},
            dashboard=configuration.dashboard,
        )
    else:
        ray, release = RayRecord(address=address, owned=False), connect_ray(address, ours=False)
    try:
        record = msgspec.structs.replace(
            record, ray=ray, node_resource=parts.pinned_by(record, ours=ray.owned)
        )
        settings = settings_of(configuration, record)
        if not ray.owned:
            parts.refuse_copy(settings)
    except BaseException:
        release()
        raise
    try:
        write_record(configuration.data_dir, record)
        want_hosts(configuration.data_dir, settings.hosts)
        parts.ensure(settings)
        parts.await_hosts(settings, timeout_ms=configuration.up_timeout_ms)
    except BaseException:
        _end(configuration, record, release)
        raise
    return record, release


def _end(
    configuration: Configuration, record: DeploymentRecord, release: Callable[[], None]
) -> None:
    """Let attempts report for a moment, end what was started, forget it."""
    settings = settings_of(configuration, record)
    try:
        parts.drain(settings, wait_ms=_CLOSE_DRAIN_MS)
        if not record.ray.owned:
            parts.kill(settings)
    except HeliostatError:
        pass  # it does not answer any more, and is ended all the same
    finally:
        release()
        remove_record(configuration.data_dir)


def _client(
    configuration: Configuration,
    record: DeploymentRecord,
    *,
    namespace: str,
    embedded: bool,
    close: Callable[[], None],
) -> Client:
    hosts = Hosts(
        deployment=record.deployment_id,
        generation=record.generation,
        hosts=record.hosts,
        call_timeout_ms=configuration.call_timeout_ms,
    )
    return ray_client(
        hosts=hosts,
        blobs=FileBlobStore(configuration.blobs_path),
        namespace=namespace,
        code_path=code_path(configuration, record),
        calendars=known_calendars(configuration, record),
        semaphores=record.semaphores,
        proving=proving(configuration),
        embedded=embedded,
        close=close,
    )

"""What a deployment is doing, from its record, its processes, its journal and its hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, to_builtins

from heliostat.actors import journals, names
from heliostat.actors.calls import unpack
from heliostat.cluster.config import Configuration
from heliostat.cluster.connect import attach
from heliostat.cluster.processes import descendants, is_alive, name_of
from heliostat.cluster.reading import journal_info, read_counts
from heliostat.cluster.record import DeploymentRecord, HttpRecord, read_record
from heliostat.engine.errors import HeliostatError, JournalUnavailable

_INFO_S: Final = 5.0
"""A host that has not answered within this is shown as not answering."""


class ProcessStatus(Struct, frozen=True, kw_only=True):
    """One process of a deployment."""

    name: str
    pid: int
    alive: bool


class NodeStatus(Struct, frozen=True, kw_only=True):
    """One machine that Ray knows and that lives."""

    id: str
    address: str
    cpus: float
    hosts: int  # of the deployment
    draining: bool


class HttpStatus(Struct, frozen=True, kw_only=True):
    """The HTTP door of a deployment."""

    address: str
    health: str | None  # what it says of the deployment; None: it does not answer
    message: str | None
    replicas: int  # processes of it that Ray knows


class DeploymentStatus(Struct, frozen=True, kw_only=True):
    """A deployment as it is found."""

    up: bool  # a host answers
    data_dir: Path
    journal: str = journals.SQLITE  # where it is, without a password
    deployment_id: str | None = None
    mode: str | None = None
    address: str | None = None
    dashboard: str | None = None
    http: HttpStatus | None = None  # None: without a door
    started_at_ms: int | None = None
    versions: Mapping[str, str] = {}
    problem: str | None = None
    executions: Mapping[str, int] = {}  # by status, of all namespaces
    processes: Sequence[ProcessStatus] = ()
    hosts: Sequence[Mapping[str, Any]] = ()  # `HostInfo`, without its faults
    scheduler: Mapping[str, Any] | None = None  # `SchedulerInfo`; None: it does not answer
    nodes: Sequence[NodeStatus] = ()
    faults: Sequence[str] = ()  # recent ones, of all hosts


def deployment_status(configuration: Configuration) -> DeploymentStatus:
    """Look at everything once; what does not answer is told, not raised."""
    record = read_record(configuration.data_dir)
    counts, unread = _counts(configuration)
    if record is None:
        info = None if unread else journal_info(configuration)
        return DeploymentStatus(
            up=False,
            problem=unread,
            data_dir=configuration.data_dir,
            journal=journals.shown(configuration.journal_name),
            deployment_id=None if info is None else info.deployment_id,
            executions=counts,
        )
    hosts, problem, more = _ask_hosts(configuration, record)
    replicas = more.pop("replicas", 0)
    return DeploymentStatus(
        up=bool(hosts),
        data_dir=configuration.data_dir,
        journal=journals.shown(record.journal or journals.SQLITE),
        deployment_id=record.deployment_id,
        mode=record.mode,
        address=record.ray.address,
        dashboard=record.ray.dashboard,
        http=_http(record.http, replicas),
        started_at_ms=record.started_at_ms,
        versions=record.versions,
        problem=problem or unread,
        executions=counts,
        processes=_processes(record),
        hosts=[{key: value for key, value in host.items() if key != "faults"} for host in hosts],
        faults=[fault for host in hosts for fault in host["faults"]],
        **more,
    )


def _counts(configuration: Configuration) -> tuple[Mapping[str, int], str | None]:
    """What the journal holds; or why a server that holds it does not say."""
    try:
        return read_counts(configuration), None
    except JournalUnavailable as error:
        if configuration.journal_path.exists():
            raise  # a file that cannot be read is not a matter of waiting
        return {}, str(error)


def _ask_hosts(
    configuration: Configuration, record: DeploymentRecord
) -> tuple[Sequence[dict[str, Any]], str | None, dict[str, Any]]:
    holder = record.ray.holder
    if record.ray.address is None and holder is not None and is_alive(holder):
        return (), "it is being brought up at this moment", {}
    if not record.ray_lives:
        return (), "its processes are gone; `heliostat up` goes on where they ended", {}
    try:
        with attach(configuration) as client:
            hosts = client.info(timeout=_INFO_S)["hosts"]
            more = _nodes(record, hosts)
    except HeliostatError as error:
        return (), str(error), {}
    trouble = next((host["trouble"] for host in hosts if host["trouble"]), None)
    if trouble is None and len(hosts) < record.hosts:
        trouble = f"{record.hosts - len(hosts)} of {record.hosts} hosts do not answer"
    return hosts, trouble, more


def _nodes(record: DeploymentRecord, hosts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What Ray and the scheduler say; neither is needed for the rest."""
    import ray

    from heliostat.actors.scheduler.scheduler import SchedulerInfo

    info: SchedulerInfo | None = None
    name = names.scheduler_name(record.deployment_id, record.generation)
    with suppress(ValueError, ray.exceptions.RayError):  # none by that name, or it is away
        scheduler: Any = ray.get_actor(name, namespace=names.NAMESPACE)
        body: bytes = ray.get(scheduler.info.remote(), timeout=_INFO_S)
        info = unpack(body, SchedulerInfo)
    known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's
    nodes = [
        NodeStatus(
            id=node["NodeID"],
            address=node["NodeManagerAddress"],
            cpus=node["Resources"].get("CPU", 0.0),
            hosts=sum(host["ray_node"] == node["NodeID"] for host in hosts),
            draining=info is not None and node["NodeID"] in info.draining,
        )
        for node in known
        if node["Alive"]
    ]
    return {
        "nodes": nodes,
        "scheduler": None if info is None else to_builtins(info),
        "replicas": _replicas(record),
    }


def _replicas(record: DeploymentRecord) -> int:
    """Serve names the actors of a deployment after its application."""
    import ray

    if record.http is None:
        return 0
    begins = f"SERVE_REPLICA::{record.http.app}#"
    named = ray.util.list_named_actors(all_namespaces=True)
    return sum(each["namespace"] == "serve" and each["name"].startswith(begins) for each in named)


def _http(http: HttpRecord | None, replicas: int) -> HttpStatus | None:
    """What the door says of itself, within a bound."""
    if http is None:
        return None
    connection = HTTPConnection(*http.reached, timeout=_INFO_S)
    health: str | None = None
    message: str | None = None
    try:
        connection.request("GET", f"{http.prefix}/health")
        told = msgspec.json.decode(connection.getresponse().read(), type=dict[str, Any])
        health, message = told.get("status"), told.get("message")
    except (OSError, HTTPException, msgspec.DecodeError) as error:
        message = f"it does not answer ({type(error).__name__}: {error})"
    finally:
        connection.close()
    return HttpStatus(address=http.address, health=health, message=message, replicas=replicas)


def _processes(record: DeploymentRecord) -> list[ProcessStatus]:
    holder = record.ray.holder
    if holder is None:
        return []
    living = [holder, *descendants(holder)] if is_alive(holder) else []
    gone = [process for process in (holder, *record.ray.processes) if process not in living]
    return [
        *(ProcessStatus(name=name_of(each), pid=each.pid, alive=True) for each in living),
        *(ProcessStatus(name="-", pid=each.pid, alive=False) for each in gone),
    ]

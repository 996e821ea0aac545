"""What a deployment is doing, from its record, its processes, its journal and its hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from heliostat.cluster.config import Configuration
from heliostat.cluster.connect import attach
from heliostat.cluster.processes import descendants, is_alive, name_of
from heliostat.cluster.reading import journal_info, read_counts
from heliostat.cluster.record import DeploymentRecord, read_record
from heliostat.engine.errors import HeliostatError

_INFO_S: Final = 5.0
"""A host that has not answered within this is shown as not answering."""


class ProcessStatus(Struct, frozen=True, kw_only=True):
    """One process of a deployment."""

    name: str
    pid: int
    alive: bool


class DeploymentStatus(Struct, frozen=True, kw_only=True):
    """A deployment as it is found."""

    up: bool  # a host answers
    data_dir: Path
    deployment_id: str | None = None
    mode: str | None = None
    address: str | None = None
    dashboard: str | None = None
    started_at_ms: int | None = None
    versions: Mapping[str, str] = {}
    problem: str | None = None
    executions: Mapping[str, int] = {}  # by status, of all namespaces
    processes: Sequence[ProcessStatus] = ()
    hosts: Sequence[Mapping[str, Any]] = ()  # `HostInfo`, without its faults
    faults: Sequence[str] = ()  # recent ones, of all hosts


def deployment_status(configuration: Configuration) -> DeploymentStatus:
    """Look at everything once; what does not answer is told, not raised."""
    record = read_record(configuration.data_dir)
    counts = read_counts(configuration)
    if record is None:
        info = journal_info(configuration.journal_path)
        return DeploymentStatus(
            up=False,
            data_dir=configuration.data_dir,
            deployment_id=None if info is None else info.deployment_id,
            executions=counts,
        )
    hosts, problem = _ask_hosts(configuration, record)
    return DeploymentStatus(
        up=bool(hosts),
        data_dir=configuration.data_dir,
        deployment_id=record.deployment_id,
        mode=record.mode,
        address=record.ray.address,
        dashboard=record.ray.dashboard,
        started_at_ms=record.started_at_ms,
        versions=record.versions,
        problem=problem,
        executions=counts,
        processes=_processes(record),
        hosts=[{key: value for key, value in host.items() if key != "faults"} for host in hosts],
        faults=[fault for host in hosts for fault in host["faults"]],
    )


def _ask_hosts(
    configuration: Configuration, record: DeploymentRecord
) -> tuple[Sequence[dict[str, Any]], str | None]:
    holder = record.ray.holder
    if record.ray.address is None and holder is not None and is_alive(holder):
        return (), "it is being brought up at this moment"
    if not record.ray_lives:
        return (), "its processes are gone; `heliostat up` goes on where they ended"
    try:
        with attach(configuration) as client:
            hosts = client.info(timeout=_INFO_S)["hosts"]
    except HeliostatError as error:
        return (), str(error)
    trouble = next((host["trouble"] for host in hosts if host["trouble"]), None)
    return hosts, trouble


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

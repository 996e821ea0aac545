"""This process's connection to Ray, of which a process has one: to a running Ray, or to its own.

Ray keeps the connection in a global of its process, so what is known of it is global here too: how
many parts of the process use it. The last one disconnects.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from heliostat.actors.names import NAMESPACE
from heliostat.cluster.processes import descendants, identify
from heliostat.cluster.ray_environment import prepare_loopback, prepare_quiet
from heliostat.cluster.ray_node import ray_temp_dir
from heliostat.cluster.record import RayRecord
from heliostat.engine.errors import Unreachable

_log = logging.getLogger(__name__)


class _Uses:
    """Who uses the connection; the user's own code may have connected before us."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0

    def release(self) -> None:
        import ray

        with self.lock:
            self.count -= 1
            if not self.count:
                ray.shutdown()


_uses = _Uses()


@contextmanager
def connected(address: str, *, ours: bool) -> Iterator[None]:
    """`connect_ray` for a while."""
    release = connect_ray(address, ours=ours)
    try:
        yield
    finally:
        release()


def connect_ray(address: str, *, ours: bool) -> Callable[[], None]:
    """Make this process a driver of a running Ray; shared by all who ask for the same one.

    Args:
        ours: it is one that heliostat started, with the loopback interface only.

    Returns:
        To be called once when this use ends. The last one disconnects, unless the user's own code
        had connected before.

    Raises:
        Unreachable: no Ray answers there, or this process is connected to another one.
    """
    if ours:
        prepare_loopback()
    else:
        prepare_quiet()
    import ray

    with _uses.lock:
        if ray.is_initialized():
            _check_same(ray.get_runtime_context().gcs_address, address)
            if not _uses.count:
                return lambda: None
        else:
            try:
                _init(address=address)
            except _FAILURES as error:
                raise Unreachable(f"the Ray at {address} does not answer: {error}") from error
        _uses.count += 1
    return _uses.release


def own_address() -> str | None:
    """The Ray that this process is connected to; None when it is to none. Imports nothing."""
    import sys

    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    address: str = ray.get_runtime_context().gcs_address
    return address


def start_ray_here(
    data_dir: Path, *, resources: Mapping[str, float], dashboard: bool
) -> tuple[RayRecord, Callable[[], None]]:
    """Start a Ray of our own that ends with this process, or when what is returned is called.

    Raises:
        Unreachable: Ray did not start.
    """
    prepare_loopback()
    temp_dir = ray_temp_dir(data_dir)
    with _uses.lock:
        try:
            context = _init(
                address="local",
                include_dashboard=dashboard,
                resources=dict(resources),
                _temp_dir=str(temp_dir),
            )
        except _FAILURES as error:
            raise Unreachable(f"Ray did not start: {error}; its logs are in {temp_dir}") from error
        _uses.count = 1
    me = identify(os.getpid())
    assert me is not None
    record = RayRecord(
        address=context.address_info["gcs_address"],
        holder=me,
        processes=tuple(descendants(me)),
        temp_dir=str(temp_dir),
    )
    return record, _uses.release


_LOOK_S: Final = 5.0
"""How long an address may take to be connected to; Ray itself tries for 40 s where nobody is."""

_FAILURES = (ConnectionError, RuntimeError, TimeoutError, ValueError)
"""What `ray.init` raises when there is no Ray, or it cannot start."""


def _check_same(connected_to: str, address: str) -> None:
    if connected_to == address or _cluster_id() == _cluster_id_at(address):
        return
    raise Unreachable(
        f"this process is connected to the Ray at {connected_to}, the deployment runs on the "
        f"one at {address}; a process has one Ray: call `ray.shutdown()` first"
    )


def _cluster_id() -> str:
    """Ray's own id of the cluster that this process is connected to."""
    from ray._private.worker import global_worker

    id: str = global_worker.gcs_client.cluster_id.hex()  # type: ignore[attr-defined]  # set later
    return id


def _cluster_id_at(address: str) -> str | None:
    """The id of the cluster that answers there, or None. One cluster has several addresses: nodes
    know their head by the name of a service, by its address on one network or on another."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
    from ray.exceptions import RayError

    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_LOOK_S).close()
        id: str = GcsClient(address=address).cluster_id.hex()
    except (*_FAILURES, OSError, RayError):
        return None
    return id


def _init(**options: Any) -> Any:
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)  # it warns before it reads its own options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Ray's remarks on its own future
        try:
            context = ray.init(
                namespace=NAMESPACE,
                log_to_driver=False,  # what steps print belongs to attempts, not to this terminal
                logging_level=logging.ERROR,
                configure_logging=False,
                **options,
            )
        except Exception as error:
            # Ray raises a bare one where its start took too long, and has no other word for it.
            if type(error) is not Exception:
                raise
            raise TimeoutError(str(error)) from error
    _keep_off_stdout()
    return context


def _keep_off_stdout() -> None:
    """Ray prints each death of an actor to a driver's stdout, where results belong, and has no
    option against it; so the function that prints is replaced by one that logs."""
    from ray._private import worker

    def log(data: dict[str, Any], ignore_prefix: bool) -> None:
        for line in data["lines"]:
            _log.info("Ray: %s", line)

    assert callable(worker.print_to_stdstream)
    worker.print_to_stdstream = log

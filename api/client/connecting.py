"""`heliostat.connect`: within the cluster by a data directory, or over HTTP by an address."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliostat.engine.errors import ConfigurationError
from heliostat.engine.identity import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client


def connect(
    data: str | Path | None = None,
    *,
    address: str | None = None,
    namespace: str = DEFAULT_NAMESPACE,
    config: str | Path | None = None,
    **settings: Any,
) -> Client:
    """A client of a deployment: of the one in a data directory, or of the one at an address.

        with hs.connect() as client:
            client.register("order.yaml")

        with hs.connect("http://127.0.0.1:8080") as client:
            client.start("order", {"id": "o-1"}).result()

    Within the cluster, an embedded deployment is started when none runs. Over HTTP nothing is asked
    yet: `Unreachable` comes with the first use.

    Args:
        data: the data directory; absent, as configured, else `.heliostat`. Or the address of a
            door, as `http://HOST:PORT`.
        address: a Ray that somebody else started, as `host:port`, to embed in. Absent, the one
            that this process is connected to already, else a new one on this machine.
        namespace: of definitions and executions, where a call names none.
        config: a configuration file.
        settings: any other configuration key, as `runners=2`; over HTTP `call_timeout_ms` alone.

    Raises:
        ConfigurationError: a setting cannot be used.
        Unreachable: Ray or the hosts did not come up within `up_timeout_ms`.
    """
    if isinstance(data, str) and data.startswith(("http://", "https://")):
        if address is not None:
            raise ConfigurationError("over HTTP there is no `address` of a Ray; leave it out")
        return connect_http(data, namespace=namespace, config=config, **settings)
    from heliostat.cluster.connect import connect as connect_within

    return connect_within(data, address=address, namespace=namespace, config=config, **settings)


def connect_http(
    url: str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    config: str | Path | None = None,
    waiting: Callable[[str], None] | None = None,
    **settings: Any,
) -> Client:
    """A client of the deployment whose door is at an address; nothing is asked yet.

    Args:
        url: the address of the door, as `http://HOST:PORT`.
        namespace: of definitions and executions, where a call names none.
        config: a configuration file.
        waiting: told in words, in a thread of the client's, of a request that nobody answers soon.
        settings: `call_timeout_ms` alone.

    Raises:
        ConfigurationError: a setting is not one of a client's.
        InputError: it is no address.
    """
    unknown = set(settings) - {"call_timeout_ms"}
    if unknown:
        raise ConfigurationError(
            f"over HTTP the deployment is configured where it runs; leave out "
            f"{', '.join(f'`{name}`' for name in sorted(unknown))}"
        )
    from heliostat.actors.client.client import Client
    from heliostat.actors.client.interface import Ways
    from heliostat.actors.client.waiting import finish
    from heliostat.cluster.config import load_configuration

    from .asking import HttpParts
    from .connection import HttpConnection
    from .sender import Sender

    configured = load_configuration(settings, file=None if config is None else Path(config))
    sender = Sender(url, call_timeout_s=configured.call_timeout_ms / 1_000, waiting=waiting)
    parts = HttpParts(sender, namespace)
    ways = Ways(HttpConnection(parts, blocks=False), HttpConnection(parts, blocks=True), finish)
    return Client(ways)

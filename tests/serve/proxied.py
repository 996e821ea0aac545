"""Ray Serve's own manager of haproxy, without Ray: starts the proxy, and waits to be ended.

Its argument is JSON: `{data_dir, port, replica}`, ports of the proxy and of what is behind it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from heliostat.api.serve import proxy


async def main(order: dict[str, str]) -> None:
    os.environ.update(proxy.environment(Path(order["data_dir"])))
    from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
    from ray.serve.config import HTTPOptions

    folder = Path(os.environ["RAY_SERVE_HAPROXY_CONFIG_FILE_LOC"]).parent
    replica = ServerConfig(name="replica", host="127.0.0.1", port=int(order["replica"]))
    api = HAProxyApi(
        HAProxyConfig(
            http_options=HTTPOptions(host="127.0.0.1", port=int(order["port"])),
            is_head=True,
            has_received_routes=True,
            metrics_enabled=False,
            socket_path=str(folder / "admin.sock"),
        ),
        {"door": BackendConfig(name="door", path_prefix="/", app_name="door", servers=[replica])},
        str(folder / "haproxy.cfg"),
    )
    await api.start()
    print(json.dumps({"pid": api._proc.pid, "folder": str(folder)}), flush=True)  # type: ignore[union-attr]
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))

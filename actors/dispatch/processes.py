"""Runners as plain child processes: for tests, and where there is no Ray."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from .factory import RunnerHandle, RunnerNotStarted, RunnerSpec
from .sockets import SocketName, name_of, private_folder, socket_path
from .transport import Transport
from .unix import UnixTransport

START_S_MAX: Final = 30.0
"""A Python process and its imports, on a machine that is busy."""

LOOK_S: Final = 0.01


class ProcessFactory:
    """Starts runners with this interpreter; they outlive this process."""

    def __init__(
        self,
        *,
        deployment: str,
        folder: Path,
        blobs: Path,
        code: Sequence[str] = (),
        secrets_file: str | None = None,
        orphan_ms: int | None = None,
        owner: str = "0",
    ) -> None:
        self._deployment, self._folder, self._blobs = deployment, folder, blobs
        self._code, self._orphan_ms, self._owner = tuple(code), orphan_ms, owner
        self._secrets_file = secrets_file
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def node(self) -> str:
        return ""

    def name(self, index: int, env: str = "") -> str:
        return _name(SocketName(self._owner, index, env))

    async def create(self, spec: RunnerSpec) -> RunnerHandle:
        index = spec.index
        private_folder(self._folder)
        name = SocketName(self._owner, index, spec.env)
        path = socket_path(self._folder, name)
        path.unlink(missing_ok=True)
        handle = RunnerHandle(name=_name(name), index=index, socket=path, env=spec.env)
        # Called on the event loop: a fork takes about a millisecond, and is rare.
        # Its output goes to a file: it outlives this process, and must not hold its terminal.
        with path.with_suffix(".log").open("ab") as log:
            child = self._children[index] = subprocess.Popen(  # noqa: ASYNC220
                self._command(handle),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=_environment(spec),
            )
        deadline = asyncio.get_running_loop().time() + START_S_MAX
        while not path.exists():
            if child.poll() is not None:
                raise RunnerNotStarted(f"runner {handle.name} ended at once: {_how(child)}")
            if asyncio.get_running_loop().time() > deadline:
                child.kill()
                raise RunnerNotStarted(f"runner {handle.name} does not listen")
            await asyncio.sleep(LOOK_S)
        return handle

    def _command(self, handle: RunnerHandle) -> list[str]:
        command = [sys.executable, "-m", "heliostat.actors.runner"]
        command += ["--name", handle.name, "--deployment", self._deployment]
        command += ["--socket", str(handle.socket), "--blobs", str(self._blobs)]
        for folder in self._code:
            command += ["--code", folder]
        if self._secrets_file is not None:
            command += ["--secrets-file", self._secrets_file]
        if self._orphan_ms is not None:
            command += ["--orphan-ms", str(self._orphan_ms)]
        return command

    async def find(self) -> Sequence[RunnerHandle]:
        if not self._folder.is_dir():
            return []
        found = ((name_of(path), path) for path in sorted(self._folder.iterdir()))
        return [
            RunnerHandle(
                name=_name(name),
                index=name.index,
                socket=path,
                env=name.env,
                feeds=name.owner == self._owner,
            )
            for name, path in found
            if name is not None
        ]

    def connect(self, handle: RunnerHandle) -> Transport:
        assert handle.socket is not None  # there are no other nodes
        return UnixTransport(handle.name, handle.socket)

    async def discard(self, handle: RunnerHandle) -> str | None:
        if handle.socket is not None:
            handle.socket.unlink(missing_ok=True)
        child = self._children.pop(handle.index, None) if handle.feeds else None
        if child is None:
            return None
        for _ in range(100):  # it is dead; its parent hears of it in a moment
            if child.poll() is not None:
                return _how(child)
            await asyncio.sleep(LOOK_S)
        return None

    async def share(self) -> float:
        return 0.0

    async def node_count(self) -> int:
        return 1

    async def demand_waits(self) -> bool:
        return False

    async def close(self) -> None:
        self._children.clear()


def _name(name: SocketName) -> str:
    env = f"/{name.env}" if name.env else ""
    return f"runner/{name.owner}/{name.index}{env}"


def _environment(spec: RunnerSpec) -> dict[str, str] | None:
    """Of a runtime environment, its variables: all that a plain process can have of it."""
    variables = (spec.runtime_env or {}).get("env_vars")
    if not isinstance(variables, Mapping):
        return None
    return {**os.environ, **{str(name): str(value) for name, value in variables.items()}}


def _how(child: subprocess.Popen[bytes]) -> str:
    code = child.returncode
    if code is not None and code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"exit code {code}"

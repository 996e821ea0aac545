"""One deployment on a real Ray for all tests of a session: it takes a quarter of a minute to start.

Its data directory, temporary files, ports and processes are its own; other Rays on the machine are
neither used nor touched. A test that ends Ray starts a deployment of its own; one that ends a
deployment is a guest of the session's Ray (`guest`). Definitions and executions are named for their
file: all of them are in one deployment.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from heliostat.actors.client.client import Client
from heliostat.api.cli.app import main
from heliostat.cluster.config import Configuration, load_configuration
from heliostat.cluster.connect import attach
from heliostat.cluster.deployment import down, up
from heliostat.cluster.ray_connection import connected
from heliostat.cluster.record import DeploymentRecord, read_record
from heliostat.engine.errors import Unreachable

BOUND_S = 120.0
"""No command and no wait of a test takes longer, on a busy machine either."""

WORKFLOWS = Path(__file__).parent / "workflows"


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """A directory with a deployment, or room for one, and the command line used there."""

    home: Path

    @property
    def configuration(self) -> Configuration:
        return load_configuration(
            {"data_dir": self.home / "data", "code": self.home}, environment={}, directory=self.home
        )

    @property
    def record(self) -> DeploymentRecord:
        """What the deployment that is up wrote of itself."""
        record = read_record(self.configuration.data_dir)
        assert record is not None
        return record

    @property
    def ray_address(self) -> str:
        """Where the Ray of the deployment is that is up."""
        address = self.record.ray.address
        assert address is not None
        return address

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "heliostat.api.cli", *arguments]

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name[:10] != "HELIOSTAT_"}
        # Without the door, which takes seconds to open: tests/serve is about it.
        return kept | {"HELIOSTAT_DATA_DIR": str(self.home / "data"), "HELIOSTAT_HTTP": "false"}

    def cli(self, *arguments: str, stdin: str = "", cwd: Path | None = None) -> Ran:
        """Run a command to its end."""
        ran = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            cwd=cwd or self.home,
            env=self.environment(),
            check=False,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)


class Shared(Place):
    """A place whose commands run in this process, too: those that ask no other Ray than its own."""

    def here(self, *arguments: str, stdin: str = "") -> Ran:
        """Run a command to its end without a process of its own, which takes seconds to begin."""
        alone = {name: None for name in os.environ if name[:10] == "HELIOSTAT_"}
        environment = alone | self.environment()
        with chdir(self.home), CliRunner().isolation(stdin, environment) as (out, err, _):
            with pytest.raises(SystemExit) as ended:
                main(list(arguments))
            sys.stdout.flush()
            sys.stderr.flush()
        return Ran(int(ended.value.code or 0), out.getvalue().decode(), err.getvalue().decode())


@pytest.fixture
def place() -> Iterator[Shared]:
    """Room for a deployment of the test's own, which is ended with it."""
    with _home() as place:
        yield place
        if read_record(place.configuration.data_dir) is not None:
            place.cli("down")


@contextmanager
def guest_of(deployment: Shared) -> Iterator[Configuration]:
    """Of another deployment in the Ray of this one; whatever is up of it in the end is ended."""
    with _home() as place:
        address = deployment.ray_address
        made = msgspec.structs.replace(place.configuration, ray_address=address)
        try:
            yield made
        finally:
            down(made)


@pytest.fixture
def guest(deployment: Shared) -> Iterator[Configuration]:
    """Of a deployment of the test's own in the session's Ray."""
    with guest_of(deployment) as made:
        yield made


@pytest.fixture(scope="session")
def session_deployment() -> Iterator[Shared]:
    """The session's deployment, up."""
    with _home() as place:
        (place.home / "heliostat.toml").write_text("semaphores = { llm = 2, seat = 1 }\n")
        try:
            up(place.configuration)
        except Unreachable:
            # Ray ends itself where its agent takes over 15 s to come up, which no setting changes.
            # Two hundred tests need this one, beside others: it is tried as a person would.
            up(place.configuration)
        yield place
        down(place.configuration)


@pytest.fixture(scope="module")
def deployment(session_deployment: Shared) -> Iterator[Shared]:
    """The session's deployment. This process stays connected to its Ray for all tests of a module,
    since to connect takes as long as many a test; a process has one Ray at a time."""
    with connected(session_deployment.ray_address, ours=True):
        yield session_deployment


@pytest.fixture
def client(deployment: Shared) -> Iterator[Client]:
    """A client of the session's deployment."""
    with attach(deployment.configuration) as client:
        yield client


@contextmanager
def _home() -> Iterator[Shared]:
    """A short path, since Ray's sockets lie below it."""
    path = Path(tempfile.mkdtemp(prefix="hs-"))
    try:
        yield Shared(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)

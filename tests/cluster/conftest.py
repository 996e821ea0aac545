"""One deployment on a real Ray for all tests of a session: it takes a quarter of a minute to start.

Its data directory, temporary files, ports and processes are its own; other Rays on the machine are
neither used nor touched. A test that kills more than the host starts a deployment of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.client import Client
from heliostat.cluster.config import Configuration, load_configuration
from heliostat.cluster.connect import attach
from heliostat.cluster.deployment import down, up

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

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "heliostat.api.cli", *arguments]

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name[:10] != "HELIOSTAT_"}
        return kept | {"HELIOSTAT_DATA_DIR": str(self.home / "data")}

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


@pytest.fixture
def place() -> Iterator[Place]:
    """Room for a deployment of the test's own, which is ended with it."""
    with _home() as place:
        yield place
        place.cli("down")


@pytest.fixture(scope="session")
def deployment() -> Iterator[Place]:
    """The session's deployment, up."""
    with _home() as place:
        up(place.configuration)
        yield place
        down(place.configuration)


@pytest.fixture
def client(deployment: Place) -> Iterator[Client]:
    """A client of the session's deployment."""
    with attach(deployment.configuration) as client:
        yield client


@contextmanager
def _home() -> Iterator[Place]:
    """A short path, since Ray's sockets lie below it."""
    path = Path(tempfile.mkdtemp(prefix="hs-"))
    try:
        yield Place(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)

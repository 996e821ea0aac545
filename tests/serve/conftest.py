"""A deployment with its door, brought up by the command line as a person would."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from heliostat.cluster.processes import Process, descendants
from tests.cluster.conftest import Place

API = "/api/v1"

DEFINITIONS = {
    "greet": """\
id: greet
version: "1"
steps:
  - {id: first, type: decision, output: $.input.n, next: second}
  - {id: second, type: decision, output: $.steps.first.output, next: third}
  - {id: third, type: decision, output: $.steps.second.output}
""",
    "lasting": """\
id: lasting
version: "1"
steps:
  - {id: wait, type: wait, signal: go}
""",
}


@dataclass(frozen=True)
class Served(Place):
    """A place whose commands open the door too."""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"HELIOSTAT_HTTP": "true", "HELIOSTAT_HTTP_PORT": "0"}

    @property
    def address(self) -> str:
        """Where the door is, by the record."""
        http = self.record.http
        assert http is not None
        return http.address

    def client(self, *, timeout_s: float = 60.0) -> httpx.Client:
        """A client of the API, with connections that are kept."""
        return httpx.Client(base_url=f"{self.address}{API}", timeout=timeout_s)

    def processes(self, title: str) -> list[Process]:
        """Those of its Ray whose command line has a text in it."""
        holder = self.record.ray.holder
        assert holder is not None
        return [each for each in descendants(holder) if title in command_line(each.pid)]

    def register(self) -> None:
        """Register the definitions of the tests; again is harmless."""
        with self.client() as http:
            for text in DEFINITIONS.values():
                headers = {"Content-Type": "application/yaml"}
                answer = http.post("/workflow-definitions", content=text, headers=headers)
                assert answer.status_code in (200, 201), answer.text


def command_line(pid: int) -> str:
    """What a process calls itself; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def listening(pid: int) -> set[str]:
    """The addresses at which a process listens for TCP connections."""
    inodes = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            match = re.fullmatch(r"socket:\[(\d+)\]", str(each.readlink()))
            if match:
                inodes.add(match[1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and fields[3] == "0A":
                found.add(fields[1].rpartition(":")[0])
    return found


@pytest.fixture(scope="package")
def served() -> Iterator[Served]:
    """A deployment that is up, with its door; one for all files that want it."""
    path = Path(tempfile.mkdtemp(prefix="hs-"))  # short, since Ray's sockets lie below it
    place = Served(path)
    try:
        ran = place.cli("up", "--format", "json")
        if ran.code == 4:  # Ray gave up on a busy machine, more than once
            ran = place.cli("up", "--format", "json")
        assert ran.code == 0, ran.err
        place.register()
        yield place
    finally:
        place.cli("down")
        shutil.rmtree(path, ignore_errors=True)

"""The container file and what runs in it. No image is built: there is no container engine here."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from heliostat.cluster.config import KEYS
from heliostat.cluster.processes import end
from heliostat.cluster.record import read_record
from tests.deploy.manifests import DEPLOY, ROOT

CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
RUN = DEPLOY / "container" / "run"
HEALTHY = DEPLOY / "container" / "healthy"
BOUND_S = 200.0


def instructions(name: str) -> list[str]:
    joined = re.sub(r"^\s*#.*\n", "", CONTAINERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return re.findall(rf"^{name} (.*)$", joined, re.MULTILINE)


class TestContainerfile:
    def test_what_it_copies_is_there_and_is_sent_to_the_builder(self) -> None:
        sent = {
            line[1:]
            for line in (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
            if line.startswith("!")
        }
        copied = [words.split()[:-1] for words in instructions("COPY") if "--from" not in words]
        for path in (path for paths in copied for path in paths):
            assert (ROOT / path).exists(), path
            assert any(path == each or path.startswith(f"{each}/") for each in sent), path

    def test_the_whole_package_is_copied(self) -> None:
        folders = {path.name for path in (ROOT / "heliostat").iterdir() if path.is_symlink()}
        copied = {words.split()[0] for words in instructions("COPY")}
        assert folders <= copied

    def test_it_does_not_run_as_root_and_is_looked_after(self) -> None:
        assert instructions("USER") == ["1000:1000"]
        assert 'CMD ["healthy"]' in instructions("HEALTHCHECK")[0]
        for script in (RUN, HEALTHY):
            assert script.stat().st_mode & 0o111 == 0o111, f"{script} cannot be executed"

    def test_every_variable_of_ours_is_a_setting(self) -> None:
        """One that is not is refused, in every command that runs in the image."""
        texts = [CONTAINERFILE, RUN.read_text(), HEALTHY.read_text()]
        named = set(re.findall(r"HELIOSTAT_([A-Z_]+)", " ".join(texts)))
        assert named <= {key.upper() for key in KEYS}
        assert {"DATA_DIR", "CODE"} <= named

    def test_every_package_is_locked_with_its_hash(self) -> None:
        lock = (ROOT / "requirements" / "image.txt").read_text()
        named = re.findall(r"^([a-z0-9-]+)==.*\\\n    --hash=sha256:", lock, re.MULTILINE)
        assert len(named) == len(re.findall(r"^[a-z0-9-]+==", lock, re.MULTILINE)) > 50
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        extras = project["optional-dependencies"]
        needed = [*project["dependencies"], *extras["serve"], *extras["postgres"]]
        names = {re.match(r"[A-Za-z0-9-]+", each)[0] for each in needed}  # type: ignore[index]
        names = {name.replace(".", "-").lower() for name in names}
        assert {"ruamel-yaml" if name == "ruamel" else name for name in names} <= set(named)
        assert all("--require-hashes" in run for run in instructions("RUN") if " -r " in run)

    def test_it_is_locked_as_everything_else_is(self) -> None:
        """The image runs the versions that the tests run."""

        def versions(name: str) -> dict[str, str]:
            text = (ROOT / "requirements" / name).read_text()
            return dict(re.findall(r"^([a-z0-9-]+)==([^ \\;]+)", text, re.MULTILINE))

        image, tested = versions("image.txt"), versions("dev.txt")
        assert {name: tested.get(name) for name in image} == image


@contextmanager
def answering(status: int) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/health"
        finally:
            server.shutdown()
            thread.join()


class TestHealthy:
    def exit_code(self, url: str) -> int:
        environment = {**os.environ, "HEALTH_URL": url}
        return subprocess.run(
            [sys.executable, str(HEALTHY)], env=environment, timeout=BOUND_S, check=False
        ).returncode

    @pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
    def test_it_says_what_the_deployment_says(self, status: int, code: int) -> None:
        with answering(status) as url:
            assert self.exit_code(url) == code

    def test_where_nobody_listens_it_fails(self) -> None:
        with answering(200) as url:
            pass
        assert self.exit_code(url) == 1


HELLO = """
id: hello
version: "1"
steps:
  - {id: greet, type: decision, foreach: $.input.names, output: "Hello ${ $.item }"}
output: $.steps.greet.output
"""


class Place:
    """A folder with a deployment, and what a person at its shell sees."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.heliostat = Path(sys.executable).with_name("heliostat")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name[:10] != "HELIOSTAT_"},
            "PATH": f"{self.heliostat.parent}:/usr/bin:/bin",
            "HELIOSTAT_DATA_DIR": str(home / "data"),
            "HELIOSTAT_RUNNERS": "1",
            "HELIOSTAT_HTTP_PORT": str(self.port),
            "HELIOSTAT_UP_TIMEOUT_MS": str(int(BOUND_S * 1_000)),
        }

    def ran(self, *command: str | Path) -> str:
        ran = subprocess.run(
            command, capture_output=True, text=True, env=self.environment, cwd=self.home,
            timeout=BOUND_S, check=False,
        )  # fmt: skip
        assert ran.returncode in (0, 4), f"{command}: {ran.stderr}"
        return ran.stdout

    def is_up(self) -> bool:
        return bool(json.loads(self.ran(self.heliostat, "status", "--format", "json"))["up"])

    @contextmanager
    def container(self) -> Iterator[Iterator[str]]:
        """`run`, with what it says; told to stop at the end, as by `docker stop`."""
        with subprocess.Popen(
            [RUN], env=self.environment, cwd=self.home,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as container:  # fmt: skip
            assert container.stdout is not None
            try:
                yield iter(container.stdout)
            finally:
                container.send_signal(signal.SIGTERM)
                rest = container.communicate(timeout=BOUND_S)[0]
        assert container.returncode == 0, rest


@pytest.mark.long
@pytest.mark.timeout(600)  # Ray and Serve start twice, each with a bound of its own
def test_a_container_is_a_deployment_with_four_ways_in(tmp_path: Path) -> None:
    """The commands and scripts of docs/deploy.md, and that it comes back and drains."""
    place = Place(tmp_path)
    with place.container() as said:
        until_said(said, "is up")
        assert place.is_up()
        place.ran(sys.executable, HEALTHY)
        (tmp_path / "hello.yaml").write_text(HELLO)
        place.ran(place.heliostat, "register", "hello.yaml")
        curl, script = (text.replace("http://127.0.0.1:8080", place.url) for text in documented())
        assert json.loads(place.ran("bash", "-c", curl))["workflow_id"] == "greeting-1"
        # the same id and input: the same start, whichever way it comes
        assert place.ran(sys.executable, "-c", script) == "['Hello Ada']\n"
        over_http = script.replace("connect()", f'connect("{place.url}")')
        assert place.ran(sys.executable, "-c", over_http) == "['Hello Ada']\n"
        with urllib.request.urlopen(f"{place.url}/", timeout=BOUND_S) as page:
            assert b"<html" in page.read().lower()
        record = read_record(tmp_path / "data")
        assert record is not None
        assert record.ray.holder is not None
        end([record.ray.holder], grace_ms=0)  # Ray and all of the deployment go with it
        until_said(said, "bringing it up again")
        until_said(said, "is up")
        assert place.ran(sys.executable, "-c", script) == "['Hello Ada']\n"
    assert not place.is_up()


def documented() -> tuple[str, str]:
    """The first command and the first script under "Four ways in"."""
    text = (ROOT / "docs" / "deploy.md").read_text()
    ways = text.partition("## Four ways in")[2].partition("\n## ")[0]
    curl, script, *_ = re.findall(r"(?<=\n\n)(?: {7}.*\n|\n(?= {7}))+", ways)
    return textwrap.dedent(curl), textwrap.dedent(script)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until_said(lines: Iterator[str], text: str) -> None:
    heard = []
    for line in lines:
        heard.append(line)
        if text in line:
            return
    raise AssertionError(f"it ended without saying {text!r}: {''.join(heard)}")

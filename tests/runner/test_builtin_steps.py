"""Script and service steps on real runners: secrets, neighbours, and the runner's death."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliostat.actors.calls import pack, unpack
from heliostat.actors.dispatch.frames import encode_value
from heliostat.actors.dispatch.protocol import Assignment, Lost, Returned, Stopped
from heliostat.actors.launching import Launch, Making, Placed
from heliostat.actors.runner.attempt import decoder_telling
from heliostat.engine.authoring.bundle import bundle_modules
from heliostat.engine.builtin import TARGETS
from heliostat.engine.values import Sealed
from tests.runner.conftest import Workshop
from tests.runner.service import Service, http
from tests.runner.test_scripts import STUBBORN, alive

TOKEN = Sealed(("Bearer ", ""), ("token",))
SECRET = "s3cr3t-value"


def give_secret(workshop: Workshop) -> None:
    path = workshop.root / "secrets.toml"
    path.write_text(f'token = "{SECRET}"')
    path.chmod(0o600)


def script(workshop: Workshop, language: str, source: str, **more: Any) -> Assignment:
    return workshop.step(TARGETS["script"], input={"language": language, "source": source, **more})


async def test_a_secret_goes_sealed_to_the_runner_and_no_further(workshop: Workshop) -> None:
    give_secret(workshop)
    host = await workshop.host()
    with Service([http(200, {"seen": SECRET})]) as service:
        call = {"url": service.url(), "headers": {"Authorization": TOKEN}}
        assignment = workshop.step(TARGETS["service_call"], input=call)
        assert SECRET.encode() not in encode_value(assignment)
        host.pool.send([assignment, script(workshop, "shell", 'echo "\\"$T\\""', env={"T": TOKEN})])
        first, second = await host.hear(2)
    assert isinstance(first, Returned)
    assert first.output["body"] == {"seen": "[secret]"}
    assert service.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert isinstance(second, Returned)
    assert second.output == "Bearer [secret]"
    host.acknowledge_all()


async def test_a_bundles_modules_keep_their_state_around_them(
    workshop: Workshop, tmp_path: Path
) -> None:
    """They take the bundle's modules out of the way, and back in for the next step."""
    source = "count = 0\ndef f():\n    global count\n    count += 1\n    return count"
    (tmp_path / "counting.py").write_text(source)
    code = workshop.blobs.put("default", bundle_modules(tmp_path, ["counting"]))
    host = await workshop.host()
    python = {"language": "python", "source": "import counting; print(counting.f())"}
    for number in (1, 2):
        host.pool.send(
            [
                workshop.step("counting:f", code=code),
                workshop.step(TARGETS["script"], input=python, code=code),
            ]
        )
        reports = (await host.hear(2 * number))[-2:]
        assert [report.output for report in reports if isinstance(report, Returned)] == [number, 1]
    host.acknowledge_all()


@pytest.mark.parametrize("how", ["stopped with a grace", "the runner is killed"])
async def test_nothing_of_a_script_outlives_its_attempt(
    workshop: Workshop, tmp_path: Path, how: str
) -> None:
    pids = tmp_path / "pids"
    host = await workshop.host()
    assignment = script(workshop, "python", STUBBORN.format(path=str(pids)))
    host.pool.send([assignment])
    await host.until(pids.exists)
    found = list(map(int, pids.read_text().split()))
    assert all(map(alive, found))
    if how == "the runner is killed":
        os.kill(workshop.pid(host), signal.SIGKILL)
    else:
        workshop.pid(host)
        host.pool.stop([(assignment.key, assignment.at, 100)])
    (report,) = await host.hear(1)
    assert isinstance(report, Lost if how == "the runner is killed" else Stopped)
    await host.until(lambda: not any(map(alive, found)))


def test_the_launcher_passes_sealed_values_on_unopened(workshop: Workshop) -> None:
    assignment = workshop.step(TARGETS["service_call"], input={"url": TOKEN})
    launch = pack(Launch("i", (Placed(assignment, None),)))
    (again,) = (each.assignment for each in unpack(launch, Launch, sealed=True).placed)
    assert again == assignment
    with pytest.raises(msgspec.DecodeError):
        unpack(launch, Launch)
    making = Making(
        launcher="l",
        name="n",
        blobs="b",
        scratch="s",
        code_paths=(),
        key=again.key,
        at=again.at,
        code=again.code,
        input=msgspec.Raw(encode_value(again.input)),
    )
    input = unpack(pack(making), Making).input
    assert decoder_telling(lambda: None)(input) == {"url": TOKEN}

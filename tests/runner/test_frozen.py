"""Stopped processes: told from busy ones, and ended only when they are the ones meant."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from heliostat.actors.dispatch.frozen import is_stopped, kill_stopped


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


def test_a_stopped_process_is_told_from_a_waiting_one(sleeper: subprocess.Popen[bytes]) -> None:
    assert not is_stopped(sleeper.pid)
    stop(sleeper)
    assert is_stopped(sleeper.pid)


def test_only_a_stopped_process_of_the_right_title_is_ended(
    sleeper: subprocess.Popen[bytes],
) -> None:
    assert not kill_stopped(sleeper.pid, "sleep")
    stop(sleeper)
    assert not kill_stopped(sleeper.pid, "launcher")
    assert is_stopped(sleeper.pid)
    assert kill_stopped(sleeper.pid, "sleep")
    assert sleeper.wait(timeout=60) == -signal.SIGKILL


def test_a_process_that_is_gone_is_not_stopped(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    assert not is_stopped(sleeper.pid)
    assert not kill_stopped(sleeper.pid, "sleep")

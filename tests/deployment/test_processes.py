"""Processes are known by more than a pid, and exactly the ones named are ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from heliostat.cluster.processes import Process, descendants, end, identify, is_alive

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True)"
WAIT = "import sys; sys.stdin.read()"


@contextmanager
def running(code: str) -> Iterator[tuple[subprocess.Popen[str], Process]]:
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as popen:
        process = identify(popen.pid)
        assert process is not None
        try:
            yield popen, process
        finally:
            popen.kill()


class TestIdentity:
    def test_a_running_process_is_alive(self) -> None:
        with running(WAIT) as (_, process):
            assert is_alive(process)

    def test_one_that_ended_is_not_even_before_its_parent_looked(self) -> None:
        with running(WAIT) as (popen, process):
            popen.communicate()
            assert not is_alive(process)

    def test_the_pid_alone_does_not_count(self) -> None:
        with running(WAIT) as (_, process):
            assert not is_alive(msgspec.structs.replace(process, started=process.started + 1))
            assert not is_alive(msgspec.structs.replace(process, boot="another"))

    def test_children_are_found(self) -> None:
        me = identify(os.getpid())
        assert me is not None
        with running(WAIT) as (_, process):
            assert process in descendants(me)


class TestEnd:
    def test_asks_first(self) -> None:
        with running(WAIT) as (popen, process):
            assert end([process], grace_ms=60_000) == []
            assert popen.wait(60) == -15

    def test_kills_what_does_not_end(self) -> None:
        with running(f"{STUBBORN}; {WAIT}") as (popen, process):
            assert popen.stdout is not None
            popen.stdout.readline()
            assert end([process], grace_ms=50) == [process]
            assert popen.wait(60) == -9

    def test_leaves_another_process_of_the_same_pid_alone(self) -> None:
        with running(WAIT) as (_, process):
            other = msgspec.structs.replace(process, started=process.started - 1)
            assert end([other], grace_ms=50) == []
            assert is_alive(process)

    @pytest.mark.parametrize("error", [ProcessLookupError, FileNotFoundError])
    def test_one_that_is_reaped_at_this_moment_has_ended(
        self, error: type[OSError], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Kernels say the one or the other."""

        def gone(pid: int) -> int:
            raise error

        with running(WAIT) as (_, process), monkeypatch.context() as patched:
            patched.setattr(os, "pidfd_open", gone)
            assert end([process], grace_ms=0) == []

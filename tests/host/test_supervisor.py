"""What the supervisor kills and recreates, and above all what it leaves alone."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from heliostat.actors.host import processes
from heliostat.actors.host.questions import HostInfo
from heliostat.actors.settings import Settings, SupervisorBounds, check
from heliostat.actors.supervisor import Supervisor
from heliostat.actors.supervisor_stopped import attend
from heliostat.engine.errors import ConfigurationError
from heliostat.engine.journal.protocol import OwnerRow
from tests.host.support import JumpingClock


def row(incarnation: str = "i1", *, beat: int = 0, pid: int = 1, started: int = 0) -> OwnerRow:
    return OwnerRow(
        incarnation=incarnation,
        name="h0",
        pid=pid,
        node="n",
        started_at_ms=started,
        beat_at_ms=beat,
    )


class Scene:
    def __init__(self) -> None:
        self.clock = JumpingClock()
        self.rows: list[OwnerRow] = []
        self.info: HostInfo | None = None
        self.killed: list[OwnerRow] = []
        self.stopped = False
        self.missing: set[str] = set()
        self.created: list[str] = []
        self.supervisor = Supervisor(
            duties=[_Duty(self)],
            owners=self._owners,
            ask=self._ask,
            kill=self._kill,
            is_stopped=lambda owner: self.stopped,
            bounds=SupervisorBounds(),
            clock=self.clock,
        )

    async def _owners(self) -> list[OwnerRow]:
        return self.rows

    async def _ask(self, name: str) -> HostInfo | None:
        return self.info

    async def _kill(self, owner: OwnerRow) -> bool:
        self.killed.append(owner)
        return True

    async def look_for(self, ms: int) -> None:
        for _ in range(ms // 500):
            await self.supervisor.look()
            self.clock._steady_ms += 500

    def answers(self, **fields: object) -> None:
        usual = {
            "name": "h0",
            "incarnation": "i1",
            "pid": 1,
            "node": "n",
            "state": "running",
            "trouble": None,
            "moved_ms_ago": 60_000,
            "uptime_ms": 1,
        }
        self.info = HostInfo(**{**usual, **fields})  # type: ignore[arg-type]


class _Duty:
    name = "host/0"

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def exists(self) -> bool:
        return self.name not in self.scene.missing

    def create(self) -> None:
        self.scene.created.append(self.name)


class TestKills:
    async def test_a_silent_host_whose_process_is_stopped(self) -> None:
        scene = Scene()
        scene.rows = [row()]
        scene.stopped = True
        await scene.look_for(2_900)
        assert not scene.killed
        await scene.look_for(1_000)
        assert scene.killed == [row()]
        await scene.look_for(5_000)
        assert len(scene.killed) == 1  # a restart takes its time

    async def test_one_that_runs_and_is_silent_may_only_be_slow_for_a_while(self) -> None:
        scene = Scene()
        scene.rows = [row()]
        await scene.look_for(9_900)
        assert not scene.killed
        await scene.look_for(1_000)
        assert scene.killed == [row()]

    async def test_one_whose_turns_stand_still_though_it_answers(self) -> None:
        scene = Scene()
        scene.rows = [row()]
        scene.answers()
        await scene.look_for(11_000)
        assert len(scene.killed) == 1

    async def test_never_one_whose_row_moves(self) -> None:
        scene = Scene()
        for beat in range(20):
            scene.rows = [row(beat=beat)]
            await scene.look_for(1_000)
        assert not scene.killed

    @pytest.mark.parametrize(
        "fields",
        [
            {"trouble": "the disk is full"},
            {"moved_ms_ago": 10},
            {"incarnation": "i2"},
        ],
    )
    async def test_never_one_with_an_explanation(self, fields: dict[str, object]) -> None:
        scene = Scene()
        scene.rows = [row()]
        scene.answers(**fields)
        await scene.look_for(20_000)
        assert not scene.killed


class _SilentPart:
    """A part whose process does not answer; `stopped` says why."""

    def __init__(self, *, stopped: bool) -> None:
        self.stopped = stopped
        self.looks = 0

    async def answers(self) -> bool:
        await asyncio.Event().wait()
        return True

    async def end_stopped(self) -> bool:
        self.looks += 1
        was, self.stopped = self.stopped, False
        return was


class _AnsweringPart(_SilentPart):
    async def answers(self) -> bool:
        return True


class TestParts:
    """The scheduler, the launcher and the keeper, which write no row."""

    async def test_one_that_does_not_answer_is_looked_at_and_others_are_not(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        stopped, slow, well = (
            _SilentPart(stopped=True),
            _SilentPart(stopped=False),
            _AnsweringPart(stopped=True),
        )
        parts = {"scheduler": stopped, "launcher": slow, "keeper": well}
        attending = asyncio.create_task(attend(parts, ask_s=0.001, answer_s=0.001))
        async with asyncio.timeout(60):
            while min(stopped.looks, slow.looks) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        attending.cancel()
        assert well.looks == 0
        ended = [record.getMessage() for record in caplog.records]
        assert ended == ["actor scheduler was stopped (SIGSTOP), its process is ended"]

    async def test_a_look_that_fails_is_repeated(self) -> None:
        class Failing(_SilentPart):
            async def end_stopped(self) -> bool:
                await super().end_stopped()
                raise OSError("no node")

        part = Failing(stopped=True)
        attending = asyncio.create_task(attend({"launcher": part}, ask_s=0.001, answer_s=0.001))
        async with asyncio.timeout(60):
            while part.looks < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        attending.cancel()


class TestRecreates:
    async def test_what_is_missing_with_growing_pauses(self) -> None:
        scene = Scene()
        scene.missing = {"host/0"}
        await scene.look_for(1_000)
        assert scene.created == ["host/0"]
        await scene.look_for(60_000)
        assert 3 <= len(scene.created) <= 6


class TestProcesses:
    def test_this_process_is_running(self) -> None:
        started = processes.started_at_ms(os.getpid())
        assert started is not None
        assert processes.is_running(row(pid=os.getpid(), started=started))

    def test_a_process_that_started_after_the_row_is_a_stranger(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        try:
            started = processes.started_at_ms(child.pid)
            assert started is not None
            stale = row(pid=child.pid, started=started - 60_000)
            assert not processes.is_running(stale)
            assert not processes.kill(stale)
            assert child.poll() is None
            assert processes.kill(row(pid=child.pid, started=started))
            assert child.wait(timeout=60) == -9
        finally:
            child.kill()
            child.wait()

    def test_a_process_that_ended_is_gone(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", ""])
        child.wait()
        assert not processes.is_running(row(pid=child.pid, started=2**50))
        assert not processes.kill(row(pid=child.pid, started=2**50))


class TestSettings:
    def test_sqlite_has_one_writing_host(self) -> None:
        with pytest.raises(ConfigurationError, match="postgresql"):
            check(Settings(deployment="d", data_dir="/data", hosts=2))

    @pytest.mark.parametrize(
        "fields", [{"deployment": ""}, {"hosts": 0}, {"runners": 0}, {"data_dir": "relative"}]
    )
    def test_a_value_that_cannot_be_used_is_named(self, fields: dict[str, object]) -> None:
        usual: dict[str, object] = {"deployment": "d", "data_dir": "/data"}
        with pytest.raises(ConfigurationError, match=next(iter(fields))):
            check(Settings(**{**usual, **fields}))  # type: ignore[arg-type]

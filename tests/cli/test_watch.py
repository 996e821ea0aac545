"""`workflow watch`: lines, frames, pictures; over HTTP and over a data directory."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from heliostat.api.cli.board import Board, span
from heliostat.api.cli.story import event_lines
from heliostat.api.cli.watch import picture
from heliostat.api.http.app import create_app
from heliostat.api.http.door import way_of
from heliostat.engine.identity import ExecutionKey
from tests.cli.conftest import BOUND_S, Cli
from tests.client_http.conftest import Place, served

BY_STARTER = ("input_bytes",)


class TestOverHttp:
    def test_each_event_is_a_line_and_the_exit_code_is_the_executions(
        self, there: Place, cli: Cli
    ) -> None:
        handle = there.within.start("patient")
        signal = threading.Timer(0.3, lambda: handle.signal("go", 1))
        signal.start()
        told = cli("workflow", "watch", handle.id)
        signal.join()
        lines = "".join(f"{event_lines(event)}\n" for event in handle.history())
        assert told == lines
        assert "it has ended: Completed" in cli.err
        failed = there.within.start("wrong", {"what": "broke"})
        assert "Broken" in cli("workflow", "watch", failed.id, code=1)
        canceled = there.within.start("patient")
        canceled.cancel()
        cli("workflow", "watch", canceled.id, code=3)
        assert "nobody" in cli("workflow", "watch", "nobody", code=2)

    def test_in_json_each_frame_is_a_line(self, there: Place, cli: Cli) -> None:
        handle = there.within.start("hello", {"name": "ann"})
        handle.result(BOUND_S)
        out = cli("workflow", "watch", handle.id, "--format", "json")
        frames = [json.loads(line) for line in out.splitlines()]
        assert frames[0]["type"] == "state"
        assert [each["event"] for each in frames[1:-1]] == handle.history()
        assert (frames[-1]["type"], frames[-1]["status"]) == ("end", "Completed")
        assert cli.err == ""
        later = cli("workflow", "watch", handle.id, "--format", "json", "--after", "1")
        assert len(later.splitlines()) == len(frames) - 1

    def test_on_a_terminal_its_steps_are_drawn(self, there: Place) -> None:
        handle = there.within.start("patient")
        drawn = _on_a_terminal(
            there, handle.id, until="Waiting", then=lambda: handle.signal("go", 1)
        )
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.text)
        assert f"default/{handle.id}" in text
        assert "patient 1 · Waiting" in text
        assert "patient 1 · Completed" in text
        assert "◷ wait" in text
        assert "✔ done" in text
        assert drawn.code == 0

    def test_a_lost_connection_is_taken_up_again(self, place: Place) -> None:
        handle = place.within.start("patient")
        with served(create_app(lambda: way_of(place.within))) as url:
            ran = subprocess.Popen(
                f"{sys.executable} -m heliostat.api.cli -s {url} workflow watch {handle.id} "
                "--format json".split(),
                stdout=subprocess.PIPE,
                text=True,
            )
            assert ran.stdout is not None
            frames = [json.loads(ran.stdout.readline())]
            handle.pause()
        handle.resume()  # while there is no door
        with served(create_app(lambda: way_of(place.within)), int(url.rpartition(":")[2])):
            handle.signal("go", 1)
            frames += [json.loads(line) for line in ran.stdout]
        ran.stdout.close()
        assert ran.wait(BOUND_S) == 0
        told = [frame["event"] for frame in frames if frame["type"] == "event"]
        assert told == handle.history()
        assert [frame["type"] for frame in frames].count("state") >= 2

    def test_leaving_it_leaves_it_as_it_is(self, there: Place) -> None:
        handle = there.within.start("patient")
        drawn = _on_a_terminal(there, handle.id, until="Waiting", keys=b"\x03")
        assert drawn.code == 130
        assert f"execution {handle.id} goes on" in drawn.text
        assert "Traceback" not in drawn.text
        assert handle.status().status == "Waiting"
        handle.cancel()

    def test_without_colour_where_somebody_wants_none(self, there: Place) -> None:
        handle = there.within.start("hello", {"name": "ann"})
        coloured = _on_a_terminal(there, handle.id)
        plain = _on_a_terminal(there, handle.id, NO_COLOR="1")
        assert "\x1b[32m" in coloured.text
        assert "\x1b[32m" not in plain.text
        assert "✔ greet" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", plain.text)


class TestOfADataDirectory:
    """The same frames, from the journal."""

    def test_the_frames_are_those_of_the_socket(
        self, stored: tuple[Path, str], place: Place, cli: Cli
    ) -> None:
        data, id = stored
        out = cli("workflow", "watch", id, "--data", str(data), "--format", "json")
        frames = [json.loads(line) for line in out.splitlines()]
        twin = place.within.start("hello", {"name": "ann"}, id=id)
        twin.result(BOUND_S)
        other = cli("workflow", "watch", id, "--server", place.url, "--format", "json")
        assert [_timeless(each) for each in frames] == [
            _timeless(json.loads(line)) for line in other.splitlines()
        ]

    def test_lines(self, stored: tuple[Path, str], cli: Cli) -> None:
        data, id = stored
        told = cli("workflow", "watch", id, "--data", str(data))
        assert told == cli("workflow", "history", id, "--data", str(data))
        assert "hello ann" in told
        assert cli("workflow", "list-definitions", "--data", str(data)).split()[5:7]
        status = cli.json(
            "workflow", "status", id, "--data", str(data), "--include-tasks", "--include-variables"
        )
        assert (status["status"], status["tasks"]) == ("Completed", [])


class TestTheBoard:
    GRAPH: dict[str, Any] = {
        "scopes": [
            {"id": 0, "step": None},
            {"id": 1, "step": "each"},
        ],
        "nodes": [
            {"id": "each", "scope": 0},
            {"id": "last", "scope": 0},
            {"id": "inner", "scope": 1},
        ],
    }

    def board(self) -> Board:
        board = Board(self.GRAPH)
        state = {
            "definition_id": "d",
            "version": "1",
            "status": "Running",
            "run": 2,
            "created_at": "2026-01-01T00:00:00.000Z",
        }
        items = {"total": 4_000, "active": 10, "completed": 1_200, "failed": 3, "canceled": 0}
        steps = {"each": {"status": "Running", "visits": 1, "items": items}}
        board.take({"type": "state", "seq": 1, "state": {**state, "steps": steps}})
        return board

    def test_inner_scopes_stand_below_the_step_that_opens_them(self) -> None:
        lines = self.board().lines(0, at_most=10)
        assert [(line.depth, line.name) for line in lines] == [
            (0, "each"),
            (1, "inner"),
            (0, "last"),
        ]

    def test_items_are_counted(self) -> None:
        assert "1,200/4,000, 3 failed" in self.board().lines(0, at_most=10)[0].more

    def test_events_that_the_state_has_change_nothing(self) -> None:
        board = self.board()
        state = {"status": "Completed", "steps": {"last": {"status": "Completed"}}}
        board.take({"type": "state", "seq": 9, "state": state})
        event = {"seq": 8, "type": "execution.paused", "at_ms": 0}
        changes = {"last": {"status": "Running"}}
        board.take(
            {"type": "event", "seq": 8, "event": event, "status": "Paused", "changes": changes}
        )
        assert (board.status, board.steps["last"]["status"]) == ("Completed", "Completed")
        assert list(board.events) == [event]
        board.take(
            {"type": "event", "seq": 10, "event": event, "status": "Paused", "changes": changes}
        )
        assert (board.status, board.steps["last"]["status"]) == ("Paused", "Running")

    def test_what_does_not_fit_is_counted_and_what_goes_on_is_kept(self) -> None:
        graph = {
            "scopes": [{"id": 0, "step": None}],
            "nodes": [{"id": f"s{n}", "scope": 0} for n in range(1_000)],
        }
        board = Board(graph)
        steps = {f"s{n}": {"status": "Completed"} for n in range(900)}
        steps |= {"s450": {"status": "Failed"}, "s901": {"status": "Running"}}
        board.take({"type": "state", "seq": 1, "state": {"status": "Running", "steps": steps}})
        lines = board.lines(0, at_most=10)
        assert len(lines) == 10
        assert {"s450", "s901"} <= {line.name for line in lines}
        assert lines[-1].name == "991 more"
        assert "Completed" in lines[-1].status

    def test_head_and_spans(self) -> None:
        head = self.board().head(now_ms=1_767_225_600_000 + 65_000)
        assert head == "d 1 · Running, run 2 · 65 s"
        assert [span(ms) for ms in (900, 65_000, 600_000, 9_000_000)] == [
            "0.9 s",
            "65 s",
            "10 min",
            "2 h 30 min",
        ]

    def test_a_picture_is_as_wide_as_the_terminal(self) -> None:
        from rich.console import Console

        console = Console(width=40, record=True, file=io.StringIO())
        board = self.board()
        event = {"seq": 1, "type": "execution.paused", "at_ms": 0, "reason": "x" * 200}
        board.take({"type": "event", "seq": 1, "event": event, "status": "Paused", "changes": {}})
        console.print(picture(board, ExecutionKey("default", "e"), at_most=10))
        assert max(map(len, console.export_text().splitlines())) <= 40


class Drawn:
    def __init__(self, text: str, code: int) -> None:
        self.text, self.code = text, code


def _on_a_terminal(
    place: Place,
    id: str,
    *,
    until: str = "",
    then: Any = None,
    keys: bytes = b"",
    **environment: str,
) -> Drawn:
    """The command on a terminal; `then` is done, and keys pressed, when it shows `until`."""
    master, slave = pty.openpty()

    def own_the_terminal() -> None:  # so that its Ctrl-C is for this process
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what runs in the background ignores it

    kept = {name: value for name, value in os.environ.items() if name[:10] != "HELIOSTAT_"}
    kept.pop("NO_COLOR", None)
    ran = subprocess.Popen(
        [sys.executable, "-m", "heliostat.api.cli", "-s", place.url, "workflow", "watch", id],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=own_the_terminal,
        env={**kept, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40", **environment},
    )
    os.close(slave)
    text = b""
    end_at = time.monotonic() + BOUND_S
    try:
        while time.monotonic() < end_at:
            if not select.select([master], [], [], 0.1)[0]:
                continue
            try:
                piece = os.read(master, 65_536)
            except OSError:  # it has ended
                break
            if not piece:
                break
            text += piece
            if then is not None and until in text.decode(errors="replace"):
                then()
                then = None
            if keys and until in text.decode(errors="replace"):
                os.write(master, keys)
                keys = b""
        return Drawn(text.decode(errors="replace"), ran.wait(BOUND_S))
    finally:
        ran.kill()
        ran.wait()
        os.close(master)


def _timeless(value: Any) -> Any:
    """Without what differs from one run to another, and from one starter to another."""
    if isinstance(value, dict):
        return {
            name: _timeless(member)
            for name, member in value.items()
            if not name.endswith(("_at", "_at_ms", "_ms")) and name not in BY_STARTER
        }
    return [_timeless(each) for each in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data directory whose journal has an execution of `hello` that has ended."""
    from tests.cli.stored import with_journal

    return with_journal(tmp_path_factory.mktemp("data"))

"""`workflow watch ID`: an execution while it moves.

On a terminal it is drawn anew as frames come; elsewhere each event is a line as `workflow history`
tells it; in JSON each frame of the live socket is a line. All of it comes from one source of
frames, which goes on by itself after a lost connection.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from heliostat.api.cli.board import EVENTS_MAX, Board
from heliostat.api.cli.diagram import workflow
from heliostat.api.cli.options import execution_argument
from heliostat.api.cli.output import Output, json_text, printable
from heliostat.api.cli.story import event_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

    from heliostat.api.cli.reach import Reach
    from heliostat.engine.identity import ExecutionKey

__all__ = ["workflow"]

_DRAWN_S: Final = 0.1
"""Between two pictures: what comes faster is in the next one."""

_ROWS_AROUND: Final = 9
"""Of a terminal, for head, last events and what is between."""

_EXITS: Final[Mapping[str, int]] = {
    "Completed": 0,
    "Failed": 1,
    "CompensationFailed": 1,
    "Canceled": 3,
    "Compensated": 1,
}

_INTERRUPTED: Final = 130


@workflow.command()
@execution_argument
@click.option(
    "--after", "after_seq", type=click.IntRange(0), help="Events after this seq.  [default: all]"
)
@click.option("--stay", is_flag=True, help="Stay when it has ended: a retry begins a new run.")
@click.pass_context
def watch(
    context: click.Context,
    execution_id: str,
    after_seq: int | None,
    stay: bool,
    reach: Reach,
    output: Output,
) -> None:
    """Watch an execution until it ends.

    On a terminal its steps are drawn live; elsewhere each event is a line, and with --format json
    each frame of the live socket. Exit codes as those of `run`. Ctrl-C leaves it as it is.
    """
    key = reach.key(execution_id)
    drawn = output.format == "text" and sys.stdout.isatty()
    with reach.reader() as reader:
        if after_seq is None:  # a picture needs no more of the past than it shows
            after_seq = max(reader.view(key).seq - EVENTS_MAX, 0) if drawn else 0
        frames = _until_ended(reader.frames(key, after_seq), stay=stay)
        try:
            if output.format == "json":
                status = _told(frames, output.result)
            elif drawn:
                status = _drawn(frames, Board(reader.graph(key)), key)
            else:
                status = _told(frames, _say(output))
        except KeyboardInterrupt:
            output.note(f"\nexecution {execution_id} goes on")
            context.exit(_INTERRUPTED)
    context.exit(_EXITS.get(status, 1))


def _until_ended(frames: Iterator[dict[str, Any]], *, stay: bool) -> Iterator[dict[str, Any]]:
    for frame in frames:
        yield frame
        if frame["type"] == "end" and not stay:
            return


def _told(frames: Iterator[dict[str, Any]], say: Callable[[dict[str, Any]], None]) -> str:
    """The status it ended with."""
    status = "Pending"
    for frame in frames:
        say(frame)
        if frame["type"] == "state":
            status = frame["state"]["status"]
        elif frame["type"] in ("event", "end"):
            status = frame["status"]
    return status


def _say(output: Output) -> Callable[[dict[str, Any]], None]:
    """Writes events as lines."""

    def say(frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "event":
                click.echo(printable(event_lines(frame["event"])))
            case "state":
                state = frame["state"]
                output.note(
                    f"execution {state['workflow_id']} of {state['definition_id']} "
                    f"{state['version']}: {state['status']}"
                )
            case "end":
                output.note(f"it has ended: {frame['status']}")

    return say


def _drawn(frames: Iterator[dict[str, Any]], board: Board, key: ExecutionKey) -> str:
    """Draw until it has ended; the status it ended with."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    came: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()
    threading.Thread(target=_fetch, args=(frames, came), daemon=True, name="watch").start()
    tick = 0
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            over = _take_all(came, board)
            room = max(console.size.height - _ROWS_AROUND, 3)
            live.update(picture(board, key, at_most=room, tick=tick), refresh=True)
            tick += 1
            if over:
                return board.status


def _fetch(
    frames: Iterator[dict[str, Any]], came: queue.SimpleQueue[dict[str, Any] | BaseException | None]
) -> None:
    """Reads frames in a thread of its own, so that the picture moves while none comes."""
    try:
        for frame in frames:
            came.put(frame)
    except BaseException as error:  # noqa: BLE001 - it is raised where it is drawn
        came.put(error)
    else:
        came.put(None)


def _take_all(came: queue.SimpleQueue[dict[str, Any] | BaseException | None], board: Board) -> bool:
    """Let the board see what comes within the time of a picture; whether all was seen."""
    end_at = time.monotonic() + _DRAWN_S
    while (left_s := end_at - time.monotonic()) > 0:
        try:
            frame = came.get(timeout=left_s)
        except queue.Empty:
            return False
        if frame is None:
            return True
        if isinstance(frame, BaseException):
            raise frame
        board.take(frame)
    return False


def picture(board: Board, key: ExecutionKey, *, at_most: int, tick: int = 0) -> RenderableType:
    """The board as it is drawn."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    now_ms = time.time_ns() // 1_000_000
    steps = Table.grid(padding=(0, 2))
    steps.add_column(no_wrap=True, overflow="ellipsis")
    steps.add_column(no_wrap=True)
    steps.add_column(no_wrap=True, overflow="ellipsis")
    for line in board.lines(now_ms, at_most=at_most, tick=tick):
        name = Text("  " * (line.depth + 1))
        name.append(f"{line.glyph} ", style=line.colour)
        name.append(line.name)
        steps.add_row(
            name, Text(line.status, style=line.colour), Text(printable(line.more), style="dim")
        )
    head = Text(str(key), style="bold")
    head.append(f"  {board.head(now_ms)}", style="not bold")
    parts: list[Any] = [head, steps]
    if board.notice is not None and board.notice.get("kind") == "progress":
        said = f"{board.notice.get('step')}: {json_text(board.notice.get('data'))}"
        parts += [Text(""), Text(said, style="cyan", no_wrap=True, overflow="ellipsis")]
    if board.events:
        parts.append(Text(""))
        parts += [
            Text(_first_line(event), style="dim", no_wrap=True, overflow="ellipsis")
            for event in board.events
        ]
    return Group(*parts)


def _first_line(event: Mapping[str, Any]) -> str:
    return printable(event_lines(event)).splitlines()[0]

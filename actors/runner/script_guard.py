"""Stands between a runner and a script, so that nothing of the script outlives either of them.

Run as a file, by an isolated interpreter without site packages: it must start quickly, and import
nothing of ours. It starts the script as its child, in one session and process group, and is the
*subreaper* of everything that descends from it: a daemon of the script's becomes its child.

- The script ends: whatever it left behind is killed, and the wait status is written to a pipe.
- SIGTERM: passed on to all that descends from here.
- SIGUSR1: all of it is killed. The runner sends it, and the kernel when the runner dies.

    python -I -S script_guard.py PARENT STATUS_FD FOLDER COMMAND…

What is written to STATUS_FD: the wait status in decimal, or `!` and why the command cannot run.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_WATCHED = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT})
_LOOK_S = 0.01


def main() -> None:
    """Run the command line's command to its end."""
    parent, status_fd, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    command = sys.argv[4:]
    os.set_inheritable(status_fd, False)
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1, 0, 0, 0)
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.getppid() != parent:  # it died before it was watched
        _remove(folder)
        return
    child = os.fork()
    if child == 0:
        _become(command, status_fd, prctl)
    # The streams are the script's alone: they end when all that descends from it has ended.
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    status = _watched(child)
    if os.getppid() != parent:
        _remove(folder)
    with suppress(OSError):  # nobody is there to read it
        os.write(status_fd, str(status).encode())


def _become(command: list[str], status_fd: int, prctl: Callable[..., int]) -> None:
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(ignored, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execv(command[0], command)
    except OSError as error:
        os.write(status_fd, f"!{command[0]}: {error.strerror}".encode())
    os._exit(127)


def _watched(child: int) -> int:
    """Wait for the child; its wait status, when nothing that descends from it is left."""
    while True:
        signalled = signal.sigwaitinfo(_WATCHED).si_signo
        if signalled == signal.SIGUSR1:
            return _end_all(child, None)
        if signalled == signal.SIGCHLD:
            status = _reaped(child)
            if status is not None:
                return _end_all(child, status)
        elif signalled == signal.SIGTERM:
            _signal_all(signal.SIGTERM)


def _reaped(child: int) -> int | None:
    """Collect everything that has ended; the child's status if it was among it."""
    found = None
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
            if ended[0] == child:
                found = ended[1]
    return found


def _end_all(child: int, status: int | None) -> int:
    """Kill until nothing is left; a process that forks meanwhile is found in the next round."""
    while True:
        try:
            ended, ended_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return signal.SIGKILL if status is None else status
        if ended == child:
            status = ended_status
        if ended == 0:
            _signal_all(signal.SIGKILL)
            signal.sigtimedwait({signal.SIGCHLD}, _LOOK_S)


def _signal_all(number: int) -> None:
    for pid in _descendants(os.getpid()):
        with suppress(OSError):  # it has just ended, or runs as somebody else
            os.kill(pid, number)


def _descendants(ancestor: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib imports longer than all else here
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - ditto
                # `pid (comm) state ppid …`, where comm may hold anything.
                parent = int(file.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found, pending = [], [ancestor]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def _remove(folder: str) -> None:
    from shutil import rmtree

    rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

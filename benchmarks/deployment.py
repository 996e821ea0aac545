"""The deployment that a benchmark measures: its client, its processes, their memory."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RESULT_TIMEOUT_S = 600.0


@cache
def data_dir() -> Path:
    """Where this process's deployment keeps its journal."""
    return Path(tempfile.mkdtemp(prefix="heliostat-bench-"))


def connect(**settings: Any) -> Any:
    """A client of this process's embedded deployment."""
    import heliostat as hs

    return hs.connect(data_dir(), **settings)


def host_pid(client: Any) -> int:
    """The process of the only host."""
    (host,) = client.info()["hosts"]
    return int(host["pid"])


def resident_mib(pid: int) -> float:
    """What of a process is in memory now and belongs to it alone: code and shared pages are not
    counted, since Ray's processes have most of those in common."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))
    return kib / 1024


def forget_peak(pid: int) -> None:
    """Let the process's peak begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mib(pid: int) -> float:
    """The most that the process had in memory at once since `forget_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def resident_now_mib(pid: int) -> float:
    """All that the process has in memory now, shared pages too: what `peak_mib` is a peak of."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20

"""Steps that misbehave. Copied beside the definitions of test_faults.py, and shipped with them."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import heliostat as hs

MEGABYTE = 1_000_000


class NoSuchOrder(LookupError):
    """The step's own error."""


def note(file: str, line: str) -> None:
    """Append a line, as one write: attempts in several processes do not mix."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def echo(value: Any) -> Any:
    return value


def count(value: list[int]) -> int:
    return len(value)


def tell_version() -> str:
    return "pinned"


def who() -> int:
    return os.getpid()


def nap(seconds: float, value: Any = None) -> Any:
    time.sleep(seconds)
    return value


def fail() -> None:
    print("looking for the order")
    print("not found", file=sys.stderr)
    raise NoSuchOrder("order 4711 does not exist")


def speak() -> str:
    print("hello from stdout")
    print("hello from stderr", file=sys.stderr)
    return "said"


def return_lock() -> dict[str, Any]:
    return {"count": 1, "lock": threading.Lock()}


def leave(ledger: str) -> None:
    """Ends the process of its runner."""
    note(ledger, hs.current().idempotency_key)
    os._exit(7)


def crash_at_first(ledger: str) -> int:
    """Dereferences a null pointer, on the first attempt."""
    attempt = hs.current().attempt
    note(ledger, f"{hs.current().idempotency_key} {attempt}")
    if attempt == 1:
        ctypes.string_at(0)
    return attempt


def crash(ledger: str) -> None:
    note(ledger, hs.current().idempotency_key)
    ctypes.string_at(0)


def ask_for_too_much() -> int:
    return len(bytearray(1 << 60))


def fill(megabytes: int) -> int:
    """Touches all that it asks for."""
    return len(b"\1" * (megabytes * MEGABYTE))


def hang_at_first(seconds: float) -> int:
    if hs.current().attempt == 1:
        time.sleep(seconds)
    return hs.current().attempt


def hang_in_c(seconds: int) -> None:
    """Sleeps in C and keeps the interpreter: no other thread of the process runs meanwhile."""
    ctypes.PyDLL(None).sleep(seconds)


def large(megabytes: int) -> dict[str, Any]:
    rows = ["x" * 997] * (megabytes * 1_000)  # with quotes and comma a row takes 1,000 bytes
    return {"rows": rows, "meta": {"rows": len(rows), "ready": True}}


def measure(value: dict[str, Any]) -> int:
    return sum(map(len, value["rows"]))


def table(megabytes: int) -> Any:
    import pyarrow

    return pyarrow.table({"n": range(megabytes * MEGABYTE // 8)})


def add_up(rows: Any) -> int:
    import pyarrow.compute

    return int(pyarrow.compute.sum(rows["n"]).as_py())


def nested(n: int) -> int:
    """Asks Ray for work of its own, from inside a Ray task."""
    import ray

    @ray.remote(num_cpus=0)
    def double(n: int) -> int:
        return 2 * n

    answers: list[int] = ray.get([double.remote(n), double.remote(n + 1)], timeout=60)
    return sum(answers)


def until_cancelled(ledger: str) -> str:
    note(ledger, "runs")
    while not hs.current().cancelled:
        time.sleep(0.01)
    note(ledger, "saw the flag")
    return "as far as I got"


def deaf(ledger: str) -> None:
    """Never looks at the flag."""
    note(ledger, "runs")
    time.sleep(600)


async def greet(name: str) -> str:
    first, second = await asyncio.gather(_later("hello"), _later(name))
    return f"{first} {second}"


async def _later(value: str) -> str:
    await asyncio.sleep(0.01)
    return value


def count_up(gate: str) -> Generator[dict[str, int], None, str]:
    """Tells how far it is, until the gate exists."""
    n = 0
    while not Path(gate).exists():
        n += 1
        yield {"rows": n}
        time.sleep(0.02)
    return "counted"

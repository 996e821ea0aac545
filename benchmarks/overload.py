"""Ten times more starts than the deployment can carry, from several client processes at once.

Asked: is the host's memory bounded, are starts refused before they are acknowledged, does `status`
answer meanwhile, and does everything acknowledged end? A start counts as acknowledged when the
host's answer to it arrived. Clients do not repeat what was refused: they offer, at their rate.

Also run as `python -m benchmarks.overload DATA_DIR NUMBER PER_S SECONDS`: one of the clients.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.deployment import (
    FOLDER,
    RESULT_TIMEOUT_S,
    data_dir,
    forget_peak,
    host_pid,
    peak_mib,
    resident_now_mib,
)

CLIENTS = 4
FACTOR = 10
"""How much more is offered than ends per second at best."""
SUSTAINABLE_OF = 5_000
"""Executions by which the sustainable rate is measured first."""
CALL_STARTS = 500
CALLS_FLYING = 40
"""Of one client. When so many are unanswered it offers no more until one is: counted as held."""
QUESTIONS_EVERY_S = 0.1
ANSWER_S = 60.0
"""A call that is not answered by then counts as unanswered, neither refused nor acknowledged."""


def overload(client: Any, seconds: int) -> dict[str, float]:
    """The rate that is sustained, then `seconds` of more, then the end of all that was taken."""
    definition = client.register(FOLDER / "chain.yaml")
    _all_ended(client, definition, 500)
    per_s = SUSTAINABLE_OF / _all_ended(client, definition, SUSTAINABLE_OF)
    pid = host_pid(client)
    forget_peak(pid)
    before_mib = resident_now_mib(pid)
    done_before = _counts(client).get("Completed", 0)
    questions = _Questions(client)
    offered = _offer(per_s * FACTOR, seconds)
    begun = time.perf_counter()
    answered = questions.stop()
    accepted = int(offered["accepted"])
    end_at = time.perf_counter() + RESULT_TIMEOUT_S
    while (counts := _counts(client)).get("Completed", 0) - done_before < accepted:
        if time.perf_counter() > end_at or not set(counts) & {"Running", "Waiting", "Pending"}:
            break
        time.sleep(0.5)
    completed = counts.get("Completed", 0) - done_before
    return {
        "sustainable_per_s": per_s,
        "offered_per_s": (offered["sent"] + offered["held"]) / seconds,
        "sent_per_s": offered["sent"] / seconds,
        "accepted_per_s": accepted / seconds,
        "refused_per_s": offered["refused"] / seconds,
        "accepted": accepted,
        "unanswered": offered["unanswered"],
        "lost": max(0, accepted - completed),
        "drained_s": time.perf_counter() - begun,
        "host_mib_before": before_mib,
        "host_mib_peak": peak_mib(pid),
        "status_p50_ms": statistics.median(answered),
        "status_p99_ms": sorted(answered)[int(len(answered) * 0.99)],
        "status_max_ms": max(answered),
        "status_failed": questions.failed,
    }


def _all_ended(client: Any, definition: Any, count: int) -> float:
    begun = time.perf_counter()
    handles = client.start_many(definition, [{"n": n} for n in range(count)])
    for _ in client.results(handles, timeout=RESULT_TIMEOUT_S):
        pass
    return time.perf_counter() - begun


def _counts(client: Any) -> dict[str, int]:
    return dict(client.count())


class _Questions:
    """Somebody who looks at one execution, ten times a second, from a thread of their own."""

    def __init__(self, client: Any) -> None:
        definition = client.register(FOLDER / "asleep.yaml")
        self._handle = client.start(definition, {"n": 1, "until": None})
        self._enough = threading.Event()
        self._answered: list[float] = []
        self.failed = 0
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        from heliostat.engine.errors import HeliostatError

        while not self._enough.wait(QUESTIONS_EVERY_S):
            begun = time.perf_counter()
            try:
                self._handle.status()
            except HeliostatError:
                self.failed += 1
            self._answered.append(1000 * (time.perf_counter() - begun))

    def stop(self) -> list[float]:
        self._enough.set()
        self._thread.join()
        self._handle.signal("wake")
        return self._answered


def _offer(per_s: float, seconds: int) -> Counter[str]:
    """Let all clients offer at once; what became of their starts."""
    command = [sys.executable, "-m", "benchmarks.overload", str(data_dir())]
    processes = [
        subprocess.Popen(
            [*command, str(number), str(per_s / CLIENTS), str(seconds)],
            cwd=FOLDER.parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(CLIENTS)
    ]
    total: Counter[str] = Counter()
    for process in processes:
        out, _ = process.communicate(timeout=seconds + 180)
        total.update(json.loads(out.strip().splitlines()[-1]))
    return total


def offer(directory: Path, number: int, per_s: float, seconds: int) -> Counter[str]:
    """One client: calls of many starts at its rate, whatever becomes of the earlier ones."""
    import ray

    from heliostat.actors import names
    from heliostat.cluster.config import load_configuration
    from heliostat.cluster.connect import attach
    from heliostat.cluster.record import read_record

    counts: Counter[str] = Counter()
    record = read_record(directory)
    assert record is not None
    name = names.host_name(record.deployment_id, record.generation, 0)
    with attach(load_configuration({"data_dir": directory})):
        host: Any = ray.get_actor(name, namespace=names.NAMESPACE)
        flying: list[Any] = []
        begun, calls = time.perf_counter(), 0
        while (now := time.perf_counter() - begun) < seconds:
            if calls * CALL_STARTS > now * per_s:
                time.sleep(0.001)
                continue
            calls += 1
            if len(flying) >= CALLS_FLYING:
                done, flying = ray.wait(flying, num_returns=1, timeout=0.001)
                counts["held"] += 0 if done else CALL_STARTS
                for answered in ray.get(done):
                    _count(answered, counts)
                if not done:
                    continue
            body = _starts(f"o{number}.{calls}")
            flying.append(host.start_many.remote(body))
            counts["sent"] += CALL_STARTS
        done, late = ray.wait(flying, num_returns=max(1, len(flying)), timeout=ANSWER_S)
        for answered in ray.get(done):
            _count(answered, counts)
        counts["unanswered"] += CALL_STARTS * len(late)
    return counts


def _starts(prefix: str) -> bytes:
    from heliostat.actors.calls import pack
    from heliostat.actors.host.api import StartMany, StartRequest
    from heliostat.engine.identity import ExecutionKey

    starts = tuple(
        StartRequest(
            key=ExecutionKey("default", f"{prefix}.{n}"), definition="bench-chain", input={"n": n}
        )
        for n in range(CALL_STARTS)
    )
    return pack(StartMany(client=None, starts=starts))


def _count(body: bytes, counts: Counter[str]) -> None:
    from heliostat.actors.host.api import Refusal, StartAnswers
    from heliostat.actors.host.questions import answer

    answered = answer(body, StartAnswers)
    if isinstance(answered, Refusal):
        counts["refused"] += CALL_STARTS
        counts[answered.code] += CALL_STARTS
        return
    for each in answered.answers:
        if isinstance(each, Refusal):
            counts["refused"] += 1
            counts[each.code] += 1
        else:
            counts["accepted"] += 1


if __name__ == "__main__":
    directory, number, per_s, seconds = sys.argv[1:]
    print(json.dumps(offer(Path(directory), int(number), float(per_s), int(seconds))))

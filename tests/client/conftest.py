"""Hosts that follow a script, in place of Ray."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from heliostat.actors.host.api import (
    Ended,
    Refusal,
    StartAnswers,
    Started,
    StartMany,
    Watch,
)
from heliostat.actors.host.questions import ResultBatch, WatchAnswers
from heliostat.engine.errors import Unreachable
from heliostat.engine.identity import ExecutionKey

Handler = Callable[[Any], Any]


class ScriptedHosts:
    """One host: calls are answered by handlers, the result stream says what tests `say`."""

    any = "host/0"
    names = ("host/0",)
    deployment = "scripted"
    call_timeout_s = 60.0

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.handlers: dict[str, Handler] = {"start_many": self.accept, "watch": self.know}
        self.known: dict[ExecutionKey, Ended | None] = {}
        self.opened = 0
        self._said: queue.SimpleQueue[ResultBatch | None] = queue.SimpleQueue()

    def of(self, key: ExecutionKey) -> str:
        return self.any

    def once(self, host: str, method: str, request: Any, answered: Any, *bounds: Any) -> Any:
        self.calls.append((method, request))
        return self.handlers[method](request)

    def ask(self, method: str, request: Any, answered: Any, **how: Any) -> Any:
        return self.once(self.any, method, request, answered)

    def learn(self, key: ExecutionKey, owner: str) -> None: ...

    def close(self) -> None: ...

    def refresh(self, *, without: str | None = None) -> None: ...

    def results(self, host: str, client_id: str, closing: threading.Event) -> Iterator[ResultBatch]:
        self.opened += 1
        yield ResultBatch()
        while not closing.is_set():
            try:
                batch = self._said.get(timeout=0.05)
            except queue.Empty:
                batch = ResultBatch()
            if batch is None:
                raise Unreachable("the host died")
            yield batch

    # what hosts do

    def accept(self, many: StartMany) -> StartAnswers:
        for request in many.starts:
            self.known.setdefault(request.key, None)
        return StartAnswers(
            answers=tuple(Started(key=request.key, version="1") for request in many.starts)
        )

    def know(self, watch: Watch) -> WatchAnswers:
        ended = [end for key in watch.keys if (end := self.known.get(key)) is not None]
        if ended:
            self.say(*ended)
        return WatchAnswers(unknown=tuple(key for key in watch.keys if key not in self.known))

    # what tests do

    def say(self, *ended: Ended, resync: bool = False) -> None:
        self._said.put(ResultBatch(ended=ended, resync=resync))

    def end(self, key: ExecutionKey, *, heard: bool = True, **facts: Any) -> None:
        """An execution ends; `heard` False loses the news, as a dying host does."""
        ended = Ended(key=key, **{"status": "Completed", **facts})
        self.known[key] = ended
        if heard:
            self.say(ended)

    def die(self) -> None:
        self._said.put(None)

    def times(self, method: str) -> int:
        return sum(name == method for name, _ in self.calls)


@pytest.fixture
def hosts() -> ScriptedHosts:
    return ScriptedHosts()


def refuse_all(refusal: Refusal) -> Handler:
    return lambda many: StartAnswers(answers=tuple(refusal for _ in many.starts))

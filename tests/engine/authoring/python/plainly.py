"""heliostat, if its functions were plain Python: a second reading of what they mean.

One clock, on which nothing but waiting takes time; calls that would run side by side run one after
the other. What must not be evaluated at once is handed over as a call of no arguments, which
`Deferred` makes of the program's text: the calls of `hs.map`, `hs.parallel` and `hs.race`, and what
`where` says of an event that has not come yet.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, NoReturn

import heliostat as hs
from heliostat.engine.kernel.requests import EVENT_KEPT_MS
from heliostat.engine.simulator.simulation import EPOCH_MS

from .around import ACT_MS, Around

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Deferred(ast.NodeTransformer):
    """Puts off what heliostat does not evaluate where it stands."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        called = ast.unparse(node.func)
        if called in ("hs.parallel", "hs.race"):
            node.args = [_put_off(each) for each in node.args]
        elif called == "hs.map" and isinstance(node.args[0], ast.GeneratorExp):
            node.args[0].elt = _put_off(node.args[0].elt)
        for keyword in node.keywords:
            if keyword.arg == "where":
                keyword.value = ast.parse(f"lambda: {ast.unparse(keyword.value)}").body[0].value  # type: ignore[attr-defined]
        return node


def _put_off(node: ast.expr) -> ast.expr:
    """A call whose arguments are evaluated, and nothing else."""
    assert isinstance(node, ast.Call)
    return ast.Call(ast.parse("hs.call", mode="eval").body, [node.func, *node.args], node.keywords)


@dataclass(frozen=True)
class Put:
    """A call that was put off; its arguments are values by now."""

    function: Callable[..., Any]
    args: tuple[Any, ...]

    @property
    def is_late(self) -> bool:
        return getattr(self.function, "__name__", "") == "late"

    def __call__(self) -> Any:
        return self.function(*self.args)


class Plainly:
    """What `hs` is in a program that runs as plain Python."""

    StepError, DeadlineExceeded, TaskFailed = hs.StepError, hs.DeadlineExceeded, hs.TaskFailed
    ChildFailed, TooFewItems, ScriptError = hs.ChildFailed, hs.TooFewItems, hs.ScriptError
    ServiceError, TransientServiceError = hs.ServiceError, hs.TransientServiceError
    PermanentServiceError = hs.PermanentServiceError

    def __init__(self, around: Around) -> None:
        self._around = around
        self._now_ms = EPOCH_MS
        self._ids = itertools.count(1)
        self._kept: list[tuple[str, str, Any, int]] = []
        """What came and no wait took: kind, name, data, instant."""
        self.published: list[Any] = []
        self.signals: list[Any] = []
        self.event = SimpleNamespace()

    # -- what is marked

    def step(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """What it gets and gives are copies."""
        return lambda *args: as_json(function(*(as_json(each) for each in args)))

    def block(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    def workflow(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function if function.__name__ == "main" else _child(self.step(function))

    # -- time, ids, others

    def sleep(self, duration: str | timedelta) -> None:
        self._now_ms += _ms(duration)

    def now(self) -> str:
        return datetime.fromtimestamp(self._now_ms / 1000, UTC).isoformat().replace("+00:00", "Z")

    def uuid(self) -> str:
        return f"{next(self._ids):08d}-0000-4000-8000-000000000000"

    def publish(self, event: str, data: Any = None) -> None:
        self.published.append([event, as_json(data)])
        self._kept.append(("event", event, as_json(data), self._now_ms))

    def signal(self, execution: str, name: str, data: Any = None) -> None:
        self.signals.append([execution, name, as_json(data)])

    def undo(self, step: Callable[..., Any], *args: Any) -> None:
        """Nothing happens now."""

    def fail(self, kind: str, message: str = "") -> NoReturn:
        raise type(kind, (Exception,), {})(message)

    # -- side by side

    def call(self, function: Callable[..., Any], *args: Any) -> Put:
        return Put(function, args)

    def parallel(self, *calls: Put) -> tuple[Any, ...]:
        return tuple(each() for each in calls)

    def race(self, *calls: Put) -> tuple[Any, ...]:
        """The calls of these programs that sleep come last; else the first to complete wins."""
        failed: Exception | None = None
        for index in sorted(range(len(calls)), key=lambda index: calls[index].is_late):
            try:
                result = calls[index]()
            except Exception as error:  # noqa: BLE001  # whatever the call raises
                failed = error
                continue
            return tuple(
                SimpleNamespace(done=each == index, result=result if each == index else None)
                for each in range(len(calls))
            )
        assert failed is not None
        raise failed

    def map(
        self,
        calls: Iterable[Put],
        concurrency: int = 1,
        completion: str = "all",
        at_least: int | None = None,
    ) -> list[Any]:
        made = list(calls)
        wanted = at_least or (1 if completion == "any" else 0)
        if wanted > len(made):
            raise hs.TooFewItems(f"{wanted} items must complete, the list has {len(made)}")
        results: list[Any] = [None] * len(made)
        completed = 0
        for index, each in enumerate(made):
            try:
                results[index] = each()
                completed += 1
            except Exception:  # whatever the call raises
                left = len(made) - index - 1
                if completion != "all_done" and (not wanted or completed + left < wanted):
                    raise
            if completed == wanted != 0:
                break
        return results

    # -- what comes

    def after(self, duration: str) -> tuple[str, int]:
        return "timer", _ms(duration)

    def on_signal(self, name: str, where: Callable[[], Any] = lambda: True) -> tuple[Any, ...]:
        return "signal", name, where

    def on_event(self, type: str, where: Callable[[], Any] = lambda: True) -> tuple[Any, ...]:
        return "event", type, where

    def wait(self, **alternatives: tuple[Any, ...]) -> SimpleNamespace:
        """What was kept goes first, then what comes, then the timer."""
        came = self._around.arrival("wait")
        taken = self._taken(alternatives)
        if came is not None:
            self._kept.append((*came, self._now_ms))
            taken = taken or self._taken(alternatives)
        if taken is not None:
            return taken
        name, duration_ms = next(
            (name, each[1]) for name, each in alternatives.items() if each[0] == "timer"
        )
        self._now_ms += duration_ms
        return SimpleNamespace(name=name, data=None, at=self.now())

    def _taken(self, alternatives: dict[str, tuple[Any, ...]]) -> SimpleNamespace | None:
        for index, (kind, called, data, at_ms) in enumerate(self._kept):
            if kind == "event" and at_ms + EVENT_KEPT_MS <= self._now_ms:
                continue
            self.event = SimpleNamespace(data=_members(data))
            for name, each in alternatives.items():
                if each[:2] == (kind, called) and each[2]():
                    del self._kept[index]
                    return SimpleNamespace(name=name, data=data, at=self.now())
        return None

    # -- people and the world

    def human(
        self,
        id: str,
        form: Any,
        *,
        assignees: list[str],
        show: Any = None,
        deadline: str,
    ) -> Any:
        did, what = self._around.human(id, as_json(show))
        if did == "nothing":
            self._now_ms += _ms(deadline)
            raise hs.DeadlineExceeded(f"step {id!r} has not ended by its deadline")
        self._now_ms += ACT_MS
        if did == "fail":
            raise hs.TaskFailed(what)
        return form(**what) if form.__name__ == "Form" else what

    def script(self, source: str, *, input: Any = None) -> Any:
        return as_json(self._around.script(as_json(input)))

    def http(self, method: str, url: str, *, body: Any, headers: dict[str, str]) -> Any:
        return SimpleNamespace(**self._around.http(method, url, as_json(body), as_json(headers)))


def _child(function: Callable[..., Any]) -> Callable[..., Any]:
    """A workflow that is called: what it fails with is a `ChildFailed` as well."""

    def called(*args: Any) -> Any:
        try:
            return function(*args)
        except Exception as error:  # whatever it raises
            words = str(error)
            kind = type(
                type(error).__name__,
                (type(error), hs.ChildFailed),
                {"__str__": lambda self: words},
            )
            raise kind(words) from error

    return called


def _members(data: Any) -> Any:
    return SimpleNamespace(**data) if isinstance(data, dict) else data


def _ms(duration: str | timedelta) -> int:
    if isinstance(duration, timedelta):
        return round(duration.total_seconds() * 1000)
    return int(duration[:-1]) * _UNITS_MS[duration[-1]]


def as_json(value: Any) -> Any:
    """The value as it is in a workflow: a tuple is a list, a model an object."""
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if isinstance(value, tuple | list):
        return [as_json(each) for each in value]
    return {key: as_json(each) for key, each in value.items()} if isinstance(value, dict) else value

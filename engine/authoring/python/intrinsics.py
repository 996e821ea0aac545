"""What a workflow may say beside plain Python: `hs.sleep`, `hs.wait`, `hs.human`, `hs.map` and kin.

These functions are for the compiler and for type checkers: a workflow's body is compiled and never
runs, so that none of them does anything when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, Literal, NoReturn, ParamSpec, TypeVar, overload

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")

Moment = timedelta | str
"""A duration: `timedelta(minutes=5)`, or a text as `"48h"`."""


class NotCompiled(TypeError):
    """What only a compiled workflow can do was called as plain Python."""


@dataclass(frozen=True)
class Alternative:
    """One thing that `hs.wait` waits for: made by `on_event`, `on_signal` or `after`."""

    kind: str


@dataclass(frozen=True)
class Won:
    """What a wait ended with: the alternative's name, its data, and when it came."""

    name: str
    data: Any
    at: str


@dataclass(frozen=True)
class Ran(Generic[T]):
    """How one branch of a race went; `result` counts only where `done` is true."""

    done: bool
    result: T


@dataclass(frozen=True)
class Response:
    """The reply to an HTTP request."""

    status: int
    headers: dict[str, str]
    body: Any


def _compiled(name: str) -> NoReturn:
    raise NotCompiled(
        f"hs.{name} stands in functions marked with @hs.workflow or @hs.block, which are compiled "
        "and never called: use .simulate(…), .run(…) or .start(…) of the workflow"
    )


def sleep(duration: Moment) -> None:
    """Wait for a duration, durably."""
    _compiled("sleep")


def wait(**alternatives: Alternative) -> Won:
    """Wait for the first of several; the keywords are the names of the alternatives."""
    _compiled("wait")


def on_event(type: str, *, where: object = True) -> Alternative:
    """An event of this type that `where` accepts; `hs.event` in it is the event."""
    _compiled("on_event")


def on_signal(name: str, *, where: object = True) -> Alternative:
    """A signal to this execution."""
    _compiled("on_signal")


def after(duration: Moment) -> Alternative:
    """A duration after which the wait is over."""
    _compiled("after")


event: Any = object()
"""In the `where` of `on_event` and `on_signal`: what came, as `hs.event.data.order == order.id`."""


def human(
    id: str,
    form: type[T],
    *,
    show: object = None,
    assignees: str | Sequence[str] | None = None,
    candidates: str | Sequence[str] | None = None,
    deadline: Moment | None = None,
) -> T:
    """Ask a person to fill in a form; raises `hs.DeadlineExceeded` when nobody does in time."""
    _compiled("human")


def signal(execution: str, name: str, data: object = None) -> None:
    """Send a signal to another execution."""
    _compiled("signal")


def publish(event: str, data: object = None) -> None:
    """Publish an event."""
    _compiled("publish")


@overload
def parallel(a: A, b: B, /) -> tuple[A, B]: ...
@overload
def parallel(a: A, b: B, c: C, /) -> tuple[A, B, C]: ...
@overload
def parallel(a: A, b: B, c: C, d: D, /) -> tuple[A, B, C, D]: ...
@overload
def parallel(a: T, b: T, c: T, d: T, e: T, /, *more: T) -> tuple[T, ...]: ...
def parallel(*calls: Any) -> Any:
    """Run calls of steps, blocks and workflows side by side, and wait for all of them."""
    _compiled("parallel")


@overload
def race(a: A, b: B, /) -> tuple[Ran[A], Ran[B]]: ...
@overload
def race(a: A, b: B, c: C, /) -> tuple[Ran[A], Ran[B], Ran[C]]: ...
@overload
def race(a: A, b: B, c: C, d: D, /) -> tuple[Ran[A], Ran[B], Ran[C], Ran[D]]: ...
@overload
def race(a: T, b: T, c: T, d: T, e: T, /, *more: T) -> tuple[Ran[T], ...]: ...
def race(*calls: Any) -> Any:
    """Run calls side by side until the first completes; the others are withdrawn."""
    _compiled("race")


@overload
def fan_out(calls: Iterable[T], *, concurrency: int = ...) -> list[T]: ...
@overload
def fan_out(
    calls: Iterable[T], *, concurrency: int = ..., completion: Literal["all"]
) -> list[T]: ...
@overload
def fan_out(
    calls: Iterable[T], *, concurrency: int = ..., completion: Literal["any", "all_done"]
) -> list[T | None]: ...
@overload
def fan_out(calls: Iterable[T], *, concurrency: int = ..., at_least: int) -> list[T | None]: ...
def fan_out(
    calls: Iterable[Any],
    *,
    concurrency: int = 1_000,
    completion: Literal["all", "any", "all_done"] = "all",
    at_least: int | None = None,
) -> Any:
    """`hs.map`: run a call for each element, `concurrency` of them at a time.

    Written with a generator: `hs.map((pack(line) for line in order.lines), concurrency=20)`. The
    results stand in the order of the elements.

    Args:
        calls: the generator.
        concurrency: how many run side by side at most.
        completion: `all` needs every element, and fails with the first that fails. `any` is over
            with the first that completes, and `all_done` when all have ended, whatever became of
            them: an element that has not completed is None.
        at_least: so many complete; the rest is withdrawn, and None.
    """
    _compiled("map")


def script(
    source: str,
    *,
    language: Literal["python", "shell"] = "python",
    input: object = None,
    env: Mapping[str, str] | None = None,
    timeout: str | None = None,
) -> Any:
    """Run a script in a process of its own: JSON in on stdin, JSON out on stdout's last line."""
    _compiled("script")


def http(
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    url: str,
    *,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, object] | None = None,
    timeout: str | None = None,
) -> Response:
    """Make one HTTP request."""
    _compiled("http")


def fail(type: str, message: str = "") -> NoReturn:
    """Fail with an error of this type, unless an `except` around takes it."""
    _compiled("fail")


def undo(step: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Register a call that undoes what was done, should the workflow fail; runs nothing now."""
    _compiled("undo")


def now() -> datetime:
    """The instant, recorded: the same whenever the history is replayed."""
    _compiled("now")


def uuid() -> str:
    """A UUID, recorded."""
    _compiled("uuid")


INTRINSICS: Final[dict[Any, str]] = {
    each: name
    for name, each in {
        "sleep": sleep, "wait": wait, "on_event": on_event, "on_signal": on_signal,
        "after": after, "human": human, "signal": signal, "publish": publish,
        "parallel": parallel, "race": race, "map": fan_out, "script": script, "http": http,
        "fail": fail, "undo": undo, "now": now, "uuid": uuid,
    }.items()
}  # fmt: skip
"""By the function, what the compiler calls it."""

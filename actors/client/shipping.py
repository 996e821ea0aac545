"""Functions on their way into a bundle, by value: those that no runner could import."""

from __future__ import annotations

import copyreg
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, ForwardRef, get_args, get_type_hints

from pydantic import BaseModel

from heliostat.engine.authoring.steps import Step
from heliostat.engine.errors import InputError

# What a dataclass knows a field without a default by: it is one object, in every process.
copyreg.pickle(type(MISSING), lambda _: "MISSING")


def by_value(name: str, function: Callable[..., Any]) -> bytes:
    """A function, pickled with all that no runner could import.

    Raises:
        InputError: it refers to something that cannot be pickled.
    """
    from ray import cloudpickle

    plain = function.function if isinstance(function, Step) else function
    with _module_by_value(plain, cloudpickle), _resolved(plain):
        try:
            pickled: bytes = cloudpickle.dumps(plain)  # type: ignore[no-untyped-call]  # Ray's
        except Exception as error:  # whatever the objects it refers to raise
            raise InputError(
                f"the function {name!r} cannot be shipped by value ({error}); put it into a "
                f"module beside the definition's file"
            ) from error
    return pickled


@contextmanager
def _module_by_value(function: Callable[..., Any], cloudpickle: Any) -> Iterator[None]:
    """A function of an importable module would be pickled as its name only."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if module is None or module.__name__ == "__main__":
        yield
        return
    registered = module.__name__ in cloudpickle.list_registry_pickle_by_value()
    if not registered:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        if not registered:
            cloudpickle.unregister_pickle_by_value(module)


@contextmanager
def _resolved(function: Callable[..., Any]) -> Iterator[None]:
    """While inside, annotations that are texts are what they name: nobody could look it up there.

    Those of the function, and of the classes that it is annotated with and that travel with it.
    """
    with ExitStack() as undo:
        waiting: list[Any] = [function]
        seen: set[int] = set()
        while waiting:
            each = waiting.pop()
            if id(each) in seen or getattr(each, "__module__", None) != function.__module__:
                waiting += () if id(each) in seen else get_args(each)
                continue
            seen.add(id(each))
            hints = _hints(each)
            waiting += hints.values()
            _complete(each)
            _replace(each, hints, undo)
        yield


def _hints(of: Any) -> dict[str, Any]:
    try:
        return get_type_hints(of, include_extras=True)
    except Exception:  # noqa: BLE001  # evaluates the user's text, which names what is not there
        return {}


def _complete(kind: Any) -> None:
    """Have a model know the classes that are defined below it."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        kind.model_rebuild(raise_errors=False)


def _replace(of: Any, hints: dict[str, Any], undo: ExitStack) -> None:
    """Put hints in place of texts, for a while."""
    written = getattr(of, "__annotations__", {})
    if not any(isinstance(each, str | ForwardRef) for each in written.values()):
        return
    undo.callback(setattr, of, "__annotations__", written)
    of.__annotations__ = {name: hints.get(name, text) for name, text in written.items()}
    if isinstance(of, type) and is_dataclass(of):
        for each in fields(of):
            undo.callback(setattr, each, "type", each.type)
            each.type = hints.get(each.name, each.type)

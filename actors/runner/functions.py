"""From a step's target to a function that can be called with the step's input.

Found once per bundle and target. What the function's annotations say is prepared with it: how each
argument is checked (`arguments.py`), and whether the result is written by the annotation.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

from heliostat.actors.dispatch.protocol import StepCode

from .arguments import Signature
from .builtin import TARGETS
from .byvalue import function_by_value
from .modules import Bundle, Modules


class TargetError(ImportError):
    """A step's target names no function here."""


class Prepared:
    """A function, ready to be called."""

    __slots__ = ("call", "signature")

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self.signature = Signature(call)


class Functions:
    """The functions found so far in this process."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._prepared: dict[tuple[str | None, str], Prepared] = {}

    def find(self, code: StepCode) -> Prepared:
        """The function of a step; its bundle's modules are importable from here on.

        Raises:
            TargetError: there is no such function.
            Exception: whatever importing the user's module raises.
        """
        if code.target in TARGETS:
            return self._ours(code.target)
        bundle = self._modules.use(code.code)
        prepared = self._prepared.get((code.code, code.target))
        if prepared is None:
            prepared = Prepared(_function(code.target, bundle))
            self._prepared[code.code, code.target] = prepared
        return prepared

    def _ours(self, target: str) -> Prepared:
        """What they import is never looked for in a bundle, whatever its modules are called."""
        self._modules.use(None)
        prepared = self._prepared.get((None, target))
        if prepared is None:
            prepared = self._prepared[None, target] = Prepared(_function(target, None))
        return prepared


def _function(target: str, bundle: Bundle | None) -> Callable[..., Any]:
    if bundle is not None:
        shipped = function_by_value(bundle.folder, target)
        if shipped is not None:
            return _checked(_undecorated(shipped), target)
    name, colon, path = target.partition(":")
    if not colon:
        raise TargetError(
            f"{target!r} is neither `module:function` nor a function shipped with this version"
        )
    found: Any = importlib.import_module(name)
    for attribute in path.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise TargetError(
                f"the module {name!r} ({getattr(found, '__file__', 'no file')}) has no {path!r}"
            ) from None
    return _checked(_undecorated(found), target)


def _undecorated(found: Any) -> Any:
    """What `@hs.step` marked: its options were merged when the version was registered."""
    steps = sys.modules.get("heliostat.engine.authoring.steps")
    if steps is not None and isinstance(found, steps.Step):
        return found.function
    return found


def _checked(found: Any, target: str) -> Callable[..., Any]:
    if not callable(found) or inspect.ismodule(found):
        raise TargetError(f"{target!r} is a {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    return function

"""What functions that are shipped by value are known by: their code, and all that it reaches.

Pickled, the same function is other bytes in every process. Here it is told as text: its syntax
tree, and the globals, closures, defaults and annotations that travel with it, each told the same
way. What other processes import is told by its name.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import pickle
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import CodeType, FunctionType, ModuleType
from typing import Any, get_args, get_type_hints

from ..steps import Step


class Known:
    """Tells values; one that was told is told by its number from then on, so that circles end."""

    def __init__(self, shipped: AbstractSet[str]) -> None:
        """Args:
        shipped: the modules whose functions and classes travel by value.
        """
        self._shipped = {"__main__", *shipped}
        self._seen: dict[int, int] = {}
        self._held: list[Any] = []  # so that no number is given to two values

    def told(self, value: Any) -> str:
        """A value as text that is the same in every process, wherever that can be."""
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return repr(value)
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(self.told, value))}]"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(map(self.told, value)))}}}"
        if isinstance(value, Mapping):
            entries = (f"{self.told(key)}: {self.told(each)}" for key, each in value.items())
            return f"{{{', '.join(entries)}}}"
        if id(value) in self._seen:
            return f"#{self._seen[id(value)]}"
        self._seen[id(value)] = len(self._seen)
        self._held.append(value)
        if isinstance(value, Step):
            return f"step {value.options!r} {self.told(value.function)}"
        if isinstance(value, ModuleType):
            return f"module {value.__name__}"
        if isinstance(value, FunctionType | type):
            if value.__module__ not in self._shipped:
                return f"{value.__module__}:{value.__qualname__}"
            return self._function(value) if isinstance(value, FunctionType) else self._class(value)
        if isinstance(value, functools.partial):
            return f"partial {self.told([value.func, value.args, value.keywords])}"
        if type(value).__module__ in self._shipped:
            return f"{self.told(type(value))} {self.told(getattr(value, '__dict__', None))}"
        return _pickled(value)

    def _function(self, function: FunctionType) -> str:
        parts = [_source(function), *self._reached(function)]
        parts.append(self.told([function.__defaults__, function.__kwdefaults__]))
        parts += self._hints(function)
        return "\n".join(parts)

    def _reached(self, function: FunctionType) -> Iterator[str]:
        """The globals and closures that its code names."""
        names = sorted(_names(function.__code__) & function.__globals__.keys())
        for name in names:
            yield f"{name} = {self.told(function.__globals__[name])}"
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            try:
                held = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            yield f"{name} = {self.told(held)}"

    def _class(self, kind: type) -> str:
        parts = [_source(kind), self.told(kind.__bases__), *self._hints(kind)]
        for name, member in sorted(vars(kind).items()):
            function = inspect.unwrap(member) if callable(member) else member
            if isinstance(function, FunctionType) and function.__module__ == kind.__module__:
                parts += [name, *self._reached(function)]
        return "\n".join(parts)

    def _hints(self, of: Any) -> Iterator[str]:
        try:
            hints = get_type_hints(of, include_extras=True)
        except Exception:  # noqa: BLE001  # evaluates the user's text, which names what is not there
            return
        for name, hint in sorted(hints.items()):
            yield f"{name}: {self._annotation(hint)}"

    def _annotation(self, hint: Any) -> str:
        arguments = get_args(hint)
        if not arguments:
            return self.told(hint) if isinstance(hint, type) else repr(hint)
        told = (
            self._annotation(each) if not isinstance(each, Sequence) else repr(each)
            for each in arguments
        )
        return f"{getattr(hint, '__origin__', type(hint))!r}[{', '.join(told)}]"


def _pickled(value: Any) -> str:
    """The hash of its bytes, where it has any."""
    try:
        return hashlib.sha256(pickle.dumps(value, protocol=5)).hexdigest()
    except Exception:  # noqa: BLE001  # whatever its methods raise; shipping it tells the user
        return f"{type(value).__module__}:{type(value).__qualname__}"


def _names(code: CodeType) -> set[str]:
    """The names that code and the functions in it use; globals are among them."""
    names = set(code.co_names)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            names |= _names(each)
    return names


def _source(of: Callable[..., Any] | type) -> str:
    """The syntax tree of a function or class, without places; its byte code where there is none."""
    try:
        return ast.dump(ast.parse(textwrap.dedent(inspect.getsource(of))))
    except (OSError, TypeError, SyntaxError):
        code = getattr(of, "__code__", None)
        return of.__qualname__ if code is None else _byte_code(code)


def _byte_code(code: CodeType) -> str:
    constants = [
        _byte_code(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts
    ]
    return f"{code.co_code.hex()} {code.co_names} {constants}"

"""A step's input as keyword arguments, checked and converted to what the parameters say.

An input is JSON: a date is a string, a model a mapping. Each annotated parameter has a pydantic
`TypeAdapter`, made once, that turns JSON into what is annotated or says why it cannot. Tables,
arrays and other objects that came as blobs are passed as they are, and so is everything of a
parameter without annotation.

Bytes are Base64 in JSON (`encoding.py`). Where an annotation contains `bytes`, the value is read in
pydantic's JSON mode with that convention; a model decides by its own configuration.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import pydantic
from pydantic import ConfigDict, TypeAdapter

from heliostat.engine.authoring.python import types
from heliostat.engine.kernel.events import Failure

_AS_GIVEN: Final = frozenset({Any, object, inspect.Parameter.empty})
_PLAIN: Final = frozenset({int, str, bool, float, dict, list})
"""Exact instances of these pass without being asked; anything else goes to the adapter."""

_CONFIG: Final = ConfigDict(
    arbitrary_types_allowed=True, val_json_bytes="base64", ser_json_bytes="base64"
)

SCHEMA_ERROR: Final = "SchemaError"


class ArgumentError(Exception):
    """The input does not fit the function's parameters; reported as `SchemaError`."""

    def failure(self, step_id: str, attempt: int) -> Failure:
        """As a report carries it: there is no user code to trace back to."""
        return Failure(
            type=SCHEMA_ERROR,
            message=str(self),
            mro=(SCHEMA_ERROR,),
            step=step_id,
            attempt=attempt,
        )


class Check:
    """One annotation: `plain` instances pass, others are converted by `convert`."""

    __slots__ = ("convert", "plain", "write")

    def __init__(self, annotation: Any) -> None:
        self.plain = annotation if annotation in _PLAIN else None
        is_model = isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
        # In a list, since dataclasses and typed dicts take a configuration from around them only.
        listed: Any = list[types.readable(annotation)]  # type: ignore[misc]  # made at run time
        adapter: TypeAdapter[Any] = TypeAdapter(listed, config=_CONFIG)
        schema = repr(adapter.core_schema)
        self.convert: Callable[[Any], Any] = lambda value: adapter.validate_python([value])[0]
        if "'type': 'bytes'" in schema and not is_model:
            self.convert = lambda value: adapter.validate_json(msgspec.json.encode([value]))[0]
        self.write: Callable[[Any], Any] | None = None
        if "'serialization'" in schema and not is_model:
            self.write = lambda value: adapter.dump_python(
                [value], mode="json", by_alias=True, warnings=False
            )[0]


class Signature:
    """A function's parameters and what their annotations ask for."""

    __slots__ = ("_checks", "_positional", "_refusal", "_required", "_rest", "write")

    def __init__(self, function: Callable[..., Any]) -> None:
        self._checks: dict[str, Check | None] = {}
        self._required: frozenset[str] = frozenset()
        self._rest = True  # accepts names of its own choice
        self._refusal: str | None = None
        self.write: Callable[[Any], Any] | None = None
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):
            return  # some built-in functions do not tell; they are called as they are
        hints = _hints(function)
        required = []
        self._rest = False
        for name, parameter in parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                self._rest = True
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                if parameter.default is parameter.empty:
                    self._refusal = f"the parameter {name!r} can only be passed by position"
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                self._checks[name] = _check(hints.get(name, parameter.empty))
                if parameter.default is parameter.empty:
                    required.append(name)
        self._required = frozenset(required)
        returns = _check(hints.get("return", inspect.Parameter.empty))
        self.write = None if returns is None else returns.write

    def bind(self, given: Any) -> dict[str, Any]:
        """The keyword arguments.

        Raises:
            ArgumentError: the input is no mapping, or a parameter is missing, unknown or unfit.
        """
        if self._refusal is not None:
            raise ArgumentError(self._refusal)
        if given is None:
            given = {}
        if not isinstance(given, Mapping):
            raise ArgumentError(
                f"the input is {_article(given)}; an activity's input maps names to values"
            )
        if not self._required <= given.keys():
            missing = ", ".join(repr(name) for name in sorted(self._required - given.keys()))
            raise ArgumentError(f"the input has no value for the parameter {missing}")
        bound: dict[str, Any] = {}
        for name, value in given.items():
            if name in self._checks:
                bound[name] = self._converted(name, value)
            elif self._rest:
                bound[name] = value
            else:
                raise ArgumentError(
                    f"the function has no parameter {name!r}; it has "
                    f"{', '.join(repr(known) for known in self._checks) or 'none'}"
                )
        return bound

    def _converted(self, name: str, value: Any) -> Any:
        check = self._checks[name]
        if check is None or type(value) is check.plain:
            return value
        try:
            return check.convert(value)
        except pydantic.ValidationError as error:
            raise ArgumentError(f"the parameter {name!r}: {_told(error)}") from None
        except TypeError as error:  # JSON mode, and the value holds an object that is not JSON
            raise ArgumentError(f"the parameter {name!r}: {error}") from None


def _check(annotation: Any) -> Check | None:
    try:
        if annotation in _AS_GIVEN:
            return None
    except TypeError:
        pass  # an unhashable annotation, such as Annotated with a list
    try:
        return Check(annotation)
    except (pydantic.PydanticUserError, TypeError, NameError, AttributeError):
        return None  # an annotation that pydantic cannot read checks nothing


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    try:
        return typing.get_type_hints(inspect.unwrap(target), include_extras=True)
    except Exception:  # noqa: BLE001  # evaluates the user's text: names that exist for checkers only
        return {}


def _told(error: pydantic.ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = []
    for fault in faults[:5]:
        place = "".join(f"[{part!r}]" for part in fault["loc"][1:])
        told.append(f"{place + ': ' if place else ''}{fault['msg']}")
    more = len(faults) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _article(value: Any) -> str:
    names = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean"}
    return names.get(type(value), f"a {type(value).__name__}")

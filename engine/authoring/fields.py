"""The types of a definition's fields: what a name, a duration, a clause or a policy may be.

A refusal made here carries its diagnostic code as the type of pydantic's error and its cure in
the error's context; `shape.py` turns both into diagnostics with places.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from ..expressions import RESERVED_WORDS
from ..expressions.time import parse_duration
from ..identity import NAME

STEP_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ERROR_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
END_TARGET: Final = "end"
"""The reserved target of `next` that ends a token."""

DURATION_TAG: Final = "duration_ms"
"""The tag of a step that says how long it takes, for the order of what waits for capacity."""

MIN_DURATION_TAG: Final = "duration_min_ms"
MAX_DURATION_TAG: Final = "duration_max_ms"
DURATION_TAGS: Final = (MIN_DURATION_TAG, DURATION_TAG, MAX_DURATION_TAG)
"""What proofs of times read of a step: at least, as expected, at most."""

ITEMS_TAG: Final = "items_count"
"""How many items a step's `foreach` is taken to have, where its list is not written down."""

VISITS_TAG: Final = "visits_max"
"""How often at most a step is visited each time that its scope is opened: what bounds a loop."""

COUNT_TAGS: Final = (ITEMS_TAG, VISITS_TAG)

PROBABILITY_TAG: Final = "probability."
"""Before the target of a route, or `when`: how likely it is."""

NAME_CHARS_MAX: Final = 200
_SIZE: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,3}))?\s*([KMGT]i?B|B)")
_MILLIS: Final = re.compile(r"[0-9]{1,15}")
_PROBABILITY: Final = re.compile(r"0(?:\.[0-9]{1,9})?|1(?:\.0{1,9})?")
_STATUS: Final = re.compile(r"[1-5][0-9]{2}|[1-5]xx")
_UNITS: Final = ("B", "KB", "MB", "GB", "TB")


def refusal(code: str, message: str, cure: str | None = None) -> PydanticCustomError:
    """An error of a field, in the form that `shape.py` reads."""
    return PydanticCustomError(code, "{message}", {"message": message, "cure": cure})


class Model(BaseModel):
    """Base of every part of a definition: immutable, exact in its types, closed.

    `given` tells a field that was written from one that has its default: null is a value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def given(self, field: str) -> bool:
        """Whether the field was written, be it with its default."""
        return field in self.model_fields_set


def is_name(text: str) -> bool:
    """Whether a step or variable may be called so."""
    try:
        _name(text)
    except PydanticCustomError:
        return False
    return True


def _name(value: str) -> str:
    if value == END_TARGET:
        raise refusal("HS017", "`end` is the target that ends a token", "take another name")
    if value in RESERVED_WORDS:
        raise refusal(
            "HS017", f"`{value}` is a word of the expression language", f"say `{value}_`, or so"
        )
    if not STEP_NAME.fullmatch(value) or len(value) > NAME_CHARS_MAX:
        better = re.sub(r"[^A-Za-z0-9_]+", "_", value).strip("_")[:NAME_CHARS_MAX]
        better = f"_{better}" if better[:1].isdigit() else better
        raise refusal(
            "HS017",
            f'"{_short(value)}" is no name: letters, digits and _, no digit first',
            f"as `{better}`" if better else None,
        )
    return value


def _identifier(value: str) -> str:
    if not NAME.fullmatch(value):
        raise refusal(
            "HS017",
            f'"{_short(value)}" cannot name a definition, version or namespace',
            "letters, digits and _ . : + @ -, beginning with a letter or digit, at most 200",
        )
    return value


def _version(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refusal("HS013", f"`{value}` is a number, a version is a string", f'"{value}"')
    return value


def _error_name(value: str) -> str:
    if not ERROR_NAME.fullmatch(value):
        raise refusal(
            "HS017", f'"{_short(value)}" is not the name of an error class', "as `ValueError`"
        )
    return value


def _duration(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refusal("HS015", f"`{value}` has no unit", f'say which: "{value}s", "{value}m"')
    if isinstance(value, str):
        try:
            parse_duration(value)
        except ValueError as error:
            raise refusal("HS016", str(error)) from None
    return value


def _condition(value: object) -> object:
    """YAML reads a bare `true` as a boolean before an expression can."""
    return str(value).lower() if isinstance(value, bool) else value


def _list_expression(value: object) -> object:
    if isinstance(value, list):
        raise refusal(
            "HS013", "`foreach` is an expression, not a list", "write it as a text: '[1, 2, 3]'"
        )
    return value


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _clauses(value: object) -> object:
    """`next: store` is short for `next: [{to: store}]`."""
    return [{"to": value}] if isinstance(value, str) else value


def _rule(value: object) -> object:
    """What `join` and `completion` accept; `needs` and scopes narrow it further."""
    if isinstance(value, str) and value in ("any", "all", "all_done"):
        return value
    if isinstance(value, AtLeast):
        return value
    if isinstance(value, Mapping) and set(value) == {"at_least"}:
        count = value["at_least"]
        if isinstance(count, int) and not isinstance(count, bool):
            if count < 1:
                raise refusal("HS018", f"`at_least: {count}` waits for nothing", "1 or more")
            return AtLeast(at_least=count)
    raise refusal(
        "HS014", f"`{_short(str(value))}` is no such rule", "any, all, all_done or {at_least: n}"
    )


def _statuses(value: object) -> object:
    """`expect: 2xx` is short for `expect: [2xx]`."""
    several = value if isinstance(value, list) else [value]
    for status in several:
        if not _STATUS.fullmatch(str(status)) or isinstance(status, bool):
            raise refusal(
                "HS014", f"`{_short(str(status))}` is no HTTP status", "as 200, 404 or 2xx"
            )
    return several


def _memory(value: object) -> object:
    if isinstance(value, str):
        memory_bytes(value)
    elif isinstance(value, int) and not isinstance(value, bool) and value < 1:
        raise refusal("HS018", f"`{value}` bytes hold nothing", 'as "2GiB"')
    return value


def memory_bytes(value: int | str) -> int:
    """Bytes, from a number of them or a text such as `512MB`, `2GiB`, `1.5GiB`."""
    if isinstance(value, int):
        return value
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise refusal("HS016", f'"{_short(value)}" is no size of memory', 'as "512MB" or "2GiB"')
    whole, fraction, unit = found.groups()
    factor: int = (1024 if "i" in unit else 1000) ** _UNITS.index(unit.replace("i", ""))
    return int(whole) * factor + int((fraction or "0").ljust(3, "0")) * factor // 1000


def said_duration(tags: Tags) -> int | None:
    """What a step's tags say of how long it takes, in milliseconds; None as of `said_number`."""
    return said_number(tags, DURATION_TAG)


def said_number(tags: Mapping[str, str], tag: str) -> int | None:
    """What a tag that is a number says; None where it is not there, or no whole number of at most
    15 digits: then registration has refused it."""
    said = tags.get(tag)
    return int(said) if said is not None and _MILLIS.fullmatch(said) else None


def said_probability(said: str | None) -> float | None:
    """A tag's text as a probability; None where it is none."""
    return float(said) if said is not None and _PROBABILITY.fullmatch(said) else None


def appends(assigned: Data) -> bool:
    """Whether the right side of an `assign` is `{append: …}`."""
    return isinstance(assigned, dict) and set(assigned) == {"append"}


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


Name: TypeAlias = Annotated[str, AfterValidator(_name)]
"""Of a step, a variable, an `as:`: can stand in a path, as in `$.steps.<name>`."""

Identifier: TypeAlias = Annotated[str, AfterValidator(_identifier)]
Version: TypeAlias = Annotated[str, BeforeValidator(_version), AfterValidator(_identifier)]
ErrorName: TypeAlias = Annotated[str, AfterValidator(_error_name)]
DurationText: TypeAlias = Annotated[str, BeforeValidator(_duration)]
Expression: TypeAlias = Annotated[str, BeforeValidator(_condition)]
ListExpression: TypeAlias = Annotated[str, BeforeValidator(_list_expression)]
MemorySize: TypeAlias = Annotated[int | str, BeforeValidator(_memory)]
Data: TypeAlias = Any
"""A JSON value whose strings may be paths, `${ … }` or templates; null is a value."""

EventName: TypeAlias = Annotated[str, AfterValidator(_identifier)]
"""Of an event's type or a signal: letters, digits and `_ . : + @ -`, as in `order.paid`."""

Target: TypeAlias = str
"""A step's id, or `end`; whether it exists is a question of structure."""

Tags: TypeAlias = dict[str, str]


class AtLeast(Model):
    """`{at_least: n}`"""

    at_least: int


Rule: TypeAlias = Annotated[
    Literal["any", "all", "all_done"] | AtLeast,
    BeforeValidator(_rule),
]


class NextClause(Model):
    """One way on: taken if `when` holds, or if it has none and none before it held."""

    when: Expression | None = None
    to: Target


class Failing(Model):
    """The error that a decision or an `on_error` clause fails with."""

    type: Data
    message: Data
    bases: Data = None


class ErrorClause(Model):
    """What follows an error that `error` and `when` fit: exactly one of the others."""

    error: ErrorName | None = None
    when: Expression | None = None
    next: Target | None = None
    output: Data = None
    fail: Failing | None = None
    human: Name | None = None
    """An intervention point of the definition: a person decides how the step goes on."""


class Publication(Model):
    """An event that a step publishes when it completes."""

    event: EventName
    data: Data = None


class Signalling(Model):
    """A signal that a step, or a handler, sends to another execution of the namespace."""

    execution: Data
    name: EventName
    data: Data = None


class Alternative(Model):
    """What a `wait` waits for: exactly one of `event`, `signal`, `timer`; the first wins."""

    name: Name | None = None
    event: EventName | None = None
    signal: EventName | None = None
    timer: Data = None
    where: Expression | None = None


class Escalation(Model):
    """Whom a human task is given to as well when nobody has completed it `after` so long."""

    after: DurationText
    assignees: Data = None
    candidates: Data = None


class InterventionPoint(Model):
    """Where people come in, declared once: human steps and `on_error` clauses refer to its id."""

    id: Name
    name: str | None = None
    description: str | None = None
    assignees: Data = None
    candidates: Data = None
    form: dict[str, Any] | None = None
    deadline: Data = None
    escalate: list[Escalation] = []


class SemaphoreScope(Model):
    """A semaphore of the deployment, whose capacity is in its configuration."""

    per: Literal["deployment"]


class Starting(Model):
    """A workflow that a handler starts; its execution goes on without this one."""

    workflow: Identifier
    version: Version | None = None
    id: Data = None
    input: Data = None


class Recipient(Model):
    """An execution that a handler cancels, pauses or resumes; absent, its own."""

    execution: Data = None


class Triggering(Model):
    """A step of the root state machine that a handler puts a token on."""

    step: Target


class Custom(Model):
    """A function of the user's that a handler calls; what it returns is kept by nobody."""

    activity: str
    input: Data = None


class Action(Model):
    """One thing that a handler does: exactly one of these."""

    start: Starting | None = None
    signal: Signalling | None = None
    trigger: Triggering | None = None
    cancel: Recipient | None = None
    pause: Recipient | None = None
    resume: Recipient | None = None
    custom: Custom | None = None


class Handler(Model):
    """What an execution does, at any time of its life, when an event comes that fits."""

    id: Name | None = None
    event: EventName
    where: Expression | None = None
    actions: Annotated[list[Action], Field(min_length=1)]


PROPERTY_KINDS: Final = ("ctl", "ltl", "different_people", "undone", "within")


class DeclaredProperty(Model):
    """What holds of all executions: a formula, or one of the kinds that have a name."""

    id: Identifier
    description: str | None = None
    ctl: str | None = None
    ltl: str | None = None
    different_people: list[str] | None = None
    undone: dict[str, str] | None = None
    within: DurationText | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it says; exactly one in a definition that has passed the checks."""
        return tuple(kind for kind in PROPERTY_KINDS if getattr(self, kind) is not None)


class RetryPolicy(Model):
    """`retry`: which errors are followed by another attempt, and after which back-off."""

    max_attempts: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    initial: DurationText = "1s"
    factor: Annotated[float, Field(ge=1, le=1_000)] = 2
    max: DurationText = "60s"
    jitter: bool = True
    on: list[ErrorName] = []
    never_on: list[ErrorName] = []


class ResourceNeeds(Model):
    """`resources`: what one attempt needs of a node."""

    num_cpus: Annotated[float, Field(ge=0, le=100_000)] | None = None
    num_gpus: Annotated[float, Field(ge=0, le=100_000)] | None = None
    memory: MemorySize | None = None
    custom: dict[str, Annotated[float, Field(gt=0)]] = {}
    runtime_env: dict[str, Any] | None = None


Needs: TypeAlias = Annotated[list[str], BeforeValidator(_one_or_many)]
Cancels: TypeAlias = Needs
Uses: TypeAlias = dict[Name, Annotated[int, Field(ge=1)]]
Semaphores: TypeAlias = dict[Name, Annotated[int, Field(ge=1)] | SemaphoreScope]
Next: TypeAlias = Annotated[list[NextClause], BeforeValidator(_clauses)]
Expect: TypeAlias = Annotated[list[int | str], BeforeValidator(_statuses)]
"""Statuses that a service call takes for success: `200`, `2xx`, or a list of such."""

Effects: TypeAlias = Literal["at_least_once", "at_most_once"]

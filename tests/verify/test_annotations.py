"""What functions take and give by their annotations: held against what runners do, and proved."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import itertools
import json
import textwrap
import typing
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal, Required, TypedDict

import msgspec
import pydantic
import pytest
from msgspec import structs

from heliostat.actors.runner.arguments import ArgumentError, Signature
from heliostat.actors.runner.encoding import natural
from heliostat.api.cli.proving import all_proved, asked_for
from heliostat.api.http.inspecting import Found
from heliostat.engine.authoring.activities import inspected
from heliostat.engine.authoring.annotations import annotations_of, strictly
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.schemas import validator
from heliostat.verify.prover import Prover


class Line(pydantic.BaseModel):
    sku: Annotated[str, pydantic.Field(pattern="^[A-Z]{2}$")]
    count: int = pydantic.Field(gt=0)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Box:
    lines: list[Line]
    note: str | None = None


class Part(TypedDict, total=False):
    name: Required[str]
    weight: float


class Closed(pydantic.BaseModel, extra="forbid"):
    n: int


class ByEither(pydantic.BaseModel, populate_by_name=True):
    n: int = pydantic.Field(alias="N")


class Trimmed(pydantic.BaseModel, str_strip_whitespace=True):
    name: str = pydantic.Field(max_length=2)


HINTS: list[Any] = [
    *(int, float, bool, str, list, dict, type(None), bytes, int | None, Any),
    *(datetime.date, datetime.datetime, datetime.timedelta, decimal.Decimal, uuid.UUID, Path),
    *(Line, Colour, Level, Box, Part, Closed, ByEither, Trimmed),
    *(list[int], set[int], tuple[int, str], dict[str, int], Literal["a", 1], list[Line] | int),
    Annotated[int, pydantic.Field(gt=3, multiple_of=2)],
    Annotated[str, pydantic.Field(min_length=2)],
    Annotated[int, pydantic.BeforeValidator(len)],
]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 4, 5, 2.0, 0.5, -1, 10**20),
    *("", "a", "ab", "1", " 12 ", "1_0", "1.5", "nan", "true", "off", "red", "abc"),
    *("2026-01-02", "2026-01-02T03:04:05Z", "P1D", "12345678123456781234567812345678"),
    *([], [1], ["1"], [1, "a"], [1, 1], {}, {"n": 1}, {"n": "1"}, {"N": 1}, {"a": 1}),
    *({"n": 1, "m": 2}, {"name": "x"}, {"name": " xy "}, {"name": "x", "weight": "2"}),
    *({"sku": "AB", "count": 1}, {"sku": "AB", "count": "1"}, {"sku": "ab", "count": 1}),
    *({"lines": [{"sku": "AB", "count": 2}]}, [{"sku": "AB", "count": 0}]),
]


def test_what_a_runner_takes_fits_what_is_known() -> None:
    known = refused = 0
    for hint in HINTS:

        def function(x: Any) -> None: ...

        function.__annotations__ = {"x": hint}
        schema = annotations_of(function).takes.get("x")
        fits = validator(schema)
        signature = Signature(function)
        for value in VALUES if fits is not None else ():
            try:
                signature.bind({"x": value})
            except ArgumentError:
                refused += fits(value) is not None
            else:
                known += 1
                assert fits(value) is None, (hint, value, schema)
    assert known > 150
    assert refused > 500  # and it says something: of most that is refused


GIVEN: list[tuple[Any, Any]] = [
    (Line, Line(sku="AB", count=1)),
    (Box, Box([Line(sku="AB", count=1)])),
    (ByEither, ByEither(N=1)),
    (Colour, Colour.RED),
    (Level, Level.LOW),
    (Part, {"name": "x"}),
    (datetime.date, datetime.date(2026, 1, 2)),
    (decimal.Decimal, decimal.Decimal("1.5")),
    (tuple[int, str], (1, "a")),
    (dict[str, list[Line]], {"a": [Line(sku="AB", count=1)]}),
    (None, None),
]


@pytest.mark.parametrize(("hint", "value"), GIVEN)
def test_what_is_returned_fits_as_it_travels(hint: Any, value: Any) -> None:
    def function() -> None: ...

    function.__annotations__ = {"return": hint}
    fits = validator(annotations_of(function).gives)
    write = Signature(function).write
    written = value if write is None else write(value)
    assert fits is not None
    assert fits(json.loads(json.dumps(written, default=_told))) is None


def _told(value: Any) -> Any:
    """As runners write it, where a model or a data class stands within JSON."""
    if isinstance(value, Box):
        return {"lines": value.lines, "note": value.note}
    if isinstance(value, enum.Enum):
        return value.value
    found = natural(value)
    return str(value) if found is value else found


def test_what_is_taken_beside_the_type_is_not_told() -> None:
    def function(line: Line, many: list[int]) -> None: ...

    takes = annotations_of(function).takes
    assert strictly(takes["many"]) == {"type": "array", "items": {"type": "integer"}}
    count = strictly(takes["line"])["$defs"]["Line"]["properties"]["count"]
    assert (count["type"], count["exclusiveMinimum"]) == ("integer", 0)


def test_nothing_is_known_of_what_cannot_be_read() -> None:
    def unnamed(x: Nowhere, y: int) -> int: ...  # type: ignore[name-defined]  # noqa: F821

    def plain(x, y=1): ...  # type: ignore[no-untyped-def]

    def yields() -> typing.Iterator[int]:
        yield 1

    class Odd:
        pass

    def odd(x: Odd, y: Any) -> object: ...

    for function in (unnamed, plain, yields, odd, len, print, Odd):
        found = annotations_of(function)
        assert (found.takes, found.gives) == ({}, None), function


class Tree(pydantic.BaseModel):
    """Unfolded twelve levels deep, more than anybody reads."""

    a: Tree | list[Tree] | None
    b: Tree | dict[str, Tree] | None
    c: list[Tree | None]
    d: list[Tree | None]
    e: Tree | None
    f: Tree | None


class Chain(pydantic.BaseModel):
    after: Chain | None


def test_nothing_is_known_of_what_unfolds_without_end() -> None:
    def function(tree: Tree, chain: Chain) -> Tree: ...

    found = annotations_of(function)
    assert (found.takes.keys(), found.gives) == ({"chain"}, None)


SHOP = """
from typing import Annotated, Literal, TypedDict
from dataclasses import dataclass
from pydantic import BaseModel, Field

class Order(BaseModel):
    id: str
    total: float

class Receipt(BaseModel):
    total: Annotated[float, Field(ge=0)]
    state: Literal["paid", "open"]
    note: str | None = None

class Label(TypedDict):
    text: str

@dataclass
class Parcel:
    weight: int

def charge(order: Order, count: int = 1) -> Receipt: ...
def mail(to: str, text: str = "") -> None: ...
def pack(receipt: Receipt) -> Parcel: ...
def label(parcel: Parcel, **more: int) -> Label: ...
def free(x, y=2): ...
print("imported")
"""

HEAD = """
id: shop
version: "1"
input_schema:
  type: object
  required: [order]
  properties:
    name: {type: string}
    order: {type: object, required: [id, total],
            properties: {id: {type: string}, total: {type: number}}}
steps:
  - {id: charge, type: activity, activity: "shop:charge", input: {order: $.input.order}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shop")
    (made / "shop.py").write_text(SHOP)
    return made


_numbers = itertools.count()


def told(folder: Path, *steps: str) -> list[str]:
    """What `heliostat verify --property data` says of steps after the first, with their lines."""
    file = folder / f"case{next(_numbers)}.yaml"
    head = HEAD.replace("}}\n", "}, next: a}\n") if steps else HEAD
    file.write_text(head + "".join(f"  - {each}\n" for each in steps))
    (found,) = all_proved(
        [str(file)], asked_for(["data"]), 60_000, {}, replay=False, with_net=False, durations=None
    )
    return [f"{each.code} {each.field} {each.message}; {each.cure}" for each in found.diagnostics]


def act(function: str, input: str, more: str = "") -> str:
    return f'{{id: a, type: activity, activity: "shop:{function}", input: {input}{more}}}'


NOTE = "$.steps.charge.output.note"
MUCH = "$.input.order.total > 3"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (act("mail", "{to: $.steps.charge.output.state}"), None),
        (act("mail", "{text: x}"), "HS304 input `shop:mail` needs `to`"),
        (act("mail", "{to: x, txt: y}"), "HS305 input.txt `shop:mail` has no parameter `txt`"),
        (act("mail", "{to: $.steps.charge.output.totl}"), "HS102 input.to there is no 'totl' here"),
        (
            act("mail", "{to: $.steps.charge.output.total}"),
            "HS516 input.to number or null stands where string is needed: `to` of `shop:mail` is `",
        ),
        (act("mail", "{to: 3}"), "HS516 input.to it does not fit the value itself: 3 is not of"),
        (act("pack", "{receipt: $.steps.charge.output}"), None),
        (
            act("pack", "{receipt: {total: $.input.order.total}}"),
            "HS516 input.receipt `state` is missing",
        ),
        (act("pack", "{receipt: $.input.order}"), "HS516 input.receipt `state` is missing"),
        (act("label", "{parcel: {weight: 1}, more: 2}"), None),
        (act("label", "{parcel: {weight: [1]}}"), "HS516 input.parcel it does not fit at `weight`"),
        (act("free", "{x: $.steps.charge.output.total}"), None),
        (act("free", "\"${ {'x': 1, 'z': 1} }\""), "HS516 input `z` is not among x, y"),
        (act("mail", "\"${ {'to': 'x'} }\""), None),
        (
            act("mail", "{to: $.steps.charge.output.note}"),
            ("HS518 input.to for ", "`$.steps.charge.output.note` = null", "after `charge`"),
        ),
        (
            act("mail", "{to: $.steps.charge.output.note}", f", when: {NOTE} != null"),
            None,
        ),
        (
            act("mail", "{to: $.input.name}"),
            ("HS518 input.to for ", "`$.input.name` = nothing", "null is not of type 'string'"),
        ),
        (act("mail", "{to: \"${ $.input.name default 'nobody' }\"}"), None),
        (act("mail", "{to: $.input.name}", ", on_error: [{error: SchemaError, next: end}]"), None),
        (
            act("pack", "{receipt: {total: $.input.order.total, state: paid}}"),
            ("HS518 input.receipt for ", "`$.input.order.total` = -", "less than the minimum"),
        ),
        (
            act("pack", "{receipt: {total: $.input.order.total, state: paid}}", f", when: {MUCH}"),
            None,
        ),
        (
            act("free", "{x: 1}", ", when: $.steps.charge.output.total == 'much'"),
            "HS511 when",
        ),
        (act("free", "{x: \"${ $.steps.charge.output.total + 'x' }\"}"), "HS516 input.x `+`"),
    ],
)
def test_inputs_and_outputs(folder: Path, step: str, message: str | tuple[str, ...] | None) -> None:
    found = told(folder, step)
    if message is None:
        assert found == []
    else:
        (only,) = found
        begin, *words = (message,) if isinstance(message, str) else message
        assert only.startswith(begin)
        assert all(each in only for each in words), only


def test_a_literal_makes_conditions_complete(folder: Path) -> None:
    ways = (
        "next: [{when: $.output.state == 'paid', to: end}, {when: $.output.state == '%s', to: end}]"
    )
    charge = HEAD.splitlines()[-1].removesuffix("}").removeprefix("  - ") + ", "
    again = charge.replace("id: charge", "id: a")
    assert told(folder, again + ways % "open" + "}") == []
    found = told(folder, again + ways % "late" + "}")
    assert [each[:5] for each in found] == ["HS511", "HS510"] or [each[:5] for each in found] == [
        "HS510",
        "HS511",
    ]
    assert any('`$.steps.a.output.state` = "open"' in each for each in found)


def test_what_cannot_be_imported_is_said_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = textwrap.dedent(
        """
        id: case
        version: "1"
        steps:
          - {id: a, type: activity, activity: "nowhere:f", next: b}
          - {id: b, type: activity, activity: "nowhere:g", next: c}
          - {id: c, type: activity, activity: "shop:mail", input: {to: x}}
        """
    )
    file = folder / "unknown.yaml"
    file.write_text(text)
    (found,) = all_proved(
        [str(file)], asked_for(["data"]), 60_000, {}, replay=False, with_net=False, durations=None
    )
    (types,) = [each for each in found.verdicts if each.asked == "types"]
    assert types.reason.endswith(
        "; nothing is known of `nowhere:f`, `nowhere:g`, as there is no module `nowhere`"
    )
    assert found.diagnostics == ()
    assert capsys.readouterr().out == ""  # what modules print is no part of a report


def test_registration_knows_what_was_seen(folder: Path) -> None:
    step = act("mail", "{to: $.steps.charge.output.total}")
    text = HEAD.replace("}}\n", "}, next: a}\n") + f"  - {step}\n"
    definition = parse_definition(text, "shop.yaml")
    functions = inspected(definition, [folder], annotated=True)
    prover = Prover(time_max_ms=10_000)
    assert prover(definition) == ()
    assert [each.code for each in prover(definition, functions)] == ["HS516"]
    # over HTTP they are seen in a process of their own, and come as bytes
    plain = {name: structs.replace(each, options=None) for name, each in functions.items()}
    packed = msgspec.msgpack.encode(Found(functions=plain))
    assert msgspec.msgpack.decode(packed, type=Found).functions == plain
    assert [each.code for each in prover(definition, plain)] == ["HS516"]

"""Runs a drawn program in two ways: as plain Python, and compiled, in the simulator."""

from __future__ import annotations

import ast
import itertools
import linecache
import re
import warnings
from dataclasses import dataclass
from typing import Any

import heliostat as hs
from heliostat.engine.simulator import Acts, Arrives, Call, Person, Returns

from .around import ACT_MS, Around, Ended
from .drawn import STEPS
from .plainly import Deferred, Plainly, as_json

_NUMBERS = itertools.count()
_CHILD = re.compile(r"execution '[^']*' failed: ")
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Ran:
    """How a program ended, what it asked of the world around it, and what it told others."""

    end: tuple[Any, ...]
    asked: list[Any]
    published: list[Any]
    signals: list[Any]


def as_python(text: str, arguments: dict[str, Any], seed: int) -> Ran:
    """What the program does as plain Python.

    Raises:
        Ended: it takes too long.
    """
    space: dict[str, Any] = {"__name__": "program"}
    around = Around(seed, lambda: space["Bang"])
    plainly = Plainly(around)
    space |= {"hs": plainly, "SCRIPT": around.tick}
    tree = ast.fix_missing_locations(Deferred().visit(ast.parse(text)))
    _run(tree, "<plain>", space)
    end: tuple[Any, ...]
    try:
        end = ("returned", as_json(space["main"](**arguments)))
    except Ended:
        raise
    except Exception as error:  # noqa: BLE001  # whatever the program raises
        end = ("raised", type(error).__name__, str(error))
    return _comparable(Ran(end, around.log, plainly.published, plainly.signals))


def as_compiled(text: str, arguments: dict[str, Any], seed: int) -> Ran:
    """The same of the compiled program, in the simulator.

    Raises:
        DefinitionError: it uses what is not compiled.
    """
    space: dict[str, Any] = {"hs": hs, "__name__": "program"}
    around = Around(seed, lambda: space["Bang"])
    space["SCRIPT"] = around.tick
    file = f"<program {next(_NUMBERS)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    _run(text, file, space)
    functions = {f"program:{name}": space[name].function for name in STEPS}

    def happens(call: Call) -> Any:
        function = functions.get(call.target or "")
        if function is not None:
            return Returns(function(**call.input))
        if call.target is not None:
            return Returns(_served(around, call.target, call.input))
        named = call.step.rpartition("_")[2]  # in a block its name stands before
        if named.startswith("w"):
            came = around.arrival("wait")
            return Returns(None) if came is None else Arrives(*came)
        did, what = around.human(named, call.input)
        if did == "nothing":
            return Person()
        data, words = (what, "") if did == "complete" else (None, what)
        return Person(
            Acts(
                "complete" if did == "complete" else "fail",
                "ann",
                data,
                error=words,
                after_ms=ACT_MS,
            )
        )

    main = space["main"]
    result = hs.simulate(
        main.plan,
        main.input(**arguments),
        happens,
        definitions=[child.plan for child in main.children()],
    )
    if result.status == "Completed":
        end: tuple[Any, ...] = ("returned", result.output)
    else:
        assert result.failure is not None, result.story
        end = ("raised", result.failure.type, result.failure.message)
    published = [[type, data] for _, type, data in result.published if type in ("told", "asked")]
    signals = [list(each) for each in result.signals]
    return _comparable(Ran(end, around.log, published, signals))


def _served(around: Around, target: str, given: Any) -> Any:
    if "source" in given:
        return around.script(given.get("input"))
    return around.http(given["method"], given["url"], given["body"], given["headers"])


def _run(program: ast.Module | str, file: str, space: dict[str, Any]) -> None:
    with warnings.catch_warnings():  # of comparisons that a person would not write
        warnings.simplefilter("ignore", SyntaxWarning)
        exec(compile(program, file, "exec", dont_inherit=True), space)  # noqa: S102  # its own text


def _comparable(ran: Ran) -> Ran:
    """Without what differs by nature: ids by the order in which they came, instants by the second,
    texts without the execution that stands before a child's error."""
    ids: dict[str, str] = {}

    def told(value: Any) -> Any:
        if isinstance(value, str):
            value = _INSTANT.sub(r"\1Z", _CHILD.sub("", value))
            return _UUID.sub(lambda found: ids.setdefault(found[0], f"{len(ids):036d}"), value)
        if isinstance(value, list | tuple):
            return type(value)(map(told, value))
        if isinstance(value, dict):
            return {key: told(each) for key, each in value.items()}
        return value

    asked, published = told(ran.asked), told(ran.published)
    return Ran(told(ran.end), asked, published, told(ran.signals))

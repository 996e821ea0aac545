"""Draws programs of the compiled subset, and runs each in two ways: as Python, and compiled."""

from __future__ import annotations

import ast
import itertools
import linecache
import random
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import heliostat as hs

_NUMBERS = itertools.count()
STEPS = ("tick", "double", "odd", "kept")

HEADER = """
class Boom(Exception): ...


class Bang(Boom): ...


@hs.step
def tick(label: object) -> object:
    return SCRIPT(label)


@hs.step
def double(x: object) -> object:
    return x * 2


@hs.step
def odd(x: object) -> object:
    if x % 2:
        raise Bang(f"odd {x}")
    return x


@hs.step
def kept(x: object) -> object:
    return x


@hs.block
def late(x):
    hs.sleep('1h')
    return kept(x)


@hs.workflow
def child(x: object) -> object:
    if not x:
        raise Boom(f"nothing in {x!r}")
    return [tick(x), double(x)]


@hs.block
def careful(x):
    try:
        hs.sleep('1s')
        return odd(x)
    finally:
        tick('careful')


@hs.block
def guarded(x, fallback):
    try:
        return odd(x)
    except Boom as error:
        return [str(error), fallback]


@hs.block
def summed(items):
    total = 0
    for item in items:
        if item == 3:
            continue
        total = total + double(item)
    return total


"""


class Writer:
    """Writes one program; every draw comes from `chance`, so that hypothesis can shrink it."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.lines = chance, list[str]()
        self.names = ["n", "xs", "s", "a", "b", "d"]
        self.loops = self.fresh = 0

    def pick(self, *options: Any) -> Any:
        return self.chance.choice(options)

    def program(self) -> str:
        self.line(0, "# the program")
        self.line(0, "@hs.workflow")
        self.line(0, "def main(n: int, xs: list[int], s: str):")
        self.line(1, "a, b = 1, 'two'")
        self.line(1, "d = {'k': 1, 'z': [1, 2, 3]}")
        self.line(1, "acc = []")
        self.block(1, self.chance.randint(2, 6), 0)
        self.line(1, f"return {self.pick('[a, b, acc]', '[a, b, d, acc]', self.value(2))}")
        return HEADER + "\n".join(self.lines) + "\n"

    def line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def block(self, depth: int, count: int, loop: int) -> None:
        for _ in range(count):
            self.statement(depth, loop)

    def statement(self, depth: int, loop: int) -> None:
        simple = [
            self.assign,
            self.assign,
            self.assign,
            self.unpack,
            self.append,
            self.aug,
            self.bare,
            self.race,
            self.wait,
        ]
        nested = [self.branch, self.branch, self.each, self.whilst, self.attempt, self.attempt]
        leaving = [self.leave] if self.chance.random() < 0.4 else []
        options = simple + leaving + (nested if depth < 4 else [])
        self.pick(*options)(depth, loop)

    def assign(self, depth: int, loop: int) -> None:
        target = self.pick("a", "a", "b", "d")
        made = self.number(2) if target == "a" else self.value(2)
        if target == "d":
            made = self.pick(
                f"{{**d, 'k': {self.number(1)}}}", f"{{'k': {self.number(1)}, 'z': []}}"
            )
        self.line(depth, f"{target} = {made}")

    def aug(self, depth: int, loop: int) -> None:
        self.line(depth, f"a {self.pick('+', '-', '*', '//')}= {self.number(1)}")

    def unpack(self, depth: int, loop: int) -> None:
        both = f"{self.number(1)}, {self.value(1)}"
        self.line(depth, f"a, b = {self.pick(both, both, '[n, s]', 'xs')}")

    def append(self, depth: int, loop: int) -> None:
        self.line(depth, f"acc.append({self.value(2)})")

    def bare(self, depth: int, loop: int) -> None:
        self.line(
            depth,
            self.pick(
                "tick(a)",
                "hs.sleep('5s')",
                f"tick({self.value(1)})",
                f"hs.publish('told', {self.value(1)})",
                "pass",
            ),
        )

    def race(self, depth: int, loop: int) -> None:
        """One that cannot fail, and always wins."""
        first, second = f"r{self.new()}", f"r{self.new()}"
        calls = [f"kept({self.value(1)})", f"late({self.value(0)})"]
        won = self.pick(0, 1)
        calls = calls if won == 0 else calls[::-1]
        self.line(depth, f"{first}, {second} = hs.race({calls[0]}, {calls[1]})")
        name = (first, second)[won]
        self.line(depth, f"b = [{first}.done, {second}.done, {name}.result]")

    def wait(self, depth: int, loop: int) -> None:
        other = self.pick("", "stop=hs.on_signal('stop'), ", "paid=hs.on_event('paid'), ")
        name = f"w{self.new()}"
        self.line(depth, f"{name} = hs.wait({other}late=hs.after('2s'))")
        self.line(depth, f"acc.append({name}.name)")

    def branch(self, depth: int, loop: int) -> None:
        self.line(depth, f"if {self.test(2)}:")
        self.block(depth + 1, self.chance.randint(1, 2), loop)
        if self.chance.random() < 0.3:
            self.line(depth, f"elif {self.test(1)}:")
            self.block(depth + 1, 1, loop)
        if self.chance.random() < 0.5:
            self.line(depth, "else:")
            self.block(depth + 1, 1, loop)

    def each(self, depth: int, loop: int) -> None:
        name = f"i{self.new()}"
        kind = self.pick("one", "two", "three")
        if kind == "three":
            self.line(depth, f"for {name}, ({name}v, {name}w) in enumerate(zip(xs, [7, 8])):")
        elif kind == "one":
            self.line(depth, f"for {name} in {self.several()}:")
        else:
            self.line(
                depth, f"for {name}, {name}v in {self.pick('enumerate(xs)', 'zip(xs, [7, 8])')}:"
            )
        self.names.append(name)
        self.block(depth + 1, self.chance.randint(1, 2), loop + 1)
        self.names.remove(name)
        self.orelse(depth, loop)

    def whilst(self, depth: int, loop: int) -> None:
        name = f"k{self.new()}"
        self.line(depth, f"{name} = 0")
        self.line(depth, f"while {name} < 3 {self.pick('', f'and ({self.test(1)})')}:")
        self.line(depth + 1, f"{name} += 1")
        self.block(depth + 1, self.chance.randint(1, 2), loop + 1)
        self.orelse(depth, loop)

    def orelse(self, depth: int, loop: int) -> None:
        if self.chance.random() < 0.25:
            self.line(depth, "else:")
            self.block(depth + 1, 1, loop)

    def attempt(self, depth: int, loop: int) -> None:
        shape = self.pick("except", "finally", "both")
        self.line(depth, "try:")
        self.block(depth + 1, self.chance.randint(1, 2), loop)
        if shape != "finally":
            kinds = self.pick(
                "Exception", "Boom", "Bang", "(Boom, KeyError)", "LookupError", "TypeError",
                "ArithmeticError",
            )  # fmt: skip
            name = self.pick("", f" as e{self.new()}")
            self.line(depth, f"except {kinds}{name}:")
            if name:
                said = name.removeprefix(" as ")
                self.line(
                    depth + 1,
                    f"acc.append({self.pick(f'str({said})', f'f{chr(34)}<{{{said}}}>{chr(34)}')})",
                )
            self.block(depth + 1, 1, loop)
            if self.chance.random() < 0.3:
                self.line(depth + 1, "raise")
            elif self.chance.random() < 0.2:
                self.line(depth, "except Exception:")
                self.block(depth + 1, 1, loop)
            if self.chance.random() < 0.2:
                self.line(depth, "else:")
                self.block(depth + 1, 1, loop)
        if shape != "except":
            self.line(depth, "finally:")
            self.block(depth + 1, 1, 0)

    def leave(self, depth: int, loop: int) -> None:
        options = [
            f"return {self.value(1)}",
            f"raise {self.pick('Boom', 'Bang', 'ValueError', 'KeyError')}('x')",
            "raise Boom(f'v{a}')",
            "hs.fail('Halt', f'at {a}')",
        ]
        options += ["break", "continue"] * 2 if loop else []
        self.line(depth, self.pick(*options))

    def new(self) -> int:
        self.fresh += 1
        return self.fresh

    # -- expressions: of numbers and lists mostly, so that programs get far; of anything at times

    def value(self, depth: int) -> str:
        kind = self.chance.random()
        if kind < 0.55:
            return self.number(depth)
        return self.listed(depth) if kind < 0.75 else self.anything(depth)

    def number(self, depth: int) -> str:
        leaf = ["0", "1", "3", "-2", "2.5", "n", "n", "a", "a", "len(xs)", "d['k']"]
        if depth == 0 or self.chance.random() < 0.15:
            return self.pick(*leaf)
        v, t = (lambda: self.number(depth - 1)), (lambda: self.test(depth - 1))
        x = f"x{self.new()}"
        return self.pick(
            f"double({v()})",
            f"odd({v()})",
            f"summed({self.pick('xs', '[n, 3, 1]')})",
            f"careful({v()})",
            f"({v()} {self.pick('+', '-', '*')} {v()})",
            f"({v()} {self.pick('/', '//', '%')} {self.pick('2', '3', 'n', v())})",
            f"(n ** {self.pick('2', '3', '-1', '0.5')})",
            f"({v()} if {t()} else {v()})",
            f"({v()} {self.pick('and', 'or')} {v()})",
            f"xs[{self.pick('0', '-1', 'n', '1')}]",
            f"{self.pick('max', 'min')}({v()}, {v()})",
            f"sum({x} * {v()} for {x} in xs)",
            f"{self.pick('abs', 'int', 'round', 'float')}({v()})",
            f"d.get('{self.pick('k', 'w')}', {v()})",
            f"-{v()}",
        )

    def listed(self, depth: int) -> str:
        x = f"x{self.new()}"
        v = self.number(max(0, depth - 1))
        return self.pick(
            f"[{v}, n]",
            f"[*{self.several()}, {v}]",
            f"xs[{self.pick('1:', ':-1', '::2', ':n', '::-1')}]",
            f"[{x} for {x} in {self.several()}]",
            f"[double({x}) for {x} in xs if {x} != n]",
            f"[[{x}, y{x}] for {x} in xs for y{x} in range({x}) if y{x}]",
            "hs.map((double(y) for y in xs), concurrency=2)",
            "hs.map((odd(y) for y in xs), concurrency=1)",
            "hs.map((guarded(y, n) for y in xs), concurrency=3)",
            "hs.map((child(y) for y in xs), concurrency=1)",
            "list(hs.parallel(guarded(n, 'p'), double(a), summed(xs)))",
            f"child({v})",
            "list(tuple(xs))",
            "sorted(xs, reverse=True)",
            "list(d.items())",
            "list(hs.parallel(double(n), summed(xs)))",
        )

    def anything(self, depth: int) -> str:
        names = self.pick(*self.names)
        if depth == 0:
            return self.pick("'q'", "True", "None", "[]", names, names)
        v = self.value(depth - 1)
        x = f"x{self.new()}"
        method = self.pick("upper()", "split()", "find('b')", "title()", "replace('a', 'cc')")
        function = self.pick("len", "sum", "min", "sorted", "str", "bool", "any", "all", "repr")
        return self.pick(
            f"tick({v})",
            f"tick({v})",
            f"guarded({v}, {self.value(0)})",
            f"({v} {self.pick('+', '-', '*')} {self.value(0)})",
            f"{{'p': {v}, **d}}",
            f"{{'p': {v}, s: {self.value(0)}}}",
            f"{{str({x}): {x} for {x} in {self.pick('xs', 's', 'range(3)')}}}",
            f"f'{{{names}}}:{{n:03d}}'",
            f"f'{{{names}!r:>5}}'",
            f"d['{self.pick('k', 'z', 'w')}']",
            f"xs[{v}]",
            f"s[{v}]",
            f"s.{method}",
            f"{function}({v})",
            self.test(depth - 1),
        )

    def several(self) -> str:
        return self.pick(
            "xs", "range(3)", "[3, n]", "s", "d", "d.items()", "range(n)", "sorted(xs)"
        )

    def test(self, depth: int) -> str:
        if depth == 0:
            return self.pick("a", "n > 1", "xs", "not b", "s == 'ab'", "a is None", "a > 2", "n")
        v, t = (lambda: self.number(depth - 1)), (lambda: self.test(depth - 1))
        return self.pick(
            f"{v()} {self.pick('==', '!=', '<', '<=', '>', '>=')} {v()}",
            f"{v()} {self.pick('in', 'not in')} {self.pick('xs', '[1, n]', 'range(3)')}",
            f"{t()} and {t()}",
            f"{t()} or {t()}",
            f"not {v()}",
            f"0 < n <= {self.pick('a', '5')}",
            f"tick({v()})",
            f"{self.anything(depth - 1)} == {v()}",
            f"{self.anything(depth - 1)} is not None",
        )


@dataclass(frozen=True)
class Ran:
    """How a program ended, what `tick` was called with, and what was published, in order."""

    end: tuple[Any, ...]
    ticks: list[Any]
    published: list[Any]


class Ended(Exception):
    """A run took too long to be compared."""


def load(text: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """Run a program's text as a module whose source can be found."""
    file = f"<program {next(_NUMBERS)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    with warnings.catch_warnings():  # of comparisons that a person would not write
        warnings.simplefilter("ignore", SyntaxWarning)
        exec(compile(text, file, "exec", dont_inherit=True), namespace)  # noqa: S102  # its own text
    return namespace


def scripted(
    seed: int, log: list[Any], boom: Callable[[], type[Exception]]
) -> Callable[[Any], Any]:
    """What `tick` does: one thing after another, the same for both runs."""
    chance = random.Random(seed)

    def play(label: Any) -> Any:
        log.append(label)
        if len(log) > 200:
            raise Ended
        choice = chance.randrange(8)
        if choice == 0:
            raise boom()(f"tick {len(log)}")
        return [label, len(log), [1, 2], "t", None, 0, True][choice - 1]

    return play


def _copying(function: Callable[..., Any]) -> Callable[..., Any]:
    """A step: what it gets and gives are copies."""
    return lambda *args: as_json(function(*(as_json(each) for each in args)))


class Late:
    """What a call returns that loses a race."""


def stand_in(published: list[Any]) -> SimpleNamespace:
    """heliostat, if its functions were plain Python."""
    return SimpleNamespace(
        step=_copying,
        block=lambda function: (lambda x: Late()) if function.__name__ == "late" else function,
        workflow=lambda function: _copying(function) if function.__name__ == "child" else function,
        map=lambda calls, concurrency: list(calls),
        sleep=lambda duration: None,
        parallel=lambda *results: results,
        race=_raced,
        wait=lambda **alternatives: next(
            SimpleNamespace(name=name) for name, each in alternatives.items() if each == "after"
        ),
        after=lambda duration: "after",
        on_signal=lambda name: "signal",
        on_event=lambda name: "event",
        publish=lambda event, data: published.append(as_json(data)),
        fail=_fail,
    )


def _raced(first: Any, second: Any) -> tuple[Any, Any]:
    """The call that is not late wins."""
    late = isinstance(first, Late)
    results = (None if isinstance(each, Late) else each for each in (first, second))
    done = (not late, late)
    return tuple(  # type: ignore[return-value]
        SimpleNamespace(done=each, result=result)
        for each, result in zip(done, results, strict=True)
    )


def _fail(kind: str, message: str) -> None:
    raise type(kind, (Exception,), {})(message)


def as_json(value: Any) -> Any:
    """The value as it is in a workflow: a tuple is a list."""
    if isinstance(value, tuple | list):
        return [as_json(each) for each in value]
    return {key: as_json(each) for key, each in value.items()} if isinstance(value, dict) else value


def without_child(value: Any) -> Any:
    """The value, its texts without the execution that stands before a child's error."""
    if isinstance(value, str):
        return re.sub(r"execution '[^']*' failed: ", "", value)
    if isinstance(value, list | tuple):
        return type(value)(map(without_child, value))
    if isinstance(value, dict):
        return {key: without_child(each) for key, each in value.items()}
    return value


def as_python(text: str, arguments: dict[str, Any], seed: int) -> Ran:
    """What the program does as plain Python."""
    log: list[Any] = []
    published: list[Any] = []
    space: dict[str, Any] = {"hs": stand_in(published), "__name__": "program"}
    space["SCRIPT"] = scripted(seed, log, lambda: space["Bang"])
    load(text, space)
    try:
        return Ran(("returned", as_json(space["main"](**arguments))), log, published)
    except Ended:
        raise
    except Exception as error:  # noqa: BLE001  # whatever the program raises
        return Ran(("raised", type(error).__name__, str(error)), log, published)


def as_compiled(text: str, arguments: dict[str, Any], seed: int) -> Ran:
    """The same of the compiled program, in the simulator."""
    log: list[Any] = []
    space: dict[str, Any] = {"hs": hs, "__name__": "program"}
    space["SCRIPT"] = scripted(seed, log, lambda: space["Bang"])
    load(text, space)
    functions = {f"program:{name}": space[name].function for name in STEPS}
    result = space["main"].simulate(**arguments, functions=functions)
    published = [data for _, _, data in result.published]
    if result.status == "Completed":
        end: tuple[Any, ...] = ("returned", result.output)
    else:
        assert result.failure is not None, result.story
        end = ("raised", result.failure.type, result.failure.message)
    return Ran(*map(without_child, (end, log, published)))


def constructs(text: str) -> Iterator[str]:
    """The kinds of syntax in a program, and what it calls of heliostat."""
    tree = ast.parse(text.split("# the program\n")[1])
    for node in ast.walk(tree):
        yield type(node).__name__
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "hs":
            yield f"hs.{node.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield f"{node.func.id}()"

"""Draws programs of the compiled subset: functions with all that a workflow may say."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator

from .drawn_values import Values

STEPS = ("tick", "double", "odd", "kept")

HEADER = """
from pydantic import BaseModel


class Form(BaseModel):
    ok: bool
    words: str = "none"


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
def asked(x):
    try:
        return hs.http('PUT', 'http://store', body=x, headers={'a': 'b'}).body
    except hs.PermanentServiceError as error:
        hs.fail('Lost', f'of {x}: {error}')
    finally:
        hs.publish('asked', x)


@hs.block
def patient(x):
    w = hs.wait(paid=hs.on_event('paid', where=hs.event.data.v == x), late=hs.after('3s'))
    return [w.name, hs.now()]


@hs.block
def approved(x):
    try:
        return hs.human('yes', bool, show=x, assignees=['ann'], deadline='1h')
    except hs.DeadlineExceeded:
        return False
    finally:
        hs.signal('e', 'asked', x)


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


class Writer(Values):
    """Writes one program."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(chance)
        self.lines = list[str]()

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
            self.pick(self.human, self.http, self.recorded),
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
                f"hs.signal(f'e-{{n}}', 'go', {self.value(1)})",
                f"hs.undo(double, {self.value(1)})",
                "pass",
            ),
        )

    def race(self, depth: int, loop: int) -> None:
        """Of one call that is done at once, and one that takes an hour; either may fail."""
        first, second = f"r{self.new()}", f"r{self.new()}"
        calls = [f"{self.pick('kept', 'kept', 'odd')}({self.value(1)})", f"late({self.value(0)})"]
        calls = self.pick(calls, calls[::-1])
        self.line(depth, f"{first}, {second} = hs.race({calls[0]}, {calls[1]})")
        self.line(depth, f"b = [{first}.done, {second}.done]")
        self.line(depth, f"acc.append({first}.result if {first}.done else {second}.result)")

    def wait(self, depth: int, loop: int) -> None:
        where = self.pick(
            "hs.event.data.v == a", "hs.event.data.v > 0 and n", "n or hs.event.data.v == 1",
            "hs.event.data.by in ['ann', b]",
        )  # fmt: skip
        others = self.pick(
            [],
            [f"stop=hs.on_signal('stop', where={where})"],
            ["go=hs.on_signal('go')"],
            [f"paid=hs.on_event('paid', where={where})"],
            ["told=hs.on_event('told')"],
            ["paid=hs.on_event('paid')", f"go=hs.on_signal('go', where={where})"],
        )
        name = f"w{self.new()}"
        self.line(
            depth, f"{name} = hs.wait({''.join(f'{each}, ' for each in others)}late=hs.after('2s'))"
        )
        self.line(depth, f"acc.append({self.pick(f'{name}.name', f'[{name}.name, {name}.data]')})")

    def human(self, depth: int, loop: int) -> None:
        """A form as a whole or by its members; an object; a number of them goes unanswered."""
        name = f"h{self.new()}"
        form = self.pick("Form", "Form", "dict")
        task = f"{'ask' if form == 'Form' else 'some'}{self.new()}"
        shown = self.pick("", f"show={self.value(1)}, ")
        self.line(
            depth, f"{name} = hs.human('{task}', {form}, {shown}assignees=['ann'], deadline='2d')"
        )
        members = f"acc.append([{name}.ok, {name}.words])"
        self.line(
            depth, self.pick(f"b = kept({name})", members) if form == "Form" else f"b = {name}"
        )

    def http(self, depth: int, loop: int) -> None:
        name = f"q{self.new()}"
        method, body = self.pick("POST", "GET"), self.value(1)
        url = self.pick("'http://shop'", "f'http://shop/{n}'")
        self.line(
            depth, f"{name} = hs.http('{method}', {url}, body={body}, headers={{'x-n': f'{{n}}'}})"
        )
        self.line(depth, f"acc.append([{name}.status, {name}.body, {name}.headers['x']])")

    def recorded(self, depth: int, loop: int) -> None:
        """Instants and ids are told to steps, compared and kept."""
        if self.chance.random() < 0.5:
            name = f"t{self.new()}"
            self.line(depth, f"{name} = hs.now()")
            uses = (f"tick({name})", f"acc.append([{name}, {name} <= hs.now()])")
        else:
            name = f"u{self.new()}"
            self.line(depth, f"{name} = hs.uuid()")
            uses = (f"tick({name})", f"acc.append([{name}, {name} == hs.uuid(), len({name})])")
        self.line(depth, self.pick(*uses))

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
                "ArithmeticError", "hs.StepError", "hs.ServiceError", "hs.ChildFailed",
                "(hs.ScriptError, hs.TaskFailed)", "hs.DeadlineExceeded",
                "(hs.TooFewItems, hs.TransientServiceError)",
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


def constructs(text: str) -> Iterator[str]:
    """The kinds of syntax in a program, and what it calls of heliostat."""
    tree = ast.parse(text.split("# the program\n")[1])
    for node in ast.walk(tree):
        yield type(node).__name__
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "hs":
            yield f"hs.{node.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield f"{node.func.id}()"

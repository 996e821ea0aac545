"""Draws expressions of the compiled subset, of anything that a program has by then."""

from __future__ import annotations

import random
from typing import Any


class Values:
    """Of numbers and lists mostly, so that programs get far; of anything at times.

    Every draw comes from `chance`, so that hypothesis can shrink a program.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.names = ["n", "xs", "s", "a", "b", "d"]
        self.fresh = 0

    def pick(self, *options: Any) -> Any:
        return self.chance.choice(options)

    def new(self) -> int:
        self.fresh += 1
        return self.fresh

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
            f"hs.map((odd(y) for y in xs), concurrency=1, {self.enough()})",
            f"hs.map((odd(y) for y in [1, 2, *xs]), concurrency=1, {self.enough()})",
            "hs.map((guarded(y, n) for y in xs), concurrency=3)",
            "hs.map((child(y) for y in xs), concurrency=1)",
            f"hs.map((asked(y) for y in xs), concurrency=1{self.pick('', ', ' + self.enough())})",
            "list(hs.parallel(guarded(n, 'p'), double(a), summed(xs)))",
            f"child({v})",
            "list(tuple(xs))",
            "sorted(xs, reverse=True)",
            "list(d.items())",
            "list(hs.parallel(double(n), summed(xs)))",
            f"hs.human('few{self.new()}', list[int], assignees=['ann'], deadline='2d')",
        )

    def enough(self) -> str:
        """When an `hs.map` is over."""
        return self.pick("completion='any'", "completion='all_done'", "at_least=2", "at_least=1")

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
            f"{self.pick('asked', 'patient', 'approved')}({v})",
            f"hs.script('print(1)', input={v})",
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
            f"hs.human('yes{self.new()}', bool, show={v()}, assignees=['ann'], deadline='1h')",
        )

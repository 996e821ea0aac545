"""What to write instead of what is not compiled: the tables that the compiler looks into.

In the cures of methods `{owner}` is what the method is called on, `{given}` its argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

OUTSIDE_WORLD: Final = frozenset(
    {
        "open", "print", "input", "exec", "eval", "compile", "globals", "locals", "vars", "id",
        "hash", "breakpoint", "__import__", "setattr", "delattr",
    }
)  # fmt: skip
"""Built-in functions that reach outside of the workflow."""

OUTSIDE_MODULES: Final[Mapping[str, str]] = {
    "time": "hs.sleep(…) waits, hs.now() is the time",
    "datetime": "hs.now() is the time, recorded",
    "random": "draw in a step, so that the draw is recorded",
    "secrets": "draw in a step, so that the draw is recorded",
    "uuid": "hs.uuid() is recorded",
    "os": "do it in a step",
    "sys": "do it in a step",
    "io": "do it in a step",
    "pathlib": "do it in a step",
    "subprocess": "do it in a step, or hs.script(…)",
    "socket": "do it in a step",
    "requests": "do it in a step, or hs.http(…)",
    "httpx": "do it in a step, or hs.http(…)",
    "urllib": "do it in a step, or hs.http(…)",
    "asyncio": "calling a step waits for it; hs.parallel(…) runs several",
    "threading": "hs.parallel(…) runs several side by side",
    "concurrent": "hs.parallel(…) runs several side by side",
    "logging": "log in a step: a workflow's history is its log",
}
"""Modules whose functions give another result each time, or reach outside."""

BUILT_IN: Final[Mapping[str, str]] = {
    "map": "a list comprehension, [f(x) for x in xs]; hs.map(…) runs steps side by side",
    "filter": "[x for x in xs if …]",
    "set": "a list, or a dict",
    "frozenset": "a list, or a dict",
    "dict": 'write it out: {**other, "key": value}',
    "isinstance": "types are those of the annotations; of errors, an `except` for each class",
    "type": "types are those of the annotations",
    "getattr": "value.name",
    "hasattr": '"name" in value',
    "iter": "a `for` loop",
    "next": "xs[0], or a `for` loop",
    "divmod": "a // b, a % b",
    "pow": "a ** b",
    "super": "do it in a step",
}
"""Of built-in functions that are not compiled."""

METHODS: Final[Mapping[str, str]] = {
    "extend": "{owner} = [*{owner}, *{given}]",
    "insert": "{owner} = [value, *{owner}]",
    "sort": "{owner} = sorted({owner})",
    "reverse": "{owner} = list(reversed({owner}))",
    "pop": "{owner}[-1] is the last, {owner} = {owner}[:-1] takes it off",
    "remove": "{owner} = [x for x in {owner} if x != {given}]",
    "clear": "{owner} = []",
    "copy": "values are copies",
    "update": "{owner} = {{**{owner}, **{given}}}",
    "setdefault": "{owner} = {{key: value, **{owner}}}",
    "format": "an f-string",
    "model_copy": "a new one, with each member: Order(id={owner}.id, …)",
    "model_dump": "a model is data already: {owner}",
}
"""Of methods of lists, dicts and texts that are not compiled."""

_CALLED: Final = "{owner}(…): a call waits for the result"
_MAPPED: Final = "hs.map({owner}(x) for x in xs)"
OF_MARKED: Final[Mapping[str, str]] = {
    "remote": _CALLED, "delay": _CALLED, "submit": _CALLED, "apply_async": _CALLED,
    "run": _CALLED, "start": _CALLED, "execute": _CALLED,
    "map": _MAPPED, "starmap": _MAPPED, "expand": _MAPPED, "partial": _MAPPED,
    "using": "{owner}.using(…)(…): the options, then the arguments",
}  # fmt: skip
"""Of what elsewhere a step is called by."""

OF_CALLS: Final = frozenset({"result", "get", "wait", "done", "value"})
"""Methods of futures: what a call returns is the result."""

EXAMPLES: Final[Mapping[str, str]] = {
    "sleep": 'hs.sleep("5m")',
    "wait": 'hs.wait(paid=hs.on_event("order.paid"), late=hs.after("3d"))',
    "on_event": 'hs.wait(paid=hs.on_event("order.paid"), late=hs.after("3d"))',
    "on_signal": 'hs.wait(stop=hs.on_signal("stop"), late=hs.after("3d"))',
    "after": 'hs.wait(stop=hs.on_signal("stop"), late=hs.after("3d"))',
    "human": 'hs.human("approve", Form, assignees=["ann"])',
    "signal": 'hs.signal(execution, "stop")',
    "publish": 'hs.publish("order.paid", data)',
    "map": "hs.map(pack(line) for line in order.lines)",
    "parallel": "hs.parallel(pack(x), weigh(y)); hs.map(…) for each element of a list",
    "race": "hs.race(pack(x), weigh(y))",
    "script": 'hs.script("print(1)")',
    "http": 'hs.http("GET", url)',
    "fail": 'hs.fail("Rejected", "why")',
    "undo": "the step, then its arguments: hs.undo(refund, receipt)",
}
"""How heliostat's own functions are called."""


def meant(name: str, known: Iterable[str]) -> str | None:
    """Which of the known names was meant, as a question."""
    close = get_close_matches(name, [*known], n=1)
    return f"did you mean `{close[0]}`?" if close else None

"""Random edits of random definitions; the checks of authoring have the last word on them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from tests.simulation.choices import Choices

Tree = dict[str, Any]


def edited(choices: Choices, tree: Tree, *, version: str) -> Tree:
    """Another version of a definition: one to three edits of it."""
    after = copy.deepcopy(tree)
    after["version"] = version
    for _ in range(choices.integer(1, 3)):
        choices.pick(EDITS)(choices, after)
    return after


def _scopes(tree: Tree) -> Iterator[Tree]:
    yield tree
    for step in tree["steps"]:
        for inner in [step, *step.get("branches", [])]:
            if "steps" in inner:
                yield from _scopes(inner)


def _scope(choices: Choices, tree: Tree) -> Tree:
    return choices.pick([*_scopes(tree)])


def _steps(tree: Tree) -> list[Tree]:
    return [step for scope in _scopes(tree) for step in scope["steps"]]


def _fresh(tree: Tree) -> str:
    """An id that no step has."""
    taken = {step["id"] for step in _steps(tree)}
    return next(id for number in range(1_000) if (id := f"new{number}") not in taken)


def _is_dag(scope: Tree) -> bool:
    return any("needs" in step for step in scope["steps"])


def add(choices: Choices, tree: Tree) -> None:
    """A step more: with needs, or on the way from another one."""
    scope = _scope(choices, tree)
    step: Tree = {"id": _fresh(tree), "type": "activity", "activity": "m:f"}
    if choices.chance(40):
        step = {"id": step["id"], "type": "decision", "output": 7}
    if _is_dag(scope):
        place = choices.integer(0, len(scope["steps"]))
        step["needs"] = [each["id"] for each in scope["steps"][:place] if choices.chance(40)]
        scope["steps"].insert(place, step)
        for later in scope["steps"][place + 1 :]:
            if choices.chance(40):
                later["needs"] = [*later["needs"], step["id"]]
        return
    before = choices.pick(scope["steps"])
    if isinstance(before.get("next"), str):
        step["next"] = before["next"]
    before["next"] = step["id"]
    scope["steps"].append(step)


def remove(choices: Choices, tree: Tree) -> None:
    """A step less; ways to it lead where its own led."""
    scope = _scope(choices, tree)
    gone = choices.pick(scope["steps"])
    if len(scope["steps"]) == 1:
        return
    scope["steps"].remove(gone)
    on = gone.get("next") if isinstance(gone.get("next"), str) else "end"
    for step in scope["steps"]:
        if "needs" in step:
            step["needs"] = [need for need in step["needs"] if need != gone["id"]]
        if step.get("next") == gone["id"]:
            step["next"] = on
        for clause in step["next"] if isinstance(step.get("next"), list) else ():
            if clause["to"] == gone["id"]:
                clause["to"] = on
        for clause in step.get("on_error", ()):
            if clause.get("next") == gone["id"]:
                clause["next"] = on
    if scope.get("start") == gone["id"]:
        del scope["start"]


def rename(choices: Choices, tree: Tree) -> None:
    """A step of another name: one goes, one comes."""
    scope = _scope(choices, tree)
    step = choices.pick(scope["steps"])
    old, new = step["id"], _fresh(tree)
    step["id"] = new
    for each in scope["steps"]:
        if "needs" in each:
            each["needs"] = [new if need == old else need for need in each["needs"]]
        if each.get("next") == old:
            each["next"] = new
        for clause in each["next"] if isinstance(each.get("next"), list) else ():
            clause["to"] = new if clause["to"] == old else clause["to"]
        for clause in each.get("on_error", ()):
            if clause.get("next") == old:
                clause["next"] = new
    if scope.get("start") == old:
        scope["start"] = new


def change(choices: Choices, tree: Tree) -> None:
    """A step that says something else."""
    step = choices.pick(_steps(tree))
    fields: list[tuple[str, Any]] = [
        ("retry", {"max_attempts": 3, "initial": "1s"}),
        ("timeout", "9s"),
        ("on_error", [{"output": 3}]),
        ("assign", {"log": {"append": "changed"}}),
        ("output", 4),
        ("concurrency", 2),
        ("completion", choices.pick(("all", "any", "all_done", {"at_least": 1}))),
        ("join", choices.pick(("all", "any", "all_done", {"at_least": 1}))),
        ("uses", {"one": 1}),
        ("when", "$.input.f0"),
        ("deadline", "30s"),
        ("any", [{"signal": "s0"}]),
    ]
    name, value = choices.pick(fields)
    step[name] = value


def forget(choices: Choices, tree: Tree) -> None:
    """A field less."""
    step = choices.pick(_steps(tree))
    needed = {"id", "type", "steps", "branches", "activity", "needs", "next"}
    optional = sorted(step.keys() - needed)
    if optional:
        del step[choices.pick(optional)]


def declare(choices: Choices, tree: Tree) -> None:
    """A variable more."""
    scope = _scope(choices, tree)
    scope.setdefault("vars", {})[f"more{choices.integer(0, 9)}"] = choices.pick((1, "$.input.n"))


def turn_around(choices: Choices, tree: Tree) -> None:
    """The steps of a scope in another order."""
    scope = _scope(choices, tree)
    if not _is_dag(scope):
        scope.setdefault("start", scope["steps"][0]["id"])
    scope["steps"].reverse()


EDITS: tuple[Callable[[Choices, Tree], None], ...] = (
    add,
    add,
    remove,
    rename,
    change,
    change,
    forget,
    declare,
    turn_around,
)

"""Random valid definitions over all constructs that the kernel runs.

State machines are built of nested blocks (a step, a sequence, a choice, a fork with a join, a
loop), so that most of what comes out is valid; DAGs by drawing needs. The checks of authoring have
the last word: what they refuse is not used.
"""

from __future__ import annotations

import json
from typing import Any

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.errors import DefinitionError
from tests.simulation.choices import Choices

FLAGS = 6
"""Conditions read these flags of the input: `$.input.f0` …"""

ERRORS = ("A", "B", "C")


class Limits:
    """What a random definition may use."""

    def __init__(self, *, deterministic: bool = False) -> None:
        self.deterministic = deterministic
        """Only constructs whose result does not depend on the order in which things happen."""


def random_definition(choices: Choices, limits: Limits | None = None) -> dict[str, Any]:
    """A definition as a tree; valid, or refused by `parsed`."""
    builder = _Builder(choices, limits or Limits())
    return builder.dag() if choices.chance(50) else builder.machine()


def random_input(choices: Choices) -> dict[str, Any]:
    """An input that the conditions of random definitions can read."""
    flags = {f"f{index}": choices.chance(50) for index in range(FLAGS)}
    return {**flags, "n": choices.integer(0, 3), "text": "x" * choices.pick((10, 2_000))}


def parsed(tree: dict[str, Any]) -> Definition | None:
    """The definition, or None if the checks refuse it."""
    try:
        return parse_definition(json.dumps(tree), "random.json")
    except DefinitionError:
        return None


class _Builder:
    def __init__(self, choices: Choices, limits: Limits) -> None:
        self._choices, self._limits = choices, limits
        self._steps: list[dict[str, Any]] = []
        self._count = 0
        self._vars: dict[str, Any] = {"count": 0, "log": []}
        self._left = choices.integer(1, 12)

    # -- DAGs

    def dag(self) -> dict[str, Any]:
        choices = self._choices
        for index in range(choices.integer(2, 8)):
            earlier = [step["id"] for step in self._steps]
            step = self._step(dag=True)
            step["needs"] = [id for id in earlier if choices.chance(40)]
            if len(step["needs"]) > 1 and choices.chance(50):
                step["join"] = self._dag_join(len(step["needs"]))
            elif len(step["needs"]) == 1 and choices.chance(30):
                step["join"] = choices.pick(("all", "all_done"))
            if step["needs"] and choices.chance(40):
                need = choices.pick(step["needs"])
                read = (f"$.steps.{need}.output", f"${{ $.steps.{need}.output default null }}")
                self._give_input(step, choices.pick(read))
            if index and not self._limits.deterministic and choices.chance(4):
                step["end"] = "terminate"
            self._steps.append(step)
        return self._whole(recoveries=False)

    def _dag_join(self, needs: int) -> Any:
        if self._limits.deterministic:
            return self._choices.pick(("all", "all_done"))
        count = self._choices.integer(1, needs)
        return self._choices.pick(("all", "any", "all_done", {"at_least": count}))

    # -- state machines

    def machine(self) -> dict[str, Any]:
        first = self._block("end", depth=0)
        self._read_earlier()
        tree = self._whole(recoveries=True)
        if first != self._steps[0]["id"] or self._choices.chance(20):
            tree["start"] = first
        return tree

    def _read_earlier(self) -> None:
        """Let activities read what steps on the way to them have returned."""
        following = {
            step["id"]: {
                clause.get("to", clause.get("next"))
                for clause in [*_clauses(step.get("next", [])), *step.get("on_error", [])]
            }
            for step in self._steps
        }
        for step in self._steps:
            if step["type"] != "activity" or not self._choices.chance(30):
                continue
            earlier = [id for id in following if step["id"] in _reached(id, following)]
            if earlier:
                self._give_input(step, f"$.steps.{self._choices.pick(earlier)}.output")

    def _block(self, after: str, depth: int) -> str:
        """Add a block that leads on to `after`; the id of its first step."""
        kinds = ["step", "step"]
        if depth < 4 and self._left > 1:
            kinds += ["sequence", "sequence", "choice", "fork", "fork", "loop"]
            if self._limits.deterministic:
                kinds = [kind for kind in kinds if kind != "fork"]
        kind = self._choices.pick(kinds)
        return str(getattr(self, f"_{kind}_block")(after, depth + 1))

    def _step_block(self, after: str, depth: int) -> str:
        choices = self._choices
        step = self._step(dag=False)
        self._steps.append(step)
        if choices.chance(5) and not self._limits.deterministic:
            step["end"] = "terminate"
        elif after != "end" or choices.chance(30):
            step["next"] = after
        if choices.chance(20):
            target = after if choices.chance(60) or self._left < 1 else self._block(after, depth)
            step["on_error"] = [*step.get("on_error", []), {"next": target}]
            if choices.chance(30):
                step["on_error"][-1]["error"] = choices.pick(ERRORS)
        return str(step["id"])

    def _sequence_block(self, after: str, depth: int) -> str:
        for _ in range(self._choices.integer(1, 2)):
            after = self._block(after, depth)
        return self._block(after, depth)

    def _choice_block(self, after: str, depth: int) -> str:
        step = self._decision()
        targets = [self._block(after, depth) for _ in range(self._choices.integer(1, 2))]
        step["next"] = [{"when": self._flag(), "to": target} for target in targets]
        if self._choices.chance(85):
            step["next"].append({"to": after})
        self._steps.append(step)
        return str(step["id"])

    def _fork_block(self, after: str, depth: int) -> str:
        choices = self._choices
        width = choices.integer(2, 3)
        kind = choices.pick(("all", "all", "at_least", "any", "apart"))
        if kind != "apart":
            join = self._decision()
            rule: Any = {"at_least": choices.integer(1, width)} if kind == "at_least" else kind
            join.update({"join": rule})
            if after != "end":
                join["next"] = after
            self._steps.append(join)
            after = str(join["id"])
        else:
            after = "end"
        fork = self._decision()
        targets = [self._block(after, depth) for _ in range(width)]
        fork.update({"split": "all", "next": [{"to": target} for target in targets]})
        if kind in ("at_least", "any", "apart") and choices.chance(40):
            for clause in fork["next"][: choices.integer(1, width)]:
                clause["when"] = self._flag()
        self._steps.append(fork)
        return str(fork["id"])

    def _loop_block(self, after: str, depth: int) -> str:
        name = f"i{len(self._vars)}"
        self._vars[name] = 0
        turn = self._decision()
        body = self._block(turn["id"], depth)
        turn["assign"] = {name: f"${{ $.vars.{name} + 1 }}"}
        times = self._choices.integer(1, 3)
        again: dict[str, Any] = {"when": f"$.vars.{name} < {times}", "to": body}
        turn["next"] = [again, {"to": after}]
        self._steps.append(turn)
        return body

    # -- steps

    def _new_id(self) -> str:
        self._left -= 1
        self._count += 1
        return f"s{self._count}"

    def _decision(self) -> dict[str, Any]:
        return {"id": self._new_id(), "type": "decision", "output": self._choices.integer(0, 9)}

    def _step(self, *, dag: bool) -> dict[str, Any]:
        choices, limits = self._choices, self._limits
        kind = choices.pick(("activity", "activity", "activity", "decision", "timer"))
        step: dict[str, Any] = {"id": self._new_id(), "type": kind}
        if kind == "activity":
            self._activity(step)
        elif kind == "timer":
            step["duration"] = choices.pick(("0s", "1s", "30s", "2h"))
        elif choices.chance(8):
            step["fail"] = {"type": choices.pick(ERRORS), "message": "on purpose"}
        else:
            step["output"] = choices.pick((1, None, "$.input.n", "$.input.text", {"k": [1, 2]}))
        if choices.chance(15):
            step["when"] = self._flag()
        if choices.chance(25):
            self._foreach(step)
        if choices.chance(10) and not limits.deterministic:
            step["deadline"] = choices.pick(("1s", "5s", "1h"))
        if choices.chance(15):
            step["on_error"] = [self._clause()]
        if "fail" not in step and not (dag and limits.deterministic):
            if choices.chance(15):
                step["assign"] = {"count": "${ $.vars.count + 1 }"}
            if choices.chance(20):
                step.setdefault("assign", {})["log"] = {"append": step["id"]}
        return step

    def _activity(self, step: dict[str, Any]) -> None:
        choices, limits = self._choices, self._limits
        step["activity"] = "m:f"
        if choices.chance(50):
            options = ("$.input.text", "$.input.n", "${ $.input.n + 1 }", "$.vars.log")
            value = choices.pick(options[:3] if limits.deterministic else options)
            self._give_input(step, value)
        if choices.chance(35):
            step["retry"] = {
                "max_attempts": choices.integer(2, 3),
                "jitter": choices.chance(50),
                "initial": choices.pick(("0s", "1s", "10s")),
            }
            if choices.chance(20):
                step["retry"][choices.pick(("on", "never_on"))] = [choices.pick(ERRORS)]
        if choices.chance(20):
            step["timeout"] = choices.pick(("20ms", "2s"))
        if choices.chance(30):
            step["grace"] = choices.pick(("0s", "1s"))
        if choices.chance(8) and not limits.deterministic:
            step["effects"] = "at_most_once"

    def _give_input(self, step: dict[str, Any], value: Any) -> None:
        if step["type"] == "activity":
            step["input"] = {**step.get("input", {}), f"x{len(step.get('input', {}))}": value}

    def _foreach(self, step: dict[str, Any]) -> None:
        choices = self._choices
        lists = ("range(0, $.input.n)", "[]", "[1, 2, 3, 4]", "range(0, 7)", "[$.input.text, 2]")
        step["foreach"] = choices.pick(lists)
        if choices.chance(10):
            step["foreach"] = "$.input.n"  # no list: an ExpressionError
        rules: tuple[Any, ...] = ("all", "all_done", "any", {"at_least": choices.integer(1, 4)})
        rule = choices.pick(rules[:2] if self._limits.deterministic else rules)
        if rule != "all" or choices.chance(50):
            step["completion"] = rule
        if choices.chance(60):
            step["concurrency"] = choices.integer(1, 3)
        if choices.chance(30):
            step["as"] = "one"
        if step["type"] == "activity":
            self._give_input(step, "$.vars.one" if "as" in step else "$.item")
        elif step["type"] == "decision" and "fail" not in step:
            step["output"] = choices.pick(("$.item", "$.index"))

    def _clause(self) -> dict[str, Any]:
        choices = self._choices
        clause: dict[str, Any] = {}
        if choices.chance(50):
            clause["error"] = choices.pick((*ERRORS, "Timeout", "DeadlineExceeded", "RunnerLost"))
        if choices.chance(15):
            clause["when"] = self._flag()
        if choices.chance(60):
            clause["output"] = choices.pick((None, 5, "$.error.type"))
        else:
            clause["fail"] = {"type": choices.pick(ERRORS), "message": "was ${ $.error.type }"}
        return clause

    def _flag(self) -> str:
        return f"$.input.f{self._choices.integer(0, FLAGS - 1)}"

    def _whole(self, *, recoveries: bool) -> dict[str, Any]:
        choices = self._choices
        tree: dict[str, Any] = {
            "id": "random",
            "version": "1",
            "vars": self._vars,
            "steps": self._steps,
        }
        if choices.chance(30):
            tree["output"] = {"count": "$.vars.count", "log": "$.vars.log"}
        if choices.chance(12) and not self._limits.deterministic:
            tree["deadline"] = choices.pick(("3s", "1h"))
        if choices.chance(25):
            clause: dict[str, Any] = {}
            if choices.chance(30):
                clause["error"] = choices.pick((*ERRORS, "Stuck", "DeadlineExceeded"))
            kinds = ["output", "fail"] + ["next", "next"] * recoveries
            match choices.pick(kinds):
                case "output":
                    clause["output"] = "$.error.type"
                case "fail":
                    clause["fail"] = {"type": "Other", "message": "${ $.error.type }"}
                case _:
                    plain = [s["id"] for s in self._steps if s.get("join") in (None, "any")]
                    if plain:
                        clause["next"] = choices.pick(plain)
                    else:
                        clause["output"] = None
            tree["on_error"] = [clause]
        return tree


def _clauses(ways: Any) -> list[dict[str, Any]]:
    return [{"to": ways}] if isinstance(ways, str) else ways


def _reached(start: str, following: dict[str, set[Any]]) -> set[Any]:
    reached: set[Any] = set()
    waiting = list(following[start])
    while waiting:
        id = waiting.pop()
        if id not in reached:
            reached.add(id)
            waiting.extend(following.get(id, ()))
    return reached

"""Random valid definitions over all constructs that the kernel runs.

State machines are built of nested blocks (a step, a sequence, a choice, a fork with a join, a
loop), so that most of what comes out is valid; DAGs by drawing needs; bodies and branches are
scopes within. The checks of authoring have the last word: what they refuse is not used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from heliostat.engine.authoring.checks import check_definition
from heliostat.engine.authoring.diagnostics import Findings
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.shape import shaped
from tests.simulation.choices import Choices

FLAGS = 6
"""Conditions read these flags of the input: `$.input.f0` …"""

ERRORS = ("A", "B", "C")
SIGNALS = ("s0", "s1")
EVENTS = ("e0", "e1")
CHILD = "child"
DEPTH_MAX = 2
"""Of scopes within scopes."""


class Limits:
    """What a random definition may use."""

    def __init__(self, *, timed: bool = False, without: frozenset[str] = frozenset()) -> None:
        self.timed = timed
        """Only what the reference interpreter knows, with instants that seldom coincide."""
        self.without = without | (UNTOLD if timed else frozenset())


UNTOLD = frozenset(("handlers", "person", "jitter", "detached"))
"""What the reference interpreter does not know."""


def random_definition(choices: Choices, limits: Limits | None = None) -> dict[str, Any]:
    """A definition as a tree; valid, or refused by `parsed`."""
    return _Builder(choices, limits or Limits()).definition()


def random_input(choices: Choices) -> dict[str, Any]:
    """An input that the conditions of random definitions can read."""
    flags = {f"f{index}": choices.chance(50) for index in range(FLAGS)}
    return {**flags, "n": choices.integer(0, 3), "text": "x" * choices.pick((10, 2_000))}


def parsed(tree: dict[str, Any]) -> Definition | None:
    """The definition, or None if the checks refuse it.

    As `parse_definition` of its text, from the tree on: to read texts, with the place of every
    value, takes five times as long as all that follows.
    """
    copy = json.loads(json.dumps(tree))  # so that nobody changes the definition by its tree
    findings = Findings("random.json", copy)
    definition, lost = shaped(copy, findings)
    if definition is not None:
        check_definition(definition, findings, lost=lost)
    return None if findings else definition


def steps_of(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All steps of a definition, those of inner scopes too."""
    for step in tree["steps"]:
        yield step
        for inner in [step, *step.get("branches", [])]:
            if "steps" in inner:
                yield from steps_of(inner)


class _Builder:
    def __init__(self, choices: Choices, limits: Limits) -> None:
        self._choices, self._limits = choices, limits
        self._count = 0
        self._left = choices.integer(1, 14)
        self._depth = self._holding = 0
        # of the scope that is being built
        self._steps: list[dict[str, Any]] = []
        self._vars: dict[str, Any] = {}
        self._uses_semaphores = self._uses_people = False

    def _has(self, construct: str, percent: int) -> bool:
        return construct not in self._limits.without and self._choices.chance(percent)

    def definition(self) -> dict[str, Any]:
        tree = {"id": "random", "version": "1", **self._scope({"count": 0, "log": []})}
        machine = not any("needs" in step for step in tree["steps"])
        choices = self._choices
        if choices.chance(30):
            tree["output"] = {"count": "$.vars.count", "log": "$.vars.log"}
        if self._has("deadline", 12):
            tree["deadline"] = self._duration(3_000, 40_000)
        if self._has("on_error", 25):
            tree["on_error"] = [self._last_clause(tree["steps"], recoveries=machine)]
        if self._uses_semaphores:
            tree["semaphores"] = {"one": 1, "two": choices.integer(2, 3)}
        if self._uses_people:
            tree["intervention_points"] = [
                {
                    "id": "desk",
                    "assignees": ["ann"],
                    "deadline": "1h",
                    "escalate": [{"after": "1m", "assignees": ["boss"]}],
                }
            ]
        if self._has("handlers", 30):
            tree["handlers"] = self._handlers(tree["steps"], machine=machine)
        return tree

    def _scope(self, variables: dict[str, Any]) -> dict[str, Any]:
        """A scope's fields, in either notation."""
        outer = self._steps, self._vars
        self._steps, self._vars = [], variables
        self._depth += 1
        tree: dict[str, Any] = {"vars": self._vars}
        if self._has("dag", 50):
            self._dag()
        else:
            first = self._block("end", depth=0)
            self._read_earlier()
            if first != self._steps[0]["id"] or self._choices.chance(20):
                tree["start"] = first
        self._cancels()
        tree["steps"] = self._steps
        self._depth -= 1
        self._steps, self._vars = outer
        return tree

    # -- DAGs

    def _dag(self) -> None:
        choices = self._choices
        for index in range(choices.integer(2, 8 if self._depth == 1 else 3)):
            earlier = [step["id"] for step in self._steps]
            step = self._step()
            step["needs"] = [id for id in earlier if choices.chance(40)]
            if len(step["needs"]) > 1 and choices.chance(60):
                count = choices.integer(1, len(step["needs"]))
                step["join"] = choices.pick(("all", "any", "all_done", {"at_least": count}))
            elif len(step["needs"]) == 1 and choices.chance(30):
                step["join"] = choices.pick(("all", "all_done"))
            if step["needs"] and choices.chance(40):
                need = choices.pick(step["needs"])
                read = (f"$.steps.{need}.output", f"${{ $.steps.{need}.output default null }}")
                self._give_input(step, choices.pick(read))
            if index and self._has("terminate", 4):
                step["end"] = "terminate"
            self._steps.append(step)

    # -- state machines

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
            if step.get("type") != "activity" or not self._choices.chance(30):
                continue
            earlier = [id for id in following if step["id"] in _reached(id, following)]
            if earlier:
                self._give_input(step, f"$.steps.{self._choices.pick(earlier)}.output")

    def _block(self, after: str, depth: int) -> str:
        """Add a block that leads on to `after`; the id of its first step."""
        kinds = ["step", "step"]
        if depth < 4 and self._left > 1:
            kinds += ["sequence", "sequence", "choice", "fork", "fork", "loop"]
        kind = self._choices.pick(kinds)
        return str(getattr(self, f"_{kind}_block")(after, depth + 1))

    def _step_block(self, after: str, depth: int) -> str:
        choices = self._choices
        step = self._step()
        self._steps.append(step)
        if self._has("terminate", 5):
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
        name = f"i{self._depth}{len(self._vars)}"
        self._vars[name] = 0
        turn = self._decision()
        body = self._block(turn["id"], depth)
        turn["assign"] = {name: f"${{ $.vars.{name} + 1 }}"}
        times = self._choices.integer(1, 3)
        again: dict[str, Any] = {"when": f"$.vars.{name} < {times}", "to": body}
        turn["next"] = [again, {"to": after}]
        self._steps.append(turn)
        return body

    def _cancels(self) -> None:
        """Let a step, now and then, cancel others of its scope."""
        choices = self._choices
        if len(self._steps) < 3 or not self._has("cancels", 25):
            return
        by = choices.pick(self._steps)
        others = [step["id"] for step in self._steps if step is not by and choices.chance(40)]
        if others:
            by["cancels"] = others

    # -- steps

    def _decision_step(self, step: dict[str, Any]) -> None:
        choices = self._choices
        if choices.chance(8):
            step["fail"] = {"type": choices.pick(ERRORS), "message": "on purpose"}
        else:
            step["output"] = choices.pick((1, None, "$.input.n", "$.input.text", {"k": [1, 2]}))

    def _new_id(self) -> str:
        self._left -= 1
        self._count += 1
        return f"s{self._count}"

    def _decision(self) -> dict[str, Any]:
        return {"id": self._new_id(), "type": "decision", "output": self._choices.integer(0, 9)}

    def _duration(self, low: int, high: int) -> str:
        choices = self._choices
        if self._limits.timed:
            return f"{choices.integer(low, high)}ms"
        return choices.pick((f"{low}ms", "1s", "5s", f"{high}ms"))

    def _step(self) -> dict[str, Any]:
        choices = self._choices
        kinds = ["activity"] * 4 + ["decision", "timer", "script", "service_call"]
        kinds += [
            kind for kind in ("wait", "human", "sub_workflow") if kind not in self._limits.without
        ]
        if self._depth <= DEPTH_MAX and self._left > 0:
            inner = ("body", "body", "parallel")
            kinds += [kind for kind in inner if kind not in self._limits.without]
        kind = choices.pick(kinds)
        step: dict[str, Any] = {"id": self._new_id()}
        retried = ("activity", "script", "service_call", "sub_workflow", "body", "parallel")
        if kind in retried and not self._holding and self._has("uses", 15):
            self._uses_semaphores = True
            step["uses"] = choices.pick(({"one": 1}, {"two": 1}, {"two": 2}))
        self._holding += "uses" in step  # what is inside may not wait for what it holds
        if kind != "body":
            step["type"] = kind
        fill = self._decision_step if kind == "decision" else getattr(self, f"_{kind}")
        fill(step)
        self._holding -= "uses" in step
        if self._has("when", 12):
            step["when"] = self._flag()
        if kind != "parallel" and self._has("foreach", 22):
            self._foreach(step)
        if self._has("deadline", 10):
            step["deadline"] = self._duration(500, 9_000)
        if self._has("on_error", 18):
            step["on_error"] = [self._clause()]
        if kind in retried and self._has("retry", 30):
            step["retry"] = self._retry()
        if kind in ("activity", "script", "service_call", "sub_workflow") and choices.chance(30):
            step["grace"] = choices.pick(("0s", "1s"))
        if "fail" not in step:
            if self._depth == 1 and self._has("assign", 15):
                step["assign"] = {"count": "${ $.vars.count + 1 }"}
            if self._has("assign", 20):
                step.setdefault("assign", {})["log"] = {"append": step["id"]}
            if self._has("publish", 12):
                data = {"n": choices.integer(0, 4)}
                step["publish"] = [{"event": choices.pick(EVENTS), "data": data}]
            if kind != "wait" and self._has("signal", 8):
                to = "${ $.execution.id }" if choices.chance(70) else "nobody"
                name = choices.pick(SIGNALS)
                step["signal"] = [{"execution": to, "name": name, "data": {"n": 3}}]
        return step

    def _retry(self) -> dict[str, Any]:
        choices = self._choices
        retry: dict[str, Any] = {
            "max_attempts": choices.integer(2, 3),
            "jitter": self._has("jitter", 50),
            "initial": self._duration(0, 3_000),
        }
        if choices.chance(20):
            retry[choices.pick(("on", "never_on"))] = [choices.pick(ERRORS)]
        return retry

    def _activity(self, step: dict[str, Any]) -> None:
        choices = self._choices
        step["activity"] = "m:f"
        if choices.chance(40):
            options = ("$.input.text", "$.input.n", "${ $.input.n + 1 }", "${ $.vars.log }")
            self._give_input(step, choices.pick(options))
        self._bounded(step)

    def _script(self, step: dict[str, Any]) -> None:
        step.update({"language": "shell", "source": "echo 1", "input": {"n": "$.input.n"}})
        self._bounded(step)

    def _service_call(self, step: dict[str, Any]) -> None:
        step.update({"url": "http://host/${ $.input.n }", "method": "POST", "body": [1]})
        self._bounded(step)

    def _bounded(self, step: dict[str, Any]) -> None:
        if self._has("timeout", 20):
            step["timeout"] = self._duration(20, 4_000)
        if self._has("at_most_once", 8):
            step["effects"] = "at_most_once"

    def _timer(self, step: dict[str, Any]) -> None:
        step["duration"] = self._duration(0, 6_000)

    def _wait(self, step: dict[str, Any]) -> None:
        choices = self._choices
        ways: list[dict[str, Any]] = [{"timer": self._duration(100, 20_000)}]
        if choices.chance(80):
            ways.append({"signal": choices.pick(SIGNALS)})
        if choices.chance(60):
            ways.append({"event": choices.pick(EVENTS)})
        for way in ways[1:]:
            if choices.chance(30):
                way["where"] = "$.event.data.n > 1"
        step["any"] = ways

    def _human(self, step: dict[str, Any]) -> None:
        choices = self._choices
        step.update({"assignees": ["ann"], "input": {"n": "$.input.n"}})
        if self._has("person", 40):
            step["intervention_point"] = "desk"
            self._uses_people = True
        if choices.chance(30):
            step["candidates"] = ["group:all"]
        step["deadline"] = self._duration(1_000, 30_000)

    def _sub_workflow(self, step: dict[str, Any]) -> None:
        step.update({"workflow": CHILD, "input": {"n": "$.input.n"}})
        if self._has("detached", 15):
            step["detached"] = True

    def _body(self, step: dict[str, Any]) -> None:
        step.update(self._scope({f"v{self._count}": 0}))
        if self._choices.chance(20):
            step["output"] = {"n": f"$.vars.{next(iter(step['vars']))}"}

    def _parallel(self, step: dict[str, Any]) -> None:
        choices = self._choices
        width = choices.integer(2, 3)
        step["branches"] = [{"name": f"b{n}", **self._scope({})} for n in range(width)]
        step["completion"] = choices.pick(
            ("all", "any", "all_done", {"at_least": choices.integer(1, width)})
        )

    def _give_input(self, step: dict[str, Any], value: Any) -> None:
        if step.get("type") == "activity":
            step["input"] = {**step.get("input", {}), f"x{len(step.get('input', {}))}": value}

    def _foreach(self, step: dict[str, Any]) -> None:
        choices = self._choices
        lists = ("range(0, $.input.n)", "[]", "[1, 2, 3, 4]", "range(0, 7)", "[$.input.text, 2]")
        step["foreach"] = choices.pick(lists if "steps" not in step else (*lists[:2], "[1, 2]"))
        if choices.chance(10):
            step["foreach"] = "$.input.n"  # no list: an ExpressionError
        rules: tuple[Any, ...] = ("all", "all_done", "any", {"at_least": choices.integer(1, 4)})
        rule = choices.pick(rules)
        if rule != "all" or choices.chance(50):
            step["completion"] = rule
        if choices.chance(60):
            step["concurrency"] = choices.integer(1, 3)
        if choices.chance(30):
            step["as"] = f"one{self._count}"
        if step.get("type") == "activity":
            self._give_input(step, f"$.vars.{step['as']}" if "as" in step else "$.item")
        elif step.get("type") == "decision" and "fail" not in step:
            step["output"] = choices.pick(("$.item", "$.index"))

    def _clause(self) -> dict[str, Any]:
        choices = self._choices
        clause: dict[str, Any] = {}
        if choices.chance(50):
            clause["error"] = choices.pick((*ERRORS, "Timeout", "DeadlineExceeded", "RunnerLost"))
        if choices.chance(15):
            clause["when"] = self._flag()
        if self._has("person", 15):
            self._uses_people = True
            clause["human"] = "desk"
        elif choices.chance(60):
            clause["output"] = choices.pick((None, 5, "$.error.type"))
        else:
            clause["fail"] = {"type": choices.pick(ERRORS), "message": "was ${ $.error.type }"}
        return clause

    def _last_clause(self, steps: list[dict[str, Any]], *, recoveries: bool) -> dict[str, Any]:
        choices = self._choices
        clause: dict[str, Any] = {}
        if choices.chance(30):
            clause["error"] = choices.pick((*ERRORS, "Stuck", "DeadlineExceeded"))
        match choices.pick(["output", "fail"] + ["next", "next"] * recoveries):
            case "output":
                clause["output"] = "$.error.type"
            case "fail":
                clause["fail"] = {"type": "Other", "message": "${ $.error.type }"}
            case _:
                plain = [step["id"] for step in steps if step.get("join") in (None, "any")]
                if plain:
                    clause["next"] = choices.pick(plain)
                else:
                    clause["output"] = None
        return clause

    def _handlers(self, steps: list[dict[str, Any]], *, machine: bool) -> list[dict[str, Any]]:
        choices = self._choices
        actions: list[dict[str, Any]] = [
            {"signal": {"execution": "${ $.execution.id }", "name": "s0", "data": {"n": 2}}},
            {"custom": {"activity": "m:f", "input": {"x": "$.event.data"}}},
            {"start": {"workflow": CHILD, "id": "side", "input": 1}},
            {"pause": {}},
            {"resume": {}},
            {"cancel": {"execution": "nobody"}},
        ]
        plain = [step["id"] for step in steps if step.get("join") in (None, "any")]
        if machine and plain:
            actions += [{"trigger": {"step": choices.pick(plain)}}] * 2
        handler: dict[str, Any] = {"event": "h0", "actions": [choices.pick(actions)]}
        if choices.chance(50):
            handler["actions"].append(choices.pick(actions))
        if choices.chance(30):
            handler["where"] = "$.event.data.n > 1"
        resume = {"event": "h1", "actions": [{"resume": {}}]}
        return [handler, resume]

    def _flag(self) -> str:
        return f"$.input.f{self._choices.integer(0, FLAGS - 1)}"


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

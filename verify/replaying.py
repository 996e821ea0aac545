"""Deadlocks in the simulator: the kernel does what a run of the net does, or it does not.

What decides a run beside the definition is free to a proof: how attempts end, which conditions
hold. So the definition is stripped to its *skeleton*, in which all of that hangs on what attempts
come to: each step without an inside is an activity, each condition reads its output, each clause of
`on_error` has an error of its own. The k-th thing of the run is then scripted for the k-th second.

Steps keep their ids and ways their numbers, so what the net says of the one is true of the other.
Not everything can be steered so: `Unreplayable` says what.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from heliostat.engine.authoring.canonical import content
from heliostat.engine.authoring.loading import checked
from heliostat.engine.authoring.model import Definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator import Call, Outcome, Raises, Returns, Simulation
from heliostat.verify.nets.net import Net

SECOND_MS: Final = 1_000

TURNS_A_THING: Final = 20
"""Turns of the simulation for each thing that happens in the run, or in the net between."""

NEVER: Final = Returns(None, after_ms=10_000_000)
"""Of attempts that the run does not speak of: they would end after all that it does."""

_KEPT: Final = ("id", "name", "needs", "join", "split", "cancels", "end", "completion", "next")
_BESIDE: Final = ("on_error", "handlers", "deadline")


class Unreplayable(Exception):
    """The run of a definition that has this cannot be steered."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What the kernel did."""

    story: str
    stuck: bool
    """It came to where nothing can happen, as the run does."""


def replay(definition: Definition, net: Net, run: Sequence[int]) -> Replayed:
    """Have the kernel do what a run of the definition's net does.

    Raises:
        Unreplayable: with what cannot be steered.
    """
    plan = compile_plan(definition)
    for step in plan.steps:
        if step.foreach is not None:
            raise Unreplayable(f"`foreach` of step `{step.id}`")
    script = _Script(plan, net)
    script.read(run)
    skeleton = compile_plan(checked(_skeleton(definition, plan, net, script)))
    turns_max = TURNS_A_THING * (len(run) + 1)
    result = Simulation(skeleton, None, script.outcome, turns_max=turns_max).run()
    failed = result.failure is not None and result.failure.type == "Stuck"
    stuck = not script.strayed and (failed or not result.ended)
    return Replayed(story=result.story, stuck=stuck)


@dataclass
class _Script:
    """What each attempt comes to, so that things happen in the order of a run."""

    plan: Plan
    net: Net
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)  # by step, by its end
    skipped: set[str] = field(default_factory=set)
    visits: dict[tuple[str, int, int], Outcome] = field(default_factory=dict)
    strayed: bool = False
    """Something began that does not begin in the run."""

    def outcome(self, call: Call) -> Outcome:
        """Of an attempt; the same for each attempt of one visit."""
        visit = call.step, call.scope, call.visit
        if visit not in self.visits:
            waiting = self.outcomes.get(call.step)
            self.strayed |= not waiting
            self.visits[visit] = waiting.pop(0) if waiting else NEVER
        return self.visits[visit]

    def read(self, run: Sequence[int]) -> None:
        opened: dict[int, deque[int]] = {}  # by place, when its tokens came
        for place, count in enumerate(self.net.initial):
            opened[place] = deque([0] * count)
        now = 0
        for position, number in enumerate(run):
            each = self.net.transitions[number]
            verb = each.act.split(" ")[0]
            if verb in ("completes", "fails") and each.step and self._ends_by_itself(each.step):
                now += SECOND_MS
                came = self._came(each.step, opened)
                self._note(each.step, verb, self._taken(run[position:], each.step), now - came)
            elif verb == "skips" and each.step:
                self.skipped.add(each.step)
            for place, _ in each.drains:
                self._withdraw(place, len(opened.pop(place, ())))
            for place, count in each.outputs:
                opened.setdefault(place, deque()).extend([now] * count)

    def _came(self, step: str, opened: dict[int, deque[int]]) -> int:
        """When the visit of a step began that ends now."""
        place = self.net.place_index.get(f"step_{step}")
        waiting = opened.get(place) if place is not None else None
        if not waiting:
            raise Unreplayable(f"visits of step `{step}` at the same time")
        return waiting.popleft()

    def _ends_by_itself(self, step: str) -> bool:
        return self.plan.steps[self.plan.step_by_id[step]].kind not in ("body", "parallel")

    def _taken(self, rest: Sequence[int], step: str) -> frozenset[int]:
        """The ways by which a visit goes on, the first of the rest being its end."""
        found = list[int]()
        for nth, number in enumerate(rest):
            each = self.net.transitions[number]
            if each.step != step or (nth and not each.act.startswith("takes:")):
                continue
            found += [int(word[6:]) for word in each.act.split() if word.startswith("takes:")]
            if nth and found:
                break
        return frozenset(found)

    def _note(self, step: str, verb: str, taken: frozenset[int], after_ms: int) -> None:
        if verb == "fails":
            error = f"E{min(taken)}" if taken else "Uncaught"
            outcome: Outcome = Raises(error, "as in the run", after_ms=after_ms)
        else:
            routes = self.plan.steps[self.plan.step_by_id[step]].routes
            ways = {f"e{edge.number}": edge.number in taken for edge in routes}
            outcome = Returns(ways, after_ms=after_ms)
        self.outcomes.setdefault(step, []).append(outcome)

    def _withdraw(self, place: int, count: int) -> None:
        step = self.net.places[place].step
        if step is not None and self.net.places[place].id.startswith("step_"):
            self.outcomes.setdefault(step, []).extend([NEVER] * count)


def _skeleton(definition: Definition, plan: Plan, net: Net, script: _Script) -> Definition:
    tree: dict[str, Any] = content(definition)
    for name in _BESIDE:
        if tree.get(name):
            raise Unreplayable(f"`{name}` of the definition")
    held = {place.id.removeprefix("resource_") for place in net.places if place.role == "resource"}
    semaphores = {name: count for name, count in _items(tree, "semaphores") if name in held}
    kept: dict[str, Any] = {"id": definition.id, "version": definition.version}
    if semaphores:
        kept["semaphores"] = semaphores
    if "start" in tree:
        kept["start"] = tree["start"]
    kept["steps"] = [_step(each, plan, held, script) for each in tree["steps"]]
    return Definition.model_validate(kept)


def _step(tree: dict[str, Any], plan: Plan, held: set[str], script: _Script) -> dict[str, Any]:
    step = plan.steps[plan.step_by_id[tree["id"]]]
    made: dict[str, Any] = {name: tree[name] for name in _KEPT if name in tree}
    uses = {name: count for name, count in _items(tree, "uses") if name in held}
    if uses:
        made["uses"] = uses
    if step.id in script.skipped:
        made["when"] = "${ false }"
    inside = step.kind in ("body", "parallel")
    if isinstance(tree.get("next"), list):
        made["next"] = [
            _way(way, f"$.output.e{edge.number}", step.id if inside else None)
            for way, edge in zip(tree["next"], step.routes, strict=True)
        ]
    clauses = [
        {"error": f"E{clause.edge.number}", "next": written["next"]}
        for written, clause in zip(tree.get("on_error", ()), step.on_error, strict=True)
        if clause.edge is not None
    ]
    if clauses and inside:
        raise Unreplayable(f"`on_error` of step `{step.id}`, which has steps in it")
    if clauses:
        made["on_error"] = clauses
    if not inside:
        return made | {"type": "activity", "activity": "replay:step"}
    return made | _inside(tree, plan, held, script)


def _inside(tree: dict[str, Any], plan: Plan, held: set[str], script: _Script) -> dict[str, Any]:
    def scope(each: dict[str, Any]) -> dict[str, Any]:
        kept = {name: each[name] for name in ("name", "start") if name in each}
        return kept | {"steps": [_step(one, plan, held, script) for one in each["steps"]]}

    if "branches" in tree:
        return {"type": "parallel", "branches": [scope(each) for each in tree["branches"]]}
    return scope(tree)


def _way(way: Any, condition: str, within: str | None) -> Any:
    if not isinstance(way, dict) or "when" not in way:
        return way
    if within is not None:
        raise Unreplayable(f"a condition of step `{within}`, which has steps in it")
    return way | {"when": condition}


def _items(tree: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    yield from (tree.get(name) or {}).items()

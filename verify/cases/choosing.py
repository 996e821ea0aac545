"""Cases: as few worlds as cover all that was found, each made simple, with a name.

Set cover is greedy, which Chvátal (1979) shows to need at most ln(n) times the fewest; in practice
it finds one or two more. The first case is the basic path, whatever it covers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from heliostat.engine.authoring.model import Definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.verify.cases.expecting import Checked, Judge
from heliostat.verify.cases.flows import Flows
from heliostat.verify.cases.goals import Goal
from heliostat.verify.cases.leaves import Origins
from heliostat.verify.cases.samples import Schema
from heliostat.verify.cases.search import RUNS_MAX, Found, OutOfBounds, Search, called
from heliostat.verify.cases.unreached import Unreached, unreached
from heliostat.verify.cases.worlds import Told

BASIC: Final = "basic_path"

_TELLING: Final = (
    "handler",
    "person",
    "error",
    "child",
    "wait",
    "skip",
    "foreach",
    "way",
    "loop",
    "step",
)
"""Kinds of goals, those first that a case is named for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case: what is given, what has to come of it, and why it is there."""

    name: str
    covers: tuple[Goal, ...]
    """What no case before it covers."""
    reached: frozenset[Goal]
    told: Told
    checked: Checked

    @property
    def purpose(self) -> str:
        """What it is there for, in words; that steps complete can be seen by itself."""
        telling = [goal for goal in self.covers if goal.kind != "step"]
        return "; ".join(goal.words for goal in telling or self.covers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """All cases of a definition, and what they leave out."""

    definition: str
    version: str
    goals: tuple[Goal, ...]
    cases: tuple[Case, ...]
    uncovered: tuple[Unreached, ...]
    runs: int
    bound: str  # that the search came to; empty: none

    @property
    def covered(self) -> frozenset[Goal]:
        """The goals that some case covers."""
        return frozenset(goal for case in self.cases for goal in case.reached)

    @property
    def agree(self) -> bool:
        """Whether each case comes to what is expected of it."""
        return all(case.checked.agrees for case in self.cases)


def cases_of(
    definition: Definition,
    plan: Plan | None = None,
    *,
    schemas: Mapping[str, Schema] | None = None,
    runs_max: int = RUNS_MAX,
    time_max_ms: float | None = None,
    now_ms: Callable[[], float] | None = None,
) -> Cases:
    """The cases of a definition.

    Args:
        definition: what is to be tested.
        plan: its plan, where that is made of more than the definition: of decorators.
        schemas: of what steps return, by id, where it is known.
        runs_max: runs of the search.
        time_max_ms: how long the search may take by the clock `now_ms`.
        now_ms: a clock, in milliseconds.
    """
    plan = compile_plan(definition) if plan is None else plan
    known = dict(schemas or {})
    if definition.input_schema is not None:
        known[""] = definition.input_schema
    search = Search(
        plan,
        known | _of_results(definition, plan, known),
        runs_max=runs_max,
        time_max_ms=time_max_ms,
        now_ms=now_ms,
    )
    search.search()
    judge = Judge(definition, plan)
    cases, reached = list[Case](), set[Goal]()
    for found, goals in _simple(search, _chosen(search)):
        told = search.stage.told(found.world, called=called(found.result))
        new = tuple(goal for goal in search.observer.goals if goal in goals)
        cases.append(
            Case(
                name=_name(plan, new, [each.name for each in cases]),
                covers=new,
                reached=found.reached,
                told=told,
                checked=judge.check(told, found.result),
            )
        )
        reached |= found.reached
    return Cases(
        definition=definition.id,
        version=definition.version,
        goals=search.observer.goals,
        cases=tuple(cases),
        uncovered=unreached(search, definition, reached),
        runs=search.runs,
        bound=search.bound,
    )


def _of_results(
    definition: Definition, plan: Plan, known: Mapping[str, Schema]
) -> dict[str, Schema]:
    """Of steps whose output is passed on as the definition's: the schema of that."""
    schema, output = definition.output_schema, plan.root.output
    if schema is None:
        return {}
    flows = Flows(plan)
    origins = Origins()
    if output is not None and output.is_bare_path:
        origins = flows.data(output, (), flows.within(plan.root), set())
    elif output is None and len(plan.root.ends) == 1:
        origins = flows.output(plan.steps[plan.root.ends[0]], ())
    return {
        leaf.step: schema
        for leaf in origins.leaves
        if leaf.step and not leaf.place and leaf.step not in known
    }


def _chosen(search: Search) -> list[Found]:
    """A basic path, then always the world that adds most; of these the simplest."""
    if not search.corpus:
        return []
    basic = min(search.corpus, key=lambda each: (_effort(each), each.size))
    chosen, covered = [basic], set(basic.reached)
    left = [each for each in search.corpus if each is not basic]
    while left:
        best = min(left, key=lambda each: (-len(each.reached - covered), each.size))
        if not best.reached - covered:
            break
        chosen.append(best)
        covered |= best.reached
        left.remove(best)
    return _needed(chosen)


def _effort(found: Found) -> int:
    """How far it is from a run in which all goes well."""
    if found.result.status != "Completed":
        return 2
    return int(any(each.endswith("!") for each in found.result.trace))


def _needed(chosen: Sequence[Found]) -> list[Found]:
    """Without those whose goals the others cover; never without the first."""
    kept = list(chosen)
    for each in reversed(chosen[1:]):
        others = {goal for other in kept if other is not each for goal in other.reached}
        if each.reached <= others:
            kept.remove(each)
    return kept


def _simple(search: Search, chosen: Sequence[Found]) -> list[tuple[Found, frozenset[Goal]]]:
    """Each with what it adds, and without the choices that it does not need for that."""
    made: list[tuple[Found, frozenset[Goal]]] = []
    covered = set[Goal]()
    for number, found in enumerate(chosen):
        later = {goal for each in chosen[number + 1 :] for goal in each.reached}
        goals = found.reached - covered
        needed = goals - later or goals
        simplest = _shrunk(search, found, needed if number else goals)
        made.append((simplest, simplest.reached - covered))
        covered |= simplest.reached
    return made


def _shrunk(search: Search, found: Found, goals: frozenset[Goal]) -> Found:
    for choice in sorted(found.world, key=repr):
        try:
            smaller = search.run(found.world - {choice})
        except OutOfBounds:
            return found
        if smaller is not None and goals <= smaller.reached:
            return _shrunk(search, smaller, goals)
    return found


def _name(plan: Plan, goals: Sequence[Goal], taken: Iterable[str]) -> str:
    """What a case is called: the most telling goal that it adds."""
    names = list(taken)
    if not names:
        return BASIC
    first = min(goals, key=lambda goal: _TELLING.index(goal.kind), default=None)
    name = BASIC if first is None else _named(plan, first)
    nth = 2
    while name in names:
        name = f"{name.rstrip('0123456789').rstrip('_')}_{nth}"
        nth += 1
    return name


def _named(plan: Plan, goal: Goal) -> str:
    step = goal.step or "execution"
    match goal.kind, goal.detail:
        case "way", _:
            told = goal.words.replace(" → ", "_to_")
        case "error", detail if detail.startswith("clause "):
            clauses = (
                plan.steps[plan.step_by_id[goal.step]].on_error if goal.step else plan.on_error
            )
            told = f"{step}_fails_with_{clauses[int(detail[7:])].error or 'any_error'}"
        case "error", detail:
            told = f"{step}_{_BOUNDS.get(detail, detail)}"
        case "skip", _:
            told = f"{step}_skipped"
        case "foreach", many:
            told = f"{step}_of_{many}"
        case "loop", many:
            told = f"back_to_{step}_{_TIMES[many]}"
        case "wait", name:
            told = f"{step}_by_{name}"
        case "person", verb:
            told = f"{step}_{_VERBS[verb]}"
        case "child", _:
            told = f"{step}_child_fails"
        case "handler", number:
            told = f"{plan.handlers[int(number)].name}_handled"
        case _:
            told = step
    return re.sub(r"\W+", "_", told).strip("_").lower()


_BOUNDS: Final = {"timeout": "timed_out", "deadline": "overdue"}
_TIMES: Final = {"none": "never", "one": "once", "many": "again_and_again"}
_VERBS: Final = {"complete": "completed", "fail": "given_up", "retry": "tried_again"}

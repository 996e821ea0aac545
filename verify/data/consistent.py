"""Runs of a net that some data allows.

A state is a marking and what is known of the data there: *facts*, the conditions that were true or
false on the way, what variables were given, what a decision put out. A net transition whose
conditions contradict the facts does not happen. A fact is forgotten as soon as something that it
reads is written, so that a state allows at least what executions do: what no run comes to here, no
execution does. Conditions are asked in the moment in which their step ends, as the kernel does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from heliostat.engine.expressions import Data, ExpressionError
from heliostat.engine.plan.plan import StepPlan
from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.data.cases import Case
from heliostat.verify.data.happening import Happening, Opened, happenings
from heliostat.verify.data.places import Location, Places
from heliostat.verify.data.solver import Formula, Solver
from heliostat.verify.data.store import Key, Store
from heliostat.verify.data.terms import literal
from heliostat.verify.nets.net import Marking, Net, TooManyTokens

Fact: TypeAlias = tuple[Any, ...]
"""`("is", prefix, scope, step, source, truth)`, `("set", prefix, step, name)`,
`("initial", prefix, scope, name)`, `("constant", prefix, key, value, its type)`,
`("output", prefix, step)`, `("null", prefix, step)`, `("written", prefix, key)`."""

State: TypeAlias = tuple[Marking, frozenset[Fact]]

STATES_MAX: Final = 20_000
"""States of one exploration."""

CONSTANT_MAX: Final = 64
"""Up to which numbers, and length of texts, variables are known by their values: a counter in a
loop that nothing bounds would have states without end."""

QUESTIONS_MAX: Final = 2_000
"""Different sets of facts that the solver is asked about in one exploration."""

_CHANGING: Final = frozenset({"now", "event", "error", "execution"})


@dataclass(slots=True, kw_only=True)
class Explored:
    """What was found, each by the number of a state, or the way that would follow there."""

    parents: list[tuple[int, int]] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)
    no_way: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # by step
    stopped: str | None = None

    def run_to(self, number: int) -> tuple[int, ...]:
        """A firing sequence from the initial marking."""
        found = []
        while number:
            number, fired = self.parents[number]
            found.append(fired)
        return tuple(reversed(found))


class Consistent:
    """Explores a net of a definition's plan with its data."""

    def __init__(
        self,
        places: Places,
        net: Net,
        solver: Solver,
        *,
        tracked: frozenset[Location] = frozenset(),
    ) -> None:
        """
        Args:
            tracked: of which it is a fact of its own that they were written.
        """
        self._tracked = tracked
        self._places, self._net, self._solver = places, net, solver
        self._plan = places.plan
        self.happenings = happenings(net, places.plan)
        self._store = Store(places, solver, "run")
        self._literals: dict[Fact, Formula | None] = {}
        self._reads: dict[Fact, frozenset[Key]] = {}
        self._known: dict[frozenset[Fact], bool] = {}
        self._relevant = self._looked_at()
        self._free = {n for n, each in enumerate(net.transitions) if not each.inputs}

    def explore(
        self,
        *,
        states_max: int = STATES_MAX,
        budget: Budget = UNBOUNDED,
        watch: Callable[[int, Marking, frozenset[Fact]], bool] | None = None,
        provided: bool = False,
    ) -> Explored:
        """Explore breadth first, so that what is found has a short run.

        Args:
            provided: what nothing is declared of is of the kinds that conditions compare it with;
                after an exploration without that, which has seen all conditions.
            watch: is shown each state; to answer true ends the exploration.
        """
        net, found = self._net, Explored()
        if provided:
            self._solver.assume(self._store.thought_of())
            self._known.clear()
        first: State = (net.initial, self._opened((), Opened(scope=0, prefix="")))
        numbers: dict[State, int] = {first: 0}
        found.parents.append((0, -1))
        todo: deque[State] = deque([first])
        while todo:
            state = todo.popleft()
            number = numbers[state]
            marking, facts = state
            if watch is not None and watch(number, marking, facts):
                return found
            if net.is_final(marking):
                continue
            enabled = self._enabled(marking)
            deciding = [n for n in enabled if self.happenings[n].decides]
            own = [n for n in enabled if not net.transitions[n].outside]
            if not own:
                found.dead.append(number)
                continue
            for fired in self._first(deciding) or enabled:
                happening = self.happenings[fired]
                after = self._after(facts, happening)
                if after is None:
                    continue
                if happening.no_way and happening.step is not None:
                    ways = found.no_way.setdefault(happening.step.number, [])
                    ways.append((number, fired))
                if net.transitions[fired].ending == "failed":
                    continue
                try:
                    reached: State = (net.fire(marking, fired), after)
                except TooManyTokens as error:
                    found.stopped = str(error)
                    return found
                if reached not in numbers:
                    numbers[reached] = len(found.parents)
                    found.parents.append((number, fired))
                    todo.append(reached)
            if len(numbers) > states_max:
                found.stopped = f"more than {states_max} states of the data"
                return found
            if len(self._known) > QUESTIONS_MAX:
                found.stopped = f"more than {QUESTIONS_MAX} questions about the data"
                return found
            if budget.over:
                found.stopped = f"more than {budget.time_max_ms} ms"
                return found
        return found

    def _enabled(self, marking: Marking) -> list[int]:
        net = self._net
        near = {n for place, count in enumerate(marking) if count for n in net.consumers[place]}
        return sorted(n for n in near | self._free if net.enabled(marking, n))

    def _first(self, deciding: list[int]) -> list[int]:
        """The ways of one decision: it is made before anything else happens."""
        if not deciding:
            return []
        place = self._net.transitions[deciding[0]].inputs[0][0]
        return [n for n in deciding if self._net.transitions[n].inputs[0][0] == place]

    # -- facts

    def _after(self, facts: frozenset[Fact], happening: Happening) -> frozenset[Fact] | None:
        """What is known when something has happened; None if it contradicts what was known."""
        for opened in happening.opened:
            facts = self._opened(facts, opened)
        step, prefix = happening.step, happening.prefix
        if step is None:
            return facts
        if step.when is not None and happening.asked:
            facts = self._conditioned(facts, happening, step)
        if happening.ended:
            facts = self._ended(facts, happening, step)
        for condition, truth in happening.conditions:
            fact = ("is", prefix, step.scope, step.number, condition.source, truth)
            if self._literal(fact, condition.ast) is not None:
                facts |= {fact}
        return facts if self._agree(facts) else None

    def _conditioned(
        self, facts: frozenset[Fact], happening: Happening, step: StepPlan
    ) -> frozenset[Fact]:
        """`when` is asked as the visit begins: told only if nothing that it reads changes."""
        assert step.when is not None
        read = self._places.reads(step.when.ast, step.scope, None)
        if not all(self._lasting(location) for location in read):
            return facts
        truth = happening.ended != "skips"
        fact = ("is", happening.prefix, step.scope, -1, step.when.source, truth)
        return facts | {fact} if self._literal(fact, step.when.ast) is not None else facts

    def _lasting(self, location: Location) -> bool:
        """Whether a location keeps its value from the first time that it can be read."""
        match location:
            case ("input",):
                return True
            case ("vars", _, _):
                return all(location != written for _, written, _, _ in self._places.assignments)
            case ("steps", number, "output"):
                scope = self._plan.scopes[self._plan.steps[number].scope]
                return scope.notation == "dag"
        return False

    def _ended(
        self, facts: frozenset[Fact], happening: Happening, step: StepPlan
    ) -> frozenset[Fact]:
        prefix, store = happening.prefix, self._store
        own = {
            store.key(("steps", step.number, name), prefix)
            for name in ("output", "status", "error", "items", "finished")
        }
        facts = self._without(facts, own)
        output = store.key(("steps", step.number, "output"), prefix)
        fact: Fact
        if happening.ended == "skips":
            fact = ("null", prefix, step.number)
        elif happening.ended == "completes":
            fact = ("output", prefix, step.number)
        else:
            return facts | self._marked(own) if _leaves(step) else facts
        if output[0] in self._relevant and self._literal(fact) is not None:
            facts |= {fact}
        if happening.ended == "completes":
            facts |= self._marked(own)
        return facts if happening.ended == "skips" else self._assigned(facts, prefix, step)

    def _assigned(self, facts: frozenset[Fact], prefix: str, step: StepPlan) -> frozenset[Fact]:
        pairs = [*step.assign, *step.append]
        targets = [self._places.variable(name, step.scope) for name, _ in pairs]
        written = {self._store.key(each, prefix) for each in targets if each is not None}
        if not written:
            return facts
        constants = {fact[2]: fact[3] for fact in facts if fact[0] == "constant"}
        facts = self._without(facts, written) | self._marked(written)
        for name, data in step.assign:
            location = self._places.variable(name, step.scope)
            if location is None or location not in self._relevant:
                continue
            key = self._store.key(location, prefix)
            constant = self._constant(key, data, prefix, step, constants)
            if constant is not None:
                facts |= {constant}
                continue
            fact = ("set", prefix, step.number, name)
            if self._literal(fact) is not None and not (self._reads[fact] - {key}) & written:
                facts |= {fact}
        return facts

    def _marked(self, written: set[Key]) -> frozenset[Fact]:
        """That locations which are tracked have been written."""
        marks = {written_fact(key) for key in written if key[0] in self._tracked}
        return frozenset(mark for mark in marks if self._literal(mark) is not None)

    def key(self, location: Location, prefix: str) -> Key:
        """Where a location stands for a step with this prefix."""
        return self._store.key(location, prefix)

    def _constant(
        self,
        key: Key,
        data: Data,
        prefix: str,
        step: StepPlan | None,
        constants: dict[Key, Any],
        scope: int = 0,
    ) -> Fact | None:
        """That a variable is given a small value which follows from variables that are known."""
        scope = scope if step is None else step.scope
        case = Case(self._plan)
        for _, expression in data.expressions():
            for location in self._places.reads(expression.ast, scope, step):
                read = self._store.key(location, prefix)
                if location[0] != "vars" or read not in constants:
                    return None
                case.values[read] = constants[read]
            if not self._places.known(expression.ast, scope, step):
                return None
        at = step if step is not None else self._plan.steps[self._plan.scopes[scope].steps[0]]
        try:
            value = data.evaluate(case.context(self._store, prefix, at))
        except ExpressionError:
            return None
        small = isinstance(value, int) and abs(value) <= CONSTANT_MAX
        if not (small or value is None or (isinstance(value, str) and len(value) <= CONSTANT_MAX)):
            return None
        fact = ("constant", prefix, key, value, type(value).__name__)
        return fact if self._literal(fact) is not None else None

    def _opened(self, facts: Any, opened: Opened) -> frozenset[Fact]:
        """A scope begins anew: nothing of it is known but the initial values."""
        scope = self._plan.scopes[opened.scope]
        gone = set[Key]()
        for fact in facts:
            for key in self._reads.get(fact, ()):
                if key[1].startswith(opened.prefix) and self._belongs(key[0], opened.scope):
                    gone.add(key)
        found = self._without(frozenset(facts), gone)
        for number in scope.steps:
            if ("steps", number, "output") in self._relevant:
                none: Fact = ("null", opened.prefix, number)  # what was not visited has none
                if self._literal(none) is not None:
                    found |= {none}
        constants = {fact[2]: fact[3] for fact in found if fact[0] == "constant"}
        for name, data in scope.variables.items():
            location: Location = ("vars", opened.scope, name)
            if location not in self._relevant:
                continue
            key = self._store.key(location, opened.prefix)
            fact = self._constant(key, data, opened.prefix, None, constants, opened.scope) or (
                "initial",
                opened.prefix,
                opened.scope,
                name,
            )
            if self._literal(fact) is not None:
                found |= {fact}
        return found

    def _belongs(self, location: Location, scope: int) -> bool:
        """Whether a location is made anew when a scope is opened."""
        match location:
            case ("vars", declared, _):
                inside = declared
            case ("steps", number, _):
                inside = self._plan.steps[number].scope
            case ("item" | "index", owner):
                return bool(self._plan.scopes[scope].owner == owner)
            case _:
                return False
        return any(each.number == scope for each in self._places.chain(inside))

    def _without(self, facts: frozenset[Fact], written: set[Key]) -> frozenset[Fact]:
        if not written:
            return facts
        return frozenset(fact for fact in facts if not self._reads[fact] & written)

    def _literal(self, fact: Fact, condition: Any = None) -> Formula | None:
        """What stands for a fact before the solver; None if it has no formula that lasts."""
        if fact not in self._literals:
            formula = self._formula(fact, condition)
            self._literals[fact] = None if formula is None else self._solver.named(formula)
        return self._literals[fact]

    def _formula(self, fact: Fact, condition: Any) -> Formula | None:
        plan, store, prefix = self._plan, self._store, fact[1]
        match fact:
            case ("is", _, scope, number, _, truth):
                step = plan.steps[number] if number >= 0 else None
                if not self._read(fact, condition, scope, prefix, step):
                    return None
                true, false = store.encoder(scope, prefix, step).condition(condition)
                return true if truth else false
            case ("set", _, number, name):
                step = plan.steps[number]
                location = self._places.variable(name, step.scope)
                data = dict(step.assign)[name]
                assert location is not None
                key = store.key(location, prefix)
                return self._equal(fact, key, data, step.scope, step)
            case ("initial", _, scope, name):
                key = store.key(("vars", scope, name), prefix)
                return self._equal(fact, key, plan.scopes[scope].variables[name], scope, None)
            case ("constant", _, key, value, _):
                self._reads[fact] = frozenset({key})
                known = literal(self._solver, value)
                return store.encoder(0, prefix, None).equal(store.term(key), known)
            case ("written", _, key):
                self._reads[fact] = frozenset({key})
                return True
            case ("output", _, number):
                return self._put_out(fact, plan.steps[number])
            case ("null", _, number):
                key = store.key(("steps", number, "output"), prefix)
                self._reads[fact] = frozenset({key})
                return store.term(key).of("null")
        return None

    def _put_out(self, fact: Fact, step: StepPlan) -> Formula | None:
        """What a completed visit's output is: what a decision says, else of its type."""
        store, solver = self._store, self._solver
        key = store.key(("steps", step.number, "output"), fact[1])
        recovers = any(each.output is not None or each.human is not None for each in step.on_error)
        if recovers or step.foreach is not None:
            return None
        if step.output is not None:
            return self._equal(fact, key, step.output, step.scope, None)
        self._reads[fact] = frozenset({key})
        if "null" in self._places.outputs[step.id].kinds:
            return None
        return solver.no(store.term(key).of("null"))

    def _equal(
        self, fact: Fact, key: Key, data: Data, scope: int, step: StepPlan | None
    ) -> Formula | None:
        """That a location holds what a data field says, which does not read it itself."""
        reads = set[Key]()
        for _, expression in data.expressions():
            if not self._read(fact, expression.ast, scope, fact[1], step):
                return None
            reads |= self._reads[fact]
        if key in reads:
            return None
        self._reads[fact] = frozenset({*reads, key})
        term = self._store.data(data, scope, fact[1], step)
        if term is None:
            return None
        equal = self._store.encoder(scope, fact[1], step).equal(self._store.term(key), term)
        return self._solver.all(self._solver.no(term.error), equal)

    def _read(self, fact: Fact, node: Any, scope: int, prefix: str, step: StepPlan | None) -> bool:
        """Note what a fact reads; false if that may change without anybody writing it."""
        read = self._places.reads(node, scope, step)
        self._reads[fact] = frozenset(self._store.key(each, prefix) for each in read)
        return not any(each[0] in _CHANGING for each in read) and self._places.known(
            node, scope, step
        )

    def _agree(self, facts: frozenset[Fact]) -> bool:
        known = self._known.get(facts)
        if known is None:
            literals = [self._literals[fact] for fact in facts]
            known = self._known[facts] = self._solver.agree(
                [each for each in literals if each is not None]
            )
        return known

    # -- what matters

    def _looked_at(self) -> frozenset[Location]:
        """The locations that conditions read, and those that these are made of."""
        found = set[Location]()
        for step in self._plan.steps:
            for edge in step.routes:
                if edge.when is not None:
                    found |= self._places.reads(edge.when.ast, step.scope, step)
            if step.when is not None:
                found |= self._places.reads(step.when.ast, step.scope, None)
        while True:
            more = {
                location
                for target, data, scope, step in self._written()
                if target in found
                for _, expression in data.expressions()
                for location in self._places.reads(expression.ast, scope, step)
            }
            if more <= found:
                return frozenset(found)
            found |= more

    def _written(self) -> Iterator[tuple[Location, Data, int, StepPlan | None]]:
        for step, location, data, _ in self._places.assignments:
            yield location, data, step.scope, step
        for step in self._plan.steps:
            if step.output is not None:
                yield ("steps", step.number, "output"), step.output, step.scope, None
        for scope in self._plan.scopes:
            for name, data in scope.variables.items():
                yield ("vars", scope.number, name), data, scope.number, None


def _leaves(step: StepPlan) -> bool:
    """Whether a visit that failed may leave an output: its attempt was fine and what followed was
    not, or a part of what it held has completed."""
    conditional = any(edge.when is not None for edge in step.routes)
    late = step.deadline is not None or step.timeout_ms is not None  # an attempt has its grace
    return bool(step.scopes or step.assign or step.append or step.foreach or conditional or late)


def written_fact(key: Key) -> Fact:
    """The fact that a location was written."""
    return ("written", key[1], key)

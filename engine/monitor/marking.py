"""Where the tokens of an execution are: open visits, arrivals, needs, and what is awaited.

A scope instance holds visits that are open, by step and visit, each with its attempt; a negative
attempt waits for its back-off. What was told to stop is no open visit any more: it is in
`Rare.stopping` until its end, and counts for the one place that waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from heliostat.engine.identity import Address
from heliostat.engine.plan.plan import END, Plan, StepPlan

Key: TypeAlias = tuple[int, int]
"""Step and visit, within a scope instance."""

Key3: TypeAlias = tuple[int, int, int]
"""A visit of the execution: scope instance, step, visit."""

ROOT: Final = 1


class Unfit(Exception):
    """An event that the plan does not allow here; the text says why."""


class Awaited:
    """What a closing scope, closing items or a cancelled visit wait for: so many ends."""

    __slots__ = ("key", "left", "region", "scope")

    def __init__(self, scope: int, key: Key | None = None, *, region: bool = False) -> None:
        self.scope, self.key = scope, key
        self.region = region  # of a cancelled visit, whose step settles with the last of them
        self.left = 0


class Group:
    """The items of a `foreach`, or the branches of a parallel step."""

    awaited: Awaited | None = None
    """What is awaited once its outcome is settled."""
    closing_failed = False

    def __init__(
        self, first: int, width: int, *, concurrency: int = 0, all_of: bool = False
    ) -> None:
        self.first, self.width = first, width
        self.concurrency = concurrency  # of items
        self.all_of = all_of  # all must complete
        self.awaited = None
        self.next = 0  # the item to open next
        self.flying = self.completed = self.failed = 0

    @property
    def quiet(self) -> bool:
        """Whether nothing of it is under way."""
        return not self.awaited.left if self.awaited is not None else not self.flying


class Waiting:
    """A state machine's join: arrivals by the step that each came from."""

    __slots__ = ("arrived", "fired")

    def __init__(self) -> None:
        self.arrived: dict[int, int] = {}
        self.fired = False


class Scope:
    """One opened scope instance."""

    # Most scopes have none of these; a class without slots opens them for nothing. To set one in
    # every scope costs 190 bytes an item: with it their attributes no longer share their keys.
    index: int | None = None
    group: Group | None = None
    """Of an item or a branch: what it belongs to."""
    inner: dict[Key, int | Group] | None = None
    """What an open visit has opened: a body's scope, or items or branches."""
    joins: dict[int, Waiting] | None = None
    begun: set[int] | None = None
    """Of a DAG: the steps that have opened, or settled without."""
    tallies: dict[int, list[int]] | None = None
    """Of a DAG, by step: how many of its needs have settled, completed, failed."""
    ending: dict[Key, Awaited] | None = None
    """Visits that a step cancels, and that have not ended."""
    canceling: set[Key] | None = None
    """Visits that wait for the region they cancel."""
    awaited: Awaited | None = None
    """It is closing: what it waits for."""
    failing = False
    terminated = False
    canceled = False

    def __init__(
        self, number: int, plan_scope: int | None, parent: tuple[int, int, int] | None
    ) -> None:
        self.number, self.parent = number, parent
        self.plan_scope = plan_scope  # None: of an item
        self.open: dict[Key, int] = {}
        self.visits: dict[int, int] = {}  # step -> visits so far

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way in it."""
        if self.awaited is not None:
            return not self.awaited.left
        return not self.open and not self.ending

    @property
    def stuck(self) -> bool:
        """Whether a join waits here that has not fired."""
        return self.joins is not None and any(not each.fired for each in self.joins.values())


Stop: TypeAlias = tuple[int, Awaited | None]
"""An attempt told to stop, and what waits for its end; None: its own visit."""


class Rare:
    """What most executions never have."""

    __slots__ = ("at_rest", "sides", "started", "stopping")

    def __init__(self) -> None:
        self.sides: set[int] = set()  # scopes of handlers' custom actions
        self.stopping: dict[Key3, Stop] = {}
        self.started: dict[Key3, int] = {}  # `effects: at_most_once`
        self.at_rest: set[Key3] = set()
        """Visits of activities whose attempt is surely not under way: they failed before it, it is
        over, a person decides."""

    @property
    def concerns_visits(self) -> bool:
        """Whether there is anything of visits."""
        return bool(self.stopping or self.started or self.at_rest)


NONE: Final = Rare()
"""Shared by all that have nothing, and never written: see `Marking.rarely`."""


class Marking:
    """The tokens of one execution."""

    __slots__ = ("canceled", "ended", "next_scope", "paused", "plan", "rare", "redirected",
                 "run", "scopes", "was_paused")  # fmt: skip

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.scopes: dict[int, Scope] = {}
        self.rare = NONE
        self.next_scope = ROOT
        self.paused = self.was_paused = False
        self.canceled = False
        self.redirected = False
        self.run = 1
        self.ended = ""  # the run's end: `Completed`, `Failed`, `Canceled`

    def rarely(self) -> Rare:
        """To be written."""
        if self.rare is NONE:
            self.rare = Rare()
        return self.rare

    def scope(self, number: int) -> Scope:
        """An open scope instance."""
        found = self.scopes.get(number)
        if found is None:
            raise Unfit(f"scope {number} is not open")
        return found

    def step(self, number: int) -> StepPlan:
        """A step of the plan."""
        if not 0 <= number < len(self.plan.steps):
            raise Unfit(f"there is no step {number}")
        return self.plan.steps[number]

    def visit(self, at: Address, *, backing_off: bool = False) -> Scope:
        """The scope in which the attempt `at` is under way, or also waits for its back-off."""
        scope = self.scope(at.scope)
        attempt = scope.open.get((at.step, at.visit))
        if attempt is None:
            raise Unfit(f"visit {at.visit} of {self.name(at.step)} is not open")
        if attempt != at.attempt:
            if attempt == -at.attempt:
                if backing_off:
                    return scope
                raise Unfit("its attempt waits for its back-off")
            raise Unfit(f"attempt {at.attempt} is reported where {abs(attempt)} is the current one")
        return scope

    def name(self, number: int) -> str:
        """A step as people call it."""
        if 0 <= number < len(self.plan.steps):
            return f"step {self.plan.steps[number].id!r}"
        return f"step number {number}"

    # -- scopes

    def add_scope(
        self,
        number: int,
        plan_scope: int | None,
        parent: tuple[int, int, int] | None,
    ) -> Scope:
        """Open a scope instance."""
        scope = self.scopes[number] = Scope(number, plan_scope, parent)
        if plan_scope is not None and self.plan.scopes[plan_scope].notation == "dag":
            scope.begun, scope.tallies = set(), {}
        return scope

    def drop_scope(self, number: int, told: AbstractSet[Key3] | None = None) -> None:
        """Forget a scope, and all within it.

        Args:
            told: the attempts that are told to stop, where what is under way must be.
        """
        scope = self.scopes.pop(number, None)
        if scope is None:
            return
        if told is not None:
            for key in scope.open:
                self._is_told(scope, key, told)
        for inner in (scope.inner or {}).values():
            self._drop(inner, told)

    def drop_inner(self, scope: Scope, key: Key, told: AbstractSet[Key3] | None = None) -> None:
        """Forget what a visit has opened."""
        if scope.inner:
            inner = scope.inner.pop(key, None)
            if inner is not None:
                self._drop(inner, told)

    def _drop(self, inner: int | Group, told: AbstractSet[Key3] | None) -> None:
        if isinstance(inner, Group):
            opened = range(inner.first, inner.first + inner.next)
            for number in sorted(self.scopes.keys() & opened):  # few are left of many
                self.drop_scope(number, told)
        else:
            self.drop_scope(inner, told)

    def _is_told(self, scope: Scope, key: Key, told: AbstractSet[Key3]) -> None:
        """An attempt that is surely under way does not end by a withdrawal without being told."""
        key3 = (scope.number, *key)
        rests = key3 in self.rare.at_rest
        self.rare.at_rest.discard(key3)
        if key3 in told or self.was_paused or scope.open[key] < 0 or rests:
            return
        step = self.plan.steps[key[0]]
        composite = step.foreach is not None and scope.plan_scope is not None
        if step.kind == "activity" and not step.uses and not composite:
            raise Unfit(f"step {step.id!r} is under way, and is not told to stop")

    def inner_of(self, scope: Scope, key: Key) -> Scope | Group | None:
        """What a visit has opened and that has not ended."""
        inner = scope.inner.get(key) if scope.inner else None
        return inner if inner is None or isinstance(inner, Group) else self.scopes[inner]

    def group_of(self, scope: Scope) -> tuple[Scope, Key, Group]:
        """Of an item or a branch: the visit that opened it."""
        assert scope.parent is not None
        number, step, visit = scope.parent
        if scope.group is None:
            raise Unfit(f"{self.name(step)} has no items or branches")
        return self.scope(number), (step, visit), scope.group

    # -- needs of a DAG

    def settle_need(self, scope: Scope, step: StepPlan, status: str) -> None:
        """Tell the steps that need this one how it has settled."""
        if scope.tallies is None:
            return
        assert scope.begun is not None
        scope.begun.add(step.number)
        for dependent in step.dependents:
            tally = scope.tallies.setdefault(dependent, [0, 0, 0])
            tally[0] += 1
            tally[1] += status == "Completed"
            tally[2] += status == "Failed"

    # -- withdrawing

    def withdraw(
        self,
        scope: Scope,
        keys: Iterable[Key] | None,
        withdrawn: Iterable[Address],
        *,
        inner_only: bool = False,
    ) -> dict[Key | None, Awaited]:
        """Take tokens away: what was told to stop goes on to be awaited, all else is over.

        Args:
            scope: where they are.
            keys: the visits withdrawn; None: all in the scope.
            withdrawn: the attempts that are awaited; each must be under way there.
            inner_only: the visits stay, only what they have opened is withdrawn.

        Returns:
            What waits for them: by visit, or one for the whole scope.
        """
        whole = keys is None
        roots: set[Key] = set(scope.open) | set(scope.ending or ()) if keys is None else set(keys)
        found: dict[Key | None, Awaited] = {}
        homes: list[tuple[Key3, int, Awaited]] = []
        for at in withdrawn:
            top = self._top(scope, at)
            if not whole and top not in roots:
                raise Unfit(f"{self.name(at.step)} is stopped, and lies elsewhere")
            home = None if whole else top
            awaited = found.get(home)
            if awaited is None:
                awaited = found[home] = Awaited(scope.number, home)
            awaited.left += 1
            homes.append(((at.scope, at.step, at.visit), at.attempt, awaited))
        told = {key3 for key3, _, _ in homes}
        for key in roots:
            self.drop_inner(scope, key, told)
            if not inner_only:
                if key in scope.open:
                    self._is_told(scope, key, told)
                scope.open.pop(key, None)
                if scope.ending:
                    scope.ending.pop(key, None)
                if scope.canceling:
                    scope.canceling.discard(key)
        for key3, attempt, awaited in homes:
            self.rarely().stopping[key3] = (attempt, awaited)
        return found

    def _top(self, scope: Scope, at: Address) -> Key | None:
        """The visit of a scope within which an attempt is, or waits to end."""
        key3 = (at.scope, at.step, at.visit)
        stop = self.rare.stopping.get(key3)
        number: int = at.scope
        key: Key | None = (at.step, at.visit)
        if stop is not None and stop[1] is not None:
            if stop[0] != at.attempt:
                raise Unfit(f"attempt {at.attempt} is stopped, {stop[0]} is the current one")
            number, key = stop[1].scope, stop[1].key
        else:
            self.visit(at)
        while number != scope.number:
            parent = self.scope(number).parent
            if parent is None:
                raise Unfit(f"{self.name(at.step)} is stopped, and lies elsewhere")
            number, key = parent[0], (parent[1], parent[2])
        return key


def sources(plan: Plan, step: StepPlan) -> set[int]:
    """The steps with a way into a join."""
    return {plan.edges[number].source for number in step.arrivals} - {END}

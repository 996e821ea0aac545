"""Compiled plans, as a host holds them: made once from the stored version, kept within a bound."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from heliostat.actors.dispatch.protocol import StepCode
from heliostat.engine.errors import NotFound
from heliostat.engine.expressions import Read
from heliostat.engine.journal.protocol import DefinitionRow, Journal
from heliostat.engine.monitor.tables import Tables
from heliostat.engine.plan.mapping import PlanMapping, map_plans
from heliostat.engine.plan.plan import Plan, StepPlan

Compile: TypeAlias = Callable[[DefinitionRow], Plan]
"""Makes the plan of a stored version."""

_ITEM_PATH: Final = re.compile(r"\$\[(?:\d+|\*)\](.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class HostedPlan:
    """A plan, and by step number what runners must know of it (None: the step makes no attempt)."""

    plan: Plan
    codes: tuple[StepCode | None, ...]
    awaits: tuple[str, ...] = ()
    """Types of the events that its executions want to hear of."""
    tables: Tables | None = None
    """What its executions' histories are held against; None: they are not."""
    _mappings: dict[str, PlanMapping] = field(default_factory=dict, repr=False, compare=False)
    """By version: those that executions were moved here from."""

    def mapped_from(self, plan: Plan) -> PlanMapping:
        """What there is of another version's plan in this one."""
        known = self._mappings.get(plan.version)
        if known is None or known.before is not plan:
            known = self._mappings[plan.version] = map_plans(plan, self.plan)
        return known


def hosted(plan: Plan, *, conformance: bool = True) -> HostedPlan:
    """The plan with the constants of its assignments, and of its executions' rows."""
    return HostedPlan(
        plan,
        tuple(_code(plan, step) for step in plan.steps),
        tuple(sorted(plan.awaited | plan.handled)),
        Tables(plan) if conformance else None,
    )


def _code(plan: Plan, step: StepPlan) -> StepCode | None:
    activity = step.activity
    if activity is None:
        return None
    return StepCode(
        key=f"{plan.content_hash}:{step.number}",
        step_id=step.id,
        target=activity.target,
        code=plan.code,
        reads=step.reads if step.foreach is None else item_reads(step.reads),
        timeout_ms=step.timeout_ms,
        at_most_once=activity.effects == "at_most_once",
        resources=activity.resources,
    )


def item_reads(reads: Sequence[Read]) -> tuple[Read, ...]:
    """What is read of each item's output, from what is read of the list of them.

    `$[*].n` and `$[3].n` of the list are `$.n` of an item; other ways into the list need no part
    of an item that is elsewhere, or fail where they are read, naming the path.
    """
    found: dict[str, Read] = {}
    for read in reads:
        matched = _ITEM_PATH.fullmatch(read.path)
        if matched is None:
            continue
        path = f"${matched.group(1)}"
        whole = read.whole and (path not in found or found[path].whole)
        found[path] = Read(read.root, path, whole)
    return tuple(found.values())


class PlanStore(Protocol):
    """Where a host finds plans."""

    def find(self, namespace: str, id: str, version: str | None) -> HostedPlan | None:
        """What is in memory; for `version` None, only where it is surely the latest."""
        ...

    async def get(self, namespace: str, id: str, version: str | None) -> HostedPlan:
        """The plan of a version, None being the one registered last; raises `NotFound`."""
        ...

    def find_startable(self, namespace: str, id: str, version: str | None) -> HostedPlan | None:
        """As `find`, and only where nobody said that it is deleted."""
        ...

    async def get_startable(self, namespace: str, id: str, version: str | None) -> HostedPlan:
        """As `get`, for a new execution; raises `NotFound` also for one that is deleted."""
        ...

    def registered(self, namespace: str, id: str) -> None:
        """A version was registered: what is known of the latest may be wrong."""
        ...

    def deleted(self, namespace: str, id: str, versions: Sequence[str]) -> None:
        """These are deleted: executions that there are go on with them, none starts."""
        ...


class JournalPlans:
    """`PlanStore` over a journal's definitions.

    Which version is the latest is remembered only where this host is the journal's one writer:
    elsewhere another host may have registered a later one, which its client wants to see.
    """

    def __init__(
        self,
        journal: Journal,
        compile: Compile,
        *,
        capacity: int,
        expect: Callable[[], None] = lambda: None,
        conformance: bool = True,
    ) -> None:
        self._journal, self._compile, self._capacity = journal, compile, capacity
        self._conformance = conformance
        self._expect = expect
        self._plans: OrderedDict[tuple[str, str, str], HostedPlan] = OrderedDict()
        self._latest: dict[tuple[str, str], str] = {}
        self._deleted: set[tuple[str, str, str]] = set()
        """Of the plans in memory those to ask the journal about before one starts: they may be
        registered again."""
        self._registrations = 0
        self.expecting = False
        """Whether a plan that was ever needed here wants to hear of events; `expect` is called
        when the first does."""
        self._remembers_latest = journal.info.single_node

    def find(self, namespace: str, id: str, version: str | None) -> HostedPlan | None:
        if version is None:
            version = self._latest.get((namespace, id))
            if version is None:
                return None
        plan = self._plans.get((namespace, id, version))
        if plan is not None:
            self._plans.move_to_end((namespace, id, version))
        return plan

    async def get(self, namespace: str, id: str, version: str | None) -> HostedPlan:
        found = self.find(namespace, id, version)
        if found is not None:
            return found
        registrations = self._registrations
        row = await self._journal.get_definition(namespace, id, version)
        if row is None:
            raise _not_found(namespace, id, version)
        name = (namespace, id, row.version)
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = hosted(self._compile(row), conformance=self._conformance)
            if plan.awaits and not self.expecting:
                self.expecting = True
                self._expect()
            while len(self._plans) > self._capacity:
                self._deleted.discard(self._plans.popitem(last=False)[0])
            if row.deleted_at_ms is not None:
                self._deleted.add(name)
        # One registered while we read may be later than what we read.
        current = self._remembers_latest and registrations == self._registrations
        if version is None and current:
            if len(self._latest) >= self._capacity:
                self._latest.clear()
            self._latest[namespace, id] = row.version
        return plan

    def find_startable(self, namespace: str, id: str, version: str | None) -> HostedPlan | None:
        if version is not None and (namespace, id, version) in self._deleted:
            return None
        return self.find(namespace, id, version)

    async def get_startable(self, namespace: str, id: str, version: str | None) -> HostedPlan:
        found = self.find_startable(namespace, id, version)
        if found is not None:
            return found
        if version is not None:
            row = await self._journal.get_definition(namespace, id, version)
            if row is None or row.deleted_at_ms is not None:
                raise _not_found(namespace, id, version)
            self._deleted.discard((namespace, id, version))
        return await self.get(namespace, id, version)

    def registered(self, namespace: str, id: str) -> None:
        self._registrations += 1
        self._latest.pop((namespace, id), None)

    def deleted(self, namespace: str, id: str, versions: Sequence[str]) -> None:
        self.registered(namespace, id)
        names = ((namespace, id, version) for version in versions)
        self._deleted.update(name for name in names if name in self._plans)


def _not_found(namespace: str, id: str, version: str | None) -> NotFound:
    if version is None:
        return NotFound("definition", id, f"register it in namespace {namespace!r} first")
    return NotFound(
        "version", f"{id} {version}", f"see which versions {id!r} has in namespace {namespace!r}"
    )

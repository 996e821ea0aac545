"""Deadlocks again, with the data: conditions that always agree get nobody stuck.

To the net alone every condition is free. A counterexample is therefore gone along with its data; if
no case takes it, all runs that some data allows are explored. What then has no dead marking is
proved, and what has one comes with a concrete case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.certificates.certificates import DeadRun
from heliostat.verify.data.consistent import STATES_MAX, Consistent, Explored
from heliostat.verify.data.places import Places
from heliostat.verify.data.solver import Solver
from heliostat.verify.data.walking import Walked, walk
from heliostat.verify.nets.net import Net
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.properties.deadlock import deadlock
from heliostat.verify.properties.verdict import Deadlock, Report, Verdict

WALKS_MAX: Final = 20
"""Runs to dead markings that are gone along to find those that a case takes."""

DEADLOCKS_MAX: Final = 10
"""Deadlocks that one verdict tells of."""

NO_CASE: Final = "no case of the data is known in which the conditions come to what the run says"
KINDS: Final = (
    "what nothing is declared of is of the kinds that conditions compare it with, and not null"
)


def agreed(
    report: Report,
    places: Places,
    *,
    states_max: int,
    budget: Budget = UNBOUNDED,
) -> Report:
    """The report, with the answer about deadlocks put right by the data."""
    verdict, net = report.about("deadlock"), report.net
    if verdict.outcome != "fails" or net is None or not any(t.guard for t in net.transitions):
        return report
    explore = partial(
        Consistent(places, net, Solver(budget=budget)).explore,
        states_max=min(states_max, STATES_MAX),
        budget=budget,
    )
    found = _Again(verdict, places, net, explore, Solver(budget=budget)).verdict()
    verdicts = tuple(found if each is verdict else each for each in report.verdicts)
    return replace(report, verdicts=verdicts)


class _Again:
    """Asks about deadlocks again."""

    def __init__(
        self,
        verdict: Verdict,
        places: Places,
        net: Net,
        explore: Callable[..., Explored],
        solver: Solver,
    ) -> None:
        self._verdict, self._places, self._net, self._explore = verdict, places, net, explore
        self._solver = solver

    def verdict(self) -> Verdict:
        explored = self._explore()
        if self._none(explored):
            return self._holds(explored)
        taken = self._taken(explored, provided=True)
        if taken is not None:
            return taken
        if explored.stopped is None:
            again = self._explore(provided=True)
            if self._none(again):
                return self._holds_but(again, self._taken(explored, provided=False))
            taken = self._taken(again, provided=True)
        return taken or self._first() or self._without_case()

    def _none(self, explored: Explored) -> bool:
        return not explored.dead and explored.stopped is None

    def _holds(self, explored: Explored) -> Verdict:
        return Verdict(
            asked="deadlock",
            outcome="holds",
            engine="exploration, SMT",
            reason=f"no data leads to a dead one of {len(explored.parents)} states",
            rests_on=self._verdict.rests_on,
        )

    def _holds_but(self, explored: Explored, other: Verdict | None) -> Verdict:
        """It holds of the kinds that conditions provide for; that another gets stuck is no fault,
        as nobody said that there is such a value."""
        found = self._holds(explored)
        rests_on = (*found.rests_on, Abstraction(kind="kinds", step=None, text=KINDS))
        if other is None:
            return replace(found, rests_on=rests_on)
        case = other.deadlocks[0].case
        reason = f"{found.reason}, of what conditions provide for; {case} does"
        return replace(found, reason=reason, rests_on=rests_on, witness=other.witness)

    def _first(self) -> Verdict | None:
        """The deadlock as it was told, if a case takes its run."""
        certificate = self._verdict.certificate
        if not isinstance(certificate, DeadRun):
            return None
        walked = walk(self._places, self._net, certificate.run, self._solver, provided=True)
        if walked.answer != "taken":
            return None
        first = replace(self._verdict.deadlocks[0], case=walked.words)
        return replace(self._verdict, deadlocks=(first,), witness=walked.witness)

    def _without_case(self) -> Verdict:
        unsure = Abstraction(kind="data", step=None, text=NO_CASE)
        return replace(self._verdict, rests_on=(*self._verdict.rests_on, unsure))

    def _taken(self, explored: Explored, *, provided: bool) -> Verdict | None:
        """The dead markings that a case leads to."""
        net, found = self._net, list[tuple[Deadlock, Walked, tuple[int, ...]]]()
        for number in explored.dead[:WALKS_MAX]:
            run = explored.run_to(number)
            walked = walk(self._places, net, run, self._solver, provided=provided)
            if walked.answer == "taken":
                marking = net.initial
                for fired in run:
                    marking = net.fire(marking, fired)
                told = replace(deadlock(net, marking, run), case=walked.words)
                found.append((told, walked, run))
        if not found:
            return None
        first, walked, run = found[0]
        return replace(
            self._verdict,
            engine="exploration, SMT",
            reason=first.description,
            run=first.run,
            deadlocks=tuple(each for each, _, _ in found[:DEADLOCKS_MAX]),
            certificate=DeadRun(net=net.content_hash, run=run),
            witness=walked.witness,
        )

"""The analysis `data`: what is asked of conditions and variables, and the verdicts about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

from heliostat.engine.authoring.activities import ActivityInfo
from heliostat.engine.authoring.model import Definition
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.values import Json
from heliostat.verify.analyses import Subject
from heliostat.verify.budget import Budget, OutOfTime
from heliostat.verify.data.agreeing import KINDS
from heliostat.verify.data.consistent import Consistent, Explored
from heliostat.verify.data.flow import Unwritten, dead_writes, suspicious, unwritten
from heliostat.verify.data.guards import Guarded, conditional, guards
from heliostat.verify.data.inputs import Misfit, given, may_misfit, misfits
from heliostat.verify.data.places import Places, shown
from heliostat.verify.data.races import Race, pairs, races
from heliostat.verify.data.solver import Solver, load
from heliostat.verify.data.types import Types
from heliostat.verify.data.uses import Uses, Write
from heliostat.verify.data.walking import walk
from heliostat.verify.nets.net import Net, TooManyTokens
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.nets.translation import translate
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.properties.verdict import Act, Fault, Verdict
from heliostat.verify.reports.diagnostics import in_words

ANYTHING: Final = "the step may be come to with any data that types and schemas allow"

_GUARDED: Final = "each condition can hold, and a way is always taken"
_PROVIDED: Final = "a way is always taken, for values that the conditions provide for"

WALKS_MAX: Final = 10
"""Runs to one step that are gone along until one has a case."""


def asks(plan: Plan, functions: Mapping[str, ActivityInfo]) -> bool:
    """Whether the solver may be asked: there are conditions, or annotations to hold inputs to."""
    annotated = any(each.annotations.takes for each in functions.values())
    return annotated or any(map(conditional, plan.steps))


def verdicts(subject: Subject) -> Iterable[Verdict]:
    """All about the data of a definition; no solver is loaded where nothing is asked of it."""
    asked = _Data(subject)
    yield from asked.types()
    yield from asked.guards()
    yield from asked.flow()
    yield from asked.inputs()
    yield from asked.races()


class _Data:
    """Asks about one definition."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._places = Places(subject.definition, subject.plan, subject.functions)
        if asks(subject.plan, subject.functions):
            load()  # before the time begins: it is once in a process
        self._told_of = set[str | None]()  # steps
        self._budget = Budget(subject.time_max_ms, subject.now_ms)

    def types(self) -> Iterator[Verdict]:
        """Values that fit nowhere."""
        found = [
            Fault(
                code=each.code,
                message=each.message,
                cure=each.cure,
                step=each.step,
                field=each.field,
            )
            for each in self._types.misfits()
        ]
        self._told_of |= {each.step for each in found}
        unseen = _unseen(self._subject.functions)
        yield answer(
            "types",
            found,
            holds=f"what is read, given and put out may be of the types that are needed{unseen}",
            fails=f"something is never of the type that is needed{unseen}",
            engine="types",
        )

    def guards(self) -> Iterator[Verdict]:
        """Conditions of each step: what is found there, and whether a run comes to it."""
        plan = self._subject.plan
        steps = [step for step in plan.steps if not step.retired and conditional(step)]
        solver, figures = Solver(budget=self._budget) if steps else None, self._subject.figures
        found = [] if solver is None else [*guards(self._places, solver, overlaps=figures)]
        overlaps = [each for each in found if each.finding == "overlap"]
        told = [
            verdict
            for each in found
            if each.finding != "overlap" and (verdict := self._told(each)) is not None
        ]
        yield from told
        if overlaps:
            yield _overlapping(overlaps)
        if all(each.outcome == "holds" for each in told):
            yield Verdict(
                asked="guards",
                outcome="holds",
                engine="SMT" if steps else "syntax",
                reason=(_PROVIDED if told else _GUARDED) if steps else "there are no conditions",
            )

    def flow(self) -> Iterator[Verdict]:
        """Reads of what was not written, assignments that are not read."""
        reads, stopped = suspicious(self._uses), None
        found = list[Unwritten]()
        if reads:
            try:
                found, stopped = unwritten(self._uses, reads, self._net, self._budget)
            except (TooManyTokens, OutOfTime) as error:
                stopped = str(error)
        plan = self._subject.plan
        self._told_of |= {each.read.step.id for each in found if each.read.step is not None}
        yield answer(
            "unwritten reads",
            [_unwritten(each, plan) for each in found],
            holds="all that is read has been written, or is asked for with care",
            fails="what is read may not have been written",
            stopped=stopped,
            run=found[0].run if found else (),
            engine="exploration, SMT" if reads else "syntax",
        )
        yield answer(
            "dead assignments",
            [_dead(each) for each in dead_writes(self._uses)],
            holds="all that is assigned may be read",
            fails="what is assigned is never read",
            engine="liveness",
        )

    def races(self) -> Iterator[Verdict]:
        """Steps side by side that touch one variable."""
        candidates, stopped = pairs(self._uses), None
        found = list[Race]()
        if candidates:
            try:
                found, stopped = races(self._uses, candidates, self._net, self._budget)
            except (TooManyTokens, OutOfTime) as error:
                stopped = str(error)
        yield answer(
            "races",
            [_race(each) for each in found],
            holds="no two steps that may be under way at once touch one variable",
            fails="two steps that may be under way at once touch one variable",
            stopped=stopped,
            run=found[0].run if found else (),
            engine="exploration, SMT" if candidates else "syntax",
        )

    def inputs(self) -> Iterator[Verdict]:
        """Inputs that do not fit in some case, of steps of which nothing worse is told."""
        known = given(self._places, self._beside, self._types.names)
        candidates, stopped = [each for each in known if each.step.id not in self._told_of], None
        found = list[Misfit]()
        if candidates:
            try:
                candidates = may_misfit(candidates, self._places, self._solver)
                if candidates:
                    found, stopped = misfits(candidates, self._places, self._net, self._budget)
            except (TooManyTokens, OutOfTime) as error:
                stopped = str(error)
        yield answer(
            "inputs",
            [_misfit(each) for each in found],
            holds="what is given fits what is taken, as far as both are declared",
            fails="there is a case in which an input does not fit",
            stopped=stopped,
            run=found[0].run if found else (),
            engine="exploration, SMT" if candidates else "types",
            witness=found[0].witness if found else None,
        )

    @cached_property
    def _beside(self) -> dict[str, Definition]:
        return {each.definition.id: each.definition for each in self._subject.beside}

    @cached_property
    def _types(self) -> Types:
        return Types(self._places, self._beside)

    @cached_property
    def _uses(self) -> Uses:
        return Uses(self._places)

    def _told(self, found: Guarded) -> Verdict | None:
        """A verdict about one step; None where no run comes to what was found."""
        if found.finding in ("dead", "never"):
            return _never(found)
        if found.finding == "no value":
            return _no_value(found)
        explored, step = self._explored, found.step
        ways = explored.no_way.get(step.number, ())
        if explored.stopped is None and not ways:
            return None  # whatever comes there has data for which a condition holds
        for provided in (True, False):
            for number, fired in ways[:WALKS_MAX]:
                run = (*explored.run_to(number), fired)
                walked = walk(self._places, self._net, run, self._solver, provided=provided)
                if walked.answer == "taken":
                    return _no_way(
                        step,
                        walked.words,
                        walked.witness,
                        run=acts(self._net, run[:-1]),
                        provided=walked.provided,
                    )
        if found.finding == "unknown":
            return _unknown(step)
        return _no_way(step, found.case, found.witness, provided=found.finding == "gap", sure=False)

    @cached_property
    def _solver(self) -> Solver:
        return Solver(budget=self._budget)

    @cached_property
    def _net(self) -> Net:
        return translate(self._subject.plan, "proof", self._budget).net

    @cached_property
    def _explored(self) -> Explored:
        try:
            consistent = Consistent(self._places, self._net, Solver(budget=self._budget))
        except (TooManyTokens, OutOfTime) as error:
            return Explored(stopped=str(error))
        return consistent.explore(budget=self._budget)


def answer(
    asked: str,
    faults: Sequence[Fault],
    *,
    holds: str,
    fails: str,
    stopped: str | None = None,
    run: tuple[Act, ...] = (),
    engine: str,
    witness: Mapping[str, Json] | None = None,
) -> Verdict:
    """A verdict about all steps; what was found before a bound is found all the same."""
    if not faults and stopped is not None:
        reason = f"the bound of {stopped} was reached"
        return Verdict(asked=asked, outcome="inconclusive", engine=engine, reason=reason)
    return Verdict(
        asked=asked,
        outcome="fails" if faults else "holds",
        engine=engine,
        reason=fails if faults else holds,
        run=run,
        steps=tuple(dict.fromkeys(each.step for each in faults if each.step is not None)),
        faults=tuple(faults),
        witness=witness,
    )


def _unseen(functions: Mapping[str, ActivityInfo]) -> str:
    """Of which functions nothing is known, as the end of a sentence."""
    why: dict[str, list[str]] = {}
    for name, each in functions.items():
        for fault in each.faults[:1]:
            why.setdefault(fault.message, []).append(f"`{name}`")
    told = [f"nothing is known of {', '.join(names)}, as {each}" for each, names in why.items()]
    return f"; {'; '.join(told)}" if told else ""


def _unwritten(found: Unwritten, plan: Plan) -> Fault:
    read = found.read
    name = shown(read.location, (), plan)
    if read.location[0] == "steps":
        source = plan.steps[read.location[1]].id
        what = f"`{name}` is read, and `{source}` has not completed{_after(found.run, found.case)}"
    else:
        what = f"`{name}` is read, and nothing is assigned to it{_after(found.run, found.case)}"
    return Fault(
        code="HS512",
        message=f"{what}; it is null then",
        cure="say what holds then (`… default …`), or let every way here lead by it first",
        step=None if read.step is None else read.step.id,
        field=read.field,
        severity="warning",
    )


def _misfit(found: Misfit) -> Fault:
    given, after = found.given, f", after {in_words(found.run)}" if found.run else ""
    case = f"for {found.case} " if found.case else ""
    return Fault(
        code="HS518",
        message=f"{case}the input does not fit {given.of}: {found.message}{after}",
        cure="ask before whether it does, or let what is given be declared as narrowly",
        step=given.step.id,
        field=given.field,
    )


def _dead(write: Write) -> Fault:
    return Fault(
        code="HS513",
        message=f"what is assigned to `{write.name}` here is never read",
        cure="take it out, or read it",
        step=write.step.id,
        field=("assign", write.name),
        severity="warning",
    )


def _race(race: Race) -> Fault:
    pair = race.pair
    name = f"$.vars.{pair.location[2]}"
    does = "assigns" if pair.kind == "writes" else pair.kind.split()[0]
    return Fault(
        code="HS514" if pair.kind == "writes" else "HS515",
        message=f"this step assigns `{name}` and `{pair.second.id}` {does} it, while both may be "
        f"under way{_after(race.run, race.case)}: what it holds hangs on which is first",
        cure="let one come after the other, or each have a variable of its own",
        step=pair.first.id,
        field=("assign", pair.location[2]),
        severity="warning",
    )


def _after(run: Sequence[Act], case: str) -> str:
    """How a run got there, and with which data."""
    told = f", after {in_words(run)}" if run else ""
    return f"{told}, where {case}" if case else told


def _unknown(step: StepPlan) -> Verdict:
    return Verdict(
        asked="guards",
        outcome="inconclusive",
        engine="SMT",
        reason=f"whether some condition of `{step.id}` always holds",
        steps=(step.id,),
    )


def _no_way(
    step: StepPlan,
    case: str,
    witness: Mapping[str, Json],
    *,
    run: tuple[Act, ...] = (),
    provided: bool,
    sure: bool = True,
) -> Verdict:
    """None of a step's conditions holds.

    Args:
        provided: for a value of a kind that the conditions provide for, or that is declared.
        sure: a run was found that comes there.
    """
    after = f", after {in_words(run)}" if run else ""
    for_case = f"for {case} no way on is taken" if case else "no way on is taken"
    message = f"{for_case}: none of {_conditions(step)} holds{after}"
    if not provided:  # nobody said that there is such a value: told here, and no fault
        return Verdict(
            asked="guards",
            outcome="holds",
            engine="exploration, SMT" if run else "SMT",
            reason=f"{_PROVIDED}; {message}",
            rests_on=(Abstraction(kind="kinds", step=step.id, text=KINDS),),
            steps=(step.id,),
            witness=witness,
        )
    fault = Fault(
        code="HS510",
        message=message,
        cure="add a last `{to: …}` without `when`",
        step=step.id,
        field=("next",),
        severity="error" if sure else "warning",
    )
    return Verdict(
        asked="guards",
        outcome="fails",
        engine="exploration, SMT" if run else "SMT",
        reason=message,
        rests_on=() if sure else (Abstraction(kind="data", step=step.id, text=ANYTHING),),
        run=run,
        steps=(step.id,),
        faults=(fault,),
        witness=witness,
    )


def _overlapping(found: Sequence[Guarded]) -> Verdict:
    """Conditions that hold at once: no fault, as the first is taken, but worth to know."""
    first, *more = found
    names = [
        f"`{edge.when.source}`"
        for edge in (first.edge, first.other)
        if edge is not None and edge.when is not None
    ]
    rest = f"; so do conditions of {len(more)} steps more" if more else ""
    return Verdict(
        asked="guards",
        outcome="holds",
        engine="SMT",
        reason=f"conditions of `{first.step.id}` overlap: for {first.case or 'any data'} "
        f"{' and '.join(names)} hold, and the first is taken{rest}",
        steps=tuple(each.step.id for each in found),
        witness=first.witness,
    )


def _no_value(found: Guarded) -> Verdict:
    """A condition that has none in some case: a warning, as the run there is not looked for."""
    step = found.step
    source = "" if found.edge is None or found.edge.when is None else found.edge.when.source
    message = f"for {found.case} `{source}` has no value, and the step fails as `ExpressionError`"
    fault = Fault(
        code="HS517",
        message=message,
        cure="ask first whether there is one, or let `input_schema` rule the case out",
        step=step.id,
        field=("next",),
        severity="warning",
    )
    return Verdict(
        asked="guards",
        outcome="holds",
        engine="SMT",
        reason=message,
        rests_on=(Abstraction(kind="data", step=step.id, text=ANYTHING),),
        steps=(step.id,),
        faults=(fault,),
        witness=found.witness,
    )


def _never(found: Guarded) -> Verdict:
    """A condition that never holds."""
    step = found.step
    if found.finding == "dead":
        source = "" if found.edge is None or found.edge.when is None else found.edge.when.source
        message = f"`{source}` never holds when it is asked, so that this way is never taken"
        field = "next"
    else:
        source = "" if step.when is None else step.when.source
        message, field = f"`{source}` never holds, so that the step is always skipped", "when"
    fault = Fault(
        code="HS511",
        message=message,
        cure="take it out, or let the condition or those before it say what is meant",
        step=step.id,
        field=(field,),
        severity="warning",
    )
    return Verdict(
        asked="guards",
        outcome="fails",
        engine="SMT",
        reason=message,
        rests_on=tuple(each for each in found.rests_on if each.kind == "rounding"),
        steps=(step.id,),
        faults=(fault,),
    )


def _conditions(step: StepPlan) -> str:
    return ", ".join(f"`{edge.when.source}`" for edge in step.routes if edge.when is not None)

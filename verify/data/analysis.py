"""The analysis `data`: what is asked of conditions and variables, and the verdicts about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from heliostat.engine.plan.plan import StepPlan
from heliostat.verify.analyses import Subject
from heliostat.verify.data.guards import Guarded, conditional, guards
from heliostat.verify.data.places import Places
from heliostat.verify.data.solver import Solver
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.properties.verdict import Fault, Verdict

ANYTHING: Final = "the step may be come to with any data that types and schemas allow"


def verdicts(subject: Subject) -> Iterable[Verdict]:
    """All about the data of a definition; no solver is loaded where there are no conditions."""
    places = Places(subject.definition, subject.plan)
    yield from _about_guards(places)


def _about_guards(places: Places) -> Iterator[Verdict]:
    steps = [step for step in places.plan.steps if not step.retired and conditional(step)]
    found = list(guards(places, Solver())) if steps else []
    for each in found:
        yield _guarded(each)
    if all(each.finding == "gap in kind" for each in found):
        yield Verdict(
            asked="guards",
            outcome="holds",
            engine="SMT" if steps else "syntax",
            reason="each condition can hold, and a way is always taken"
            if steps
            else "there are no conditions",
        )


def _guarded(found: Guarded) -> Verdict:
    step, conditions = found.step, _conditions(found.step)
    if found.finding == "unknown":
        return Verdict(
            asked="guards",
            outcome="inconclusive",
            engine="SMT",
            reason=f"whether one of the conditions of `{step.id}` always holds: no formula or no "
            "case was found within the bound",
            steps=(step.id,),
        )
    rests_on, field, cure, code = found.rests_on, ("next",), None, "HS511"
    match found.finding:
        case "gap" | "gap in kind":
            code = "HS510"
            message = f"for {found.case} no way on is taken: none of {conditions} holds"
            cure = "add a last `{to: …}` without `when`"
            rests_on = (Abstraction(kind="data", step=step.id, text=ANYTHING),)
        case "dead":
            source = "" if found.edge is None or found.edge.when is None else found.edge.when.source
            message = f"`{source}` never holds when it is asked, so that this way is never taken"
            cure = "take the way out, or let the condition or those before it say what is meant"
        case _:
            source = "" if step.when is None else step.when.source
            message, field = (
                f"`{source}` never holds, so that the step is always skipped",
                ("when",),
            )
    kind = found.finding == "gap in kind"
    return Verdict(
        asked="guards",
        outcome="holds" if kind else "fails",
        engine="SMT",
        reason=message,
        rests_on=rests_on,
        steps=(step.id,),
        faults=(
            Fault(
                code=code,
                message=message,
                cure=cure,
                step=step.id,
                field=field,
                severity="warning",
            ),
        ),
        witness=found.witness or None,
    )


def _conditions(step: StepPlan) -> str:
    return ", ".join(f"`{edge.when.source}`" for edge in step.routes if edge.when is not None)

"""The analysis `people`, of properties that say `different_people: [ask, approve]`.

Of each two of the steps it is asked whether an execution can come to complete both, on a net that
remembers what has completed, and whether the two tasks may have one doer, by whom they are given
to. Where only an expression keeps them apart, which leaves out who did the other step, it has to
know all of those in time: the other step must have completed by then, once, and not do so again.

The engine records who did a task, and refuses nobody who completes or assigns one that is given to
others and not claimed. That a task is done by those it is given to is therefore what every verdict
that holds by them rests on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.verify.analyses import Subject
from heliostat.verify.budget import Budget, OutOfTime
from heliostat.verify.nets.net import NetTransition, TooManyTokens
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.nets.translation import Translation, translate
from heliostat.verify.nets.watching import Watching, shortest
from heliostat.verify.people.given import Given, given
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.properties.spaces import Space, explored
from heliostat.verify.properties.verdict import Act, Fault, Outcome, Verdict
from heliostat.verify.reports.diagnostics import in_words, named

GIVEN: Final = Abstraction(
    kind="people",
    step=None,
    text="a task is done by those it is given to; the engine refuses nobody else",
)

ENGINE: Final = "watched net"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What is known of two steps."""

    outcome: Outcome
    reason: str
    rests_on: tuple[Abstraction, ...] = ()
    run: tuple[Act, ...] = ()
    fault: Fault | None = None


def verdicts(subject: Subject) -> Iterator[Verdict]:
    """The verdicts about all that different people have to do."""
    budget = Budget(subject.time_max_ms, subject.now_ms)
    for declared in subject.definition.properties:
        if declared.different_people is not None:
            yield different(subject.plan, declared.id, declared.different_people, budget)


def different(plan: Plan, id: str, steps: Sequence[str], budget: Budget) -> Verdict:
    """The verdict about one property."""
    asked = [plan.steps[plan.step_by_id[each]] for each in steps]
    people = [step for step in asked if step.human is not None]
    pairs = [_pair(plan, id, one, other, budget) for one, other in combinations(people, 2)]
    nobody = [_nobody(id, step) for step in asked if step.human is None]
    decided = [each for each in pairs if each.outcome == _worst(pairs)]
    return Verdict(
        asked=id,
        outcome=_worst(pairs),
        engine=ENGINE,
        reason="; ".join(each.reason for each in decided) or "people do at most one of these",
        rests_on=tuple(dict.fromkeys(ground for each in decided for ground in each.rests_on)),
        run=next((each.run for each in decided if each.run), ()),
        steps=tuple(steps),
        faults=(*(each.fault for each in decided if each.fault is not None), *nobody),
    )


def _worst(pairs: Sequence[Pair]) -> Outcome:
    found = {each.outcome for each in pairs}
    return "fails" if "fails" in found else "inconclusive" if "inconclusive" in found else "holds"


def _nobody(id: str, step: StepPlan) -> Fault:
    return Fault(
        code="HS540",
        message=f"property `{id}`: no person does this step",
        cure="name steps of type `human`",
        step=step.id,
        field=("type",),
        severity="warning",
    )


def _pair(plan: Plan, id: str, one: StepPlan, other: StepPlan, budget: Budget) -> Pair:
    try:
        made = translate(plan, "proof", budget)
        both = explored(_both(made, one.id, other.id), budget=budget)
        if not _raised(both):
            return _never_both(both, one, other)
        ones, others = _resolved(plan, one, other), _resolved(plan, other, one)
        who = _shared(one, ones, other, others)
        if who is not None:
            return _same(id, both, one, other, who)
        unknown = _unknown(one, ones, other, others)
        if unknown is not None:
            return _not_known(id, one, other, unknown)
        informed = {other.id} if _left_out(one, others) else set[str]()
        informed |= {one.id} if _left_out(other, ones) else set()
        if informed:
            met = explored(_unnoticed(made, one.id, other.id, informed), budget=budget)
            if _raised(met):
                who = "somebody who was not left out in time"
                alike = {each.text for each in ones} & {each.text for each in others}
                return _same(id, met, one, other, who, certain=bool(alike))
            if _stopped(met) is not None:
                return Pair(outcome="inconclusive", reason=f"{_stopped(met)}")
    except (TooManyTokens, OutOfTime) as error:
        return Pair(outcome="inconclusive", reason=f"the bound of {error} was reached")
    grounds = [*both.rests_on, GIVEN, *_groups(ones, others)]
    told = f"`{one.id}` goes to {_listed(ones)}, `{other.id}` to {_listed(others)}"
    return Pair(outcome="holds", reason=told, rests_on=tuple(grounds))


# -- on the net


def _both(made: Translation, one: str, other: str) -> Translation:
    """With an alarm where both have completed."""
    watching = Watching(made)
    done = {step: watching.flag(f"done_{step}") for step in (one, other)}
    alarm = watching.alarm("both")
    for number, each in enumerate(made.net.transitions):
        if _completes(each, one) or _completes(each, other):
            mine, theirs = (one, other) if each.step == one else (other, one)
            watching.sets(number, done[mine])
            watching.raises(each, alarm, (done[theirs],))
    return watching.watched()


def _unnoticed(made: Translation, one: str, other: str, informed: Set[str]) -> Translation:
    """With an alarm where a step is done although somebody who did the other is not left out.

    A step that is informed leaves out who did the latest visit of the other when its own began:
    not who did one before that, nor one that was open at the same time.
    """
    watching = Watching(made)
    once = {step: watching.flag(f"once_{step}") for step in (one, other)}
    twice = {step: watching.flag(f"twice_{step}") for step in (one, other)}
    alarm = watching.alarm("unnoticed")
    for number, each in enumerate(made.net.transitions):
        for step, before in ((one, other), (other, one)):
            if not _completes(each, step):
                continue
            watching.raises(each, alarm, ((twice if step in informed else once)[before],))
            for place in _open(made, before):
                watching.raises(each, alarm, (place,))
            again = replace(each, inputs=tuple(sorted([*each.inputs, (once[step], 1)])))
            both = (once[step], twice[step])
            watching.also(again, puts=both, clears=both)
            watching.sets(number, once[step])
    return watching.watched()


def _open(made: Translation, step: str) -> list[int]:
    """The places of which one holds a token while a visit is open."""
    return [
        number
        for number, place in enumerate(made.net.places)
        if place.step == step and place.id.startswith(("step_", "ready_", "queued_"))
    ]


def _completes(each: NetTransition, step: str) -> bool:
    return each.step == step and each.act.split(" ")[0] == "completes"


def _alarm(space: Space) -> int:
    return next(n for n, place in enumerate(space.net.places) if place.id.startswith("alarm_"))


def _raised(space: Space) -> bool:
    name = space.translation.overflows[_alarm(space)]
    return any(space.overflow(marking) == name for marking in space.graph.markings)


def _stopped(space: Space) -> str | None:
    if space.stopped is not None:
        return f"the bound of {space.stopped} was reached"
    if space.overflown is not None:
        return space.overflown
    return "a part of the runs can never end" if min(space.ends) < 0 else None


def _run(space: Space) -> tuple[Act, ...]:
    run = shortest(space.net, _alarm(space), space.budget)
    if run is None:
        name = space.translation.overflows[_alarm(space)]
        raised = (n for n, m in enumerate(space.graph.markings) if space.overflow(m) == name)
        run, _ = space.run_to(next(raised))
    return acts(space.net, run)


# -- by those they are given to


def _resolved(plan: Plan, step: StepPlan, other: StepPlan) -> tuple[Given, ...]:
    """Whom a step is given to; whoever did a third one is somebody whom that was given to."""
    found, seen = dict[Given, None](), {step.id, other.id}
    todo = [*given(step)]
    while todo:
        each = todo.pop(0)
        number = plan.step_by_id.get(each.text) if each.kind == "doer" else None
        if number is None or each.text in seen or plan.steps[number].human is None:
            found[each] = None
        else:
            seen.add(each.text)
            todo += given(plan.steps[number])
    return tuple(found)


def _shared(
    one: StepPlan, ones: Sequence[Given], other: StepPlan, others: Sequence[Given]
) -> str | None:
    """Somebody whom both are given to for certain, in words."""
    for mine in ones:
        if mine.kind == "doer" and mine.text == other.id:
            return f"{mine}"
        for theirs in others:
            if theirs.kind == "doer" and theirs.text == one.id:
                return f"{theirs}"
            left_out = one.id in theirs.without or other.id in mine.without
            alike = (mine.kind, mine.text) == (theirs.kind, theirs.text)
            if alike and not left_out and mine.kind in ("person", "group", "input"):
                return f"{mine}"
    return None


def _unknown(
    one: StepPlan, ones: Sequence[Given], other: StepPlan, others: Sequence[Given]
) -> str | None:
    """What keeps two steps apart is not known from the definition."""
    for mine in ones:
        for theirs in others:
            left_out = one.id in theirs.without or other.id in mine.without
            if not left_out and not {mine.kind, theirs.kind} <= {"person", "group"}:
                shown, step = (theirs, one) if mine.kind in ("person", "group") else (mine, other)
                return f"{shown} may be one of those that `{step.id}` is given to"
    return None


def _left_out(step: StepPlan, others: Sequence[Given]) -> bool:
    """Whether who did a step is left out of all that another is given to by expressions."""
    return any(step.id in each.without for each in others)


def _groups(ones: Sequence[Given], others: Sequence[Given]) -> Iterator[Abstraction]:
    """That nobody is of two groups, or of one and named, is not in the definition."""
    for one in ones:
        for other in others:
            if "group" in (one.kind, other.kind) and {one.kind, other.kind} <= {"person", "group"}:
                text = f"nobody is both of `{one.text}` and of `{other.text}`"
                if "person" in (one.kind, other.kind):
                    person, group = (one, other) if one.kind == "person" else (other, one)
                    text = f"`{person.text}` is not of `{group.text}`"
                yield Abstraction(kind="groups", step=None, text=text)


def _listed(some: Sequence[Given]) -> str:
    return " and ".join(f"{each}" for each in some) or "nobody"


# -- what is told


def _never_both(space: Space, one: StepPlan, other: StepPlan) -> Pair:
    stopped = _stopped(space)
    if stopped is not None:
        return Pair(outcome="inconclusive", reason=stopped)
    reason = f"no execution completes both `{one.id}` and `{other.id}`"
    return Pair(outcome="holds", reason=reason, rests_on=space.rests_on)


def _not_known(id: str, one: StepPlan, other: StepPlan, reason: str) -> Pair:
    both = named([one.id, other.id])
    fault = Fault(
        code="HS540",
        message=f"property `{id}`: it is not known whether one person can do both {both}: {reason}",
        cure="give them to people by name, or both to one part of the input, of which one leaves "
        f"out who did the other, as in `${{ $.input.team[?@ != $.steps.{one.id}.output."
        "completed_by] }`",
        step=other.id,
        severity="warning",
    )
    return Pair(outcome="inconclusive", reason=reason, fault=fault)


def _same(
    id: str, space: Space, one: StepPlan, other: StepPlan, who: str, *, certain: bool = True
) -> Pair:
    run = _run(space)
    if not certain:
        reason = f"{who} may do both, after {in_words(run)}"
        return replace(_not_known(id, one, other, reason), run=run)
    fault = Fault(
        code="HS540",
        message=f"property `{id}`: {who} can do both {named([one.id, other.id])}, after "
        f"{in_words(run)}",
        cure="give them to different people, or leave out who did the other, as in "
        f"`${{ $.input.team[?@ != $.steps.{one.id}.output.completed_by] }}`",
        step=other.id,
    )
    return Pair(
        outcome="fails",
        reason=f"{who} can do both {named([one.id, other.id])}",
        rests_on=space.rests_on,
        run=run,
        fault=fault,
    )

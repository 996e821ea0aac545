"""The analysis `recovery`, of properties that say `undone: {charge: refund}`.

Asked is whether every execution that fails after `charge` has completed has completed `refund`
since: on a net that remembers what is owed, and in which every failure of the execution while
something is owed raises an alarm. And whether an end can be reached from wherever `refund` has
begun, so that nobody waits for it for ever.

Two things are taken for granted and said. A step that undoes is taken to complete where it is
tried: what is asked of it is that it is tried, and that it is worth more than one attempt. And
expressions are taken to have values, and conditions to lead on: every step could fail by those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from heliostat.engine.authoring.scopes import scopes_of
from heliostat.engine.plan.plan import ErrorClause, Plan, StepPlan
from heliostat.verify.analyses import Subject
from heliostat.verify.budget import Budget, OutOfTime
from heliostat.verify.nets.net import Net, NetTransition, TooManyTokens
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.nets.translation import Translation, translate
from heliostat.verify.nets.watching import Watching, shortest
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.properties.spaces import Space, ends_always, explored
from heliostat.verify.properties.verdict import Act, Fault, Verdict
from heliostat.verify.reports.diagnostics import in_words

VALUES: Final = Abstraction(
    kind="values", step=None, text="expressions have values, and conditions a way on"
)

ENGINE: Final = "watched net"

_OWED: Final = "owed_"
_BEGUN: Final = "begun_"

_NUMBERED: Final = re.compile(r"#\d+$")
"""What makes the name of one of several places distinct."""

_FEW: Final = ("any", "at_least")

_FAILED: Final = ("failed_", "lost_")
"""How places begin that hold a token when what is inside a step has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """One entry of a declared property."""

    id: str  # of the property
    step: str
    by: str


def verdicts(subject: Subject) -> Iterator[Verdict]:
    """The verdicts about all that is declared to be undone."""
    budget = Budget(subject.time_max_ms, subject.now_ms)
    for declared in subject.definition.properties:
        for step, by in (declared.undone or {}).items():
            found = undone(subject.plan, Undoing(id=declared.id, step=step, by=by), budget)
            if found.outcome == "holds":
                found = replace(found, faults=tuple(_given_up(subject, declared.id, step, by)))
            yield found


def undone(plan: Plan, asked: Undoing, budget: Budget) -> Verdict:
    """The verdict about one step and the one that undoes it."""
    try:
        made = translate(plan, "proof", budget)
        owing = _owing(plan, made, asked)
        space = explored(owing, budget=budget)
        alarm = _raised(space)
        if alarm is not None:
            return _left(plan, asked, space, alarm)
        stuck = _stuck(space, _OWED) if space.graph.dead else None
        if stuck is not None:
            return _told(asked, space, stuck, how="it gets stuck", step=None)
        begun = _begun(plan, made, asked)
        after = explored(begun, budget=budget)
        stuck = _stuck(after, _BEGUN)
        if stuck is not None:
            return _never_ends(asked, after, stuck)
    except (TooManyTokens, OutOfTime) as error:
        return _unknown(asked, f"the bound of {error} was reached")
    for each in (space, after):
        reason = _not_known(each)
        if reason is not None:
            return _unknown(asked, reason)
    step, by = plan.steps[plan.step_by_id[asked.step]], plan.steps[plan.step_by_id[asked.by]]
    return Verdict(
        asked=asked.id,
        outcome="holds",
        engine=ENGINE,
        reason=f"where the execution fails after `{step.id}`, `{by.id}` has been tried, and "
        "whatever begins it can end",
        rests_on=space.rests_on,
        steps=(step.id, by.id),
        certificate=space.certificate() if ends_always(space) else None,
        net=space.net,
    )


# -- that it is tried


def _owing(plan: Plan, made: Translation, asked: Undoing) -> Translation:
    """The net with an alarm for failures of the execution while something is owed.

    Items of a body owe each for itself; a step outside of them undoes what all of them did.
    """
    watching = Watching(made)
    copies = {
        _copy(made.net, each): None
        for each in made.net.transitions
        if each.step == asked.step and each.act.startswith("completes")
    }
    owed = {copy: watching.flag(f"{_OWED}{copy}") for copy in copies}
    alarm = watching.alarm(asked.step)
    kept = list[NetTransition]()
    by_id = {step.id: step for step in plan.steps}
    for number, each in enumerate(made.net.transitions):
        verb = each.act.split(" ")[0]
        step = None if each.step is None else by_id[each.step]
        if verb == "completes" and each.step == asked.step:
            goes_on = bool(each.outputs)  # else, but for what is beside it, the execution has ended
            watching.sets(number, owed[_copy(made.net, each)])
            if plan.deadline is not None and not _catches_deadline(plan) and goes_on:
                watching.raises(watching.transitions[number], alarm, ())
        if verb == "completes" and each.step == asked.by:
            by = _copy(made.net, each)
            for copy, flag in owed.items():
                if copy.startswith(by) or by.startswith(copy):
                    watching.clears(number, flag)
        if verb != "fails" or step is None:
            lost = False
        else:
            caught = each.act == "fails" and _catches(step.on_error)
            lost = each.step == asked.by or caught or not _may_fail(made.net, each, step)
        if each.id == "fail_root" and _catches(plan.on_error):  # all, and once
            once = made.net.place_index["once_root"]
            watching.transitions[number] = replace(each, inhibitors=(once,))
        if each.ending == "failed" and not lost and not _completes(plan):
            for flag in owed.values():
                watching.raises(watching.transitions[number], alarm, (flag,))
        if not lost:
            kept.append(watching.transitions[number])
    watching.transitions = kept
    tried = Abstraction(
        kind="tried", step=asked.by, text="where it is tried it completes in the end"
    )
    return watching.watched(tried, VALUES)


def _copy(net: Net, each: NetTransition) -> str:
    """Which copy of a scope's net a visit belongs to that ends: the prefix of its places' names."""
    for place, _ in each.inputs:
        _, _, name = _NUMBERED.sub("", net.places[place].id).partition("_")
        if net.places[place].step == each.step and name.endswith(f"{each.step}"):
            return name.removesuffix(f"{each.step}")
    return ""


def _may_fail(net: Net, each: NetTransition, step: StepPlan) -> bool:
    """Whether it is more than an expression without a value that lets a step fail so."""
    if each.outside or (step.foreach is not None and step.foreach.completion.kind in _FEW):
        return True  # too few items may complete
    match step.kind:
        case "body" | "parallel":
            return any(net.places[place].id.startswith(_FAILED) for place, _ in each.inputs)
        case "decision":
            return step.fail is not None
        case "timer" | "wait":
            return step.deadline is not None
        case _:
            return not (step.child is not None and step.child.detached)


def _catches_deadline(plan: Plan) -> bool:
    """Whether the net has what follows when the definition's deadline passes, or nothing fails."""
    return any(clause.edge is not None for clause in plan.on_error) or _catches(plan.on_error)


def _catches(clauses: Sequence[ErrorClause]) -> bool:
    """Whether whatever fails leads on, or completes with an `output`."""
    for clause in clauses:
        if clause.error is None and clause.when is None:
            return clause.edge is not None or clause.output is not None
    return False


def _completes(plan: Plan) -> bool:
    """Whether the definition's clauses let every execution complete that fails."""
    return _catches(plan.on_error) and any(
        clause.output is not None
        for clause in plan.on_error
        if clause.error is None and clause.when is None
    )


def _raised(space: Space) -> int | None:
    """The alarm that is raised somewhere."""
    alarms = [n for n, place in enumerate(space.net.places) if place.id.startswith("alarm_")]
    names = {space.translation.overflows[each]: each for each in alarms}
    for marking in space.graph.markings:
        raised = space.overflow(marking)
        if raised in names:
            return names[raised]
    return None


def _left(plan: Plan, asked: Undoing, space: Space, alarm: int) -> Verdict:
    run = _run(space, alarm)
    last = run[-1] if run else None
    if last is None or last.act != "fails":
        return _told(asked, space, run, how="its deadline passes", step=None)
    return _told(asked, space, run, how="nothing catches that", step=last.step)


def _told(
    asked: Undoing, space: Space, run: tuple[Act, ...], *, how: str, step: str | None
) -> Verdict:
    fault = Fault(
        code="HS545",
        message=f"property `{asked.id}`: the execution can fail after `{asked.step}` has "
        f"completed, and `{asked.by}` has not: {how}, after {in_words(run)}",
        cure=f"lead on to `{asked.by}` by an `on_error` of this step, of what is around it, or of "
        "the definition",
        step=step or asked.step,
    )
    return Verdict(
        asked=asked.id,
        outcome="fails",
        engine=ENGINE,
        reason=f"the execution can fail after `{asked.step}` without `{asked.by}`",
        rests_on=tuple(each for each in space.rests_on if each.kind not in ("tried", "values")),
        run=run,
        steps=(asked.step, asked.by),
        faults=(fault,),
    )


def _run(space: Space, alarm: int) -> tuple[Act, ...]:
    """A short run to where an alarm is raised."""
    run = shortest(space.net, alarm, space.budget)
    if run is None:
        number = next(
            n for n, marking in enumerate(space.graph.markings) if space.overflow(marking)
        )
        run, _ = space.run_to(number)
    return acts(space.net, run)


# -- that it ends


def _begun(plan: Plan, made: Translation, asked: Undoing) -> Translation:
    """The net with a flag that is set when the step that undoes has begun."""
    watching = Watching(made)
    begun = watching.flag(_BEGUN)
    entries = {
        number
        for number, place in enumerate(made.net.places)
        if place.step == asked.by and place.id.startswith(("step_", "ready_", "queued_"))
    }
    for number, each in enumerate(made.net.transitions):
        if any(place in entries for place, _ in each.outputs):
            watching.sets(number, begun)
    return watching.watched()


def _stuck(space: Space, flag: str) -> tuple[Act, ...] | None:
    """A run after which a flag is set, to where no end can be reached: a deadlock or a livelock."""
    places = [n for n, each in enumerate(space.net.places) if each.id.startswith(f"flag_{flag}")]
    cut_off = [number for number, distance in enumerate(space.ends) if distance < 0]
    for number in [*space.graph.dead, *(cut_off if space.stopped is None else ())]:
        try:
            reached = space.dead_run(number) or space.run_to(number)
        except TooManyTokens:
            continue
        run, marking = reached
        if any(marking[place] for place in places) and space.overflow(marking) is None:
            return acts(space.net, run)
    return None


def _never_ends(asked: Undoing, space: Space, run: tuple[Act, ...]) -> Verdict:
    fault = Fault(
        code="HS546",
        message=f"property `{asked.id}`: `{asked.by}` has begun, and no way leads to an "
        f"end any more, after {in_words(run)}",
        cure="what gets stuck is told by itself, as HS501 or HS502",
        step=asked.by,
    )
    return Verdict(
        asked=asked.id,
        outcome="fails",
        engine=ENGINE,
        reason=f"where `{asked.by}` has begun an execution can get stuck",
        rests_on=space.rests_on,
        run=run,
        steps=(asked.step, asked.by),
        faults=(fault,),
    )


# -- what is not known, and what is weak


def _not_known(space: Space) -> str | None:
    if space.stopped is not None:
        return f"the bound of {space.stopped} was reached"
    if space.overflown is not None:
        return space.overflown
    if min(space.ends) < 0:
        return "an execution can get stuck elsewhere, so that not all runs were seen"
    return None


def _unknown(asked: Undoing, reason: str) -> Verdict:
    return Verdict(asked=asked.id, outcome="inconclusive", engine=ENGINE, reason=reason)


def _given_up(subject: Subject, id: str, undone: str, by: str) -> Iterator[Fault]:
    """A warning where one failure of the step that undoes is the end of it.

    An activity that does not say `retry` may have one from its decorator, which is not looked at.
    """
    step = subject.plan.steps[subject.plan.step_by_id[by]]
    written = next(
        each for scope in scopes_of(subject.definition) for each in scope.steps if each.id == by
    )
    attempts = step.kind == "activity" or step.child is not None
    known = written.given("retry") or step.type != "activity"
    if attempts and known and step.retry.max_attempts == 1 and not step.on_error:
        yield Fault(
            code="HS547",
            message=f"property `{id}`: this step undoes `{undone}`, is tried once, and nothing "
            "follows where it fails",
            cure="give it a `retry`, or an `on_error` that asks somebody",
            step=by,
            field=("retry",),
            severity="warning",
        )

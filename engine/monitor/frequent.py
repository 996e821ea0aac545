"""The most frequent event, cheaply: a plain visit completes, and plain ones open.

What this books is what `conformance.py` would book; what it does not know it leaves to that, before
it has changed anything.
"""

from __future__ import annotations

from heliostat.engine.kernel.events import ExecutionStarted, StepCompleted
from heliostat.engine.monitor.marking import NONE, ROOT, Marking, Scope
from heliostat.engine.monitor.tables import Tables
from heliostat.engine.plan.plan import END


def completed(tables: Tables, marking: Marking, event: StepCompleted) -> bool:
    """Book a completion; False where it is not a frequent one, or does not fit."""
    at = event.at
    scope = marking.scopes.get(at.scope)
    if scope is None or (marking.rare is not NONE and marking.rare.concerns_visits):
        return False
    number, visits_open = at.step, scope.open
    key = (number, at.visit)
    if visits_open.get(key) != at.attempt:
        return False
    if scope.plan_scope is None:
        return _item(marking, scope, event)
    if scope.tallies is not None:
        return _of_dag(tables, scope, event, key)
    way = tables.ways[number].get(event.taken)
    if way is None:
        return False
    if way == END:
        if event.activated:
            return False
        del visits_open[key]
        return True
    visits = scope.visits
    visit = visits.get(way, 0) + 1
    try:
        (each,) = event.activated
    except ValueError:
        return False
    if each.step != way or each.visit != visit or each.scope != at.scope:
        return False
    if each.skipped or each.failure is not None:
        return False
    del visits_open[key]
    visits[way] = visit
    visits_open[way, visit] = 1
    return True


def started(tables: Tables, marking: Marking, event: ExecutionStarted) -> bool:
    """Book a start; False where it is not a frequent one, or does not fit."""
    start, activated = tables.start, event.activated
    if start is None or marking.scopes or event.failure is not None:
        return False
    if len(activated) != len(start):
        return False
    for number, each in zip(start, activated, strict=True):
        if each.step != number or each.scope != ROOT or each.visit != 1:
            return False
        if each.skipped or each.failure is not None or each.first_scope is not None:
            return False
    marking.next_scope = ROOT + 1
    root = marking.add_scope(ROOT, tables.plan.root.number, None)
    for number in start:
        root.visits[number] = 1
        root.open[number, 1] = 1
    if root.begun is not None:
        root.begun.update(start)
    return True


def _item(marking: Marking, scope: Scope, event: StepCompleted) -> bool:
    """An item completes, and the next takes its place."""
    group, scopes = scope.group, marking.scopes
    if group is None or scope.inner or event.taken:
        return False
    if group.failed or not group.all_of or group.awaited is not None:
        return False  # whether it is settled has to be looked at
    index = group.next
    if index >= group.width:
        if event.activated:
            return False
        del scopes[scope.number]
        group.flying -= 1
        group.completed += 1
        return True
    number, step = group.first + index, event.at.step
    try:
        (each,) = event.activated
    except ValueError:
        return False
    if each.scope != number or each.step != step or each.visit != 1:
        return False
    if each.parent != scope.parent or each.first_scope is not None or each.failure is not None:
        return False
    if group.flying != group.concurrency:
        return False  # more than one begin
    del scopes[scope.number]
    group.completed += 1
    group.next = index + 1
    scope.number, scope.index = number, index
    scope.open[step, 1] = 1
    scopes[number] = scope
    return True


def _of_dag(tables: Tables, scope: Scope, event: StepCompleted, key: tuple[int, int]) -> bool:
    """A step of a DAG completes, and steps open of which it was the last need."""
    needed_by = tables.needed_by[key[0]]
    if needed_by is None or event.skipped or event.taken or scope.failing:
        return False
    tallies, begun, visits = scope.tallies, scope.begun, scope.visits
    assert tallies is not None
    assert begun is not None
    activated = event.activated
    place = 0
    for number, total in needed_by:
        if number in begun:
            continue
        if total > 1:
            tally = tallies.get(number)
            if tally is None or tally[0] + 1 < total:
                continue
            if tally[2]:
                return False
        if place >= len(activated):
            return False
        each = activated[place]
        place += 1
        if each.step != number or each.scope != scope.number or each.skipped:
            return False
        if number in visits or each.visit != 1 or each.failure is not None:
            return False
    if place != len(activated):
        return False
    del scope.open[key]
    for number, total in needed_by:
        if total == 1:
            continue  # nobody asks for it: it opens now, or has been opened
        tally = tallies.get(number)
        if tally is None:
            tallies[number] = [1, 1, 0]
        else:
            tally[0] += 1
            tally[1] += 1
    for each in activated:
        number = each.step
        begun.add(number)
        visits[number] = 1
        scope.open[number, 1] = 1
    return True

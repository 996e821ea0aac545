"""Who waits for semaphores: the order that proves all well, and the runs that get stuck.

The reference makes every interleaving of programs that take and give back, and leaves who is
granted what to the kernel's own queue.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.kernel.permits import join_queue, release, take
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator import simulate
from heliostat.verify.certificates.certificates import HeldUp
from heliostat.verify.certificates.checker import Rejected, check
from heliostat.verify.certificates.order import TakenInOrder, check_order
from heliostat.verify.properties.soundness import verify
from heliostat.verify.reports.diagnostics import diagnostics
from heliostat.verify.resources.deadlock import AT_ONCE
from heliostat.verify.resources.order import Tangled, taken_in_order
from heliostat.verify.resources.peaks import roomy
from heliostat.verify.resources.waiting import Free, Stuck, explore_waiting

Uses: TypeAlias = dict[str, int]
Program: TypeAlias = list[tuple[Uses, "Program"]]
"""One after the other: what is taken, and what goes on meanwhile; given back at its end."""

Op: TypeAlias = tuple[bool, tuple[tuple[str, int], ...]]
"""Take, or give back."""


def tree_of(branches: list[Program], semaphores: Uses, items: int = 0) -> dict[str, Any]:
    """A definition that runs programs side by side; with `items` its one program so many times."""
    numbers = iter(range(1_000))

    def steps(program: Program) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for uses, inside in program:
            step: dict[str, Any] = {"id": f"s{next(numbers)}", "uses": uses}
            if inside:
                step["steps"] = steps(inside)
            else:
                step |= {"type": "activity", "activity": "m:f"}
            made.append(step)
        for step, following in pairwise(made):
            step["next"] = following["id"]
        return made

    if items:
        body = {"id": "each", "foreach": f"range(0, {items})", "steps": steps(branches[0])}
        side_by_side = body
    else:
        parts = [{"name": f"b{n}", "steps": steps(each)} for n, each in enumerate(branches)]
        side_by_side = {"id": "fork", "type": "parallel", "branches": parts}
    return {"id": "case", "version": "1", "semaphores": semaphores, "steps": [side_by_side]}


def plan_of(tree: dict[str, Any]) -> Plan:
    return compile_plan(parse_definition(json.dumps(tree), "case.json"))


def ops(program: Program) -> list[Op]:
    found: list[Op] = []
    for uses, inside in program:
        sorted_uses = tuple(sorted(uses.items()))
        found += [(True, sorted_uses), *ops(inside), (False, sorted_uses)]
    return found


def gets_stuck(programs: list[Program], semaphores: Uses) -> bool:
    """Whether some interleaving leaves somebody waiting for ever, by the kernel's queue."""
    threads = [ops(program) for program in programs]
    start: tuple[tuple[int, ...], tuple[int, ...]] = ((0,) * len(threads), ())
    seen, todo = {start}, [start]
    while todo:
        at, queue = todo.pop()
        if not any(n < len(ops_) for n, ops_ in zip(at, threads, strict=True)):
            continue
        ready = [t for t, n in enumerate(at) if n < len(threads[t]) and t not in queue]
        if not ready:
            return True
        for thread in ready:
            state = _state(threads, at, queue)
            taking, uses = threads[thread][at[thread]]
            moved, waits = list(at), list(queue)
            if not taking:
                moved[thread] += 1
                for _, _, granted in release(state, uses, semaphores):
                    moved[granted] += 1
                    waits.remove(granted)
            elif take(state, uses, semaphores):
                moved[thread] += 1
            else:
                waits.append(thread)
            after = (tuple(moved), tuple(waits))
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return False


def _state(threads: list[list[Op]], at: tuple[int, ...], queue: tuple[int, ...]) -> ExecutionState:
    """All that the queue knows of an execution."""
    permits: Uses = {}
    for n, ops_ in zip(at, threads, strict=True):
        for taking, uses in ops_[:n]:
            for name, count in uses:
                permits[name] = permits.get(name, 0) + (count if taking else -count)
    permits = {name: count for name, count in permits.items() if count}
    made = SimpleNamespace(permits=permits, queues={}, arrivals=0, paused=False)
    state = cast("ExecutionState", made)
    for thread in queue:
        join_queue(state, threads[thread][at[thread]][1], (0, 0, thread))
    return state


def random_program(random: Random, semaphores: Uses, left: Uses, depth: int = 2) -> Program:
    """Up to two steps, each with up to two within; never more than there is."""
    found: Program = []
    for _ in range(random.randint(1, 2)):
        possible = [name for name in semaphores if left[name]]
        names = random.sample(possible, min(len(possible), random.choice((1, 1, 2))))
        uses = {name: random.randint(1, left[name]) for name in names}
        if not uses:
            continue
        rest = {name: count - uses.get(name, 0) for name, count in left.items()}
        goes_deeper = depth and random.random() < 0.6
        found.append(
            (uses, random_program(random, semaphores, rest, depth - 1) if goes_deeper else [])
        )
    return found


def answer(plan: Plan) -> Stuck | Free | TakenInOrder | str:
    order = taken_in_order(plan)
    if isinstance(order, Tangled):
        found = explore_waiting(plan, order)
        if not isinstance(taken_in_order(plan, roomy(plan)), Tangled):
            assert not isinstance(found, Stuck)
        return found
    check_order(plan, order)
    return order


@pytest.mark.parametrize("seed", range(40))
def test_programs_side_by_side_get_stuck_where_every_interleaving_says_so(seed: int) -> None:
    random = Random(seed)
    semaphores = {name: random.randint(1, 2) for name in ("a", "b", "c")[: random.randint(1, 3)]}
    branches = [
        random_program(random, semaphores, semaphores) for _ in range(random.choice((2, 2, 3)))
    ]
    found = answer(plan_of(tree_of(branches, semaphores)))
    assert not isinstance(found, str), found
    assert isinstance(found, Stuck) == gets_stuck(branches, semaphores)


@pytest.mark.parametrize("seed", range(16))
def test_items_get_stuck_where_so_many_threads_of_one_program_do(seed: int) -> None:
    random = Random(1_000 + seed)
    semaphores = {name: random.randint(1, 2) for name in ("a", "b")[: random.randint(1, 2)]}
    program = random_program(random, semaphores, semaphores, depth=1)
    found = answer(plan_of(tree_of([program], semaphores, items=1_000)))
    assert not isinstance(found, str), found
    some = any(gets_stuck([program] * count, semaphores) for count in (2, 3, 4))
    assert isinstance(found, Stuck) == some


SharedOp: TypeAlias = Op | int
"""Also: take so many of what all executions share, or with a minus give them back."""


def executions_get_stuck(branches: list[Program], semaphores: Uses, shared: int) -> bool:
    """Whether two executions of these programs can both come to where nothing goes on, where each
    leaf takes one of what they share when it has its own."""

    def with_shared(program: Program) -> list[SharedOp]:
        found: list[SharedOp] = []
        for uses, inside in program:
            own = tuple(sorted(uses.items()))
            found += [(True, own), *(with_shared(inside) if inside else [1, -1]), (False, own)]
        return found

    threads = [with_shared(program) for program in branches]
    own = [[op if isinstance(op, tuple) else (True, ()) for op in ops_] for ops_ in threads]
    one: tuple[tuple[int, ...], tuple[int, ...]] = ((0,) * len(threads), ())
    seen, todo = {(one, one)}, [(one, one)]
    while todo:
        both = todo.pop()
        free = shared - sum(
            op
            for at, _ in both
            for n, ops_ in zip(at, threads, strict=True)
            for op in ops_[:n]
            if isinstance(op, int)
        )
        moves = list[tuple[Any, Any]]()
        ended = True
        for which, (at, queue) in enumerate(both):
            for thread, n in enumerate(at):
                if n == len(threads[thread]):
                    continue
                ended = False
                if thread in queue:
                    continue
                op = threads[thread][n]
                moved, waits = list(at), list(queue)
                if isinstance(op, int):
                    if op > free:
                        continue
                    moved[thread] += 1
                else:
                    state = _state(own, at, queue)
                    if not op[0]:
                        moved[thread] += 1
                        for _, _, granted in release(state, op[1], semaphores):
                            moved[granted] += 1
                            waits.remove(granted)
                    elif take(state, op[1], semaphores):
                        moved[thread] += 1
                    else:
                        waits.append(thread)
                after = (tuple(moved), tuple(waits))
                moves.append((after, both[1]) if which == 0 else (both[0], after))
        if not moves and not ended:
            return True
        for pair in moves:
            key = (min(pair), max(pair))  # executions are alike
            if key not in seen:
                seen.add(key)
                todo.append(key)
    return False


@pytest.mark.parametrize("seed", range(12))
def test_two_executions_get_stuck_where_one_does(seed: int) -> None:
    """What they share is no cause: an attempt that has it waits for nothing."""
    random = Random(2_000 + seed)
    semaphores = {"a": random.randint(1, 2), "b": 1}
    branches = [random_program(random, semaphores, semaphores, depth=1) for _ in range(2)]
    order = taken_in_order(plan_of(tree_of(branches, semaphores)))
    stuck = executions_get_stuck(branches, semaphores, shared=1)
    assert stuck == gets_stuck(branches, semaphores)
    assert not (stuck and isinstance(order, TakenInOrder))


QUEUE = """
id: queue
version: "1"
semaphores: {a: 1, b: 1}
steps:
  - {id: fork, type: decision, split: all, next: [{to: around}, {to: both}]}
  - id: around
    uses: {b: 1}
    steps:
      - {id: first, type: activity, activity: "m:f", next: inner}
      - {id: inner, type: activity, activity: "m:f", uses: {a: 1}}
  - {id: both, type: activity, activity: "m:f", uses: {a: 1, b: 1}}
"""

ITEMS = """
id: items
version: "1"
semaphores: {a: 3}
steps:
  - id: each
    foreach: "range(0, 3)"
    uses: {a: 1}
    steps:
      - {id: first, type: activity, activity: "m:f", next: inner}
      - {id: inner, type: activity, activity: "m:f", uses: {a: 1}}
"""


class TestWhatQueuesDo:
    """Faults that permits alone do not show, and their mended twins."""

    def test_who_wants_two_keeps_one_from_who_holds_the_other(self) -> None:
        definition = parse_definition(QUEUE)
        verdict = verify(compile_plan(definition), definition=definition).about("deadlock")
        assert (verdict.outcome, verdict.engine, verdict.exact) == ("fails", "waiting", True)
        assert verdict.net is not None
        assert isinstance(verdict.certificate, HeldUp)
        check(verdict.net, verdict.certificate)
        assert [str(each) for each in verdict.run] == [
            "fork completes",
            "around takes b",
            "first completes",
            "both waits for a and b",
            "inner waits for a",
        ]
        (found,) = diagnostics(definition, [verdict])
        assert (found.code, found.step, found.severity) == ("HS501", "both", "error")
        assert simulate(definition).status == "Waiting"

    def test_where_what_is_written_first_comes_first_it_is_a_warning(self) -> None:
        """`both` is started before `around` in one decision, and has taken `b` by then."""
        text = QUEUE.replace("[{to: around}, {to: both}]", "[{to: both}, {to: around}]")
        definition = parse_definition(text)
        verdict = verify(compile_plan(definition), definition=definition).about("deadlock")
        assert (verdict.outcome, verdict.rests_on) == ("fails", (AT_ONCE,))
        (found,) = diagnostics(definition, [verdict])
        assert (found.code, found.step, found.severity) == ("HS501", "both", "warning")
        assert simulate(definition).status == "Completed"

    def test_a_run_that_holds_nobody_up_is_rejected(self) -> None:
        verdict = verify(compile_plan(parse_definition(QUEUE))).about("deadlock")
        net, found = verdict.net, verdict.certificate
        assert net is not None
        assert isinstance(found, HeldUp)
        first, second = found.waiters
        others = [
            replace(found, run=found.run[:-1]),  # `inner` does not wait yet
            replace(found, run=found.run[1:]),  # that cannot be
            replace(found, waiters=(second, first)),  # `inner` is given its permit
            replace(found, waiters=(first,)),  # `inner` goes on
            replace(found, waiters=()),
            replace(found, net="another"),
        ]
        for other in others:
            with pytest.raises(Rejected):
                check(net, other)

    def test_taken_one_inside_the_other_they_are_not_waited_for_in_a_circle(self) -> None:
        text = QUEUE.replace("uses: {a: 1, b: 1}}", "uses: {b: 1}}")
        definition = parse_definition(text)
        assert verify(compile_plan(definition)).about("deadlock").outcome == "holds"
        assert simulate(definition).status == "Completed"

    def test_as_many_items_as_there_are_permits_leave_none_for_what_is_inside(self) -> None:
        definition = parse_definition(ITEMS)
        verdict = verify(compile_plan(definition), definition=definition).about("deadlock")
        assert (verdict.outcome, verdict.exact) == ("fails", True)
        assert diagnostics(definition, [verdict])[0].severity == "error"
        assert [str(each) for each in verdict.run].count("each takes a") == 3
        assert simulate(definition).status == "Waiting"

    def test_of_a_list_that_is_given_it_is_a_warning(self) -> None:
        definition = parse_definition(ITEMS.replace("range(0, 3)", "$.input.items"))
        verdict = verify(compile_plan(definition), definition=definition).about("deadlock")
        assert verdict.outcome == "fails"
        assert {each.kind for each in verdict.rests_on} == {"foreach", "order"}
        assert diagnostics(definition, [verdict])[0].severity == "warning"

    def test_fewer_items_side_by_side_leave_one(self) -> None:
        definition = parse_definition(ITEMS.replace("each\n", "each\n    concurrency: 2\n"))
        assert verify(compile_plan(definition)).about("deadlock").outcome == "holds"
        assert simulate(definition).status == "Completed"

    def test_a_second_semaphore_taken_at_once_with_the_first_mends_nothing(self) -> None:
        """The third item waits for `s` in front of those inside, who want `a`."""
        text = ITEMS.replace("a: 3}", "a: 3, s: 2}")
        text = text.replace("uses: {a: 1}\n    steps", "uses: {a: 1, s: 1}\n    steps")
        definition = parse_definition(text)
        assert verify(compile_plan(definition)).about("deadlock").outcome == "fails"
        assert simulate(definition).status == "Waiting"

    def test_tens_of_items_that_take_all_there_is_are_found(self) -> None:
        text = ITEMS.replace("a: 3", "a: 40").replace("range(0, 3)", "$.input.items")
        verdict = verify(compile_plan(parse_definition(text))).about("deadlock")
        assert verdict.outcome == "fails"
        assert [str(each) for each in verdict.run].count("each takes a") == 40

    def test_so_few_items_that_one_permit_is_always_left_need_no_exploration(self) -> None:
        text = ITEMS.replace("a: 3", "a: 40").replace("range(0, 3)", "range(0, 39)")
        verdict = verify(compile_plan(parse_definition(text))).about("deadlock")
        assert (verdict.outcome, verdict.engine) == ("holds", "exploration")
        more = compile_plan(parse_definition(text.replace("range(0, 39)", "range(0, 40)")))
        assert verify(more).about("deadlock").outcome == "fails"

    def test_what_is_too_large_is_not_known(self) -> None:
        plan = compile_plan(parse_definition(ITEMS.replace("each\n", "each\n    concurrency: 2\n")))
        order = taken_in_order(plan)
        assert isinstance(order, Tangled)
        found = explore_waiting(plan, order, states_max=20)
        assert found == "the bound of 20 markings was reached, with 2 items side by side"


class TestOrder:
    """Levels by which nobody waits in a circle, and what no level shows."""

    PLAN = plan_of(
        tree_of([[({"a": 1}, [({"b": 1}, [({"c": 2}, [])])])]], {"a": 1, "b": 1, "c": 2})
    )

    def test_who_holds_some_waits_for_higher_ones(self) -> None:
        order = taken_in_order(self.PLAN)
        assert isinstance(order, TakenInOrder)
        assert dict(order.levels) == {"a": 0, "b": 1, "c": 2}
        check_order(self.PLAN, order)

    @pytest.mark.parametrize(
        "levels", [{"a": 0, "b": 0, "c": 1}, {"a": 2, "b": 1, "c": 0}, {"a": 0, "b": 1}]
    )
    def test_other_levels_are_rejected(self, levels: Uses) -> None:
        with pytest.raises(Rejected):
            check_order(self.PLAN, TakenInOrder(plan=self.PLAN.content_hash, levels=levels))

    def test_what_executions_share_is_held_by_attempts_alone(self) -> None:
        step = self.PLAN.steps[0]
        shared = replace(step, semaphores={"llm": 1})
        plan = replace(self.PLAN, steps=(shared, *self.PLAN.steps[1:]))
        order = taken_in_order(plan)
        assert isinstance(order, TakenInOrder)
        assert step.scopes
        with pytest.raises(Rejected, match="what all executions share"):
            check_order(plan, order)

    def test_levels_of_another_plan_are_rejected(self) -> None:
        order = taken_in_order(self.PLAN)
        assert isinstance(order, TakenInOrder)
        with pytest.raises(Rejected):
            check_order(self.PLAN, replace(order, plan="another"))

    def test_philosophers_who_take_forks_in_order_need_no_exploration(self) -> None:
        forks = {f"f{n}": 1 for n in range(9)}
        order = answer(plan_of(tree_of(philosophers(9, in_order=True), forks)))
        assert isinstance(order, TakenInOrder)

    def test_philosophers_in_a_circle_get_stuck(self) -> None:
        forks = {f"f{n}": 1 for n in range(3)}
        found = answer(plan_of(tree_of(philosophers(3, in_order=False), forks)))
        assert isinstance(found, Stuck)
        assert len(found.waiters) == 3


def philosophers(count: int, *, in_order: bool) -> list[Program]:
    pairs = [(n, (n + 1) % count) for n in range(count)]
    if in_order:
        pairs = [(min(pair), max(pair)) for pair in pairs]
    return [[({f"f{one}": 1}, [({f"f{two}": 1}, [])])] for one, two in pairs]

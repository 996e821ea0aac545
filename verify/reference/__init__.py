"""What a definition means, told a second time: a naive reading of the semantics, as coroutines.

It walks the definition as it is written; there are no events, no states, no plans. A token is a
task, a scope waits for its tasks, to withdraw is to throw `Cancelled` into them. Shared with the
kernel are the expression language and the script of outcomes, nothing else.

Where a definition's result depends on the order of things at one instant, `interpret` draws it from
a seed: any of the results so reached is right. Attempts take the virtual time that the script says,
so everything else that races (timers, deadlines, joins, semaphores) has one result.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Final

from heliostat.engine.simulator import EPOCH_MS
from heliostat.verify.reference.execution import Run
from heliostat.verify.reference.ticks import Draw, Loop
from heliostat.verify.reference.words import STEPS_MAX, Ended, Outcomes, Told, Undetermined

__all__ = ["Ended", "Told", "Undetermined", "interpret"]

_DRAWS: Final[tuple[Draw, ...]] = ("steps", "ranks", "families")


def interpret(
    tree: dict[str, Any],
    input: Any,
    outcomes: Outcomes,
    told: Sequence[Told] = (),
    *,
    seed: int | None = None,
) -> Ended:
    """The end of an execution; `seed` draws the order of what happens at one instant.

    None: what is begun goes first, and what settles at once waits for it; -1: it goes last. Those
    from 0 on draw steps, ranks and families in turn (`ticks`).
    """
    random = None if seed is None or seed < 0 else Random(seed)
    draw = _DRAWS[0 if seed is None else seed % len(_DRAWS)]
    loop = Loop(random, EPOCH_MS, deep=seed is None, draw=draw)
    run = Run(loop, tree, input, outcomes)
    for each in told:
        loop.spawn(run.outside(each))
    try:
        loop.run(STEPS_MAX)
    except RuntimeError as error:
        loop.close()
        raise Undetermined(str(error)) from None
    if run.whole.error is not None:
        raise run.whole.error
    if not run.whole.done:
        return Ended("going on", None, 0, run.calls, tuple(run.trace))
    status, output = run.whole.value
    return Ended(status, output, run.ended_ms - EPOCH_MS, run.calls, tuple(run.trace))

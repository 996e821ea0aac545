"""Items of a `foreach` and branches of a parallel step, under the rule of `completion`."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from heliostat.verify.reference.ticks import Cancelled, Task, wait
from heliostat.verify.reference.words import Failing, drained

if TYPE_CHECKING:
    from heliostat.verify.reference.visits import Visit


async def several(
    visit: Visit, works: list[Coroutine[Any, Any, Any]], rule: Any, at_once: int, names: Any = None
) -> Any:
    """Items or branches, under a completion rule."""
    width = len(works)
    outputs: list[Any] = [None] * width
    rows = [_row(index, "Canceled") for index in range(width)]
    order: list[int] = []
    failed: Failing | None = None
    count_failed = 0
    wanted = 1 if rule == "any" else rule["at_least"] if isinstance(rule, dict) else width
    running: dict[Task, int] = {}
    waiting = list(range(width))
    error: Failing | None = None
    try:
        while True:
            if rule == "all" and count_failed:
                error = failed
                break
            if rule != "all_done" and len(order) >= wanted:
                break
            if rule not in ("all", "all_done") and width - count_failed < wanted:
                error = failed
                break
            while waiting and len(running) < at_once:
                index = waiting.pop(0)
                running[visit.world.loop.spawn(works[index])] = index
            if not running:
                break
            await wait(*running)
            for task in [task for task in running if task.done][:1]:
                index = running.pop(task)
                if isinstance(task.error, Failing):
                    failed, count_failed = task.error, count_failed + 1
                    rows[index] = _row(index, "Failed", error=task.error.view)
                elif task.error is not None:
                    raise task.error
                else:
                    outputs[index] = task.value
                    order.append(index)
                    rows[index] = _row(index, "Completed", output=task.value)
    except Cancelled:
        await drained(list(running))
        raise
    finally:
        for index in waiting:
            works[index].close()
    if names is None or "foreach" not in visit.step:
        visit.settled = True
    await drained(list(running))
    if names is None:
        for task, index in running.items():  # what came within the grace can be read
            outputs[index] = getattr(task.error, "late", None)
        visit.items = rows
    else:
        visit.finished = [names[index] for index in order]
        visit.items = [{"name": name, **row} for name, row in zip(names, rows, strict=True)]
    if error is not None:
        error.of_item = names is None
        raise error
    if names is None:
        return outputs
    return {names[index]: outputs[index] for index in sorted(order)}


def _row(index: int, status: str, *, output: Any = None, error: Any = None) -> dict[str, Any]:
    """An item as `$.steps.<id>.items` has it."""
    return {"index": index, "status": status, "output": output, "error": error}

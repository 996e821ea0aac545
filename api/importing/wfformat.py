"""Reads a recorded workflow in WfFormat 1.5, the JSON of the WfCommons project.

    {"name": …, "schemaVersion": "1.5", "workflow": {
      "specification": {"tasks": [{"id", "name", "parents", "children", …}], "files": …},
      "execution": {"tasks": [{"id", "runtimeInSeconds", "coreCount", "memoryInBytes", …}], …}}}

What is read is what decides how the workflow runs: which task needs which, how long each took, and
what it needed. Files, machines and commands are passed over. An edge counts that either of its ends
names. All that is wrong is told at once, each with its place and what to do about it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from heliostat.api.importing.bounds import ordered
from heliostat.engine.errors import InputError

SCHEMA_VERSION: Final = "1.5"

TRACE_BYTES_MAX: Final = 64 * 1024 * 1024
"""The largest published traces have some 40 MB; what is larger is read into memory for nothing,
since no definition could hold it."""

_SHOWN_MAX: Final = 20
"""Faults told at once: a file of another format has one for each of its tasks."""

_SHOWN_CHARS_MAX: Final = 80

_RENEW: Final = (
    "convert the trace to WfFormat 1.5, or take the 1.5 edition that WfCommons publishes"
)


class Task(Struct, frozen=True, kw_only=True):
    """One task of a trace."""

    id: str
    name: str
    runtime_s: float
    needs: tuple[str, ...]  # ids of tasks, each once
    cores: float | None = None
    memory_bytes: int | None = None


class Trace(Struct, frozen=True, kw_only=True):
    """A workflow that ran elsewhere: its tasks, none before one that it needs."""

    name: str
    description: str
    tasks: tuple[Task, ...]
    makespan_s: float | None = None  # what it took there


class TraceInvalid(InputError):
    """A trace cannot be imported; all of its faults are named."""

    def __init__(self, file: str, faults: Sequence[str]) -> None:
        super().__init__(file, tuple(faults))
        self.file, self.faults = file, tuple(faults)

    def __str__(self) -> str:
        shown = list(self.faults[:_SHOWN_MAX])
        if len(self.faults) > _SHOWN_MAX:
            shown.append(f"… and {len(self.faults) - _SHOWN_MAX:,} more")
        return "\n".join((f"{self.file} cannot be imported:", *(f"  {each}" for each in shown)))

    @property
    def details(self) -> Mapping[str, Any]:
        return {"file": self.file, "faults": list(self.faults)}


def read_trace(file: Path, *, default_runtime_s: float | None = None) -> Trace:
    """`parse_trace` of a file's text.

    Raises:
        TraceInvalid: it cannot be read, or not be imported.
    """
    try:
        size = file.stat().st_size
        if size > TRACE_BYTES_MAX:
            fault = f"has {size:,} bytes; at most {TRACE_BYTES_MAX:,} are read: import a part of it"
            raise TraceInvalid(str(file), [fault])
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TraceInvalid(
            str(file), [f"cannot be read: {error.strerror or error}; name a file that exists"]
        ) from error
    except UnicodeDecodeError as error:
        raise TraceInvalid(
            str(file), [f"byte {error.start} is not UTF-8; save the file as UTF-8"]
        ) from error
    return parse_trace(text, str(file), default_runtime_s=default_runtime_s)


def parse_trace(text: str, file: str = "trace", *, default_runtime_s: float | None = None) -> Trace:
    """The trace in a WfFormat text.

    Args:
        file: stands for the text in messages.
        default_runtime_s: for tasks of which no runtime was recorded; absent, they are faults.

    Raises:
        TraceInvalid: with all that is wrong.
    """
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        fault = f"line {error.lineno}, column {error.colno}: {error.msg}; WfFormat is JSON"
        raise TraceInvalid(file, [fault]) from None
    except RecursionError:
        raise TraceInvalid(file, ["is nested too deeply for any trace"]) from None
    reader = _Reader()
    trace = reader.trace(tree, default_runtime_s)
    if reader.faults or trace is None:
        raise TraceInvalid(file, reader.faults)
    return trace


class _Reader:
    """Walks through the tree and keeps what is wrong with it."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def trace(self, tree: Any, default_runtime_s: float | None) -> Trace | None:
        workflow = self._workflow(tree)
        if workflow is None:
            return None
        specification = self._mapping(workflow, "workflow", "specification")
        if specification is None:
            return None
        execution: Any = workflow.get("execution", {} if default_runtime_s is not None else None)
        if not isinstance(execution, dict):
            self._fault(
                "workflow.execution",
                "holds the runtimes and is missing"
                if execution is None
                else f"is {_shown(execution)}, not an object",
                "add it, or say with --default-runtime how long each task takes",
            )
            execution = {}
            default_runtime_s = 0.0  # told already
        tasks = self._tasks(specification)
        runs = self._runs(execution, tasks)
        needs = self._needs(tasks)
        if not self.faults:
            self._cycle(needs)
        made = {id: self._task(id, tasks, runs, needs, default_runtime_s) for id in tasks}
        if not tasks and not self.faults:
            self._fault("workflow.specification.tasks", "is empty", "a trace has one task at least")
        if self.faults:
            return None
        makespan = execution.get("makespanInSeconds")
        return Trace(
            name=_text(tree.get("name")),
            description=_text(tree.get("description")),
            tasks=tuple(made[id] for id in ordered(needs)),
            makespan_s=float(makespan) if _is_number(makespan) else None,
        )

    def _workflow(self, tree: Any) -> dict[str, Any] | None:
        """The part that holds the tasks, of a file that is WfFormat and of this version."""
        if not isinstance(tree, dict):
            self._fault("the file", f"is {_shown(tree)}, not an object", "name a WfFormat trace")
            return None
        version = tree.get("schemaVersion")
        workflow = tree.get("workflow")
        if not isinstance(workflow, dict):
            self._fault("workflow", "is missing or no object", "name a WfFormat trace")
            return None
        if version is not None and version != SCHEMA_VERSION:
            self._fault("schemaVersion", f"is {_shown(version)}, {SCHEMA_VERSION} is read", _RENEW)
            return None
        if "specification" not in workflow and ("tasks" in workflow or "jobs" in workflow):
            older = "tasks" if "tasks" in workflow else "jobs"
            self._fault(f"workflow.{older}", "is the layout of WfFormat 1.4 and before", _RENEW)
            return None
        return workflow

    def _tasks(self, specification: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
        """Place and content of each task, by its id, in the order written."""
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        for place, task in self._objects(specification, "workflow.specification", "tasks"):
            id = task.get("id")
            if not isinstance(id, str) or not id or _text(id) != id:
                said = "is missing" if id is None else f"is {_shown(id)}, which names nothing"
                self._fault(f"{place}.id", said, "give each task an id of its own")
            elif id in found:
                self._fault(
                    f"{place}.id",
                    f"is {_shown(id)}, as that of {found[id][0]}",
                    "give each task an id of its own",
                )
            else:
                found[id] = (place, task)
        return found

    def _runs(
        self, execution: dict[str, Any], tasks: Mapping[str, Any]
    ) -> dict[str, tuple[str, dict[str, Any]]]:
        """What was recorded of each task, by its id."""
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        if "tasks" not in execution:
            return found  # then each task misses its runtime
        for place, run in self._objects(execution, "workflow.execution", "tasks"):
            id = run.get("id")
            if not isinstance(id, str) or id not in tasks:
                said = "is missing" if id is None else f"{_shown(id)} is no task's"
                self._fault(
                    f"{place}.id", said, "name a task of workflow.specification, or remove it"
                )
            elif id in found:
                self._fault(
                    f"{place}.id",
                    f"is {_shown(id)}, as that of {found[id][0]}",
                    "keep one record of each task",
                )
            else:
                found[id] = (place, run)
        return found

    def _needs(self, tasks: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, tuple[str, ...]]:
        """Which tasks each waits for: those it names, then those that name it."""
        needs: dict[str, dict[str, None]] = {id: {} for id in tasks}
        for id, (place, task) in tasks.items():
            if "parents" not in task:
                self._fault(
                    f"{place}.parents", "is missing", "write [] for a task that needs no other"
                )
            for parent in self._ids(task, place, "parents", tasks):
                needs[id][parent] = None
        for id, (place, task) in tasks.items():
            for child in self._ids(task, place, "children", tasks):
                needs[child][id] = None
        return {id: tuple(before) for id, before in needs.items()}

    def _ids(
        self, task: dict[str, Any], place: str, field: str, tasks: Mapping[str, Any]
    ) -> Iterator[str]:
        ids = task.get(field, [])
        if not isinstance(ids, list):
            self._fault(f"{place}.{field}", f"is {_shown(ids)}, not a list", "list ids of tasks")
            return
        for index, id in enumerate(ids):
            if isinstance(id, str) and id in tasks:
                yield id
            else:
                self._fault(
                    f"{place}.{field}[{index}]",
                    f"{_shown(id)} is no task's id",
                    "add the task, or take it out of the list",
                )

    def _cycle(self, needs: Mapping[str, tuple[str, ...]]) -> None:
        """One cycle, if there is any: who breaks it sees the next."""
        left = set(needs).difference(ordered(needs))
        if not left:
            return
        # every task that is left needs one that is left, so the walk back meets itself
        id = min(left)
        walked: dict[str, None] = {}
        while id not in walked:
            walked[id] = None
            id = next(each for each in needs[id] if each in left)
        path = list(walked)
        cycle = [id, *reversed(path[path.index(id) :])]
        shown = [*cycle[:8], "…", cycle[-1]] if len(cycle) > 9 else cycle
        self._fault(
            "workflow.specification.tasks",
            f"wait for each other in a cycle: {' → '.join(shown)}",
            "take one of these parents, and the child that mirrors it, out",
        )

    def _task(
        self,
        id: str,
        tasks: Mapping[str, tuple[str, dict[str, Any]]],
        runs: Mapping[str, tuple[str, dict[str, Any]]],
        needs: Mapping[str, tuple[str, ...]],
        default_runtime_s: float | None,
    ) -> Task:
        place, task = tasks[id]
        run_place, run = runs.get(id, (place, {}))
        runtime = run.get("runtimeInSeconds", default_runtime_s)
        if runtime is None:
            self._fault(
                f"{run_place}.runtimeInSeconds" if run else f"{place}",
                f"task {_shown(id)} has no runtime",
                "add `runtimeInSeconds` in workflow.execution.tasks, or say --default-runtime",
            )
        elif not _is_number(runtime) or runtime < 0:
            self._fault(
                f"{run_place}.runtimeInSeconds",
                f"is {_shown(runtime)}, not a number of seconds",
                "write 0 or more",
            )
            runtime = 0.0
        return Task(
            id=id,
            name=_text(task.get("name")) or id,
            runtime_s=float(runtime or 0.0),
            needs=needs[id],
            cores=self._amount(run, run_place, "coreCount", float),
            memory_bytes=self._amount(run, run_place, "memoryInBytes", int),
        )

    def _amount(
        self, run: dict[str, Any], place: str, field: str, kind: Callable[[Any], Any]
    ) -> Any:
        value = run.get(field)
        if value is None:
            return None
        if not _is_number(value) or value < 0:
            self._fault(f"{place}.{field}", f"is {_shown(value)}, no amount", "write 0 or more")
            return None
        return kind(value) or None  # 0 says that nothing was measured

    def _mapping(self, tree: dict[str, Any], path: str, field: str) -> dict[str, Any] | None:
        found = tree.get(field)
        if isinstance(found, dict):
            return found
        said = "is missing" if found is None else f"is {_shown(found)}, not an object"
        self._fault(f"{path}.{field}", said, "name a WfFormat trace")
        return None

    def _objects(
        self, tree: dict[str, Any], path: str, field: str
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Place and content of the objects in a list."""
        found = tree.get(field)
        if not isinstance(found, list):
            said = "is missing" if found is None else f"is {_shown(found)}, not a list"
            self._fault(f"{path}.{field}", said, "name a WfFormat trace")
            return
        for index, each in enumerate(found):
            place = f"{path}.{field}[{index}]"
            if isinstance(each, dict):
                yield place, each
            else:
                self._fault(place, f"is {_shown(each)}, not an object", "name a WfFormat trace")

    def _fault(self, place: str, said: str, cure: str) -> None:
        self.faults.append(f"{place}: {said}; {cure}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> str:
    """A text as it can be stored; half a character, which JSON can say, cannot."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else ""


def _shown(value: Any) -> str:
    text = _text(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[: _SHOWN_CHARS_MAX - 1]}…"

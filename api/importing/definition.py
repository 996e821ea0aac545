"""Makes a definition of a trace: a step for each task, which takes as long as the task took.

The text is YAML with a step on each line, so that it can be read and changed; as every definition
it is checked before it leaves here. Its version is made from its content: the same trace with the
same options always gives the same version, with others another.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from heliostat.api.importing.bounds import Bounds, bounds
from heliostat.api.importing.names import definition_id, step_ids
from heliostat.api.importing.wfformat import SCHEMA_VERSION, Task, Trace
from heliostat.engine.authoring.fields import DURATION_TAG
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.yaml12 import NODES_MAX, TEXT_CHARS_MAX
from heliostat.engine.errors import InputError

Work = Literal["sleep", "burn"]

FUNCTIONS: Final[Mapping[Work, str]] = {
    "sleep": "heliostat.api.importing.work:sleep",
    "burn": "heliostat.api.importing.work:burn",
}

_HASH_CHARS: Final = 10
"""Of the content's hash in a version: enough for all that one trace is ever imported as."""

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*(?:[:-][A-Za-z0-9_.]+)*")
_NOT_TEXT: Final = frozenset({"true", "false", "null"})


class Imported(Struct, frozen=True, kw_only=True):
    """A definition made of a trace."""

    id: str
    version: str
    text: str  # YAML
    document: Mapping[str, Any]  # the same as a tree
    bounds: Bounds  # of the scaled runtimes
    renamed: Mapping[str, str]  # ids of steps that are not those of their tasks, with the latter


def definition_of(
    trace: Trace,
    *,
    scale: float = 1.0,
    work: Work = "sleep",
    resources: bool = False,
    id: str | None = None,
    version: str | None = None,
) -> Imported:
    """The definition whose steps take `scale` times what the tasks took.

    Args:
        scale: 0 or more.
        work: whether a step waits or computes meanwhile.
        resources: have each step ask for the cores and the memory recorded of its task; then each
            is a Ray task of its own, else all run at warm runners.
        id: absent, made from the trace's name.
        version: absent, made from the content.

    Raises:
        InputError: the trace is larger than a definition may be.
        DefinitionError: `id` or `version` is no such thing.
    """
    ids = step_ids(task.id for task in trace.tasks)
    renamed = {ids[task.id]: task.id for task in trace.tasks if ids[task.id] != task.id}
    steps = [_step(task, ids, scale=scale, work=work, resources=resources) for task in trace.tasks]
    head: dict[str, Any] = {"id": id or definition_id(trace.name), "version": version or ""}
    if trace.name:
        head["name"] = trace.name
    if trace.description:
        head["description"] = trace.description
    recorded = {
        "schema_version": SCHEMA_VERSION,
        "scale": scale,
        "work": work,
        **({} if trace.makespan_s is None else {"makespan_s": trace.makespan_s}),
        **({"tasks": renamed} if renamed else {}),
    }
    head["metadata"] = {"wfformat": recorded}
    content = json.dumps([head, steps], sort_keys=True).encode()
    head["version"] = version or f"1+{hashlib.sha256(content).hexdigest()[:_HASH_CHARS]}"
    text = _yaml(head, steps)
    if len(text) > TEXT_CHARS_MAX:
        raise InputError(
            f"the trace {trace.name!r} of {len(steps):,} tasks makes a definition of {len(text):,} "
            f"characters, one holds {TEXT_CHARS_MAX:,} and {NODES_MAX:,} values at most; import a "
            f"part of it"
        )
    parse_definition(text, head["id"])
    return Imported(
        id=head["id"],
        version=head["version"],
        text=text,
        document={**head, "steps": steps},
        bounds=bounds(
            {task.id: _seconds(task, scale) for task in trace.tasks},
            {task.id: task.needs for task in trace.tasks},
        ),
        renamed=renamed,
    )


def _seconds(task: Task, scale: float) -> float:
    return round(task.runtime_s * scale, 6)


def _step(
    task: Task, ids: Mapping[str, str], *, scale: float, work: Work, resources: bool
) -> dict[str, Any]:
    seconds = _seconds(task, scale)
    id = ids[task.id]
    step: dict[str, Any] = {"id": id}
    if task.name != id:
        step["name"] = task.name
    step["type"] = "activity"
    step["activity"] = FUNCTIONS[work]
    step["input"] = {"seconds": int(seconds) if seconds == int(seconds) else seconds}
    step["needs"] = [ids[each] for each in task.needs]
    step["tags"] = {DURATION_TAG: str(round(seconds * 1_000))}
    if resources:
        asked: dict[str, Any] = {}
        if task.cores is not None:
            asked["num_cpus"] = int(task.cores) if task.cores == int(task.cores) else task.cores
        if task.memory_bytes is not None:
            asked["memory"] = task.memory_bytes
        if asked:
            step["resources"] = asked
    return step


def _yaml(head: Mapping[str, Any], steps: list[dict[str, Any]]) -> str:
    lines = [f"{key}: {_flow(value)}" for key, value in head.items()]
    lines += ["steps:", *(f"  - {_flow(step)}" for step in steps)]
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """A value on one line; texts are quoted as JSON does it, which YAML reads, where they must."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    if isinstance(value, str):
        # YAML refuses what cannot be printed, unless it is escaped
        return json.dumps(value, ensure_ascii=not value.isprintable())
    return json.dumps(value)

"""Traces for tests: one written by hand, and any graph as WfFormat."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BREAD = Path(__file__).parent / "bread.json"


def bread() -> Any:
    """The hand-written trace as a tree that a test may change."""
    return copy.deepcopy(json.loads(BREAD.read_text()))


def trace(
    parents: Mapping[str, Sequence[str]], *, runtimes_s: Mapping[str, float] | None = None
) -> str:
    """WfFormat of a graph; tasks take a second unless said otherwise."""
    children: dict[str, list[str]] = {id: [] for id in parents}
    for id, before in parents.items():
        for each in before:
            children[each].append(id)
    tasks = [
        {"name": id, "id": id, "parents": list(before), "children": children[id]}
        for id, before in parents.items()
    ]
    runs = [{"id": id, "runtimeInSeconds": (runtimes_s or {}).get(id, 1.0)} for id in parents]
    return json.dumps(
        {
            "name": "graph",
            "schemaVersion": "1.5",
            "workflow": {
                "specification": {"tasks": tasks, "files": []},
                "execution": {"makespanInSeconds": 1, "tasks": runs, "machines": []},
            },
        }
    )

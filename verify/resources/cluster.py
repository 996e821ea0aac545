"""The shape of a cluster: which nodes with what on them, and how many permits executions share.

Written in a file, in YAML or JSON,

    nodes:
      - {count: 2, cpus: 8}
      - {cpus: 4, gpus: 1, memory: 64GiB, custom: {tpu: 4}}
    semaphores: {llm: 4}

or short, as `2x8cpu,4cpu+1gpu+64GiB+4tpu`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from heliostat.engine.authoring.diagnostics import Findings
from heliostat.engine.authoring.fields import memory_bytes
from heliostat.engine.authoring.source import Source
from heliostat.engine.authoring.yaml12 import Unreadable, read
from heliostat.engine.errors import InputError

EXAMPLE: Final = "2x8cpu,1x4cpu+1gpu+64GiB"

_NODES: Final = re.compile(r"(?:([1-9]\d*)x)?(\d.*)")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z_]\w+)")
_MEMORY: Final = re.compile(r"[KMGT]i?B|B")

NodeTotals: TypeAlias = Mapping[str, float]
"""What a node has, in Ray's names; memory in bytes."""


Amount = Annotated[float, Meta(ge=0)]


class Nodes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nodes that are alike, as a file has them."""

    count: Annotated[int, Meta(ge=1)] = 1
    cpus: Amount = 0
    gpus: Amount = 0
    memory: int | str = 0
    custom: dict[str, Amount] = {}

    def totals(self) -> NodeTotals:
        found = {"CPU": self.cpus, "GPU": self.gpus, "memory": float(memory_bytes(self.memory))}
        return {**found, **self.custom}


class Shape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file has."""

    nodes: list[Nodes] = []
    semaphores: dict[str, Annotated[int, Meta(ge=1)]] = {}


class Cluster(Struct, frozen=True, kw_only=True):
    """What there is to take."""

    nodes: tuple[tuple[int, NodeTotals], ...]  # so many of each kind
    semaphores: Mapping[str, int] | None = None  # None: nothing is said of them

    def total(self, name: str) -> float:
        """So much of it all nodes have."""
        return sum(count * node.get(name, 0.0) for count, node in self.nodes)

    def most(self, name: str) -> float:
        """So much of it some node has."""
        return max((node.get(name, 0.0) for _, node in self.nodes), default=0.0)

    def holds(self, needs: Mapping[str, float]) -> bool:
        """Whether some node has all of this, while it is idle."""
        return any(
            all(node.get(name, 0.0) >= amount for name, amount in needs.items())
            for _, node in self.nodes
        )


def read_cluster(text: str) -> Cluster:
    """A cluster from the path of a file, or its short form.

    Raises:
        InputError: it is neither.
    """
    path = Path(text)
    if path.is_file():
        return _from_file(path)
    return _from_text(text)


def _from_file(path: Path) -> Cluster:
    source = Source(path.name, path.read_text(encoding="utf-8-sig"))
    findings = Findings(path.name, None, source)
    try:
        shape = msgspec.convert(read(source, findings), Shape)
        nodes = tuple((each.count, each.totals()) for each in shape.nodes)
    except Unreadable:
        raise InputError(f"{path} is no cluster: {findings.all()[0]}") from None
    except ValueError as error:  # of msgspec, or of what is no size of memory
        raise InputError(f"{path} is no cluster: {error}") from None
    return Cluster(nodes=nodes, semaphores=shape.semaphores)


def _from_text(text: str) -> Cluster:
    found = []
    for part in text.split(","):
        nodes = _NODES.fullmatch(part.strip())
        if nodes is None:
            raise _neither(text)
        node: dict[str, float] = {}
        for amount in nodes[2].split("+"):
            parsed = _PART.fullmatch(amount.strip())
            if parsed is None:
                raise _neither(text)
            number, unit = parsed.groups()
            if _MEMORY.fullmatch(unit):
                node["memory"] = float(memory_bytes(number + unit))
            else:
                node[{"cpu": "CPU", "gpu": "GPU"}.get(unit.lower(), unit)] = float(number)
        found.append((int(nodes[1] or 1), node))
    return Cluster(nodes=tuple(found))


def _neither(text: str) -> InputError:
    return InputError(f"--cluster {text!r} is no file, and no shape as {EXAMPLE}")

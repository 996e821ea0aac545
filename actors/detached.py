"""Plain classes made Ray actors that outlive whoever makes them: every option in one place.

All of them are named, and restarted by Ray without end (`max_restarts=-1`). Ray repeats no call
(`max_task_retries=0`): a call repeated behind our back would be a second stimulus; clients repeat
on their own, under ids that make it harmless. None reserves CPUs: whatever runs users' code is
elsewhere. Where the deployment has a custom resource, they are pinned to the nodes that offer it;
hard node affinity would strand them when a node comes back under a new id.

Constructors do no I/O, since one that raises on restart is dead for good, and the name with it.
"""

from __future__ import annotations

from typing import Any, Final

from heliostat.actors import names
from heliostat.actors.undrained import strategy

PIN: Final = 0.001
"""How much an actor takes of the custom resource that pins it: next to nothing."""

MEMORY_BYTES: Final = 1
"""How much memory an actor reserves: so little that it never lacks. An actor that reserves nothing
at all is put on any node by Ray, whatever its scheduling strategy says."""


def detached(
    cls: type,
    name: str,
    *,
    calls: int,
    pin: str | None,
    otherwise: str = "DEFAULT",
    share: int | None = None,
) -> Any:
    """A class as a detached actor of this name, of which there is one; `remote()` makes it, or
    returns the one that there is.

    Args:
        calls: how many calls it has open at once.
        pin: the custom resource of the nodes that it may be on; None where there is none.
        otherwise, share: as `strategy` takes them.
    """
    import ray

    return ray.remote(cls).options(
        name=name,
        namespace=names.NAMESPACE,
        get_if_exists=True,
        lifetime="detached",
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=calls,
        num_cpus=0,
        memory=MEMORY_BYTES,
        resources={} if pin is None else {pin: PIN},
        scheduling_strategy=strategy(name, otherwise=otherwise, share=share),
    )

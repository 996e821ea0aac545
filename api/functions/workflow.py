"""`@hs.workflow`: a function that is compiled, and that a deployment runs.

@hs.workflow
def checkout(order: Order) -> Shipment: ...

checkout.run(order)                       # the result
handle = checkout.start(order)            # at once; handle.result() waits
checkout.options(id="o-1", client=client).start(order)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from heliostat.engine.authoring.python.decorators import WorkflowFunction

from .starting import Starting

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client

    from .handle import FunctionHandle

P = ParamSpec("P")
R = TypeVar("R")


class Workflow(WorkflowFunction[P, R]):
    """A function that is compiled into a definition, and run by a deployment.

    Where no client is named, it is the deployment of the default data directory: the one that is up
    there, else one that starts within this process and ends with it.
    """

    def options(
        self,
        *,
        client: Client | None = None,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
    ) -> Starting[P, R]:
        """How the next call starts.

        Args:
            client: of the deployment.
            id: the execution's; drawn when absent. The same id with the same input is the same
                start, and gives the execution that exists.
            tags: texts by name, searchable.
            priority: 1 to 10, 10 most urgent, among what waits for capacity.
            correlation_id: what it belongs to, as you know it.
        """
        return Starting(
            self,
            client=client,
            id=id,
            tags=tags,
            priority=priority,
            correlation_id=correlation_id,
        )

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Start an execution, wait for its end, and return its result.

        Raises:
            As `Starting.run`.
        """
        return Starting(self).run(*args, **kwargs)

    async def run_async(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """`run`, without blocking the event loop."""
        return await Starting(self).run_async(*args, **kwargs)

    def start(self, *args: P.args, **kwargs: P.kwargs) -> FunctionHandle[R]:
        """Start an execution; it is durable when this returns.

        Raises:
            As `Starting.start`.
        """
        return Starting(self).start(*args, **kwargs)

    async def start_async(self, *args: P.args, **kwargs: P.kwargs) -> FunctionHandle[R]:
        """`start`, without blocking the event loop."""
        return await Starting(self).start_async(*args, **kwargs)


@overload
def workflow(function: Callable[P, R], /) -> Workflow[P, R]: ...


@overload
def workflow(
    *,
    id: str | None = None,
    version: str | None = None,
    name: str | None = None,
    deadline: str | None = None,
    priority: int | None = None,
    semaphores: Mapping[str, Any] | None = None,
    properties: Sequence[Mapping[str, Any]] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], Workflow[P, R]]: ...


def workflow(
    function: Callable[P, R] | None = None,
    /,
    *,
    id: str | None = None,
    version: str | None = None,
    name: str | None = None,
    deadline: str | None = None,
    priority: int | None = None,
    semaphores: Mapping[str, Any] | None = None,
    properties: Sequence[Mapping[str, Any]] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Workflow[P, R] | Callable[[Callable[P, R]], Workflow[P, R]]:
    """Mark a function as a workflow.

    Args:
        id: the definition's id; by default the function's name with `-` for `_`.
        version: by default made of the content, so that a changed function is a new version.
        name: for people.
        deadline: by when an execution ends.
        priority: 1 to 10, 10 the most urgent.
        semaphores: what `using(uses=…)` may name.
        properties: what holds of all executions, as `{"id": "settled", "ltl": "…"}`.
        tags: texts by name, searchable.
    """
    options = {
        "version": version,
        "name": name,
        "deadline": deadline,
        "priority": priority,
        "semaphores": None if semaphores is None else dict(semaphores),
        "properties": None if properties is None else [dict(each) for each in properties],
        "tags": None if tags is None else dict(tags),
    }
    if function is not None:
        return Workflow(function, id=id, options=options)
    return lambda decorated: Workflow(decorated, id=id, options=options)

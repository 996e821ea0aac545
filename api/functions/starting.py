"""One call of a compiled function: where it starts, and under which id, priority and tags."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeAlias, TypeVar

from heliostat.engine.authoring.python.decorators import WorkflowFunction

from .local import local_client

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client
    from heliostat.actors.client.interface import Version
    from heliostat.engine.authoring.python.compiler import Compiled

    from .handle import FunctionHandle

P = ParamSpec("P")
R = TypeVar("R")


class Starting(Generic[P, R]):
    """A function with the options of its next start; made by `options`."""

    def __init__(
        self,
        workflow: WorkflowFunction[P, R],
        *,
        client: Client | None = None,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
    ) -> None:
        self._workflow, self._client = workflow, client
        self._options: dict[str, Any] = {
            "id": id,
            "tags": tags,
            "priority": priority,
            "correlation_id": correlation_id,
        }

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Start an execution, wait for its end, and return its result as the annotated type.

        The first call with a deployment registers the function, with the workflows that it starts.

        Raises:
            DefinitionError: the function has faults; each with its line.
            ExecutionFailed: it failed: in which step, at which line, and with what.
            ExecutionCanceled: somebody asked it to end.
            TypeError: the arguments are not those of the function.
        """
        return self.start(*args, **kwargs).result()

    async def run_async(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """`run`, without blocking the event loop."""
        return await (await self.start_async(*args, **kwargs)).result_async()

    def start(self, *args: P.args, **kwargs: P.kwargs) -> FunctionHandle[R]:
        """Start an execution; it is durable when this returns.

        Raises:
            DefinitionError: the function has faults; each with its line.
            Duplicate: the id is taken by an execution of another definition or input.
            InputError: the arguments break their annotations, or a step cannot be shipped.
            TypeError: the arguments are not those of the function.
            Unreachable: no host answered within the bound; a start with the same id is safe.
        """
        from .handle import FunctionHandle

        input = self._workflow.input(*args, **kwargs)
        client = self._client or local_client()
        version = _known(client, self._workflow)
        if version is None:
            version = _note(client, self._workflow, client.register(self._workflow))
        handle = client.start(version, input, **self._options)
        return FunctionHandle.of(handle, self._workflow)

    async def start_async(self, *args: P.args, **kwargs: P.kwargs) -> FunctionHandle[R]:
        """`start`, without blocking the event loop."""
        from .handle import FunctionHandle

        input = self._workflow.input(*args, **kwargs)
        client = self._client
        if client is None:
            client = await asyncio.to_thread(local_client)
        version = _known(client, self._workflow)
        if version is None:
            registered = await client.register_async(self._workflow)
            version = _note(client, self._workflow, registered)
        handle = await client.start_async(version, input, **self._options)
        return FunctionHandle.of(handle, self._workflow)


_Known: TypeAlias = (
    "weakref.WeakKeyDictionary[WorkflowFunction[..., Any], tuple[Compiled, Version]]"
)

_REGISTERED: Final[weakref.WeakKeyDictionary[Client, _Known]] = weakref.WeakKeyDictionary()
"""What this process has registered with each client."""


def _known(client: Client, workflow: WorkflowFunction[..., Any]) -> Version | None:
    """The version that a function was registered as, if it cannot be another one by now.

    Where code is typed, in a notebook or at a prompt, a step or what it uses may be another one
    with each call: there the function is looked at each time.
    """
    if getattr(sys.modules["__main__"], "__file__", None) is None:
        return None
    found = _of(client).get(workflow)
    return found[1] if found is not None and found[0] is workflow.compiled else None


def _note(client: Client, workflow: WorkflowFunction[..., Any], version: Version) -> Version:
    _of(client)[workflow] = (workflow.compiled, version)
    return version


def _of(client: Client) -> _Known:
    return _REGISTERED.setdefault(client, weakref.WeakKeyDictionary())

"""Actors whose process somebody stopped (`SIGSTOP`, a debugger): found by their silence, and ended.

Ray does not notice a stopped process: whoever calls its actor waits. For hosts their rows tell; the
scheduler, the launcher and the keeper write none, so each is asked now and then whether it is
there. Silence alone ends nothing, since an actor may be busy or starved: where one does not answer,
the kernel of its node is asked about its process, which is ended if it is stopped. Ray starts
another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from heliostat.actors import names
from heliostat.actors.dispatch.frozen import kill_stopped
from heliostat.actors.settings import Settings

_log = logging.getLogger(__name__)

ASK_S: Final = 5.0
"""Between two rounds of questions: a few cheap calls."""

ANSWER_S: Final = 5.0
"""An actor that does not answer for this long has its node's kernel asked."""

LOOK_S: Final = 20.0
"""How long the answer may take of a node that is not this one: a worker may have to start there."""


class Part(Protocol):
    """An actor that ought to answer."""

    async def answers(self) -> bool:
        """Whether it answers; also where it does not exist, or restarts. May take for ever."""
        ...

    async def end_stopped(self) -> bool:
        """End its process if it is stopped; tells whether it was."""
        ...


async def attend(
    parts: Mapping[str, Part], *, ask_s: float = ASK_S, answer_s: float = ANSWER_S
) -> None:
    """Ask all of them, again and again, until cancelled; none holds up another."""
    await asyncio.gather(*(_attend(name, part, ask_s, answer_s) for name, part in parts.items()))


async def _attend(name: str, part: Part, ask_s: float, answer_s: float) -> None:
    while True:
        await asyncio.sleep(ask_s)
        try:
            try:
                async with asyncio.timeout(answer_s):
                    answered = await part.answers()
            except TimeoutError:
                answered = False
            if not answered and await part.end_stopped():
                _log.error("actor %s was stopped (SIGSTOP), its process is ended", name)
        except Exception as error:  # noqa: BLE001 – the outer edge: it is asked again
            _log.warning("cannot look after actor %s: %s", name, error)


def parts_of(settings: Settings) -> dict[str, Part]:
    """Those of a deployment that write no row, with a word in the title of each one's process."""
    of = (settings.deployment, settings.generation)
    titles: dict[Callable[[str, int], str], str] = {
        names.scheduler_name: "scheduler",
        names.launcher_name: "launcher",
        names.objects_name: "objectkeeper",
    }
    return {name(*of): _RayPart(name(*of), title) for name, title in titles.items()}


class _RayPart:
    """An actor of this Ray, by its name."""

    def __init__(self, name: str, title: str) -> None:
        self._name, self._title = name, title
        self._id = ""

    async def answers(self) -> bool:
        from ray.exceptions import RayError

        from heliostat.actors import remote

        handle = await asyncio.to_thread(remote.find_named, self._name)
        if handle is None:
            return True  # others see to it that it exists, when somebody needs it
        self._id = handle._actor_id.hex()
        with contextlib.suppress(RayError):  # it restarts: it is not stopped
            await handle.__ray_ready__.remote()
        return True

    async def end_stopped(self) -> bool:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        state: Any = ray._private.state.actors
        told = await asyncio.to_thread(state, self._id)
        pid, node = told["Pid"], told["Address"]["NodeID"]
        if not pid:
            return False
        if node == ray.get_runtime_context().get_node_id():
            return kill_stopped(pid, self._title)
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        look = ray.remote(kill_stopped).options(
            num_cpus=0, max_retries=0, scheduling_strategy=there
        )
        async with asyncio.timeout(LOOK_S):
            ended: bool = await look.remote(pid, self._title)
        return ended

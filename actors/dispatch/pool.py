"""All runners that a host uses: its own, by runtime environment, and others it listens to.

Steps without a runtime environment of their own go to the first crew, which always has a runner. A
step with one goes to that environment's crew (`crew.py`), made when the first such step comes and
without runners when it is idle. After a take-over the host also listens at other hosts' runners
(`listening.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from heliostat.engine.identity import Address, ExecutionKey, shard_of
from heliostat.engine.values import Json

from .bounds import DispatchBounds
from .common import Common
from .crew import Crew
from .factory import RunnerFactory, RunnerHandle
from .frames import PROTOCOL, AttemptKey, Hello
from .lane import Lane
from .listening import Listeners
from .placement import Placement
from .protocol import Assignment, Deliver

_log = logging.getLogger(__name__)

NODES_LOOK_S: Final = 10.0
"""Between two counts of the cluster's nodes, for how many runners there may be."""


class RunnerPool:
    """The runners of one host. Every method is called on the event loop."""

    def __init__(
        self,
        factory: RunnerFactory,
        deliver: Deliver,
        *,
        deployment: str,
        incarnation: str,
        bounds: DispatchBounds | None = None,
        placement: Placement | None = None,
        shard_count: int = 0,
    ) -> None:
        """Args:
        placement: who grants capacity; absent, `bounds.runners_max` runners on this node.
        shard_count: of the journal; 0 where the host is the only one.
        """
        self._deployment, self._incarnation = deployment, incarnation
        self._shard_count = shard_count
        self._shards: set[str] = set()  # that were ever claimed: to tell whose a report is
        self._claimed: tuple[str, ...] = ()  # by the recovery that goes on: nobody else's work
        self._bounds = bounds if bounds is not None else DispatchBounds()
        self._common = Common(
            factory,
            deliver,
            bounds=self._bounds,
            placement=placement,
            hello=self._hello,
            mine=self._is_mine,
        )
        self._first = Crew(self._common)
        self._by_env: dict[str, Crew] = {}
        self._listeners = Listeners(self._common)
        self._loop = asyncio.get_running_loop()
        self._tending: asyncio.Task[None] | None = None
        self._counted_at = -NODES_LOOK_S
        self._closed = False

    @property
    def lanes(self) -> list[Lane]:
        """To every runner that is fed."""
        return [lane for crew in self._crews for lane in crew.lanes]

    @property
    def listening(self) -> list[Lane]:
        """To every runner of another host that is listened to."""
        return self._listeners.lanes

    @property
    def runner_count(self) -> int:
        """Runners that are connected and fed."""
        return sum(len(crew.lanes) for crew in self._crews)

    @property
    def waiting_count(self) -> int:
        """Attempts that no runner has got yet."""
        return sum(crew.waiting_count for crew in self._crews)

    @property
    def _crews(self) -> list[Crew]:
        return [self._first, *self._by_env.values()]

    @property
    def _is_simple(self) -> bool:
        """Whether nobody but the first crew can know an attempt."""
        return not self._by_env and not self._listeners.lanes

    def start(self) -> None:
        """Begin to have runners; the smallest number of them is started at once."""
        if self._tending is None and not self._closed:
            self._tending = self._loop.create_task(self._tend())
            for crew in self._crews:
                crew.start()

    # the port

    def send(self, assignments: Sequence[Assignment]) -> None:
        """Queue attempts; those that are here already are not made twice."""
        if self._is_simple and not any(a.code.resources.runtime_env for a in assignments):
            self._first.send(assignments)
            return
        by_env: dict[str, list[Assignment]] = {}
        for assignment in assignments:
            if not self._listeners.knows((assignment.key, assignment.at)):
                env = key_of(assignment.code.resources.runtime_env)
                by_env.setdefault(env, []).append(assignment)
        for env, some in by_env.items():
            self._crew(env, some[0].code.resources.runtime_env).send(some)

    def _crew(self, env: str, runtime_env: Mapping[str, Json] | None) -> Crew:
        if not env:
            return self._first
        crew = self._by_env.get(env)
        if crew is None:
            crew = self._by_env[env] = Crew(self._common, env=env)
            if self._tending is not None:
                crew.start()
        if runtime_env is not None:
            crew.staff.runtime_env = runtime_env
        return crew

    def stop(self, attempts: Sequence[tuple[ExecutionKey, Address, int]]) -> None:
        """See `Dispatch.stop`. One that is unknown here has ended without a trace: it is over."""
        left = list(attempts)
        if not self._is_simple:
            there = [each for each in left if self._listeners.runs((each[0], each[1]))]
            self._listeners.stop(there)
            left = [each for each in left if each not in there]
            for crew in self._by_env.values():
                known = [each for each in left if crew.knows((each[0], each[1]))]
                if known:
                    crew.stop(known)
                    left = [each for each in left if each not in known]
            left = [each for each in left if not self._listeners.knows((each[0], each[1]))]
        if left:
            self._first.stop(left)

    def acknowledge(self, attempts: Sequence[AttemptKey]) -> None:
        """See `Dispatch.acknowledge`; what is not known here is ignored."""
        self._first.acknowledge(attempts)
        if not self._is_simple:
            for crew in self._by_env.values():
                crew.acknowledge(attempts)
            self._listeners.acknowledge(attempts)

    def knows(self, attempt: AttemptKey) -> bool:
        """Whether it waits or runs here, or its report is not acknowledged yet."""
        return self._listeners.knows(attempt) or any(crew.knows(attempt) for crew in self._crews)

    def runs(self, attempt: AttemptKey) -> bool:
        """Whether it waits or runs here, and its end has not been reported."""
        return self._listeners.runs(attempt) or any(crew.runs(attempt) for crew in self._crews)

    def forget(self, is_lost: Callable[[ExecutionKey], bool]) -> None:
        """See `Dispatch.forget`."""
        for crew in self._crews:
            crew.forget(is_lost)
        self._listeners.forget(is_lost)

    async def recover(self, shards: Collection[str] = ()) -> frozenset[AttemptKey]:
        """See `Dispatch.recover`. Reports of what it names come after it has returned."""
        self._shards.update(shards)
        self._claimed = tuple(sorted(shards))
        handles = await self._common.factory.find()
        by_env: dict[str, list[RunnerHandle]] = {"": []}
        others = [handle for handle in handles if not handle.feeds]
        for handle in handles:
            if handle.feeds:
                by_env.setdefault(handle.env, []).append(handle)
        for env in self._by_env:
            by_env.setdefault(env, [])
        try:
            found = await asyncio.gather(
                *(self._crew(env, None).recover(some) for env, some in by_env.items()),
                self._listeners.recover(others),
            )
        finally:
            self._claimed = ()
        return frozenset().union(*found)

    async def close(self) -> None:
        """Let go of the runners, which live on and keep their reports."""
        self._closed = True
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        for crew in self._crews:
            await crew.close()
        self._listeners.close()
        await self._common.factory.close()

    async def end_runners(self) -> None:
        """End every runner, whatever it runs, and make no more: for `down`, and for tests."""
        for crew in self._crews:
            crew.end_runners()
        self._listeners.kill()
        deadline = self._loop.time() + self._bounds.answer_ms / 1_000
        while self.runner_count and self._loop.time() < deadline:  # noqa: ASYNC110  # rare
            await asyncio.sleep(0.01)

    # whose is what

    def _hello(self, feeds: bool) -> Hello:
        return Hello(
            PROTOCOL,
            self._deployment,
            self._incarnation,
            feeds,
            self._shard_count,
            self._claimed,
        )

    def _is_mine(self, attempt: AttemptKey) -> bool:
        count = self._shard_count
        return not count or shard_of(attempt[0], count) in self._shards

    # time

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(self._bounds.look_ms / 1_000)
            try:
                await self._count_nodes()
                demand_waits = await self._common.factory.demand_waits()
            except Exception as error:  # noqa: BLE001 – Ray may be going down; runners are tended anyway
                _log.warning("cannot look at the cluster: %s", error)
                demand_waits = False
            for crew in self._crews:
                crew.tend(demand_waits=demand_waits)
            self._listeners.tend()
            for env in [env for env, crew in self._by_env.items() if crew.is_empty]:
                await self._by_env.pop(env).close()

    async def _count_nodes(self) -> None:
        now = self._loop.time()
        if self._common.placement is not None and now - self._counted_at >= NODES_LOOK_S:
            self._counted_at = now
            self._common.node_count = await self._common.factory.node_count()


def key_of(runtime_env: Mapping[str, Json] | None) -> str:
    """A runtime environment's name among a host's; empty for none."""
    if not runtime_env:
        return ""
    return blake2b(msgspec.json.encode(runtime_env, order="sorted"), digest_size=4).hexdigest()

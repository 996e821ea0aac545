"""A host as it sees itself, for `info`: answered without the journal, from memory."""

from __future__ import annotations

import os
from typing import Any, Protocol

from heliostat.actors.host.clock import Clock
from heliostat.actors.host.figures import Figures
from heliostat.actors.host.questions import HostInfo, ShardInfo
from heliostat.actors.host.works import Works


class Named(Protocol):
    """What a host says of itself before anything is open."""

    name: str
    node: str
    ray_node: str
    data_dir: str
    incarnation: str
    figures: Figures
    clock: Clock


def described(
    host: Named,
    *,
    state: str,
    works: Works | None,
    trouble: str | None,
    waits_for: str | None,
    began_at_ms: int,
) -> HostInfo:
    """Args:
    trouble: why nothing is open.
    waits_for: what turns wait for that is no fault of this process.
    """
    figures, now_ms = host.figures, host.clock.steady_ms()
    info: dict[str, Any] = {}
    if works is not None:
        loop = works.loop
        trouble = (
            loop.committer.trouble or figures.trouble or figures.ownership_trouble or waits_for
        )
        info = {
            "shards": tuple(
                ShardInfo(
                    shard=shard.name,
                    epoch=shard.epoch,
                    next_position=shard.next_position,
                    serving=shard.serving,
                )
                for shard in works.ownership.shards.values()
            ),
            "resident": len(loop.residents),
            "idle": loop.residents.idle,
            "loads_queued": loop.residents.loading,
            "starts_queued": works.desk.unanswered,
            "reports_queued": len(works.intake.reports),
            "requests_queued": len(works.intake.requests),
            "messages_pending": len(works.outbox),
            "messages_dropped": works.outbox.dropped,
            "events_passed": works.pump.passed,
            "timers": len(loop.timers),
            "clients": len(works.streams),
        }
    return HostInfo(
        name=host.name,
        incarnation=host.incarnation,
        pid=os.getpid(),
        node=host.node,
        ray_node=host.ray_node,
        data_dir=host.data_dir,
        state=state,
        trouble=trouble,
        moved_ms_ago=now_ms - (works.loop.moved_at_ms if works else began_at_ms),
        uptime_ms=now_ms - began_at_ms,
        turns=figures.turns,
        stimuli=figures.stimuli,
        events=figures.events,
        started=figures.started,
        ended=figures.ended,
        commit_ms_mean=figures.commit_ms_mean,
        commit_ms_max=figures.commit_ms_max,
        clock_jumps=figures.clock_jumps,
        faults=tuple(figures.faults),
        **info,
    )

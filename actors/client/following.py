"""Following one execution: its state, and then each event as its host records it.

The host pushes; nothing is asked again and again. What a stream that broke, fell silent or ended
did not bring is in the journal, so it is opened anew after the last `seq` that was told, at
whichever host has the execution by then. So no event is left out or told twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial

from heliostat.actors.calls import pack
from heliostat.actors.client.hosts import Hosts, Moved, Tries
from heliostat.actors.client.interface import Followed
from heliostat.actors.client.waiting import Wait
from heliostat.actors.host.questions import FollowBatch, FollowRequest
from heliostat.engine.errors import Unreachable
from heliostat.engine.identity import ExecutionKey


async def follow(
    hosts: Hosts, wait: Wait, key: ExecutionKey, *, after: int | None
) -> AsyncGenerator[Followed, None]:
    """See `Connection.follow`. Each silence of the hosts is bounded as a call of them is."""
    told = False
    position = after
    tries = Tries(hosts, "follow")
    while True:
        host = await wait(partial(hosts.of, key))
        heard = False
        request = FollowRequest(key=key, after_seq=position)
        opened = _opened(hosts, wait, host, request)
        try:
            async for batch in opened:
                if not heard:
                    heard, tries = True, Tries(hosts, "follow")
                if batch.view is not None and not told:
                    told = True
                    if position is None:
                        position = batch.view.seq
                    yield batch.view
                for event in batch.events:
                    if position is not None and event["seq"] <= position:
                        continue  # told before
                    position = event["seq"]
                    yield event
                if batch.ended:
                    return
            if not heard:
                raise Unreachable(f"{host} closed at once")
        except Moved as moved:
            hosts.learn(key, moved.owner)
            await wait(tries.moved)
        except Unreachable as error:
            await wait(partial(tries.again, host, error))
        finally:
            await opened.aclose()


async def _opened(
    hosts: Hosts, wait: Wait, host: str, request: FollowRequest
) -> AsyncGenerator[FollowBatch, None]:
    """One opening of the stream; ends when the host ends it."""
    stream = await wait(lambda: hosts.open_stream(host, "follow", pack(request)))
    try:
        while True:
            if wait.blocks:
                piece = hosts.piece(stream)
            else:
                piece = await hosts.piece_async(stream)
            if piece is None:
                return
            yield hosts.opened(piece, FollowBatch)
    finally:
        stream.drop()

"""A `Connection` over HTTP: each method is one request to the door, or a few."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, get_args

from heliostat.actors.client.actor import ExecutionActor
from heliostat.actors.client.interface import Begun, End, Followed, Start, Startable, Version
from heliostat.actors.client.refusals import error_of_end
from heliostat.actors.client.values import checked_name
from heliostat.actors.host.api import Accepted, Ended, ExecutionView, Started
from heliostat.actors.host.questions import HistoryPage
from heliostat.engine.errors import HeliostatError, InputError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id
from heliostat.engine.journal.protocol import ExecutionPage, ExecutionQuery
from heliostat.engine.status import ExecutionStatus
from heliostat.engine.values import Json, Value

from . import reading
from .asking import page_number
from .batches import started_each
from .definitions import DefinitionRequests
from .following import Frame, frames
from .people import PeopleRequests
from .reading import told
from .refusals import error_of
from .sender import drained, part
from .writing import plain

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client


class HttpConnection(DefinitionRequests, PeopleRequests):
    """See `Connection`, which this is."""

    # executions

    async def start_many(
        self,
        definition: Startable,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
    ) -> Sequence[Begun | HeliostatError]:
        """See `Connection`. Ends are awaited from when somebody asks for them."""
        inputs = list(inputs)
        if ids is None:
            ids = [new_id() for _ in inputs]
        if len(ids) != len(inputs):
            raise InputError(f"there are {len(ids)} ids for {len(inputs)} inputs; give one each")
        if len(set(ids)) != len(ids):
            raise InputError("the same id is given twice; give each execution its own")
        id, version, namespace = await self._resolved(definition, version, namespace)
        starts = [
            Start(
                key=ExecutionKey(namespace, execution_id),
                definition=id,
                version=version,
                input=value,
                tags=tags or {},
                priority=priority,
                correlation_id=correlation_id,
            )
            for execution_id, value in zip(ids, inputs, strict=True)
        ]
        answers = await self.start_each(starts, full_timeout_s=self._sender.full_timeout_s)
        return [
            each if isinstance(each, HeliostatError) else Begun(each.key, None) for each in answers
        ]

    async def _resolved(
        self, definition: Startable, version: str | None, namespace: str | None
    ) -> tuple[str, str | None, str]:
        if isinstance(definition, str):
            return definition, version, namespace or self.namespace
        known = (
            definition
            if isinstance(definition, Version)
            else (await self.register_many([definition]))[0]
        )
        if version not in (None, known.version) or namespace not in (None, known.namespace):
            raise InputError(
                f"version {version!r} in namespace {namespace!r} is asked for, but what is given "
                f"is version {known.version!r} in {known.namespace!r}; leave the two out"
            )
        return known.id, known.version, known.namespace

    async def start_each(
        self, starts: Sequence[Start], *, full_timeout_s: float = 0.0
    ) -> Sequence[Started | HeliostatError]:
        """See `Connection`."""
        return await self._waited(started_each(self._sender, starts, full_timeout_s=full_timeout_s))

    async def watch(self, key: ExecutionKey, *, run: int = 1) -> End:
        """See `Connection`."""
        return self._parts.ends.watch(key, run)

    async def output_of(self, ended: Ended) -> Any:
        """See `Connection`. What lies in blobs and is no JSON stays a reference."""
        error = error_of_end(ended)
        if error is not None:
            raise error
        return ended.output

    async def received(self, value: Value) -> Any:
        """See `Connection`: the door has brought it."""
        return value

    async def received_json(self, value: Value, *, limit_bytes: int = 16 * 1024 * 1024) -> Json:
        """See `Connection`: the door has brought it."""
        return value

    async def status(self, key: ExecutionKey) -> ExecutionView:
        """See `Connection`."""
        body = await self._waited(self._get(_path(key), key.namespace, dict))
        return reading.view(body, key.namespace)

    async def variables(self, key: ExecutionKey) -> dict[str, Any]:
        """The variables of an execution."""
        query = {"include_variables": True}
        body = await self._waited(self._get(_path(key), key.namespace, dict, query))
        return dict(body.get("variables") or {})

    async def graph(self, key: ExecutionKey) -> dict[str, Any]:
        """The graph of an execution's version, with what each step does."""
        path = f"{_path(key)}/graph"
        return dict(await self._waited(self._get(path, key.namespace, dict)))

    async def history(
        self, key: ExecutionKey, *, after: int = 0, limit: int = 1_000
    ) -> HistoryPage:
        """See `Connection`."""
        query = {"after": after, "limit": limit}
        events = await self._waited(self._get(f"{_path(key)}/history", key.namespace, list, query))
        more = len(events) >= limit
        return HistoryPage(events=tuple(events), next_after_seq=events[-1]["seq"] if more else None)

    async def follow(
        self, key: ExecutionKey, *, after: int | None = 0
    ) -> AsyncGenerator[Followed, None]:
        """See `Connection`."""
        told_state = False
        async with aclosing(self.frames(key, after=after)) as said:
            async for frame in said:
                match frame["type"]:
                    case "state" if not told_state:
                        told_state = True
                        yield reading.view(frame["state"], key.namespace)
                    case "event":
                        yield frame["event"]
                    case "end":
                        return

    async def frames(
        self, key: ExecutionKey, *, after: int | None = 0
    ) -> AsyncGenerator[Frame, None]:
        """What the live socket says; see `following.frames`. Never ends by itself."""
        said = frames(self._sender, key, after=after)
        try:
            while (frame := await self._waited(drained(said))) is not None:
                yield frame
        finally:
            await self._waited(said.aclose())

    async def executions(self, query: ExecutionQuery) -> ExecutionPage:
        """See `Connection`."""
        asked = {
            "definition_id": query.definition,
            "version": query.version,
            "status": query.status,
            "label": [f"{name}={value}" for name, value in query.tags.items()],
            "start_date": _instant(query.created_from_ms),
            "end_date": _instant(query.created_before_ms),
            "q": query.q,
            "page": page_number(query.offset, query.limit) if query.cursor is None else None,
        }
        page = await self._waited(
            self._page("/workflows", query.namespace, asked, query.limit, query.cursor)
        )
        return ExecutionPage(
            rows=tuple(reading.row(each, query.namespace) for each in page.rows),
            next_cursor=page.next_cursor,
            total=page.total if query.count else None,
        )

    async def count(self, namespace: str | None = None) -> Mapping[str, int]:
        """See `Connection`; over HTTP of one namespace only."""
        within = namespace or self.namespace

        async def counted(status: str) -> int:
            query = {"status": status, "per_page": 1}
            body = await self._get("/workflows", within, dict, query)
            total: int = body["meta"]["total"]
            return total

        async def all_of_them() -> dict[str, int]:
            statuses = get_args(ExecutionStatus)
            totals = await asyncio.gather(*map(counted, statuses))
            return {status: total for status, total in zip(statuses, totals, strict=True) if total}

        return await self._waited(all_of_them())

    # what is asked of one execution

    async def signal(
        self, key: ExecutionKey, name: str, data: Any = None, *, request_id: str | None = None
    ) -> Accepted:
        """See `Connection`."""
        body = {
            "signal_name": checked_name(name, "a signal's name"),
            "signal_data": plain(data, "the signal's data"),
        }
        return await self._request(key, "signal", body, request_id)

    async def pause(
        self, key: ExecutionKey, reason: str | None = None, *, request_id: str | None = None
    ) -> Accepted:
        """See `Connection`."""
        return await self._request(key, "pause", {"reason": reason}, request_id)

    async def resume(self, key: ExecutionKey, *, request_id: str | None = None) -> Accepted:
        """See `Connection`."""
        return await self._request(key, "resume", {}, request_id)

    async def retry(
        self, key: ExecutionKey, from_step: str | None = None, *, request_id: str | None = None
    ) -> Accepted:
        """See `Connection`."""
        body = {} if from_step is None else {"from_activity": from_step}
        return await self._request(key, "retry", body, request_id)

    async def migrate(
        self,
        key: ExecutionKey,
        version: str | None = None,
        *,
        reason: str | None = None,
        dry_run: bool = False,
        request_id: str | None = None,
    ) -> Accepted:
        """See `Connection`."""
        body = {"version": version, "reason": reason, "dry_run": dry_run}
        return await self._request(key, "migrate", body, request_id)

    async def cancel(
        self, key: ExecutionKey, reason: str | None = None, *, request_id: str | None = None
    ) -> Accepted:
        """See `Connection`."""
        return await self._request(key, "cancel", {"reason": reason}, request_id)

    async def metadata(self, key: ExecutionKey) -> dict[str, str]:
        """See `Connection`."""
        path = f"{_path(key)}/metadata"
        return dict(await self._waited(self._get(path, key.namespace, dict)))

    async def set_metadata(
        self, key: ExecutionKey, metadata: Mapping[str, str], *, request_id: str | None = None
    ) -> Accepted:
        """See `Connection`."""
        path = f"{_path(key)}/metadata"
        body = {"metadata": dict(metadata)}
        await self._change(path, key.namespace, body, request_id, method="PUT")
        view = await self.status(key)
        return Accepted(key=key, status=view.status, run=view.run)

    # the deployment

    def actor(self, key: ExecutionKey, client: Client) -> ExecutionActor:
        """Not over HTTP: raises `InputError`."""
        raise self._within("the actor that carries an execution")

    async def info(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 - as `Client.info`
        """See `Connection`; of each host what the door's health says, and that beside it."""
        answer = await self._waited(
            self._sender.ask(
                "GET",
                "/health",
                namespace=self.namespace,
                accepted=(200, 503),
                timeout_s=timeout,
            )
        )
        body: dict[str, Any] = told(answer.body, dict)
        if "components" not in body:
            raise error_of(body, answer.status)
        hosts = (body["components"].get("hosts") or {}).get("details") or []
        return {"hosts": hosts, "health": body}

    async def drain_node(
        self,
        node: str,
        *,
        wait_ms: int,
        timeout: float,  # noqa: ASYNC109 - as `Client.drain_node`
    ) -> Sequence[str]:
        """Not over HTTP: raises `InputError`."""
        raise self._within("draining a node")

    async def close(self) -> None:
        """See `Connection`."""
        if self._blocks:
            self._sender.close()
        else:
            await asyncio.get_running_loop().run_in_executor(None, self._sender.close)

    # helpers

    async def _request(
        self, key: ExecutionKey, verb: str, body: dict[str, Any], request_id: str | None
    ) -> Accepted:
        answered = await self._change(f"{_path(key)}/{verb}", key.namespace, body, request_id)
        return Accepted(key=key, status=answered["status"], run=answered.get("run") or 1)


def _path(key: ExecutionKey) -> str:
    return f"/workflows/{part(key.execution_id)}"


def _instant(ms: int | None) -> str | None:
    return None if ms is None else reading.instant(ms)

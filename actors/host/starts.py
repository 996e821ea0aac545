"""Starts: admitted before the turn, made by it, answered after its commit.

Admission refuses what can be refused without the journal: a full inbox, an id that is no name, an
unknown definition, an input that breaks its schema. Whether an execution with the id exists is not
asked beforehand, since hardly ever one does: the journal's refusal to create it again tells, and
what is there is then compared with what was asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from heliostat.actors.host.api import Refusal, StartAnswers, Started, StartMany, StartRequest
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Backoff, Clock, Doorbell
from heliostat.actors.host.plans import HostedPlan, PlanStore
from heliostat.engine.errors import HeliostatError, JournalError, Overloaded
from heliostat.engine.identity import NAME, ExecutionKey
from heliostat.engine.journal.protocol import Journal
from heliostat.engine.kernel.codec import decode_event
from heliostat.engine.kernel.events import ExecutionStarted
from heliostat.engine.values import Held, Reference, Value

_log = logging.getLogger(__name__)

CORRELATION_ID_CHARS_MAX: Final = 200
"""As long as a name: it stands in a row that lists show."""

TAGS_MAX: Final = 64
"""Each is a row of an index, written with the execution."""

TAG_NAME_CHARS_MAX: Final = 200

TAG_CHARS_MAX: Final = 1_000
"""Of a tag's value: it is searched for, not read; a PostgreSQL index takes 2,700 bytes."""


class StartGroup:
    """The starts of one call; its client waits for all of their answers."""

    __slots__ = ("answers", "client", "future", "missing")

    def __init__(self, client: str | None, count: int) -> None:
        self.client = client
        self.answers: list[Started | Refusal | None] = [None] * count
        self.missing = count
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not count:
            self.future.set_result(None)

    def answer(self, index: int, answer: Started | Refusal) -> None:
        """Answer one start; the last one wakes the client."""
        assert self.answers[index] is None, "a start is answered once"
        self.answers[index] = answer
        self.missing -= 1
        if not self.missing and not self.future.done():  # done: the client went away
            self.future.set_result(None)

    async def answered(self) -> StartAnswers:
        """Wait for all; the starts go on when the waiting client does not."""
        await self.future
        return StartAnswers(answers=tuple(self.answers))  # type: ignore[arg-type]  # none missing


class StartItem:
    """One start on its way through a turn."""

    __slots__ = ("group", "hosted", "index", "key", "request", "since_ms")

    def __init__(
        self,
        group: StartGroup,
        index: int,
        request: StartRequest,
        hosted: HostedPlan,
        since_ms: int,
    ) -> None:
        self.group, self.index = group, index
        self.key = request.key
        self.request, self.hosted = request, hosted
        self.since_ms = since_ms

    @property
    def answered(self) -> bool:
        """Whether the client's answer is there already."""
        return self.group.answers[self.index] is not None


class StartDesk:
    """Takes starts in, and compares those whose execution exists already."""

    def __init__(
        self,
        *,
        journal: Journal,
        plans: PlanStore,
        clock: Clock,
        bounds: HostBounds,
        bell: Doorbell,
        watch: Callable[[str, ExecutionKey], Awaitable[object]],
        resident: Callable[[], int],
    ) -> None:
        self._journal, self._plans = journal, plans
        self._clock, self._bounds = clock, bounds
        self.bell = bell  # the turn loop's
        self._watch = watch
        self._resident = resident
        self.queue: deque[StartItem] = deque()
        self.unanswered = 0
        self._existing: deque[StartItem] = deque()
        self._existing_bell = Doorbell(clock)

    async def admit(self, many: StartMany, refuse: Refusal | None) -> StartGroup:
        """Queue what can be started for the next turns, refuse the rest; `refuse` refuses all."""
        group = StartGroup(many.client, len(many.starts))
        since_ms = self._clock.steady_ms()
        for index, request in enumerate(many.starts):
            answer = refuse or self._full() or _check_names(request) or _check_told(request)
            if answer is not None:
                group.answer(index, answer)
                continue
            hosted = self._plans.find_startable(
                request.key.namespace, request.definition, request.version
            )
            if hosted is None:
                try:
                    hosted = await self._plans.get_startable(
                        request.key.namespace, request.definition, request.version
                    )
                except HeliostatError as error:  # not there, or the journal cannot say
                    group.answer(index, refusal_of(error))
                    continue
            answer = fault_of_input(request.input, hosted)
            if answer is not None:
                group.answer(index, answer)
                continue
            self.unanswered += 1
            self.queue.append(StartItem(group, index, request, hosted, since_ms))
        if self.queue:
            self.bell.ring()
        return group

    def _full(self) -> Refusal | None:
        if self.unanswered >= self._bounds.starts_queued:
            return overloaded("the queue of starts", self._bounds)
        if self._resident() >= self._bounds.executions_resident:
            return overloaded("the host's memory for executions", self._bounds)
        return None

    def answer(self, item: StartItem, answer: Started | Refusal) -> None:
        """The one place where a queued start is answered."""
        self.unanswered -= 1
        item.group.answer(item.index, answer)

    def refuse_all(self, refusal: Refusal) -> None:
        """The host ends: what is not committed is not started."""
        waiting = [*self.queue, *self._existing]
        self.queue.clear()
        self._existing.clear()
        for item in waiting:
            self.answer(item, refusal)

    def compare(self, item: StartItem) -> None:
        """An execution with this id exists, or is just being made: find out whether it is equal."""
        self._existing.append(item)
        self._existing_bell.ring()

    async def compare_forever(self) -> None:
        """The task behind `compare`: one start after the other."""
        backoff = Backoff(
            self._clock, first_ms=self._bounds.backoff_ms, max_ms=self._bounds.backoff_max_ms
        )
        while True:
            while self._existing:
                item = self._existing[0]
                try:
                    answer = await self._compare(item)
                except JournalError as error:
                    _log.warning("cannot look whether execution %s exists: %s", item.key, error)
                    await backoff.wait()
                    continue
                backoff.reset()
                self._existing.popleft()
                if answer is not None:
                    self.answer(item, answer)
                else:  # what made it was refused itself: the id is free again
                    self.queue.append(item)
                    self.bell.ring()
            await self._existing_bell.wait()

    async def _compare(self, item: StartItem) -> Started | Refusal | None:
        request = item.request
        found = await self._journal.read(item.key, after_seq=0, limit=1)
        if not found:
            return None
        first = decode_event(found[0][1])
        assert isinstance(first, ExecutionStarted), f"{item.key} begins with {type(first)}"
        differs = []
        if first.definition != request.definition:
            differs.append("definition")
        if first.input != request.input:
            differs.append("input")
        if differs:
            return _duplicate(request, first, differs)
        if item.group.client is not None:
            await self._watch(item.group.client, item.key)
        return Started(key=item.key, version=first.version, existed=True)


def overloaded(what: str, bounds: HostBounds) -> Refusal:
    """Nothing was accepted; later it may be."""
    return refusal_of(Overloaded(what, bounds.retry_after_ms / 1000))


def refusal_of(error: HeliostatError) -> Refusal:
    """An error raised on purpose, as an answer."""
    details = dict(error.details)
    if isinstance(error, Overloaded):
        details["retry_after_s"] = error.retry_after_s
    return Refusal(code=error.code, message=error.message, details=details)


def _check_names(request: StartRequest) -> Refusal | None:
    key = request.key
    if NAME.fullmatch(key.execution_id) and NAME.fullmatch(key.namespace):
        return None
    return bad_name("workflow_id" if NAME.fullmatch(key.namespace) else "namespace", key)


def _check_told(request: StartRequest) -> Refusal | None:
    """What else a start says of its execution."""
    priority, correlation_id, tags = request.priority, request.correlation_id, request.tags
    if priority is not None and not 1 <= priority <= 10:
        return _invalid(
            "priority", f"priority is {priority}; it must be from 1 to 10, where 10 is most urgent"
        )
    if correlation_id is not None and not 1 <= len(correlation_id) <= CORRELATION_ID_CHARS_MAX:
        return _invalid(
            "correlation_id",
            f"correlation_id has {len(correlation_id)} characters; it must have between 1 and "
            f"{CORRELATION_ID_CHARS_MAX}",
        )
    if tags and len(tags) > TAGS_MAX:
        return _invalid("tags", f"there are {len(tags)} tags; at most {TAGS_MAX} are kept")
    for name, value in tags.items():
        if not 1 <= len(name) <= TAG_NAME_CHARS_MAX or len(value) > TAG_CHARS_MAX:
            return _invalid(
                f"tags.{name[:200]}",
                f"tag {name[:200]!r} has a name of {len(name)} and a value of {len(value):,} "
                f"characters; at most {TAG_NAME_CHARS_MAX} and {TAG_CHARS_MAX:,} are kept",
            )
    return None


def _invalid(field: str, message: str) -> Refusal:
    return Refusal(code="INVALID_INPUT", message=message, details={"field": field})


def bad_name(field: str, key: ExecutionKey) -> Refusal:
    """An id, or a namespace, that is no name."""
    value = key.namespace if field == "namespace" else key.execution_id
    return Refusal(
        code="INVALID_INPUT",
        message=(
            f"{field} is {value[:200]!r}; it must begin with a letter or a digit, and hold up to "
            f"200 letters, digits and any of _ . : + @ -"
        ),
        details={"field": field},
    )


def fault_of_input(input: Value, hosted: HostedPlan) -> Refusal | None:
    """What an input breaks of the definition's `input_schema`, as a refusal."""
    plan = hosted.plan
    validate = plan.validate_input
    # A claim check cannot be looked into here: whoever stored the value has validated it.
    if validate is None or _holds_reference(input):
        return None
    fault = validate(input)
    if fault is None:
        return None
    return Refusal(
        code="INVALID_INPUT",
        message=f"the input of {plan.id!r} breaks its input_schema: {fault}",
        details={"field": "input", "fault": fault},
    )


def _holds_reference(value: Any) -> bool:
    if isinstance(value, Reference | Held):
        return True
    if isinstance(value, dict):
        return any(map(_holds_reference, value.values()))
    return isinstance(value, list) and any(map(_holds_reference, value))


def _duplicate(request: StartRequest, first: ExecutionStarted, differs: Sequence[str]) -> Refusal:
    key = request.key
    what = " and ".join(differs)
    other = f" (it runs {first.definition!r})" if "definition" in differs else ""
    return Refusal(
        code="DUPLICATE_ERROR",
        message=(
            f"execution {key.execution_id!r} exists in namespace {key.namespace!r} with another "
            f"{what}{other}; choose another id, or repeat the start exactly"
        ),
        details={"differs": list(differs), "definition": first.definition},
    )

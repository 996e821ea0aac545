"""What a program asks of executions, events and people, against hosts that follow a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.opening import ray_client
from heliostat.actors.client.refusals import to_error
from heliostat.actors.host.api import (
    Accepted,
    EventAccepted,
    PublishRequest,
    Refusal,
    RetryRequest,
    TaskInfo,
    TaskInfos,
)
from heliostat.engine import errors
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.journal.protocol import TaskQuery
from heliostat.engine.kernel.events import Failure
from heliostat.engine.values import Reference
from tests.client.conftest import ScriptedHosts

BOUND_S = 60.0
KEY = ExecutionKey("default", "a")


@pytest.fixture
def client(hosts: ScriptedHosts, tmp_path: Path) -> Iterator[Client]:
    with ray_client(hosts=cast("Hosts", hosts), blobs=FileBlobStore(tmp_path)) as client:
        yield client


def accept(run: int = 1) -> Callable[[Any], Accepted]:
    return lambda request: Accepted(key=request.key, status="Running", run=run)


class TestRequests:
    """Each is one call, with an id of its own; a repetition by the caller is another request."""

    @pytest.mark.parametrize(
        ("method", "arguments", "fields"),
        [
            ("signal", ("go", {"n": 1}), {"name": "go", "data": {"n": 1}}),
            ("pause", ("night",), {"reason": "night"}),
            ("resume", (), {}),
            ("retry", ("pay",), {"from_step": "pay"}),
            ("cancel", ("enough",), {"reason": "enough"}),
        ],
    )
    def test_of_a_handle(
        self,
        client: Client,
        hosts: ScriptedHosts,
        method: str,
        arguments: tuple[Any, ...],
        fields: dict[str, Any],
    ) -> None:
        hosts.handlers[method] = accept()
        handle = client.get("a")
        assert getattr(handle, method)(*arguments) == "Running"
        assert getattr(handle, method)(*arguments) == "Running"
        first, second = (request for name, request in hosts.calls if name == method)
        assert first.key == KEY
        assert {name: getattr(first, name) for name in fields} == fields
        assert first.message_id != second.message_id

    async def test_async_twins(self, client: Client, hosts: ScriptedHosts) -> None:
        hosts.handlers |= {name: accept() for name in ("signal", "pause", "resume", "retry")}
        handle = client.get("a")
        assert await handle.signal_async("go") == "Running"
        assert await handle.pause_async() == "Running"
        assert await handle.resume_async() == "Running"
        assert await handle.retry_async() == "Running"

    def test_an_event(self, client: Client, hosts: ScriptedHosts) -> None:
        hosts.handlers["publish"] = lambda request: EventAccepted(id=request.id)
        drawn = client.publish("order.paid", {"order": 7})
        assert client.publish("order.paid", id="e-1", namespace="team") == "e-1"
        first, second = (request for _, request in hosts.calls)
        assert first == PublishRequest(
            namespace="default", id=drawn, name="order.paid", data={"order": 7}
        )
        assert (second.namespace, second.id, second.data) == ("team", "e-1", None)

    @pytest.mark.parametrize("data", [{"text": "x" * 70_000}, {"lock": object}])
    def test_what_they_carry_is_small_json(
        self, client: Client, hosts: ScriptedHosts, data: Any
    ) -> None:
        with pytest.raises(errors.InputError, match="the signal's data must be JSON of at most"):
            client.get("a").signal("go", data)
        with pytest.raises(errors.InputError, match="the event's data must be JSON of at most"):
            client.publish("go", data)
        assert hosts.calls == []

    def test_what_nobody_can_wait_for_is_not_sent(
        self, client: Client, hosts: ScriptedHosts
    ) -> None:
        for wrong in ("", "order paid", "*", "x" * 201):
            with pytest.raises(errors.InputError, match="a signal's name cannot be"):
                client.get("a").signal(wrong)
            with pytest.raises(errors.InputError, match="an event's type cannot be"):
                client.publish(wrong)
            with pytest.raises(errors.InputError, match="an event's id cannot be"):
                client.publish("order.paid", id=wrong)
        assert hosts.calls == []


class TestRefusals:
    """A refusal becomes the error that says what to do about it."""

    @pytest.mark.parametrize(
        ("code", "type_"),
        [
            ("CONFLICT", errors.Conflict),
            ("INVALID_INPUT", errors.InputError),
            ("OVERLOADED", errors.Overloaded),
            ("NOT_FOUND", errors.NotFound),
        ],
    )
    def test_by_its_code(self, code: str, type_: type[errors.HeliostatError]) -> None:
        error = to_error(Refusal(code=code, message="the execution is Completed, not Paused"))
        assert type(error) is type_
        assert error.code == code
        assert "the execution is Completed, not Paused" in str(error)

    def test_a_full_buffer_and_a_full_queue(self) -> None:
        words = "1000 signals wait already that nothing has taken; try again later"
        assert str(to_error(Refusal(code="OVERLOADED", message=words))) == words
        queue = to_error(
            Refusal(
                code="OVERLOADED",
                message="the queue of requests is full; nothing was accepted, try again in 1 s",
                details={"retry_after_s": 2.0},
            )
        )
        assert str(queue).startswith("the queue of requests is full; nothing was accepted")
        assert queue.details == {"retry_after_s": 2.0}


class TestRetriedExecutions:
    """A failure is the end of a run, not of the execution."""

    def fail(self, hosts: ScriptedHosts, **facts: Any) -> None:
        failure = Failure(type="Declined", message="no money")
        hosts.end(KEY, status="Failed", failure=failure, **facts)

    def test_the_result_is_that_of_the_new_run(self, client: Client, hosts: ScriptedHosts) -> None:
        handle = client.start("order", id="a")
        self.fail(hosts)
        with pytest.raises(errors.ExecutionFailed):
            handle.result(BOUND_S)

        def retry(request: RetryRequest) -> Accepted:
            hosts.known[request.key] = None
            return Accepted(key=request.key, status="Running", run=2)

        hosts.handlers["retry"] = retry
        handle.retry()
        with pytest.raises(errors.ResultTimeout):
            handle.result(timeout=0.01)
        self.fail(hosts, heard=True)  # the end of run 1, told once more
        with pytest.raises(errors.ResultTimeout):
            handle.result(timeout=0.2)
        hosts.end(KEY, output="paid", run=2)
        assert handle.result(BOUND_S) == "paid"

    def test_somebody_else_may_have_retried_it(self, client: Client, hosts: ScriptedHosts) -> None:
        handle = client.start("order", id="a")
        self.fail(hosts)
        for _ in range(2):
            with pytest.raises(errors.ExecutionFailed):
                handle.result(BOUND_S)
        hosts.end(KEY, output="paid", run=2, heard=False)
        assert handle.result(BOUND_S) == "paid"

    def test_a_good_end_is_asked_for_once(self, client: Client, hosts: ScriptedHosts) -> None:
        handle = client.start("order", id="a")
        hosts.end(KEY, output=1)
        assert [handle.result(BOUND_S) for _ in range(3)] == [1, 1, 1]
        assert hosts.times("watch") == 0


class TestTasks:
    """A task is what was read last; an action is a request to its execution, then a new reading."""

    @pytest.fixture
    def people(self, hosts: ScriptedHosts) -> dict[str, TaskInfo]:
        """The tasks of a scripted host, by id."""
        tasks = {id: info(id) for id in ("1:0:1:1", "1:1:1:1", "1:2:1:1")}

        def act(request: Any) -> Accepted:
            status = {"claim": "Claimed", "release": "Open", "assign": "Open"}
            claimed_by = request.user if request.verb == "claim" else None
            tasks[request.task_id] = info(
                request.task_id,
                status=status.get(request.verb, "Completed"),
                claimed_by=claimed_by,
                assignees=request.assignees,
            )
            return Accepted(key=request.key, status="Waiting")

        def page(query: TaskQuery) -> TaskInfos:
            ids = sorted(tasks)
            begin = int(query.cursor or 0)
            more = begin + 2 < len(ids)
            some = tuple(tasks[id] for id in ids[begin : begin + 2])
            return TaskInfos(tasks=some, next_cursor=str(begin + 2) if more else None)

        hosts.handlers |= {
            "act_on_task": act,
            "list_tasks": page,
            "get_task": lambda request: tasks[request.task_id],
        }
        return tasks

    @pytest.mark.usefixtures("people")
    def test_what_a_person_does(self, client: Client, hosts: ScriptedHosts) -> None:
        task = client.task("a", "1:0:1:1")
        assert (task.status, task.claimed_by) == ("Open", None)
        assert task.claim("ann").claimed_by == "ann"
        assert task.release("ann").status == "Open"
        assert task.assign("ann", assignees=["bob"]).assignees == ("bob",)
        assert task.complete({"ok": True}, "bob", force=True).status == "Completed"
        acts = [request for method, request in hosts.calls if method == "act_on_task"]
        assert [(act.verb, act.user) for act in acts] == [
            ("claim", "ann"),
            ("release", "ann"),
            ("assign", "ann"),
            ("complete", "bob"),
        ]
        assert (acts[-1].data, acts[-1].force) == ({"ok": True}, True)
        assert len({act.message_id for act in acts}) == 4
        assert {(act.key, act.task_id) for act in acts} == {(KEY, "1:0:1:1")}

    @pytest.mark.usefixtures("people")
    async def test_async_twins(self, client: Client) -> None:
        task = await client.task_async("a", "1:0:1:1")
        assert (await task.claim_async("ann")).status == "Claimed"
        assert (await task.complete_async(None, "ann")).status == "Completed"
        assert len(await client.get("a").tasks_async()) == 3

    @pytest.mark.usefixtures("people")
    def test_lists_are_pages_but_for_an_executions_own(
        self, client: Client, hosts: ScriptedHosts
    ) -> None:
        page = client.tasks(person="group:credit", status=["Open"], definition="order", limit=2)
        assert [task.task_id for task in page] == ["1:0:1:1", "1:1:1:1"]
        assert page.next_cursor == "2"
        (_, query) = hosts.calls[-1]
        assert (query.person, query.status, query.limit) == ("group:credit", ("Open",), 2)
        assert (query.definition, query.execution_id) == ("order", None)
        assert len(client.get("a").tasks("Open")) == 3
        (_, query) = hosts.calls[-1]
        assert (query.execution_id, query.status, query.cursor) == ("a", ("Open",), "2")

    def test_what_a_person_is_shown_has_its_values(
        self, client: Client, people: dict[str, TaskInfo], tmp_path: Path
    ) -> None:
        blob = FileBlobStore(tmp_path).put("default", b'"long text"')
        people["1:0:1:1"] = info("1:0:1:1", input={"text": Reference(blob, "json", 11)})
        assert client.task("a", "1:0:1:1").input == {"text": "long text"}

    @pytest.mark.usefixtures("people")
    def test_an_action_says_who_and_to_whom(self, client: Client, hosts: ScriptedHosts) -> None:
        task = client.task("a", "1:0:1:1")
        calls = len(hosts.calls)
        with pytest.raises(errors.InputError, match="who wants to claim"):
            task.claim("")
        with pytest.raises(errors.InputError, match="name those whom"):
            task.assign("ann")
        with pytest.raises(errors.InputError, match="are lists"):
            task.assign("ann", assignees="bob")
        with pytest.raises(errors.InputError, match="the submission must be JSON"):
            task.complete("x" * 70_000, "ann")
        assert len(hosts.calls) == calls


def info(task_id: str, **facts: Any) -> TaskInfo:
    return TaskInfo(
        key=KEY,
        task_id=task_id,
        definition="order",
        step="approve",
        created_at_ms=1_000,
        **{"status": "Open", **facts},
    )


class AwayOnce(Hosts):
    """A host that takes the first request and dies before it answers."""

    def __init__(self) -> None:
        super().__init__(deployment="d", generation=1, hosts=1, call_timeout_ms=10_000)
        self.requests: list[Any] = []

    def once(
        self, host: str, method: str, request: Any, answered: Any, bound_s: float = 0.0
    ) -> Any:
        self.requests.append(request)
        if len(self.requests) == 1:
            raise errors.Unreachable("the host died")
        return Accepted(key=request.key, status="Running")


def test_a_call_that_is_repeated_is_one_request(tmp_path: Path) -> None:
    hosts = AwayOnce()
    with ray_client(hosts=hosts, blobs=FileBlobStore(tmp_path)) as client:
        client.get("a").signal("go")
    first, second = hosts.requests
    assert first.message_id == second.message_id

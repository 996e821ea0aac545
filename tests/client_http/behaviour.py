"""What a client does, whatever carries it: run against one within the cluster and one over HTTP.

Whoever runs it gives a `client`, and has registered the definitions of `tests/http/conftest.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from heliostat.actors.client.client import Client
from heliostat.engine.errors import (
    Conflict,
    DefinitionError,
    Duplicate,
    ExecutionCanceled,
    ExecutionFailed,
    InputError,
    NotFound,
    ResultTimeout,
    Unmapped,
)
from heliostat.engine.ids import new_id

BOUND_S = 60.0

PATIENT = """\
id: {id}
version: "{version}"
steps:
  - {{id: {step}, type: wait, signal: go, next: done}}
  - {{id: done, type: decision, output: {output}}}
"""

STUCK = """\
id: {id}
version: "1"
steps:
  - {{id: fork, type: decision, split: all, next: [{{to: a}}, {{to: b}}]}}
  - {{id: a, type: decision, next: meet}}
  - {{id: b, type: decision, next: [{{when: $.input.fine, to: meet}}, {{to: late}}]}}
  - {{id: late, type: decision}}
  - {{id: meet, type: decision, join: all}}
"""

CHILD = """\
id: {id}
version: "{version}"
name: A greeting
tags: {{team: {id}}}
steps:
  - {{id: greet, type: decision, output: {{text: "{version} ${{ $.input.name }}"}}}}
"""


def until(holds: Callable[[], bool]) -> None:
    """Wait for what comes soon."""
    end_at = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < end_at, "it has not come about"
        time.sleep(0.02)


class Behaviour:
    # executions

    def test_an_execution_from_start_to_result(self, client: Client) -> None:
        handle = client.start("hello", {"name": "ann"}, tags={"team": "x"}, priority=7)
        assert handle.result(BOUND_S) == {"text": "hello ann"}
        view = handle.status()
        assert (view.status, view.definition, view.version) == ("Completed", "hello", "1")
        assert (view.tags, view.priority, view.run) == ({"team": "x"}, 7, 1)
        assert view.ended_at_ms is not None
        assert view.ended_at_ms >= view.created_at_ms > 1_600_000_000_000
        assert view.output == {"text": "hello ann"}

    async def test_the_same_with_an_event_loop(self, client: Client) -> None:
        handle = await client.start_async("hello", {"name": "ann"})
        assert await handle.result_async(BOUND_S) == {"text": "hello ann"}
        assert (await handle.status_async()).status == "Completed"
        assert (await handle.history_async())[0]["type"] == "execution.started"

    def test_what_is_noted_about_an_execution(self, client: Client) -> None:
        handle = client.start("hello", {"name": "ann"}, correlation_id="order 7")
        assert handle.status().correlation_id == "order 7"
        assert handle.metadata() == {}
        handle.set_metadata({"ticket": "T-7", "owner": "李"})
        assert handle.metadata() == {"ticket": "T-7", "owner": "李"}
        handle.result(BOUND_S)
        handle.set_metadata({"ticket": "T-8"})
        assert handle.metadata() == {"ticket": "T-8"}
        with pytest.raises(InputError):
            handle.set_metadata({"x": "y" * 5_000})

    def test_an_equal_start_is_the_same_execution_and_another_is_refused(
        self, client: Client
    ) -> None:
        id = new_id()
        first = client.start("hello", {"name": "ann"}, id=id)
        again = client.start("hello", {"name": "ann"}, id=id)
        assert (first.id, again.id) == (id, id)
        with pytest.raises(Duplicate):
            client.start("hello", {"name": "ben"}, id=id)

    def test_many_starts_say_what_became_of_each(self, client: Client) -> None:
        taken = new_id()
        client.start("hello", {"name": "first"}, id=taken).result(BOUND_S)
        inputs = [{"name": str(n)} for n in range(5)]
        ids = [new_id(), new_id(), taken, new_id(), new_id()]
        answers = client.start_many("hello", inputs, ids=ids, return_refusals=True)
        assert [isinstance(each, Duplicate) for each in answers] == [n == 2 for n in range(5)]
        handles = [each for each in answers if not isinstance(each, Exception)]
        assert [handle.id for handle in handles] == [id for id in ids if id != taken]
        results = {each.id: each.result(0) for each in client.results(handles, BOUND_S)}
        assert results[ids[4]] == {"text": "hello 4"}
        with pytest.raises(Duplicate):
            client.start_many("hello", inputs[:1], ids=[taken])
        with pytest.raises(InputError, match="ids"):
            client.start_many("hello", inputs, ids=["one"])
        with pytest.raises(InputError, match="twice"):
            client.start_many("hello", [1, 2], ids=["one", "one"])

    def test_a_failure_is_told_with_its_type(self, client: Client) -> None:
        handle = client.start("wrong", {"what": "broke"})
        with pytest.raises(ExecutionFailed) as caught:
            handle.result(BOUND_S)
        assert caught.value.failure["type"] == "Broken"
        assert caught.value.failure["message"] == "it broke"
        assert caught.value.failure["step"] == "fail"
        failure = handle.status().failure
        assert failure is not None
        assert (failure.type, failure.step) == ("Broken", "fail")

    def test_a_failed_execution_is_retried_in_a_new_run(self, client: Client) -> None:
        handle = client.start("wrong", {"what": "broke"})
        for run in (1, 2):
            with pytest.raises(ExecutionFailed):
                handle.result(BOUND_S)
            assert handle.status().run == run
            handle.retry()
        with pytest.raises(ExecutionFailed):
            handle.result(BOUND_S)
        with pytest.raises((InputError, NotFound), match="nowhere"):
            handle.retry("nowhere")

    def test_waiting_has_a_bound_of_the_callers_own(self, client: Client) -> None:
        handle = client.start("patient")
        with pytest.raises(ResultTimeout, match="goes on"):
            handle.result(0.2)
        assert handle.status().status == "Waiting"
        handle.signal("go", {"by": "hand"})
        assert handle.result(BOUND_S)["data"] == {"by": "hand"}

    async def test_a_result_that_is_given_up_can_be_awaited_again(self, client: Client) -> None:
        handle = await client.start_async("patient")
        with pytest.raises(ResultTimeout):
            await handle.result_async(0.2)
        waiting = asyncio.create_task(handle.result_async(BOUND_S))
        await asyncio.sleep(0)
        await handle.signal_async("go", 1)
        assert (await waiting)["data"] == 1

    def test_steering(self, client: Client) -> None:
        handle = client.start("patient")
        until(lambda: handle.status().status == "Waiting")
        assert handle.pause("the night") == "Paused"
        assert handle.pause() == "Paused"
        assert handle.resume() in ("Running", "Waiting")
        with pytest.raises(Conflict, match="not Paused"):
            handle.resume()
        with pytest.raises(Conflict):
            handle.retry()
        handle.cancel("enough")
        with pytest.raises(ExecutionCanceled):
            handle.result(BOUND_S)
        assert handle.status().status == "Canceled"
        for ask in (handle.cancel, handle.pause, lambda: handle.signal("go")):
            with pytest.raises(Conflict):
                ask()

    def test_what_does_not_exist(self, client: Client) -> None:
        nobody = client.get("nobody")
        for ask in (nobody.status, nobody.history, nobody.cancel, nobody.pause, nobody.result):
            with pytest.raises(NotFound, match="nobody"):
                ask()
        with pytest.raises(NotFound, match="nothing"):
            client.start("nothing")
        with pytest.raises(NotFound):
            client.start("hello", version="99")
        with pytest.raises(NotFound):
            client.definition("nothing")
        with pytest.raises(NotFound):
            next(iter(nobody.follow()))

    def test_namespaces_are_apart(self, client: Client) -> None:
        handle = client.start("hello", {"name": "ann"})
        with pytest.raises(NotFound):
            client.get(handle.id, namespace="elsewhere").status()
        with pytest.raises(NotFound):
            client.start("hello", namespace="elsewhere")
        assert client.list(namespace="elsewhere").rows == ()

    # values

    def test_values_arrive_as_json_says_them(self, client: Client) -> None:
        value = {
            "texts": ["", "Zoë 李 \U0001f600", 'a"b\\c\n'],
            "numbers": [0, -1, 2**53, 1.5, -0.25, 1e300],
            "others": [True, False, None, [], {}],
            "tuple": (1, 2),
        }
        handle = client.start("patient")
        handle.signal("go", value)
        assert handle.result(BOUND_S)["data"] == {**value, "tuple": [1, 2]}

    def test_a_large_input_and_output(self, client: Client) -> None:
        name = "x" * 300_000
        assert client.start("hello", {"name": name}).result(BOUND_S) == {"text": f"hello {name}"}

    @pytest.mark.parametrize(
        "value", [float("nan"), 2**70, {"a": object}, "\ud800", {1: {(): 1}}], ids=repr
    )
    def test_what_cannot_be_sent_is_refused_here(self, client: Client, value: object) -> None:
        handle = client.start("patient")
        with pytest.raises(InputError):
            handle.signal("go", value)
        with pytest.raises(InputError):
            client.publish("order.paid", value)
        handle.cancel()

    # events of executions

    def test_the_history_is_told_in_order(self, client: Client) -> None:
        handle = client.start("hello", {"name": "ann"})
        handle.result(BOUND_S)
        events = handle.history()
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert events[0]["type"] == "execution.started"
        assert events[-1]["type"] == "execution.completed"
        assert handle.history(after=1) == events[1:]
        assert handle.history(after=len(events)) == []

    def test_following_tells_the_state_and_then_every_event(self, client: Client) -> None:
        handle = client.start("patient")
        until(lambda: handle.status().status == "Waiting")
        with ThreadPoolExecutor(1) as pool:
            told = pool.submit(lambda: list(handle.follow()))
            handle.signal("go", 1)
            view, *events = told.result(BOUND_S)
        assert not isinstance(view, dict)
        assert view.key.execution_id == handle.id
        assert events == handle.history()

    async def test_following_from_a_place(self, client: Client) -> None:
        handle = await client.start_async("patient")
        await handle.signal_async("go", 1)
        await handle.result_async(BOUND_S)
        events = await handle.history_async()
        _, *told = [each async for each in handle.follow_async(after=2)]
        assert told == events[2:]
        async for each in handle.follow_async():  # leaving early is harmless
            assert not isinstance(each, dict)
            break

    # lists

    def test_lists_are_filtered_and_have_pages(self, client: Client) -> None:
        tag = new_id()
        made = [client.start("hello", {"name": "n"}, tags={"run": tag}) for _ in range(5)]
        waiting = client.start("patient", tags={"run": tag})
        for _ in client.results(made, BOUND_S):
            pass
        rows = client.list(tags={"run": tag}).rows
        assert [row.key.execution_id for row in rows[1:]] == [each.id for each in reversed(made)]
        assert rows[0].key.execution_id == waiting.id
        assert rows[1].tags == {"run": tag}
        assert rows[1].ended_at_ms is not None
        first = client.list(tags={"run": tag}, status="Completed", limit=3)
        assert first.next_cursor is not None
        rest = client.list(tags={"run": tag}, status="Completed", limit=3, cursor=first.next_cursor)
        assert [len(first.rows), len(rest.rows), rest.next_cursor] == [3, 2, None]
        assert client.list(tags={"run": tag}, definition="patient").rows == rows[:1]
        assert client.list(tags={"run": tag}, definition="hello", version="2").rows == ()
        waiting.cancel()

    def test_executions_are_counted_by_status(self, client: Client) -> None:
        before = client.count().get("Completed", 0)
        client.start("hello", {"name": "n"}).result(BOUND_S)
        until(lambda: client.count().get("Completed", 0) > before)

    # definitions

    def test_what_a_proof_finds_is_told_or_refused_or_not_looked_for(self, client: Client) -> None:
        id = f"d-{new_id()}".lower()
        text = STUCK.format(id=id)
        with pytest.raises(DefinitionError) as refused:
            client.register(text, verification="error")
        assert [each.code for each in refused.value.diagnostics] == ["HS501"]
        with pytest.raises(NotFound):
            client.definition(id)
        (warning,) = client.register(text).warnings
        assert (warning.code, warning.severity) == ("HS501", "warning")
        assert (warning.step, warning.line) == ("b", 6)
        assert "after `fork` completes" in str(warning)
        assert client.register(text, verification="off").warnings == ()
        sound = CHILD.format(id=id, version="2")
        assert client.register(sound, verification="error").warnings == ()

    def test_definitions_are_registered_read_and_deleted(self, client: Client) -> None:
        id = f"d-{new_id()}".lower()
        first = client.register(CHILD.format(id=id, version="1"))
        assert (first.id, first.version, first.namespace) == (id, "1", "default")
        assert len(first.content_hash) == 64
        assert client.register(CHILD.format(id=id, version="1")).existed
        second = client.register(CHILD.format(id=id, version="2"))
        assert not second.existed
        assert [each.version for each in client.definitions(id)] == ["2", "1"]
        assert client.definitions(id, limit=1, offset=1)[0].version == "1"
        assert id in {each.id for each in client.definitions(limit=2)}
        assert client.definition(id).version == "2"
        found = client.definition(id, "1")
        assert (found.content["name"], found.registered_at_ms) == (
            "A greeting",
            first.registered_at_ms,
        )
        assert client.start(first, {"name": "ann"}).result(BOUND_S) == {"text": "1 ann"}
        assert client.start(id, {"name": "ann"}).result(BOUND_S) == {"text": "2 ann"}
        with pytest.raises(Duplicate):
            client.register(CHILD.format(id=id, version="2").replace("A greeting", "Another"))
        until(lambda: _deleted(client, id))
        with pytest.raises(NotFound):
            client.definition(id)

    def test_every_fault_of_a_definition_is_told(self, client: Client) -> None:
        with pytest.raises(DefinitionError) as caught:
            client.register(
                'id: bad\nversion: "1"\nsteps:\n'
                "  - {id: a, type: decision, output: $.steps.b.output, next: c}\n"
            )
        assert len(caught.value.diagnostics) == 2
        with pytest.raises(DefinitionError) as caught:
            client.register(
                'id: bad\nversion: "1"\nsteps:\n  - {id: a, type: activity, activity: "nope:f"}\n'
            )
        (fault,) = caught.value.diagnostics
        assert (fault.code, fault.step) == ("HS301", "a")

    def test_versions_are_compared(self, client: Client) -> None:
        id = new_id()
        first, second = (client.register(CHILD.format(id=id, version=each)) for each in ("1", "2"))
        (change,) = client.diff(f"{id}@1", id).changes
        assert (change.what, change.change, change.path) == ("step", "changed", "greet")
        assert [field.field for field in change.fields] == ["output"]
        assert client.diff(first, second).changes == (change,)
        assert not client.diff(first, CHILD.format(id=id, version="1"))
        with pytest.raises(NotFound):
            client.diff(f"{id}@1", f"{id}@3")

    def test_an_execution_goes_on_with_another_version(self, client: Client) -> None:
        id = new_id()
        text = PATIENT.format(id=id, version="1", step="hear", output="1")
        client.register(text)
        handles = [client.start(id) for _ in range(3)]
        client.register(PATIENT.format(id=id, version="2", step="hear", output="2"))
        client.register(PATIENT.format(id=id, version="3", step="listen", output="3"))
        for handle in handles:
            until(lambda handle=handle: handle.status().status == "Waiting")  # type: ignore[misc]  # bound now
        with pytest.raises(Unmapped, match="step `hear` is waiting and is not in") as caught:
            handles[0].migrate("3")
        assert caught.value.details["obstacles"] == [
            {"place": "step `hear`", "reason": "is waiting and is not in version 3"}
        ]
        assert handles[0].migrate("2", dry_run=True) == "Waiting"
        assert handles[0].status().version == "1"
        assert handles[0].migrate("2", reason="mended") == "Waiting"
        with pytest.raises(Conflict):
            handles[0].migrate("2")
        with pytest.raises(NotFound):
            handles[0].migrate("9")
        assert client.migrate(id, "2") == {handle.id: "Waiting" for handle in handles[:0:-1]}
        refused = client.migrate(id)
        assert set(refused) == {handle.id for handle in handles}
        assert all(isinstance(each, Unmapped) for each in refused.values())
        assert client.migration_check(id, "1", "2").obstacles == ()
        check = client.migration_check(id, "1")
        (obstacle,) = check.obstacles
        assert str(obstacle).startswith("step `hear` is not in version 3")
        assert check.decided_by == "markings"
        handles[0].signal("go")
        assert handles[0].result(BOUND_S) == 2
        (moved,) = [
            event for event in handles[0].history() if event["type"] == "execution.migrated"
        ]
        assert (moved["from_version"], moved["version"], moved["reason"]) == ("1", "2", "mended")
        for handle in handles[1:]:
            handle.cancel()

    # events and people

    def test_an_event_is_published_once_by_its_id(self, client: Client) -> None:
        id = new_id()
        handle = client.start("paid")
        until(lambda: handle.status().status == "Waiting")
        assert client.publish("order.paid", {"n": 1}, id=id) == id
        assert client.publish("order.paid", {"n": 1}, id=id) == id
        assert handle.result(BOUND_S)["data"] == {"n": 1}
        with pytest.raises(InputError):
            client.publish("no name", 1)

    def test_a_person_is_asked(self, client: Client) -> None:
        handle = client.start("ask", {"order": "o-1"})
        until(lambda: bool(handle.tasks()))
        (task,) = handle.tasks("Open")
        assert (task.step, task.name, task.input) == ("check", "Check the order", {"order": "o-1"})
        assert task.candidates == ("group:credit", "ann", "ben")
        assert task.info.definition == "ask"
        assert task.claim("ann").status == "Claimed"
        with pytest.raises(Conflict):
            task.claim("ben")
        assert task.release("ann").status == "Open"
        assert task.assign("ann", assignees=["李"]).assignees == ("李",)
        assert task.claim("李").claimed_by == "李"
        with pytest.raises(InputError) as refused:
            task.complete({"approved": "perhaps"}, "李")
        assert refused.value.details["field"] == "data.approved"
        with pytest.raises(Conflict):
            task.complete({"approved": True}, "ben")
        assert task.complete({"approved": True}, "ben", force=True).status == "Completed"
        assert handle.result(BOUND_S) == {"approved": True, "completed_by": "ben"}
        with pytest.raises(Conflict):
            task.claim("ann")
        with pytest.raises(NotFound):
            client.task(handle.id, "1:99:1:1")

    def test_tasks_are_listed(self, client: Client) -> None:
        handles = [client.start("ask", {"order": n}) for n in range(3)]
        for handle in handles:
            until(lambda handle=handle: bool(handle.tasks()))  # type: ignore[misc]  # bound now
        page = client.tasks(person="group:credit", status="Open", limit=2)
        assert len(page) == 2
        assert page.next_cursor is not None
        assert client.tasks(person="group:credit", limit=2, cursor=page.next_cursor)
        assert [task.execution_id for task in page] == [handles[2].id, handles[1].id]
        (one,) = client.tasks(execution_id=handles[0].id)
        assert client.task(handles[0].id, one.task_id).refresh().status == "Open"
        assert client.tasks(person="nobody") == []
        for handle in handles:
            handle.cancel()

    # the deployment

    def test_the_hosts_are_told(self, client: Client) -> None:
        hosts = client.info(timeout=BOUND_S)["hosts"]
        assert hosts
        assert {host["state"] for host in hosts} == {"running"}


def _deleted(client: Client, id: str) -> bool:
    """Its executions have ended a moment ago, and lists may not know it yet."""
    try:
        return list(client.delete_definition(id)) != []
    except Conflict:
        return False

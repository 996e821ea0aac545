"""Starts, ends and errors, against hosts that follow a script."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.opening import ray_client
from heliostat.actors.host.api import Refusal, StartAnswers, Started, StartMany
from heliostat.engine.errors import (
    Duplicate,
    ExecutionCanceled,
    ExecutionFailed,
    HeliostatError,
    InputError,
    NotFound,
    ResultTimeout,
    Unreachable,
)
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.kernel.events import Failure

BOUND_S = 60.0


@pytest.fixture
def client(hosts: Any, tmp_path: Path) -> Iterator[Client]:
    with ray_client(hosts=cast("Hosts", hosts), blobs=FileBlobStore(tmp_path)) as client:
        yield client


def key(id: str) -> ExecutionKey:
    return ExecutionKey("default", id)


class TestStart:
    def test_the_id_is_drawn_before_the_first_send(self, client: Client, hosts: Any) -> None:
        handle = client.start("order", {"n": 1})
        (method, many) = hosts.calls[0]
        assert method == "start_many"
        assert many.starts[0].key == key(handle.id)
        assert many.starts[0].input == {"n": 1}

    def test_many_go_in_bounded_batches(self, client: Client, hosts: Any) -> None:
        handles = client.start_many("order", range(2_500))
        sizes = [len(many.starts) for method, many in hosts.calls if method == "start_many"]
        assert sizes == [1_000, 1_000, 500]
        assert len({handle.id for handle in handles}) == 2_500

    def test_a_full_host_is_asked_again_for_what_it_refused(
        self, client: Client, hosts: Any
    ) -> None:
        refusal = Refusal(
            code="OVERLOADED", message="it is full; later", details={"retry_after_s": 0.01}
        )

        def half(many: StartMany) -> StartAnswers:
            hosts.handlers["start_many"] = hosts.accept
            answers = [Started(key=request.key, version="1") for request in many.starts]
            return StartAnswers(answers=(answers[0], refusal))

        hosts.handlers["start_many"] = half
        handles = client.start_many("order", [1, 2], ids=["a", "b"])
        assert [handle.id for handle in handles] == ["a", "b"]
        assert [len(many.starts) for _, many in hosts.calls] == [2, 1]

    def test_a_refusal_raises_after_the_others_were_started(
        self, client: Client, hosts: Any
    ) -> None:
        refusal = Refusal(code="DUPLICATE_ERROR", message="execution 'b' exists")

        def refuse(many: StartMany) -> StartAnswers:
            first, *_ = (Started(key=request.key, version="1") for request in many.starts)
            return StartAnswers(answers=(first, refusal))

        hosts.handlers["start_many"] = refuse
        with pytest.raises(Duplicate, match="'b' exists"):
            client.start_many("order", [1, 2], ids=["a", "b"])
        found = client.start_many("order", [1, 2], ids=["a", "b"], return_refusals=True)
        assert [isinstance(each, HeliostatError) for each in found] == [False, True]

    def test_ids_must_fit_the_inputs(self, client: Client) -> None:
        with pytest.raises(InputError, match="1 ids for 2 inputs"):
            client.start_many("order", [1, 2], ids=["a"])
        with pytest.raises(InputError, match="twice"):
            client.start_many("order", [1, 2], ids=["a", "a"])

    def test_an_input_that_cannot_be_written_names_the_place(self, client: Client) -> None:
        with pytest.raises(InputError, match=r"the input\['lock'\]"):
            client.start("order", {"lock": threading.Lock()})


class TestResult:
    def test_an_output(self, client: Client, hosts: Any) -> None:
        handle = client.start("order")
        hosts.end(key(handle.id), output={"ok": True})
        assert handle.result(BOUND_S) == {"ok": True}
        assert handle.result(BOUND_S) == {"ok": True}

    def test_a_failure_and_a_cancel_are_raised(self, client: Client, hosts: Any) -> None:
        failed, canceled = client.start_many("order", [1, 2])
        failure = Failure(type="Declined", message="no money", step="charge")
        hosts.end(key(failed.id), status="Failed", failure=failure)
        hosts.end(key(canceled.id), status="Canceled")
        with pytest.raises(ExecutionFailed, match="in step 'charge': Declined: no money"):
            failed.result(BOUND_S)
        with pytest.raises(ExecutionCanceled):
            canceled.result(BOUND_S)

    def test_a_wait_is_bounded(self, client: Client) -> None:
        handle = client.start("order")
        with pytest.raises(ResultTimeout, match=r"after 0\.01 s; it goes on"):
            handle.result(timeout=0.01)

    def test_results_come_in_the_order_of_ends(self, client: Client, hosts: Any) -> None:
        handles = client.start_many("order", range(3), ids=["a", "b", "c"])
        seen = client.results(handles, timeout=BOUND_S)
        for id in ("c", "a", "b"):
            hosts.end(key(id), output=id)
            assert next(seen).result() == id
        assert next(seen, None) is None

    def test_results_are_bounded(self, client: Client, hosts: Any) -> None:
        handles = client.start_many("order", range(2), ids=["a", "b"])
        hosts.end(key("a"))
        with pytest.raises(ResultTimeout, match="'b'"):
            list(client.results(handles, timeout=0.3))

    def test_another_clients_execution_is_watched(self, client: Client, hosts: Any) -> None:
        hosts.end(key("old"), output=7, heard=False)
        assert client.get("old").result(BOUND_S) == 7

    def test_one_that_does_not_exist(self, client: Client) -> None:
        with pytest.raises(NotFound, match="no execution 'none'"):
            client.get("none").result(BOUND_S)

    def test_closing_ends_the_wait(self, client: Client) -> None:
        handle = client.start("order")
        threading.Timer(0.05, client.close).start()
        with pytest.raises(Unreachable, match="it goes on"):
            handle.result(BOUND_S)

    async def test_async_forms(self, client: Client, hosts: Any) -> None:
        handle = await client.start_async("order")
        with pytest.raises(ResultTimeout):
            await handle.result_async(timeout=0.01)
        hosts.end(key(handle.id), output=3)
        outputs = await asyncio.gather(*(handle.result_async() for _ in range(2)))
        assert outputs == [3, 3]


class TestStream:
    """No end is missed, whatever happens to the host."""

    def test_an_end_lost_with_its_host_is_asked_for_again(self, client: Client, hosts: Any) -> None:
        handle = client.start("order")
        hosts.end(key(handle.id), output="late", heard=False)
        hosts.die()
        assert handle.result(BOUND_S) == "late"
        assert hosts.opened == 2

    def test_resync_asks_for_all_that_is_open(self, client: Client, hosts: Any) -> None:
        handles = client.start_many("order", range(3))
        for handle in handles:
            hosts.end(key(handle.id), output=1, heard=False)
        hosts.say(resync=True)
        assert [handle.result(BOUND_S) for handle in handles] == [1, 1, 1]

    def test_a_start_acknowledged_by_a_host_that_died_is_watched(
        self, client: Client, hosts: Any
    ) -> None:
        """The stream broke between the send and its answer: the new host knows of no watcher."""

        def accept_and_die(many: StartMany) -> StartAnswers:
            opened = hosts.opened
            hosts.die()
            while hosts.opened <= opened:  # the reader comes back before the answer does
                threading.Event().wait(0.001)
            hosts.end(many.starts[0].key, output="kept", heard=False)
            return cast("StartAnswers", hosts.accept(many))

        hosts.handlers["start_many"] = accept_and_die
        assert client.start("order").result(BOUND_S) == "kept"

    def test_an_end_heard_twice_counts_once(self, client: Client, hosts: Any) -> None:
        handle = client.start("order")
        hosts.end(key(handle.id), output=1)
        hosts.end(key(handle.id), output=2)
        assert handle.result(BOUND_S) == 1

    def test_a_refused_duplicate_does_not_take_the_end_from_the_first(
        self, client: Client, hosts: Any
    ) -> None:
        first = client.start("order", {"n": 1}, id="a")
        refusal = Refusal(code="DUPLICATE_ERROR", message="execution 'a' exists")
        hosts.handlers["start_many"] = lambda _: StartAnswers(answers=(refusal,))
        for _ in range(2):
            with pytest.raises(Duplicate):
                client.start("order", {"n": 2}, id="a")
        hosts.end(key("a"), output="first")
        assert first.result(BOUND_S) == "first"

    def test_an_end_is_shared_by_all_who_start_the_same(self, client: Client, hosts: Any) -> None:
        handles = [client.start("order", {"n": 1}, id="a") for _ in range(3)]
        hosts.end(key("a"), output="one")
        assert [handle.result(BOUND_S) for handle in handles] == ["one"] * 3

"""Several hosts on one PostgreSQL journal, with Ray: they share the work, and take it over.

One deployment goes through all of it, since bringing one up takes a quarter of a minute: a host is
killed, another is frozen, both are killed with the actors of dedicated executions, one more joins,
one leaves. After each every execution has its end, every step is completed once, and an effect that
happened twice is one of which the history says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.handle import Handle
from heliostat.actors.journals import shown
from heliostat.cluster.config import Configuration
from heliostat.cluster.connect import attach
from heliostat.cluster.deployment import up
from heliostat.cluster.scaling import scale
from heliostat.cluster.status import deployment_status
from heliostat.engine.errors import Conflict, NotFound
from tests.cluster.conftest import WORKFLOWS, Shared, guest_of
from tests.cluster.histories import History, read_effects

BOUND_S = 90.0
FEW, MANY = 200, 2_000

CHAIN = """
id: chain
version: "1"
steps:
  - {id: a, type: activity, activity: "many_hosts:work",
     input: {n: $.input.n, ledger: $.input.ledger}, next: b}
  - {id: b, type: activity, activity: "many_hosts:work",
     input: {n: $.steps.a.output, ledger: $.input.ledger}, next: c}
  - {id: c, type: activity, activity: "many_hosts:work",
     input: {n: $.steps.b.output, ledger: $.input.ledger}}
"""

PARENT = """
id: parent
version: "1"
steps:
  - {id: begun, type: wait, signal: go, next: each}
  - id: each
    type: sub_workflow
    workflow: chain
    foreach: $.input.items
    as: item
    input: {n: $.item, ledger: $.input.ledger}
"""


@pytest.fixture(scope="module")
def configuration(deployment: Shared, postgres: Any) -> Iterator[Configuration]:
    """Two hosts, up."""
    with guest_of(deployment) as guest:
        home = guest.data_dir.parent
        shutil.copy(Path(__file__).parent / "many_hosts.py", home)
        (home / "chain.yaml").write_text(CHAIN)
        (home / "parent.yaml").write_text(PARENT)
        url = postgres.url_of(postgres.new_database())
        made = msgspec.structs.replace(guest, journal=url, hosts=2, drain_timeout_ms=1_000)
        up(made)
        with attach(made) as client:
            client.register_many([home / "chain.yaml", home / "parent.yaml"])
        yield made


@pytest.fixture
def client(configuration: Configuration) -> Iterator[Client]:
    until(lambda: serving(configuration) == 16)
    with attach(configuration) as client:
        yield client


def until(condition: Callable[[], Any]) -> None:
    end_at = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end_at, "it did not come true in time"
        time.sleep(0.05)


def infos(configuration: Configuration) -> dict[str, dict[str, Any]]:
    with attach(configuration) as client:
        return {host["name"].rpartition("/")[2]: host for host in client.info()["hosts"]}


def serving(configuration: Configuration) -> int:
    hosts = infos(configuration).values()
    return sum(shard["serving"] for host in hosts for shard in host["shards"])


class Load:
    """Executions under way, and what must be true of them at the end."""

    def __init__(self, client: Client, folder: Path, count: int) -> None:
        self.client, self.ledger = client, folder / "ledger"
        self.handles = client.start_many(
            "chain", [{"n": n, "ledger": str(self.ledger)} for n in range(count)]
        )
        self._expected = {handle.id: n + 3 for n, handle in enumerate(self.handles)}

    def some_ended(self) -> bool:
        return self.ledger.exists() and self.ledger.stat().st_size > 0

    def check(self) -> int:
        """Every end came, and is right; returns how many effects happened twice."""
        seen = {}
        for handle in self.client.results(self.handles, timeout=BOUND_S):
            assert handle.id not in seen
            seen[handle.id] = handle.result()
        assert seen == self._expected
        twice = 0
        effects = read_effects(self.ledger)
        for handle in self.handles:
            wrote = effects[handle.id]
            assert {step for _, step, _, _ in wrote} == {"a", "b", "c"}
            if wrote.total() > 3:
                twice += wrote.total() - 3
                self._explained(handle, wrote)
        return twice

    def _explained(self, handle: Handle, wrote: Any) -> None:
        history = History(handle.id, handle.history())
        assert history.completed() == {"a": 1, "b": 1, "c": 1}
        told = {each[:3] for each in history.told_again}
        for each, count in wrote.items():
            steps = [at for at in wrote if at[:3] == each[:3]]
            assert (count == 1 and len(steps) == 1) or each[:3] in told, (
                f"{handle.id}: {each} ran {count} times, and its history does not say why"
            )


class TestSharedWork:
    def test_both_hosts_carry_executions(self, client: Client, tmp_path: Path) -> None:
        assert Load(client, tmp_path, FEW).check() == 0
        hosts = client.info()["hosts"]
        assert len(hosts) == 2
        assert all(host["ended"] > 0 and not host["faults"] for host in hosts)

    def test_executions_of_different_hosts_talk(self, client: Client, tmp_path: Path) -> None:
        """A parent and its children, which fall to either host, and a signal from outside."""
        ledger = str(tmp_path / "ledger")
        items = list(range(8))
        parents = [client.start("parent", {"items": items, "ledger": ledger}) for _ in range(4)]
        for parent in parents:
            parent.signal("go")
        ends = [parent.result(BOUND_S) for parent in parents]
        assert ends == [[n + 3 for n in items]] * 4
        assert all(not host["faults"] for host in client.info()["hosts"])

    def test_what_people_see_has_no_password(self, configuration: Configuration) -> None:
        found = deployment_status(configuration)
        assert found.up
        assert len(found.hosts) == 2
        assert found.journal == shown(configuration.journal or "")
        assert [node.hosts for node in found.nodes] == [2]
        until(lambda: deployment_status(configuration).scheduler)
        assert (configuration.data_dir / "deployment.json").stat().st_mode & 0o077 == 0

    def test_the_only_node_is_not_drained(self, client: Client) -> None:
        [node] = {host["ray_node"] for host in client.info()["hosts"]}
        with pytest.raises(Conflict, match="the only one"):
            client.drain_node(node)
        with pytest.raises(NotFound):
            client.drain_node("0123")


class TestHosts:
    def test_one_is_killed(
        self, configuration: Configuration, client: Client, tmp_path: Path
    ) -> None:
        load = Load(client, tmp_path, MANY)
        until(load.some_ended)
        os.kill(infos(configuration)["1"]["pid"], signal.SIGKILL)
        load.check()

    def test_one_is_frozen(
        self, configuration: Configuration, client: Client, tmp_path: Path
    ) -> None:
        """Its row in the journal stands still: the supervisor ends it, and others go on."""
        load = Load(client, tmp_path, MANY)
        until(load.some_ended)
        pid = infos(configuration)["0"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        load.check()
        until(lambda: infos(configuration).get("0", {}).get("pid", pid) != pid)

    def test_all_are_killed_with_the_actors_of_dedicated_executions(
        self, configuration: Configuration, client: Client, tmp_path: Path
    ) -> None:
        """Nobody is left who knows of them but the journal: one waited, of one a step ran."""
        client.register(WORKFLOWS / "alone.yaml")
        names = ("waits", "runs")
        for name in names:
            client.start("alone", {"folder": str(tmp_path), "name": name}, id=name)
        waits, runs = (client.actor(name) for name in names)
        for actor in (waits, runs):
            until(lambda actor=actor: actor.status().status == "Waiting")
            assert actor.is_dedicated
        runs.signal("go", 3.0)
        ledger = tmp_path / "ledger"
        until(lambda: "runs-last" in ledger.read_text().split())
        carriers = {actor.info().pid for actor in (waits, runs)}
        hosts = {host["pid"] for host in infos(configuration).values()}
        assert len(carriers | hosts) == 4
        for pid in carriers | hosts:
            os.kill(pid, signal.SIGKILL)
        waits.signal("go", 0.0)
        assert [actor.result(BOUND_S) for actor in (waits, runs)] == ["waits-last", "runs-last"]
        for actor in (waits, runs):
            completed = History(actor.id, actor.history()).completed()
            assert completed == {"first": 1, "ask": 1, "last": 1}
        assert Counter(ledger.read_text().split()) | {"runs-last": 2} == {
            "waits-first": 1, "waits-last": 1, "runs-first": 1, "runs-last": 2,
        }  # fmt: skip

    def test_one_joins_and_leaves_again(
        self, configuration: Configuration, client: Client, tmp_path: Path
    ) -> None:
        load = Load(client, tmp_path, MANY)
        until(load.some_ended)
        assert scale(configuration, 3).before == 2
        until(lambda: infos(configuration)["2"]["shards"])
        load.check()
        more = client.start_many(
            "chain", [{"n": n, "ledger": str(load.ledger)} for n in range(FEW)]
        )
        assert scale(configuration, 2).before == 3
        assert [handle.result(BOUND_S) for handle in more] == [n + 3 for n in range(FEW)]
        assert set(infos(configuration)) == {"0", "1"}

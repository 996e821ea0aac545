"""The scheduler's decisions: what fits, who waits and why, what is kept, what is never granted."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from heliostat.engine.scheduling.board import KEEP_AFTER, Board, Rules
from heliostat.engine.scheduling.book import TTL_MS
from heliostat.engine.scheduling.nodes import GONE_MS, NodeView
from heliostat.engine.scheduling.protocol import Demand, Grants, SlotLease, Want
from heliostat.engine.scheduling.room import CALM_MS

TWO = (NodeView(id="a", name="10.0.0.1", total={"CPU": 4.0}), NodeView(id="b", total={"CPU": 2.0}))


class Host:
    """A holder as `PlacementBook` is one, without a clock."""

    def __init__(self, board: Board, name: str = "h", node: str = "a", life: str = "") -> None:
        self.board, self.name, self.node = board, name, node
        self.id = name + life
        self.wants: dict[str, Want] = {}
        self.holds: dict[str, SlotLease] = {}
        self.refused: dict[str, str] = {}
        self.revoked: set[str] = set()
        self.shards: dict[str, int] = {}
        self.order: list[str] = []  # of grants
        self.turn = self.seen = 0
        self.life = ""
        self.now_ms = 0

    def want(self, id: str, kind: Any = "attempt", **fields: Any) -> None:
        self.wants[id] = Want(id=id, kind=kind, **fields)

    def release(self, id: str) -> None:
        self.holds.pop(id, None)
        self.wants.pop(id, None)

    def talk(self) -> Grants:
        self.turn += 1
        demand = Demand(
            holder=self.id,
            name=self.name,
            node=self.node,
            turn=self.turn,
            life=self.life,
            seen=self.seen,
            wants=tuple(self.wants.values()),
            holds=tuple(self.holds.values()),
            shards=dict(self.shards),
        )
        assert self.board.take(demand, self.now_ms)
        self.board.decide(self.now_ms)
        return self.hear()

    def hear(self) -> Grants:
        grants = self.board.answer(self.id, self.now_ms)
        self.life, self.seen = grants.life, grants.answer
        for lease in grants.granted:
            if self.wants.pop(lease.id, None) is not None:
                self.holds[lease.id] = lease
                self.order.append(lease.id)
        for each in grants.refused:
            if self.wants.pop(each.id, None) is not None:
                self.refused[each.id] = each.message
        self.revoked = set(grants.revoked)
        return grants

    def reason(self, id: str) -> str:
        return next(each.reason for each in self.talk().waiting if each.id == id)


def board(*views: NodeView, **rules: Any) -> Board:
    made = Board(Rules(**rules), life="1", now_ms=0)
    made.look(views or TWO, 0)
    return made


class TestFit:
    def test_the_fullest_node_that_has_room_is_taken(self) -> None:
        host = Host(board())
        host.want("1", needs={"CPU": 2.0})
        host.talk()
        assert host.holds["1"].node == "b"

    def test_a_near_node_goes_before_a_full_one(self) -> None:
        host = Host(board())
        host.want("1", needs={"CPU": 2.0}, near=("a",))
        host.talk()
        assert host.holds["1"].node == "a"

    def test_gpus_are_kept_for_who_needs_them(self) -> None:
        host = Host(board(NodeView(id="g", total={"CPU": 1.0, "GPU": 1.0}), TWO[0]))
        host.want("1", needs={"CPU": 1.0})
        host.talk()
        assert host.holds["1"].node == "a"

    def test_what_others_use_is_not_granted_once_two_looks_saw_it(self) -> None:
        made = board(NodeView(id="a", total={"CPU": 2.0}, used={"CPU": 2.0}))
        host = Host(made)
        host.want("1", needs={"CPU": 1.0})
        assert "held by others (2 CPU)" in host.reason("1")
        made.look([NodeView(id="a", total={"CPU": 2.0})], 1)
        host.talk()
        assert "1" in host.holds
        # Ray shows our own use late, and late again when it has ended
        made.look([NodeView(id="a", total={"CPU": 2.0}, used={"CPU": 1.0})], 2)
        host.release("1")
        host.want("2", needs={"CPU": 2.0})
        made.look([NodeView(id="a", total={"CPU": 2.0}, used={"CPU": 1.0})], 3)
        host.talk()
        assert "2" in host.holds

    def test_what_no_node_could_ever_run_is_refused_at_once_with_a_sentence(self) -> None:
        host = Host(board())
        host.want("1", needs={"CPU": 5.0})
        host.want("2", needs={"GPU": 1.0})
        host.talk()
        assert "needs {CPU: 5} on one node, the most that any has is {CPU: 4}" in host.refused["1"]
        assert "{GPU: 1}" in host.refused["2"]

    def test_with_autoscaling_it_waits_and_is_asked_for(self) -> None:
        made = board(autoscaling=True)
        host = Host(made)
        host.want("held", needs={"CPU": 1.0})
        host.talk()
        assert made.wanted_shapes(10) == []
        host.want("1", needs={"GPU": 1.0})
        assert "autoscaler" in host.reason("1")
        assert made.wanted_shapes(10) == [{"CPU": 1.0}, {"GPU": 1.0}]
        made.look([*TWO, NodeView(id="g", total={"GPU": 1.0})], 1)
        host.talk()
        assert host.holds["1"].node == "g"
        assert made.wanted_shapes(10) == []

    def test_a_node_that_left_a_moment_ago_is_waited_for(self) -> None:
        made = board()
        host = Host(made)
        made.look([TWO[1]], 10)
        host.want("1", needs={"CPU": 4.0})
        assert "10.0.0.1, which could run it, has left" in host.reason("1")
        made.look([TWO[1]], 10 + GONE_MS)
        host.talk()
        assert "1" in host.refused

    def test_a_node_that_drains_takes_nothing_and_asks_its_runners_back(self) -> None:
        made = board()
        host = Host(made)
        host.want("r", "runner", needs={"CPU": 1.0}, node="a")
        host.talk()
        made.drain("a")
        host.want("1", needs={"CPU": 1.0}, near=("a",))
        host.talk()
        assert host.holds["1"].node == "b"
        assert host.revoked == {"r"}


class TestWaiting:
    def test_a_reason_names_what_is_needed_what_is_free_and_who_has_the_rest(self) -> None:
        host = Host(board(TWO[0]))
        host.want("1", needs={"CPU": 3.0}, execution="default/e-1", step="train")
        host.talk()
        host.want("2", needs={"CPU": 4.0})
        assert host.reason("2") == (
            "needs 4 CPU on one node; node 10.0.0.1 has 1 CPU free of 4 CPU, held by "
            "default/e-1 train"
        )

    def test_places_are_those_of_the_order(self) -> None:
        host = Host(board(TWO[1]))
        host.want("0", needs={"CPU": 2.0})
        host.talk()
        for id, priority in (("1", 1), ("9", 9), ("5", 5)):
            host.want(id, needs={"CPU": 1.0}, priority=priority)
        places = {each.id: each.place for each in host.talk().waiting}
        assert places == {"9": 1, "5": 2, "1": 3}

    def test_a_large_one_is_not_starved_by_small_ones(self) -> None:
        host = Host(board(TWO[0]))
        for n in range(4):
            host.want(f"s{n}", needs={"CPU": 1.0})
        host.talk()
        host.want("large", needs={"CPU": 4.0})
        for n in range(4, 4 + 3 * KEEP_AFTER):
            host.want(f"s{n}", needs={"CPU": 1.0})
            host.talk()
            oldest = next((id for id in host.holds if id != "large"), None)
            if "large" in host.holds:
                break
            if oldest is not None:
                host.release(oldest)
                host.talk()
        assert "large" in host.order
        assert host.order.index("large") <= 4 + KEEP_AFTER + 1

    def test_small_ones_use_what_a_large_one_leaves_on_other_nodes(self) -> None:
        host = Host(board())
        host.want("a", needs={"CPU": 1.0}, node="a")
        for n in range(KEEP_AFTER + 2):
            host.want(f"b{n}", needs={"CPU": 2.0}, node="b")
            host.talk()
            host.want("large", needs={"CPU": 4.0})
            host.release(f"b{n}")
        host.want("small", needs={"CPU": 1.0})
        host.talk()
        assert host.holds["small"].node == "b"
        assert "large" not in host.holds


class TestRunners:
    def test_runners_leave_one_cpu_of_a_node_and_of_one_cpu_a_half(self) -> None:
        host = Host(board(TWO[1], NodeView(id="c", total={"CPU": 1.0})))
        for n in range(4):
            host.want(f"b{n}", "runner", needs={"CPU": 1.0}, node="b")
            host.want(f"c{n}", "runner", needs={"CPU": 0.5}, node="c")
        host.talk()
        assert sorted(host.holds) == ["b0", "c0"]

    def test_a_runner_that_reserves_nothing_is_always_granted(self) -> None:
        host = Host(board(NodeView(id="a", total={"CPU": 1.0}, used={"CPU": 1.0})))
        host.want("r", "runner", near=("a",))
        host.talk()
        assert host.holds["r"].node == "a"

    def test_they_are_spread_over_nodes_and_hosts(self) -> None:
        made = board(TWO[0], NodeView(id="b", total={"CPU": 4.0}))
        one, other = Host(made, "one"), Host(made, "other")
        for n in range(6):
            one.want(f"1.{n}", "runner", needs={"CPU": 1.0})
            other.want(f"2.{n}", "runner", needs={"CPU": 1.0})
        made.take(Demand(holder="one", turn=1, wants=tuple(one.wants.values())), 0)
        one.turn = 1
        other.talk()
        one.talk()
        assert len(one.holds) == len(other.holds) == 3
        on = [lease.node for lease in (*one.holds.values(), *other.holds.values())]
        assert on.count("a") == on.count("b") == 3

    def test_they_give_way_to_an_attempt_and_come_back_when_it_is_calm(self) -> None:
        made = board(TWO[1])
        host = Host(made)
        host.want("r", "runner", needs={"CPU": 1.0})
        host.talk()
        host.want("1", needs={"CPU": 2.0})
        host.talk()
        assert host.revoked == {"r"}
        host.release("r")
        host.want("r2", "runner", needs={"CPU": 1.0})
        host.talk()
        assert "1" in host.holds
        host.release("1")
        host.talk()
        assert "r2" not in host.holds
        host.now_ms = CALM_MS
        made.advance(CALM_MS)
        host.talk()
        assert "r2" in host.holds

    def test_no_more_of_them_than_the_attempts_need(self) -> None:
        host = Host(board(NodeView(id="a", total={"CPU": 5.0})))
        for n in range(4):
            host.want(f"r{n}", "runner", needs={"CPU": 1.0})
        host.talk()
        host.want("1", needs={"CPU": 2.0})
        host.talk()
        host.talk()
        assert host.revoked == {"r3"}


class TestSemaphores:
    def test_they_are_never_exceeded_and_the_reason_names_who_has_them(self) -> None:
        host = Host(board(semaphores={"llm": 2}))
        for n in range(3):
            host.want(f"{n}", semaphores={"llm": 1}, execution=f"default/e-{n}", step="ask")
        host.talk()
        assert sorted(host.holds) == ["0", "1"]
        assert host.reason("2") == (
            "semaphore llm: 2 of 2 taken, held by default/e-0 ask, default/e-1 ask"
        )
        host.release("0")
        host.talk()
        assert "2" in host.holds

    def test_one_without_capacity_and_one_too_small_are_refused(self) -> None:
        host = Host(board(semaphores={"llm": 2}))
        host.want("1", semaphores={"lmm": 1})
        host.want("2", semaphores={"llm": 3})
        host.talk()
        assert "`semaphores = { lmm = 1 }`" in host.refused["1"]
        assert (
            "takes 3 of semaphore llm, whose capacity in the configuration is 2"
            in (host.refused["2"])
        )

    def test_none_is_given_out_before_it_is_known_of_all_shards_what_they_hold(self) -> None:
        made = board(semaphores={"llm": 1}, shards=frozenset("01"))
        one, other = Host(made, "one"), Host(made, "other")
        one.shards = {"0": 3}
        one.want("1", semaphores={"llm": 1})
        other.talk()  # it has begun, and not found out yet what runs
        assert "waits for the hosts of all shards" in one.reason("1")
        other.shards = {"1": 2}
        other.holds["0"] = SlotLease(id="0", kind="attempt", shard="1", semaphores={"llm": 1})
        other.talk()
        one.talk()
        assert "1" not in one.holds
        other.release("0")
        other.talk()
        one.talk()
        assert "1" in one.holds

    def test_a_host_that_never_speaks_is_not_waited_for_for_ever(self) -> None:
        made = board(semaphores={"llm": 1}, shards=frozenset("01"))
        host = Host(made)
        host.shards = {"0": 1}
        host.want("1", semaphores={"llm": 1})
        host.talk()
        host.now_ms = 30_000
        made.advance(30_000)
        host.talk()
        assert "1" in host.holds


class TestHolders:
    def test_an_answer_that_was_lost_is_said_again(self) -> None:
        made = board()
        host = Host(made)
        host.want("1", needs={"CPU": 1.0})
        lost = Demand(holder="h", turn=1, wants=tuple(host.wants.values()))
        made.take(lost, 0)
        made.decide(0)
        assert made.answer("h", 0).granted
        host.turn = 1
        host.talk()
        assert "1" in host.holds

    def test_a_grant_that_was_withdrawn_on_its_way_is_free_again(self) -> None:
        made = board(semaphores={"llm": 1})
        host = Host(made)
        host.want("1", semaphores={"llm": 1})
        made.take(Demand(holder="h", turn=1, wants=tuple(host.wants.values())), 0)
        made.decide(0)
        host.turn = 1
        host.release("1")
        host.want("2", semaphores={"llm": 1})
        host.talk()
        assert "2" not in host.holds
        host.talk()
        host.talk()
        assert "2" in host.holds

    def test_a_demand_that_comes_late_changes_nothing(self) -> None:
        made = board()
        assert made.take(Demand(holder="h", turn=2), 0)
        assert not made.take(Demand(holder="h", turn=1), 0)

    def test_a_silent_holder_loses_its_leases_but_not_while_the_scheduler_stood_still(self) -> None:
        made = board(TWO[0])
        gone, host = Host(made, "gone"), Host(made, "host")
        gone.want("1", needs={"CPU": 4.0})
        gone.talk()
        host.want("2", needs={"CPU": 4.0})
        made.advance(10 * TTL_MS)  # one long pause of the scheduler's own
        host.now_ms = 10 * TTL_MS
        host.talk()
        assert "2" not in host.holds
        for n in range(TTL_MS // 500 + 1):
            made.advance(10 * TTL_MS + 500 * n)
            host.talk()
        assert "2" in host.holds

    def test_a_host_that_takes_over_adopts_the_lease_and_it_counts_once(self) -> None:
        made = board(TWO[0], semaphores={"llm": 2})
        old, new = Host(made, "old"), Host(made, "new")
        old.want("1", needs={"CPU": 1.0}, semaphores={"llm": 1})
        old.talk()
        new.holds["1"] = old.holds["1"]
        new.talk()
        assert made.permits["llm"] == (1, 2)
        old.release("1")
        old.talk()
        assert made.permits["llm"] == (1, 2)
        new.release("1")
        new.talk()
        assert made.permits["llm"] == (0, 2)

    def test_what_a_dead_host_held_is_free_once_another_serves_its_shard(self) -> None:
        """And not before: what it started may still run, and only the next owner finds out."""
        made = board(TWO[0], semaphores={"llm": 3})
        dead, heir = Host(made, "dead"), Host(made, "heir")
        dead.shards = {"0": 1, "1": 1}
        for id, shard in (("runs", "0"), ("over", "0"), ("unknown", "1")):
            dead.want(id, needs={"CPU": 1.0}, semaphores={"llm": 1}, shard=shard)
        dead.talk()
        heir.want("over", needs={"CPU": 1.0}, semaphores={"llm": 1}, shard="0")  # is made again
        heir.talk()
        assert not heir.holds, "nobody has found out yet what still runs"
        heir.shards = {"0": 2}
        heir.holds["runs"] = dead.holds["runs"]
        heir.talk()
        assert sorted(heir.holds) == ["over", "runs"]
        heir.want("more", semaphores={"llm": 1}, shard="0")
        assert "held by" in heir.reason("more")
        heir.release("runs")
        heir.talk()
        assert "more" in heir.holds, "the dead one's word counts no more"
        heir.shards["1"] = 2
        heir.talk()
        assert made.permits["llm"] == (2, 3)

    def test_what_a_dead_host_wanted_is_nobodys_unless_its_heir_wants_it_too(self) -> None:
        made = board(NodeView(id="a", total={"CPU": 4.0}))
        dead, other = Host(made, "h", life="1"), Host(made, "other")
        other.want("0", needs={"CPU": 4.0}, shard="9")
        other.talk()
        for id in ("over", "again"):
            dead.want(id, needs={"CPU": 1.0}, shard="0")
        dead.want("r", "runner", needs={"CPU": 1.0})
        dead.talk()
        other.want("later", needs={"CPU": 4.0}, shard="9")
        other.talk()
        heir = Host(made, "h", life="2")
        heir.shards = {"0": 2}
        heir.want("again", needs={"CPU": 1.0}, shard="0")
        assert {each.id: each.place for each in heir.talk().waiting} == {"again": 1}
        assert [each.id for each in other.talk().waiting] == ["later"]
        assert len(made.queue) == 2
        assert not made.runner_wants

    def test_a_host_that_does_not_know_that_it_lost_a_shard_is_not_heard_of_it(self) -> None:
        made = board(TWO[0], semaphores={"llm": 1})
        frozen, heir = Host(made, "frozen"), Host(made, "heir")
        frozen.shards, heir.shards = {"0": 1, "1": 1}, {"0": 2}
        frozen.want("1", semaphores={"llm": 1}, shard="0")
        frozen.talk()
        heir.talk()
        frozen.want("2", semaphores={"llm": 1}, shard="0")
        frozen.talk()
        assert made.permits["llm"] == (0, 1)
        frozen.want("3", semaphores={"llm": 1}, shard="1")
        frozen.talk()
        assert sorted(frozen.holds) == ["1", "3"]
        assert made.permits["llm"] == (1, 1), "of its other shards it is"
        heir.want("2", semaphores={"llm": 1}, shard="0")
        heir.talk()
        frozen.release("3")
        frozen.talk()
        heir.talk()
        assert "2" in heir.holds

    def test_a_scheduler_that_begins_anew_learns_what_is_held(self) -> None:
        host = Host(board(TWO[0]))
        for n in range(4):
            host.want(f"{n}", needs={"CPU": 1.0})
        host.talk()
        host.board = Board(Rules(), life="2", now_ms=0)
        host.board.look(TWO[:1], 0)
        host.want("more", needs={"CPU": 1.0})
        host.talk()
        assert "more" not in host.holds
        assert len(host.board.book.leases) == 4


class Model(RuleBasedStateMachine):
    """Hosts that want, use and die, against a scheduler that is replaced at any time: nothing is
    granted twice or above what there is, and whatever can be satisfied is, in the end."""

    @initialize()
    def begin(self) -> None:
        self.count = 0
        self.restart()
        self.hosts = {name: Host(self.board, name) for name in "xy"}
        for name, host in self.hosts.items():
            host.shards = {name: 1}

    @rule()
    def restart(self) -> None:
        self.count += 1
        self.board = Board(
            Rules(semaphores={"s": 2}, shards=frozenset("xy")),
            life=str(self.count),
            now_ms=self.count,
        )
        hosts = list(getattr(self, "hosts", {}).values())
        held = [lease for host in hosts for lease in host.holds.values()]
        views = [
            NodeView(
                id=each.id,
                total=each.total,
                used={"CPU": sum(x.needs.get("CPU", 0.0) for x in held if x.node == each.id)},
            )
            for each in TWO
        ]
        self.board.look(views, 0)  # Ray shows what is used, before anybody has spoken
        for host in hosts:
            host.board = self.board
            host.talk()
        self.board.look(views, 0)  # and the board takes it for theirs now

    @rule(
        name=st.sampled_from("xy"),
        cpus=st.sampled_from((0.0, 0.5, 1.0, 2.0, 4.0)),
        permits=st.integers(0, 2),
        priority=st.integers(1, 10),
        runner=st.booleans(),
    )
    def want(self, name: str, cpus: float, permits: int, priority: int, runner: bool) -> None:
        self.count += 1
        needs = {"CPU": cpus} if cpus else {}
        if runner:
            self.hosts[name].want(f"r{self.count}", "runner", needs=needs)
        else:
            semaphores = {"s": permits} if permits else {}
            self.hosts[name].want(
                f"a{self.count}", needs=needs, semaphores=semaphores, priority=priority, shard=name
            )
        self.hosts[name].talk()

    @rule(name=st.sampled_from("xy"), which=st.integers(0, 10))
    def end_one(self, name: str, which: int) -> None:
        host = self.hosts[name]
        if host.holds:
            host.release(list(host.holds)[which % len(host.holds)])
            host.talk()

    @rule(name=st.sampled_from("xy"))
    def listen(self, name: str) -> None:
        self.hosts[name].talk()

    @rule(name=st.sampled_from("xy"), lost=st.booleans())
    def die(self, name: str, lost: bool) -> None:
        """And begin anew: what ran still runs, or was lost with it and is wanted again."""
        self.count += 1
        old = self.hosts[name]
        new = self.hosts[name] = Host(self.board, name, life=str(self.count))
        new.wants = {id: want for id, want in old.wants.items() if id[0] == "a"}
        for id, lease in old.holds.items():
            if lost and id[0] == "a":
                new.want(id, needs=lease.needs, semaphores=lease.semaphores, shard=name)
            else:
                new.holds[id] = lease
        new.shards = {name: old.shards[name] + 1}
        new.talk()

    @invariant()
    def nothing_is_over_granted(self) -> None:
        held: dict[str, SlotLease] = {}
        for host in getattr(self, "hosts", {}).values():
            assert not held.keys() & host.holds.keys()
            held |= host.holds
        for view in TWO:
            cpus = sum(x.needs.get("CPU", 0.0) for x in held.values() if x.node == view.id)
            assert cpus <= view.total["CPU"]
        assert sum(lease.semaphores.get("s", 0) for lease in held.values()) <= 2

    def teardown(self) -> None:
        hosts = list(getattr(self, "hosts", {}).values())
        for _ in range(400):
            for host in hosts:
                host.talk()
                for id in [id for id in host.holds if id[0] == "a" or id in host.revoked][:1]:
                    host.release(id)
            if not any(id[0] == "a" for host in hosts for id in host.wants):
                return
        assert not hosts or not any(id[0] == "a" for host in hosts for id in host.wants)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=25, stateful_step_count=30)

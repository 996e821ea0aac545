"""Who watches what, against the plainest model of it: a set of pairs."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from heliostat.actors.host.watching import Watchers
from heliostat.engine.identity import ExecutionKey

CLIENTS = ("ann", "bob", "eve")
KEYS = tuple(ExecutionKey("default", str(n)) for n in range(4))

clients = st.sampled_from(CLIENTS)
keys = st.sampled_from(KEYS)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), clients, keys),
        st.tuples(st.just("remove"), clients, keys),
        st.tuples(st.just("take"), keys),
        st.tuples(st.just("take_all"), st.frozensets(keys)),
        st.tuples(st.just("forget"), st.frozensets(clients)),
    ),
    max_size=30,
)


@given(steps)
def test_it_is_a_set_of_pairs(steps: list[tuple[object, ...]]) -> None:
    watchers, pairs = Watchers[str](), set[tuple[str, ExecutionKey]]()
    for step in steps:
        match step:
            case ("add", str(client), ExecutionKey() as key):
                watchers.add(client, key)
                pairs.add((client, key))
            case ("remove", str(client), ExecutionKey() as key):
                watchers.remove(client, key)
                pairs.discard((client, key))
            case ("take", ExecutionKey() as key):
                taken = watchers.take(key)
                assert sorted(taken) == sorted(one for one, of in pairs if of == key)
                pairs = {pair for pair in pairs if pair[1] != key}
            case ("take_all", frozenset() as meant):
                told = watchers.take_all(meant.__contains__)
                assert told == {one for one, of in pairs if of in meant}
                pairs = {pair for pair in pairs if pair[1] not in meant}
            case ("forget", frozenset() as gone):
                watchers.forget(set(gone))
                pairs = {pair for pair in pairs if pair[0] not in gone}
        for key in KEYS:
            assert sorted(watchers.of(key)) == sorted(one for one, of in pairs if of == key)
        for client in CLIENTS:
            assert watchers.count(client) == sum(one == client for one, _ in pairs)


def test_what_one_client_watches_shares_what_can_be_shared() -> None:
    watchers = Watchers[str]()
    for n in range(100):
        watchers.add("ann", ExecutionKey("".join(["def", "ault"]), str(n)))
    watchers.add("bob", KEYS[0])
    watchers.remove("bob", KEYS[0])  # alone again
    assert len({id(watchers.of(ExecutionKey("default", str(n)))) for n in range(100)}) == 1
    assert {id(key.namespace) for key in watchers} == {id(sys.intern("default"))}

"""Reachability against the obvious way to compute it."""

from hypothesis import given
from hypothesis import strategies as st

from heliostat.engine.authoring.reach import Reach

graphs = st.integers(1, 9).flatmap(
    lambda count: st.lists(
        st.lists(st.integers(0, count - 1), max_size=3), min_size=count, max_size=count
    )
)


@given(graphs)
def test_it_is_the_transitive_closure(following: list[list[int]]) -> None:
    reach = Reach(dict(enumerate(following)))
    for start in range(len(following)):
        seen, waiting = set[int](), list(following[start])
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting += following[node]
        assert reach[start] == seen
        assert all(reach.leads(start, end) == (end in seen) for end in range(len(following)))


@given(graphs, st.sets(st.integers(0, 8)))
def test_what_is_behind_several_is_behind_one_of_them(
    following: list[list[int]], starts: set[int]
) -> None:
    reach = Reach(dict(enumerate(following)))
    there = [start for start in starts if start < len(following)]
    assert reach.behind(there) == frozenset().union(*(reach[start] for start in there))


def test_a_long_chain_needs_no_recursion() -> None:
    count = 20_000
    reach = Reach({node: [node + 1] if node + 1 < count else [] for node in range(count)})
    assert reach.leads(0, count - 1)
    assert not reach.leads(count - 1, 0)

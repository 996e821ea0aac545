"""How many grants the scheduler's rules make in a second: `python -m benchmarks.scheduling`.

The rules alone, with demands and answers packed and unpacked as they are between processes, and
without Ray. One host wants more than there is, of mixed priorities, namespaces and workflows; in
each round it gives some leases back and wants as many. CPU time, so that others on the machine
hardly matter. Expected before it was measured: 2,000 grants/s would be more than Ray's 1,200 tasks.
"""

from __future__ import annotations

import time

from heliostat.actors.calls import pack, unpack
from heliostat.engine.scheduling.board import Board, Rules
from heliostat.engine.scheduling.nodes import NodeView
from heliostat.engine.scheduling.protocol import Demand, SlotLease, Want

ROUNDS = 300
EACH_ROUND = 16  # leases given back, and wants that come
CPUS = 16.0  # of each node


def measure(nodes: int, waiting: int) -> tuple[float, float]:
    """Grants/s, and milliseconds of one exchange."""
    board = Board(Rules(), life="1", now_ms=0)
    board.look([NodeView(id=f"{n}", total={"CPU": CPUS}) for n in range(nodes)], 0)
    wants: dict[str, Want] = {}
    holds: dict[str, SlotLease] = {}
    made = seen = granted = 0
    begun_at = time.process_time()
    for turn in range(1, ROUNDS + 1):
        while len(wants) < waiting + EACH_ROUND:
            made += 1
            wants[f"{made}"] = Want(
                id=f"{made}",
                kind="attempt",
                namespace=f"n{made % 3}",
                workflow=f"w{made % 7}",
                priority=made % 10 + 1,
                path_ms=made % 9 * 1_000,
                needs={"CPU": 1.0},
            )
        demand = Demand(
            holder="h",
            turn=turn,
            life="1",
            seen=seen,
            wants=tuple(wants.values()),
            holds=tuple(holds.values()),
        )
        board.take(unpack(pack(demand), Demand), turn)
        board.decide(turn)
        answer = board.answer("h", turn, reasons=False)
        seen = answer.answer
        for lease in answer.granted:
            if wants.pop(lease.id, None) is not None:
                holds[lease.id] = lease
                granted += 1
        for id in list(holds)[:EACH_ROUND]:
            del holds[id]
    seconds = time.process_time() - begun_at
    return granted / seconds, seconds / ROUNDS * 1_000


def main() -> None:
    print(f"{'nodes':>5}  {'waiting':>7}  {'grants/s':>8}  {'ms an exchange':>14}")
    for nodes, waiting in ((1, 10), (1, 450), (10, 450), (50, 450)):
        rate, ms = measure(nodes, waiting)
        print(f"{nodes:>5}  {waiting:>7}  {rate:>8,.0f}  {ms:>14.2f}")


if __name__ == "__main__":
    main()

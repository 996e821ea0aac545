"""Nets of the literature, written from their descriptions: as many markings as are published.

The numbers of markings and of arcs among them are those of the Model Checking Contest's examination
"StateSpace", which several tools agree on (https://mcc.lip6.fr, 2026); where a family has a formula
it is checked at a size that costs less. Each net is read from PNML.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import pytest

from heliostat.verify.certificates.checker import check
from heliostat.verify.properties.soundness import verify_model
from heliostat.verify.reading.files import Model, read
from heliostat.verify.space.explore import explore

Moves = Mapping[str, tuple[str, str]]
"""By net transition, the places that it takes from and puts on, by blanks."""


def kanban(cards: int) -> tuple[Moves, dict[str, int]]:
    """Four cells with cards of their own; the second and the third work on halves of one thing
    (Tilgner, Takahashi & Ciardo, "SNS 1.0: synchronized network solver", 1996)."""
    moves = {
        "enter": ("free4", "busy4"),
        "split": ("done4 free2 free3", "free4 busy2 busy3"),
        "meet": ("done2 done3 free1", "free2 free3 busy1"),
        "leave": ("done1", "free1"),
    }
    for cell in "1234":
        moves |= {
            f"redo{cell}": (f"busy{cell}", f"again{cell}"),
            f"back{cell}": (f"again{cell}", f"busy{cell}"),
            f"ok{cell}": (f"busy{cell}", f"done{cell}"),
        }
    return moves, {f"free{cell}": cards for cell in "1234"}


def manufacturing(pallets: int) -> tuple[Moves, dict[str, int]]:
    """Parts of three kinds on three machines, two of them joined now and then (Ciardo & Trivedi,
    "A decomposition approach for stochastic reward net models", 1993)."""
    moves = {
        "join": ("joined1 joined2", "both"),
        "queue12": ("both", "waits12"),
        "begin12": ("waits12 machine3", "on12"),
        "finish12": ("on12", "machine3 shipped12"),
        "return12": ("shipped12", "pallet1 pallet2"),
        "queue3": ("pallet3", "waits3"),
        "pass3": ("waits3 machine2", "machine2 shipped3"),
        "return3": ("shipped3", "pallet3"),
    }
    for kind in "12":
        moves |= {
            f"queue{kind}": (f"pallet{kind}", f"waits{kind}"),
            f"begin{kind}": (f"waits{kind} machine{kind}", f"on{kind}"),
            f"finish{kind}": (f"on{kind}", f"machine{kind} done{kind}"),
            f"alone{kind}": (f"done{kind}", f"shipped{kind}"),
            f"join{kind}": (f"done{kind}", f"joined{kind}"),
            f"return{kind}": (f"shipped{kind}", f"pallet{kind}"),
        }
    tokens = {f"pallet{kind}": pallets for kind in "123"}
    return moves, tokens | {"machine1": 3, "machine2": 1, "machine3": 2}


def philosophers(count: int) -> tuple[Moves, dict[str, int]]:
    """Who thinks takes either fork first, and then waits for the other (Dijkstra 1971)."""
    moves: dict[str, tuple[str, str]] = {}
    for n in range(count):
        left, right = f"fork{n}", f"fork{(n + 1) % count}"
        moves |= {
            f"left{n}": (f"think{n} {left}", f"left_of{n}"),
            f"right{n}": (f"think{n} {right}", f"right_of{n}"),
            f"then_right{n}": (f"left_of{n} {right}", f"eat{n}"),
            f"then_left{n}": (f"right_of{n} {left}", f"eat{n}"),
            f"rest{n}": (f"eat{n}", f"think{n} {left} {right}"),
        }
    return moves, {f"{place}{n}": 1 for n in range(count) for place in ("think", "fork")}


def dekker(count: int) -> tuple[Moves, dict[str, int]]:
    """Mutual exclusion by flags: who finds another flag up takes its own down again."""
    moves: dict[str, tuple[str, str]] = {}
    for n in range(count):
        down = " ".join(f"down{other}" for other in range(count) if other != n)
        moves |= {
            f"try{n}": (f"idle{n} down{n}", f"wants{n} up{n}"),
            f"enter{n}": (f"wants{n} {down}", f"critical{n} {down}"),
            f"exit{n}": (f"critical{n} up{n}", f"idle{n} down{n}"),
        }
    for n, other in permutations(range(count), 2):
        moves[f"yield{n}_{other}"] = (f"wants{n} up{n} up{other}", f"idle{n} down{n} up{other}")
    return moves, {f"{place}{n}": 1 for n in range(count) for place in ("idle", "down")}


def shared_memory(count: int) -> tuple[Moves, dict[str, int]]:
    """Processors with a memory each, and one bus to those of the others; who is at its own waits
    until nobody else is."""
    moves: dict[str, tuple[str, str]] = {}
    for n in range(count):
        moves |= {
            f"own{n}": (f"active{n}", f"at_own{n}"),
            f"own_done{n}": (f"at_own{n} memory{n}", f"active{n} memory{n}"),
            f"ask{n}": (f"active{n}", f"queue{n}"),
        }
    for n, at in permutations(range(count), 2):
        moves[f"begin{n}_{at}"] = (f"queue{n} memory{at} bus", f"uses{n}_{at}")
        moves[f"done{n}_{at}"] = (f"uses{n}_{at}", f"active{n} memory{at} bus")
    tokens = {f"{place}{n}": 1 for n in range(count) for place in ("active", "memory")}
    return moves, tokens | {"bus": 1}


def erk(molecules: int) -> tuple[Moves, dict[str, int]]:
    """The ERK pathway under RKIP (Gilbert & Heiner, "From Petri nets to differential equations",
    2006)."""
    moves = {
        "r1": ("raf rkip", "raf_rkip"),
        "r2": ("raf_rkip", "raf rkip"),
        "r3": ("raf_rkip erk_pp", "raf_rkip_erk_pp"),
        "r4": ("raf_rkip_erk_pp", "raf_rkip erk_pp"),
        "r5": ("raf_rkip_erk_pp", "raf erk rkip_p"),
        "r6": ("erk mek_pp", "mek_pp_erk"),
        "r7": ("mek_pp_erk", "erk mek_pp"),
        "r8": ("mek_pp_erk", "erk_pp mek_pp"),
        "r9": ("rkip_p rp", "rkip_p_rp"),
        "r10": ("rkip_p_rp", "rkip_p rp"),
        "r11": ("rkip_p_rp", "rkip rp"),
    }
    return moves, dict.fromkeys(("raf", "rkip", "erk", "mek_pp", "rp"), molecules)


def referendum(voters: int) -> tuple[Moves, dict[str, int]]:
    """All are asked at once, and each says yes or no."""
    moves = {"ask": ("begin", " ".join(f"asked{n}" for n in range(voters)))}
    for n in range(voters):
        moves |= {f"yes{n}": (f"asked{n}", f"yes_of{n}"), f"no{n}": (f"asked{n}", f"no_of{n}")}
    return moves, {"begin": 1}


@pytest.mark.parametrize(
    ("net", "markings", "arcs", "dead"),
    [
        (kanban(1), 160, 616, 0),
        (kanban(2), 4_600, 28_120, 0),
        (manufacturing(2), 3_444, 16_311, 0),
        (philosophers(5), 3**5, None, 2),
        (dekker(6), 2**6 + 6 * 2**5, None, 0),  # as of 10 processes, 6,144 with 171,530 arcs
        (shared_memory(5), 1_863, 10_395, 0),
        (erk(1), 13, 30, 0),
        (referendum(6), 3**6 + 1, None, 2**6),
    ],
    ids=[
        "Kanban, 1 card",
        "Kanban, 2 cards",
        "FMS-PT-00002",
        "Philosophers-PT-000005",
        "Dekker, 6 processes",
        "SharedMemory-PT-000005",
        "ERK-PT-000001",
        "Referendum, 6 voters",
    ],
)
def test_markings_arcs_and_deadlocks_are_those_that_are_published(
    net: tuple[Moves, dict[str, int]], markings: int, arcs: int | None, dead: int
) -> None:
    model = _read(*net)
    graph = explore(model.translation.net, reduce=False)
    assert graph.stopped is None
    assert len(graph.markings) == markings
    assert arcs in (None, sum(map(len, graph.edges)))
    assert len(graph.dead) == dead
    report = verify_model(model)
    assert report.about("deadlock").outcome == ("fails" if dead else "holds")
    assert report.about("dead steps").outcome == "holds"
    assert report.about("boundedness").outcome == "holds"
    for verdict in report.verdicts:
        if verdict.certificate is not None:
            assert report.net is not None
            check(report.net, verdict.certificate)


def _read(moves: Moves, tokens: dict[str, int]) -> Model:
    arcs = list[tuple[str, str]]()
    for move, (takes, puts) in moves.items():
        arcs += [(place, move) for place in takes.split()] + [(move, at) for at in puts.split()]
    places = dict.fromkeys(node for arc in arcs for node in arc if node not in moves)
    lines = [f"<transition id='{move}'/>" for move in moves]
    for place in places:
        count = tokens.get(place, 0)
        lines.append(
            f"<place id='{place}'><initialMarking><text>{count}</text></initialMarking></place>"
        )
    for number, (source, target) in enumerate(arcs):
        lines.append(f"<arc id='{number}' source='{source}' target='{target}'/>")
    kind = "http://www.pnml.org/version-2009/grammar/ptnet"
    page = f"<page id='page'>{''.join(lines)}</page>"
    [model] = read(f"<pnml><net id='net' type='{kind}'>{page}</net></pnml>".encode())
    return model

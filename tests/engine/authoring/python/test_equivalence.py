"""A compiled program does what Python does: the same result, or the same error and its words.

Programs are drawn at random (`drawn.py`), and run in two ways (`both_ways.py`): compiled, in the
simulator, and as plain Python, with a stand-in for each of heliostat's own functions
(`plainly.py`). Steps, people, servers and senders do the same in both (`around.py`). Compared is
how they end, with all that was asked of these, published and signalled, in order.

What the compiler refuses is counted, and what the page on Python tells as a difference (integers
beyond 64 bits; lists with two names; the execution before a child's error) is passed over.

`python -m tests.engine.authoring.python.test_equivalence 0 2000` compares these programs, and tells
how many were the same and what they are made of.
"""

from __future__ import annotations

import random
import sys
import warnings
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliostat.engine.errors import DefinitionError

from .around import Ended
from .both_ways import as_compiled, as_python
from .drawn import Writer, constructs

DOCUMENTED = ("not changed in place", "64 bits", "OverflowError", "complex")


def outcome_of(seed: int) -> tuple[str, set[str]]:
    """How one program compares: same, refused, or passed over; and the syntax in it."""
    chance = random.Random(seed)
    text = Writer(chance).program()
    arguments = {
        "n": chance.randint(0, 4),
        "xs": [chance.randint(0, 4) for _ in range(chance.randint(0, 3))],
        "s": chance.choice(["ab", "", "x y"]),
    }
    try:
        expected = as_python(text, arguments, seed)
    except Ended:
        return "passed over", set()
    found, refused = None, set[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = as_compiled(text, arguments, seed)
        except DefinitionError as error:
            refused = {fault.code for fault in error.diagnostics}
    if refused:
        assert refused <= {"HS403", "HS412", "HS414"}, text
        return "refused", set()
    if any(words in repr((expected, found)) for words in DOCUMENTED):
        return "passed over", set()
    assert repr(found) == repr(expected), f"{arguments}\n{text}"
    return "same", set(constructs(text))


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_a_compiled_program_ends_as_python_does(seed: int) -> None:
    outcome_of(seed)


def compared(seeds: range) -> tuple[Counter[str], Counter[str]]:
    """How many programs compare how, and in how many of the same ones each construct is."""
    outcomes, seen = Counter[str](), Counter[str]()
    for seed in seeds:
        outcome, found = outcome_of(seed)
        outcomes[outcome] += 1
        seen.update(found)
    return outcomes, seen


def test_the_programs_reach_what_is_compiled() -> None:
    """A fixed sixty of them: most are compared, and what they are made of is known."""
    outcomes, seen = compared(range(60))
    assert outcomes["same"] > 50
    assert {
        "Assign", "AugAssign", "BinOp", "BoolOp", "Break", "Call", "Compare", "Continue", "Dict",
        "DictComp", "ExceptHandler", "For", "GeneratorExp", "If", "IfExp", "JoinedStr", "List",
        "ListComp", "Raise", "Return", "Slice", "Starred", "Subscript", "Try", "Tuple", "UnaryOp",
        "While",
    } <= seen.keys()  # fmt: skip
    assert {
        "hs.after", "hs.event", "hs.fail", "hs.http", "hs.human", "hs.map", "hs.now",
        "hs.on_event", "hs.on_signal", "hs.parallel", "hs.publish", "hs.race", "hs.script",
        "hs.signal", "hs.sleep", "hs.undo", "hs.uuid", "hs.wait", "approved()", "asked()",
        "careful()", "child()", "guarded()", "late()", "patient()",
    } <= seen.keys()  # fmt: skip


if __name__ == "__main__":
    outcomes, seen = compared(range(*map(int, sys.argv[1:3])))
    print(f"{dict(outcomes)}; {len(seen)} constructs: {', '.join(sorted(seen))}")

"""Proofs as registration asks for them: bounded, each content once, and never in the way.

What is found is advice about a definition. So a bound that is reached is a warning that says so,
and a fault of the proof's own is told and keeps nobody from registering.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Final

import msgspec

from heliostat.engine.authoring.activities import ActivityInfo
from heliostat.engine.authoring.canonical import content_hash
from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.scopes import scopes_of
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.verify.analyses import AT_REGISTRATION, Subject, analysed, analysis
from heliostat.verify.budget import Budget
from heliostat.verify.properties.verdict import Verdict
from heliostat.verify.reports.diagnostics import diagnostics

TIME_MAX_MS: Final = 100
"""Of a whole proof; typical definitions need a tenth of it."""

STEPS_MAX: Final = 500
"""Steps of a definition that is proved on the way: to make and reduce the net of thousands takes
seconds, and `heliostat verify` does it."""

NO_FUNCTIONS: Final[Mapping[str, ActivityInfo]] = {}

KEPT_MAX: Final = 100
"""Contents whose answers are kept; the one that was asked for longest ago goes first."""


UNTOLD: Final = frozenset(
    {"boundedness", "guards", "unwritten reads", "dead assignments", "races", "inputs"}
)
"""What is not told where it is not known within this time: `heliostat verify` finds out."""


class Prover:
    """Proves definitions. Any thread may ask; one proof goes on at a time, since it is the
    interpreter that it takes."""

    def __init__(self, *, time_max_ms: int = TIME_MAX_MS) -> None:
        self._time_max_ms = time_max_ms
        self._kept: OrderedDict[str, tuple[Verdict, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(
        self, definition: Definition, functions: Mapping[str, ActivityInfo] = NO_FUNCTIONS
    ) -> tuple[Diagnostic, ...]:
        """What is wrong with the runs of a definition, or not known of them.

        Args:
            functions: what was seen of those that its activities name.
        """
        return diagnostics(definition, self.verdicts(definition, functions))

    def verdicts(
        self, definition: Definition, functions: Mapping[str, ActivityInfo] = NO_FUNCTIONS
    ) -> tuple[Verdict, ...]:
        """The verdicts about a definition, without their certificates.

        That it is bounded is not told where it is not known: what can always come to its end does
        so without a bound to what it collects. Nor is what is not known of the data.
        """
        content = content_hash(definition) + _identity(functions)
        with self._lock:
            found = self._kept.get(content)
            if found is None:
                found = self._kept[content] = self._proved(definition, functions)
                if len(self._kept) > KEPT_MAX:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(content)
            return found

    def _proved(
        self, definition: Definition, functions: Mapping[str, ActivityInfo]
    ) -> tuple[Verdict, ...]:
        count = sum(len(scope.steps) for scope in scopes_of(definition))
        if count > STEPS_MAX:
            return (_unknown(f"more than {STEPS_MAX} steps"),)
        from heliostat.verify.properties.soundness import verify  # who registers nothing needs none

        try:
            plan = compile_plan(definition)
            _load(plan, functions)
            # by the time that this thread had the interpreter: a busy machine changes no answer
            subject = Subject(
                definition=definition,
                plan=plan,
                time_max_ms=self._time_max_ms,
                now_ms=lambda: time.thread_time() * 1_000,
                figures=False,
                functions=functions,
            )
            budget = Budget(self._time_max_ms, subject.now_ms)
            report = verify(
                subject.plan,
                time_max_ms=budget.part_ms(2 if AT_REGISTRATION else 1),
                now_ms=subject.now_ms,
                definition=definition,
                functions=functions,
            )
            rest = replace(subject, time_max_ms=budget.part_ms(1))
            verdicts = (*report.verdicts, *analysed(rest, AT_REGISTRATION))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not keep a workflow out
            return (_unknown(f"the proof has a fault: {type(error).__name__}: {error}"),)
        return tuple(
            replace(each, certificate=None, net=None)
            for each in verdicts
            if each.outcome != "inconclusive" or each.asked not in UNTOLD
        )


def _identity(functions: Mapping[str, ActivityInfo]) -> str:
    """What tells functions that take or give something else."""
    seen = [
        (name, each.required, each.optional, each.accepts_any, each.annotations)
        for name, each in sorted(functions.items())
    ]
    return hashlib.sha256(msgspec.msgpack.encode(seen)).hexdigest() if seen else ""


def _load(plan: Plan, functions: Mapping[str, ActivityInfo]) -> None:
    """What proofs need: to load it, once in a process, is no part of a proof's time."""
    import_module("heliostat.verify.data.agreeing")
    from heliostat.verify.data.analysis import asks
    from heliostat.verify.data.solver import load

    for name in AT_REGISTRATION:
        analysis(name)
    if asks(plan, functions):
        load()


def _unknown(reason: str) -> Verdict:
    return Verdict(asked="deadlock", outcome="inconclusive", engine="none", reason=reason)

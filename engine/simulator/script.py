"""Outcomes as users write them, in Python, JSON or YAML, and what they become.

    {"charge": {"raise": {"type": "PaymentDeclined"}},
     "fetch": [{"lost": true}, {"hang": true}, {"output": 1, "after": "2s"}],
     "each/store": {"items": [{"output": "a"}, {"output": "b"}]},
     "approve": {"after": "2h", "user": "ann", "complete": {"approved": true}},
     "pause": {"signal": "stop", "after": "10m"},
     "parcel:pack": {"output": "packed"}}

A key is a step's id; the steps, branches and (before a colon) the workflow around it may be written
in front. A list goes by attempts, of a human step by what people do one after the other. All faults
are named at once, each with its place and its cure. `schema.py` has the JSON Schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args

from heliostat.engine.errors import InputError
from heliostat.engine.expressions import parse_duration
from heliostat.engine.expressions.suggest import did_you_mean
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.simulator.outcomes import (
    Acts,
    Arrives,
    Attempts,
    Hangs,
    IsCanceled,
    Items,
    LosesRunner,
    OnStop,
    Outcome,
    Person,
    Raises,
    Returns,
    Script,
    Visits,
)

SELECTORS: Final = {"attempts": Attempts, "visits": Visits, "items": Items}
_TIMING: Final = ("after", "on_stop", "stop_after")
_ATTEMPT: Final = ("output", "raise", "lost", "hang")
_CHILD: Final = ("output", "raise", "canceled", "hang")
_ACTS: Final = ("claim", "release", "assign", "complete", "fail", "progress")
_ARRIVALS: Final = ("signal", "event")
_NOT_SCRIPTED: Final = {
    "decision": "it is decided by its own expressions",
    "timer": "virtual time passes by itself",
    "body": "script the steps in it",
    "parallel": "script the steps of its branches",
}


class Faults:
    """What is wrong with a script; told all at once."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._found: list[str] = []

    def add(self, place: str, message: str, cure: str | None = None) -> None:
        """Note one fault."""
        self._found.append(f"{place}: {message}" + (f" — {cure}" if cure else ""))

    def check(self) -> None:
        """Raise `InputError` if there are any."""
        if self._found:
            count = len(self._found)
            faults = "\n".join(f"  {fault}" for fault in self._found)
            raise InputError(f"{self._what}: {count} fault{'s' if count != 1 else ''}\n{faults}")


def read_outcomes(told: Any, plans: Iterable[Plan]) -> dict[str, Script]:
    """The scripts of each workflow, by its id; of a function for all steps, that one.

    Raises:
        InputError: naming every key and value that cannot be used.
    """
    known = {plan.id: plan for plan in plans}
    if told is None:
        return {}
    if callable(told):
        return dict.fromkeys(known, told)
    faults = Faults("the outcomes cannot be used")
    scripts: dict[str, dict[str, Any]] = {}
    if not isinstance(told, Mapping):
        faults.add("outcomes", f"{_shown(told)} is no mapping", "step ids, each with its outcome")
    else:
        for key, what in told.items():
            found = _step(str(key), known, faults)
            if found is not None:
                plan, step = found
                read = _Reader(plan, step, faults).read(what, str(key))
                scripts.setdefault(plan.id, {})[step.id] = read
    faults.check()
    return {**scripts}


def _step(key: str, known: Mapping[str, Plan], faults: Faults) -> tuple[Plan, StepPlan] | None:
    workflow, colon, path = key.rpartition(":")
    place = f'"{key}"'
    plan = known.get(workflow) if colon else next(iter(known.values()))
    if plan is None:
        faults.add(place, f"no workflow {workflow!r} is given", did_you_mean(workflow, known))
        return None
    *around, id = path.split("/")
    number = plan.step_by_id.get(id)
    if number is None:
        names = [step.id for step in plan.steps if step.kind not in _NOT_SCRIPTED]
        faults.add(place, f"{plan.id} has no step {id!r}", did_you_mean(id, names))
        return None
    step = plan.steps[number]
    enclosing = list(_enclosing(plan, step))
    for name in around:
        if name not in enclosing:
            faults.add(
                place,
                f"step {id!r} is not inside {name!r}",
                f'say "{"/".join([*reversed(enclosing), id])}", or just "{id}"',
            )
            return None
    return plan, step


def _enclosing(plan: Plan, step: StepPlan) -> Iterator[str]:
    """Names of the steps and branches around a step, from the inside out."""
    scope = plan.scopes[step.scope]
    while scope.owner is not None:
        if scope.name is not None:
            yield scope.name
        owner = plan.steps[scope.owner]
        yield owner.id
        scope = plan.scopes[owner.scope]


class _Reader:
    """Reads what is told of one step."""

    def __init__(self, plan: Plan, step: StepPlan, faults: Faults) -> None:
        self._plan, self._step, self._faults = plan, step, faults
        asked = any(clause.human is not None for clause in step.on_error)
        kinds: dict[str, tuple[str, ...]] = {
            "activity": _ATTEMPT,
            "sub_workflow": _CHILD,
            "human": _ACTS,
            "wait": _ARRIVALS,
        }
        self._keys = kinds.get(step.kind, ())
        self._person = asked and step.kind != "human"

    def read(self, told: Any, place: str) -> Any:
        """An `Outcome`, a selector of outcomes, a `Person`, an `Arrives`, or a function."""
        if not self._keys and not self._person:
            why = _NOT_SCRIPTED[self._step.kind]
            self._fault(place, f"a {self._step.kind} has no outcome of its own", why)
            return None
        if callable(told) or isinstance(told, Outcome | Attempts | Visits | Items | Person):
            return told
        if isinstance(told, Arrives):
            return told
        if isinstance(told, list | tuple):
            return self._list(list(told), place)
        if isinstance(told, Mapping):
            return self._mapping(told, place)
        if self._step.kind in ("human", "wait"):
            self._fault(place, f"{_shown(told)} says nothing of a {self._step.kind}", self._cure())
            return None
        return Returns(told)

    def _list(self, told: list[Any], place: str) -> Any:
        if not told:
            self._fault(place, "an empty list names no outcome", self._cure())
            return None
        if self._step.kind == "human":
            return Person(*self._acts(told, place))
        return Attempts(*(self.read(each, f"{place}[{n}]") for n, each in enumerate(told)))

    def _mapping(self, told: Mapping[str, Any], place: str) -> Any:
        if "person" in told and self._person:
            attempts = {key: what for key, what in told.items() if key != "person"}
            acts = self._acts(told["person"], f"{place}.person")
            return Person(*acts, attempts=self._mapping(attempts, place) if attempts else None)
        for key, selector in SELECTORS.items():
            if key in told:
                return self._selected(told, key, selector, place)
        if self._step.kind == "human":
            return Person(*self._acts(told, place))
        kinds = [key for key in self._keys if key in told]
        allowed = {*kinds, *(("after", "data") if self._step.kind == "wait" else _TIMING)}
        if kinds or any(get_close_matches(str(key), self._keys, cutoff=0.8) for key in told):
            self._unknown(told, allowed | set(self._keys), place)
        if not kinds and self._step.kind not in ("human", "wait"):
            cure = f'{self._cure()}; a mapping is returned by {{"output": {{…}}}}'
            self._fault(place, f"{_shown(told)} names no outcome", cure)
            return None
        if len(kinds) != 1:
            what = "names no outcome" if not kinds else f"names {len(kinds)} outcomes"
            self._fault(place, f"{_shown(told)} {what}", self._cure())
            return None
        if self._step.kind == "wait":
            return self._arrives(told, kinds[0], place)
        return self._outcome(told, kinds[0], place)

    def _selected(self, told: Mapping[str, Any], key: str, selector: Any, place: str) -> Any:
        self._unknown(told, {key}, place)
        several = told[key]
        if not isinstance(several, list | tuple) or not several:
            self._fault(f"{place}.{key}", "a list of at least one outcome belongs here")
            return None
        return selector(*(self.read(each, f"{place}.{key}[{n}]") for n, each in enumerate(several)))

    def _outcome(self, told: Mapping[str, Any], kind: str, place: str) -> Outcome:
        timing: dict[str, Any] = {}
        if "after" in told:
            timing["after_ms"] = self._duration(told["after"], f"{place}.after")
        if "stop_after" in told:
            timing["stop_ms"] = self._duration(told["stop_after"], f"{place}.stop_after")
        if "on_stop" in told:
            if told["on_stop"] not in get_args(OnStop):
                named = f"{_shown(told['on_stop'])} is none"
                self._fault(f"{place}.on_stop", named, "ends, returns or ignores")
            timing["on_stop"] = told["on_stop"]
        match kind:
            case "output":
                return Returns(told["output"], **timing)
            case "raise":
                return self._raises(told["raise"], f"{place}.raise", timing)
            case "lost":
                lost = told["lost"]
                counted = lost.get("counted", True) if isinstance(lost, Mapping) else True
                return LosesRunner(counted=bool(counted), **timing)
            case "canceled":
                return IsCanceled(**timing)
            case _:
                hang = told["hang"]
                late = hang.get("output") if isinstance(hang, Mapping) else None
                return Hangs(value=late, **timing)

    def _raises(self, told: Any, place: str, timing: dict[str, Any]) -> Outcome:
        if isinstance(told, str):
            return Raises(told, **timing)
        if not isinstance(told, Mapping) or not isinstance(told.get("type"), str):
            self._fault(place, f"{_shown(told)} is no error", '{"type": …, "message": …}')
            return Raises("Exception", **timing)
        self._unknown(told, {"type", "message", "bases"}, place)
        bases = tuple(str(base) for base in told.get("bases", ()))
        return Raises(told["type"], str(told.get("message", "")), bases, **timing)

    def _arrives(self, told: Mapping[str, Any], kind: str, place: str) -> Arrives:
        names = [
            alternative.key for alternative in self._step.alternatives if alternative.kind == kind
        ]
        name = str(told[kind])
        if name not in names:
            message = f"the step waits for no {kind} {name!r}"
            self._fault(f"{place}.{kind}", message, did_you_mean(name, names))
        after_ms = self._duration(told.get("after", "1ms"), f"{place}.after")
        return Arrives("signal" if kind == "signal" else "event", name, told.get("data"), after_ms)

    def _acts(self, told: Any, place: str) -> list[Acts]:
        if isinstance(told, list | tuple):
            return [act for n, each in enumerate(told) for act in self._acts(each, f"{place}[{n}]")]
        if isinstance(told, Acts):
            return [told]
        if not isinstance(told, Mapping):
            self._fault(place, f"{_shown(told)} is nothing that a person does", _CURES["human"])
            return []
        self._unknown(told, {*_ACTS, "after", "user", "force", "details"}, place)
        verbs = [verb for verb in _ACTS if verb in told]
        if len(verbs) != 1:
            self._fault(place, f"names {len(verbs) or 'none'} of {', '.join(_ACTS)}", "one of them")
            return []
        what = told[verbs[0]]
        to = {"assignees": what} if isinstance(what, list) else what
        people = to if verbs[0] == "assign" and isinstance(to, Mapping) else {}
        return [
            Acts(
                verbs[0],  # type: ignore[arg-type]  # one of the verbs
                str(told.get("user", "somebody")),
                what if verbs[0] == "complete" else told.get("details"),
                tuple(people.get("assignees", ())),
                tuple(people.get("candidates", ())),
                bool(told.get("force", False)),
                self._duration(told.get("after", "1ms"), f"{place}.after"),
                error=str(what) if verbs[0] == "fail" else "",
                progress=what if verbs[0] == "progress" and isinstance(what, int) else None,
            )
        ]

    def _duration(self, told: Any, place: str) -> int:
        return read_duration(told, place, self._faults)

    def _unknown(self, told: Mapping[str, Any], allowed: Iterable[str], place: str) -> None:
        names = {*allowed, *SELECTORS, *(("person",) if self._person else ())}
        for key in told:
            if key not in names:
                self._fault(place, f"`{key}` means nothing here", did_you_mean(str(key), names))

    def _cure(self) -> str:
        return _CURES[self._step.kind]

    def _fault(self, place: str, message: str, cure: str | None = None) -> None:
        self._faults.add(place if place.startswith('"') else f'"{place}"', message, cure)


_CURES: Final = {
    "activity": "one of output, raise, lost, hang",
    "sub_workflow": "one of output, raise, canceled, hang",
    "human": '{"after": "2h", "user": …, "complete": …}, or claim, release, assign, fail, progress',
    "wait": '{"signal": …} or {"event": …}, with `data` and `after`',
    "body": '{"person": …}',
    "parallel": '{"person": …}',
    "decision": '{"person": …}',
    "timer": '{"person": …}',
}


def read_duration(told: Any, place: str, faults: Faults) -> int:
    """Milliseconds of a duration as definitions write it."""
    if isinstance(told, str):
        try:
            return parse_duration(told)
        except ValueError as error:
            faults.add(f'"{place}"', str(error))
            return 0
    cure = f'say which unit: "{told}s"' if isinstance(told, int) else '"90s", "2h"'
    faults.add(f'"{place}"', f"{_shown(told)} is no duration", cure)
    return 0


def _shown(told: Any) -> str:
    text = repr(told)
    return text if len(text) <= 60 else text[:57] + "…"

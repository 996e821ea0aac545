"""What comes from outside, at instants of virtual time, as users write it.

    [{"at": "2h", "signal": "stop", "data": {"why": "test"}},
     {"at": "3h", "event": "order.paid", "data": {"order": 7}},
     {"at": "4h", "pause": "lunch"}, {"at": "5h", "resume": true},
     {"at": "6h", "cancel": "enough"}, {"at": "7h", "metadata": {"checked": "yes"}},
     {"at": "1d", "retry": {"from": "charge"}}]

`at` counts from the start of the simulation. `execution` names another execution than the one that
is simulated: a child's id is shown in the story.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from heliostat.engine.expressions.suggest import did_you_mean
from heliostat.engine.kernel.stimuli import (
    AnyStimulus,
    Cancel,
    Pause,
    Resume,
    Retry,
    SetMetadata,
    Signal,
)
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator.script import Faults, read_duration
from heliostat.engine.simulator.simulation import Happening

KINDS: Final = ("signal", "event", "pause", "resume", "cancel", "retry", "metadata")


def read_timeline(told: Any, plan: Plan) -> list[Happening]:
    """The happenings of a timeline, in the order written.

    Raises:
        InputError: naming every entry that cannot be used.
    """
    faults = Faults("the timeline cannot be used")
    happenings = []
    if isinstance(told, Mapping | str) or not isinstance(told, Iterable):
        faults.add("timeline", "is no list", 'as [{"at": "2h", "signal": "stop"}]')
        told = ()
    for index, entry in enumerate(told):
        if isinstance(entry, Happening):
            happenings.append(entry)
        else:
            happenings += _entry(entry, f"timeline[{index}]", plan, faults)
    faults.check()
    return happenings


def _entry(entry: Any, place: str, plan: Plan, faults: Faults) -> list[Happening]:
    if not isinstance(entry, Mapping):
        faults.add(place, f"{entry!r} is no mapping", 'as {"at": "2h", "signal": "stop"}')
        return []
    allowed = (*KINDS, "at", "data", "execution")
    for key in entry:
        if key not in allowed:
            faults.add(place, f"`{key}` means nothing here", did_you_mean(str(key), allowed))
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) != 1:
        faults.add(place, f"names {len(kinds) or 'none'} of {', '.join(KINDS)}", "one of them")
        return []
    if "at" not in entry:
        faults.add(place, "says no instant", '"at": "2h", from the start')
        return []
    at_ms = read_duration(entry["at"], f"{place}.at", faults)
    execution = entry.get("execution")
    if kinds[0] == "event":
        event = (str(entry["event"]), entry.get("data"))
        return [Happening(at_ms=at_ms, event=event)]
    stimulus = _stimulus(entry, kinds[0], place, plan, faults)
    return [Happening(at_ms=at_ms, stimulus=stimulus, execution=execution)]


def _stimulus(
    entry: Mapping[str, Any], kind: str, place: str, plan: Plan, faults: Faults
) -> AnyStimulus:
    what = entry[kind]
    reason = what if isinstance(what, str) else None
    match kind:
        case "signal":
            return Signal(now_ms=0, message_id="", name=str(what), data=entry.get("data"))
        case "pause":
            return Pause(now_ms=0, message_id="", reason=reason)
        case "resume":
            return Resume(now_ms=0, message_id="")
        case "cancel":
            return Cancel(now_ms=0, message_id="", reason=reason)
        case "metadata":
            metadata = what if isinstance(what, Mapping) else {}
            if not metadata and what != {}:
                faults.add(f"{place}.metadata", f"{what!r} is no mapping", '{"name": "text"}')
            told = {str(name): str(value) for name, value in metadata.items()}
            return SetMetadata(now_ms=0, message_id="", metadata=told)
        case _:
            step = what.get("from") if isinstance(what, Mapping) else None
            roots = [plan.steps[number].id for number in plan.root.steps]
            if step is not None and step not in roots and "execution" not in entry:
                message = f"the root scope of {plan.id} has no step {step!r}"
                faults.add(f"{place}.retry", message, did_you_mean(str(step), roots))
            return Retry(now_ms=0, message_id="", from_step=step)

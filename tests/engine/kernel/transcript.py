"""Transcripts: a definition, stimuli, and what the kernel answers, as text.

    A sentence that says what is shown.
    ---
    id: …                      the definition, in YAML; later versions follow after further lines
    ---
    > start {"n": 1}           a stimulus; lines below it are the kernel's answer
      step.completed a …       an event
      -> run a {"x": 1}        a command
      => e.1-0-1-1 start …     a message to another execution
      ~> order.paid {…}        an event for the bus
      ?> approve Open ann      a human task as it is now
      refused CONFLICT: …      why a request decided nothing
      = Waiting, wakes at 1s   the state thereafter

Stimuli may begin with an instant: `> @1500ms returned a 3`, from the execution's start; without
one it is that of the stimulus before. A step `a` means its oldest open visit and current attempt,
in the outermost scope where there is one; `a@3` names the scope instance, `a:2` the visit, `a!2`
the attempt, `a[0]` the item of a `foreach` in the root. Requests have the ids m1, m2, …; one that
is sent again says which: `> signal#m1 …`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from msgspec import NODEFAULT, Struct, structs

from heliostat.engine.expressions.time import parse_duration
from heliostat.engine.identity import Address
from heliostat.engine.kernel.codec import decode_snapshot, encode_event, encode_snapshot
from heliostat.engine.kernel.commands import Command, RunStep
from heliostat.engine.kernel.events import (
    Activation,
    ExecutionEvent,
    Failure,
    Parent,
    TaskFacts,
)
from heliostat.engine.kernel.messages import Outgoing, TaskView
from heliostat.engine.kernel.settle import settle
from heliostat.engine.kernel.state import ROOT, ExecutionState
from heliostat.engine.kernel.stimuli import (
    AnyStimulus,
    Cancel,
    ChildEnded,
    EventArrived,
    Migrate,
    Pause,
    Resume,
    Retry,
    Signal,
    Start,
    StepLost,
    StepRaised,
    StepReturned,
    StepStopped,
    StepTimedOut,
    TakenOver,
    TaskAction,
    Woke,
)
from heliostat.engine.monitor.folding import check_history
from heliostat.engine.monitor.tables import Tables
from heliostat.engine.plan.mapping import map_plans
from heliostat.engine.plan.plan import END
from heliostat.engine.simulator import EPOCH_MS
from heliostat.engine.simulator.invariants import check_equal, check_state
from heliostat.engine.values import Reference, to_json
from tests.engine.kernel.versions import fold_on, plans_of

_LINE = re.compile(r"> (?:@(?P<at>\S+) )?(?P<verb>[a-z_]+)(?:#(?P<id>\w+))? ?(?P<rest>.*)")
_STEP = re.compile(
    r"(?P<id>[\w.]*\w)(?:@(?P<scope>\d+))?(?:\[(?P<index>\d+)\])?"
    r"(?::(?P<visit>\d+))?(?:!(?P<attempt>\d+))?"
)


def rewritten(text: str) -> str:
    """The transcript with the answers that the kernel gives now."""
    title, *definitions, script = text.split("---\n")
    player = _Player(definitions)
    lines = [line for line in script.splitlines() if line.startswith(("> ", "# "))]
    answered = [part for line in lines for part in (line, *player.answer(line))]
    if player.bodies:
        checked = check_history(player.bodies, lambda version: Tables(player.plans[version]))
        assert checked.misfit is None, checked.misfit
    return "---\n".join((title, *definitions, "\n".join(answered) + "\n"))


class _Player:
    def __init__(self, definitions: Sequence[str]) -> None:
        self.plans = plans_of(definitions)
        self.plan = next(iter(self.plans.values()))
        self.state = ExecutionState()
        self.replay = ExecutionState()
        self.now_ms = EPOCH_MS
        self.requests = 0
        self.message_id = ""
        self.bodies: list[bytes] = []

    def answer(self, line: str) -> list[str]:
        if line.startswith("# "):
            return []
        found = _LINE.fullmatch(line)
        assert found, line
        if found["at"]:
            self.now_ms = EPOCH_MS + parse_duration(found["at"])
        if found["verb"] == "snapshot":
            state = decode_snapshot(encode_snapshot(self.state))
            assert state is not None
            self.state = state
            return []
        self.requests += found["id"] is None
        self.message_id = found["id"] or f"m{self.requests}"
        stimulus = getattr(self, f"_{found['verb']}")(found["rest"])
        decision = settle(self.plan, self.state, stimulus)
        bodies = [encode_event(event) for event in decision.events]
        self.bodies += bodies
        self.plan = fold_on(self.plans, self.plan, bodies, self.replay)
        check_equal(self.replay, self.state, line)
        check_state(self.plan, self.state)
        answer = [f"  {self._event(event)}" for event in decision.events]
        answer = (
            [*answer[:6], f"  … {len(answer) - 9} more", *answer[-3:]]
            if len(answer) > 40
            else answer
        )
        answer += [f"  -> {self._command(command)}" for command in decision.commands]
        answer += [f"  => {self._message(message)}" for message in decision.messages]
        answer += [
            f"  ~> {event.name} {self._value('', event.data)}" for event in decision.published
        ]
        answer += [f"  ?> {self._task_view(task)}" for task in decision.tasks]
        if decision.refused is not None:
            answer.append(f"  refused {decision.refused.code}: {decision.refused.message}")
        return [*(answer or ["  nothing"]), f"  = {self._status()}"]

    # -- stimuli

    def _start(self, rest: str) -> AnyStimulus:
        value = _read(rest) if rest else None
        return Start(now_ms=self.now_ms, execution_id="e", input=value)

    def _returned(self, rest: str) -> AnyStimulus:
        step, _, value = rest.partition(" ")
        value, _, extracts = value.partition(" with ")
        return StepReturned(
            now_ms=self.now_ms,
            at=self._at(step),
            output=_read(value) if value else None,
            extracts=json.loads(extracts) if extracts else None,
        )

    def _raised(self, rest: str) -> AnyStimulus:
        step, type, *mro = rest.split(" ")
        failure = Failure(type=type, message="said so", mro=tuple(mro))
        return StepRaised(now_ms=self.now_ms, at=self._at(step), failure=failure)

    def _lost(self, rest: str) -> AnyStimulus:
        step, _, counted = rest.partition(" ")
        return StepLost(
            now_ms=self.now_ms, at=self._at(step), cause="killed", counted=counted == "counted"
        )

    def _timed_out(self, rest: str) -> AnyStimulus:
        return StepTimedOut(now_ms=self.now_ms, at=self._at(rest))

    def _stopped(self, rest: str) -> AnyStimulus:
        return StepStopped(now_ms=self.now_ms, at=self._at(rest))

    def _woke(self, rest: str) -> AnyStimulus:
        return Woke(now_ms=self.now_ms)

    def _cancel(self, rest: str) -> AnyStimulus:
        return Cancel(now_ms=self.now_ms, message_id=self.message_id, reason=rest or None)

    def _pause(self, rest: str) -> AnyStimulus:
        return Pause(now_ms=self.now_ms, message_id=self.message_id, reason=rest or None)

    def _resume(self, rest: str) -> AnyStimulus:
        return Resume(now_ms=self.now_ms, message_id=self.message_id)

    def _retry(self, rest: str) -> AnyStimulus:
        return Retry(now_ms=self.now_ms, message_id=self.message_id, from_step=rest or None)

    def _migrate(self, rest: str) -> AnyStimulus:
        version, _, dry = rest.partition(" ")
        return Migrate(
            now_ms=self.now_ms,
            message_id=self.message_id,
            mapping=map_plans(self.plan, self.plans[version]),
            dry_run=dry == "dry",
        )

    def _signal(self, rest: str) -> AnyStimulus:
        name, _, data = rest.partition(" ")
        value = _read(data) if data else None
        return Signal(now_ms=self.now_ms, message_id=self.message_id, name=name, data=value)

    def _event_arrived(self, rest: str) -> AnyStimulus:
        name, _, data = rest.partition(" ")
        return EventArrived(
            now_ms=self.now_ms,
            event_id=self.message_id,
            name=name,
            data=_read(data) if data else None,
            published_at_ms=self.now_ms,
        )

    def _child_ended(self, rest: str) -> AnyStimulus:
        step, status, *value = rest.split(" ", 2)
        failure = None
        if status == "Failed":
            failure = Failure(type=value[0], message="said so", mro=(value[0], "Exception"))
        return ChildEnded(
            now_ms=self.now_ms,
            message_id=self.message_id,
            at=self._at(step),
            status=status,  # type: ignore[arg-type]  # of a transcript that is compared
            output=_read(value[0]) if status == "Completed" and value else None,
            failure=failure,
        )

    def _task(self, rest: str) -> AnyStimulus:
        step, verb, user, *data = rest.split(" ", 3)
        given = _read(data[0]) if data else None
        return TaskAction(
            now_ms=self.now_ms,
            message_id=self.message_id,
            at=self._at(step),
            verb=verb.removesuffix("!"),  # type: ignore[arg-type]
            user=user,
            assignees=tuple(given or ()) if verb == "assign" else (),
            data=None if verb == "assign" else given,
            force=verb.endswith("!"),
        )

    def _taken_over(self, rest: str) -> AnyStimulus:
        known = frozenset(self._at(step) for step in rest.split())
        return TakenOver(now_ms=self.now_ms, epoch=2, owner="host-2", known=known)

    def _at(self, text: str) -> Address:
        found = _STEP.fullmatch(text)
        assert found, text
        number = self.plan.step_by_id[found["id"]]
        scope, visit, attempt = ROOT, int(found["visit"] or 0), int(found["attempt"] or 1)
        if found["index"]:
            items = next(
                visit.items
                for visit in self.state.scopes[ROOT].active.values()
                if visit.step == number and visit.items is not None
            )
            scope, visit = items.first_scope + int(found["index"]), 1
        elif found["scope"]:
            scope = int(found["scope"])
        else:
            scopes = sorted(self.state.scopes.values(), key=lambda each: each.number)
            having = (each for each in scopes if any(step == number for step, _ in each.active))
            scope = next((each.number for each in having if each.plan_scope is not None), ROOT)
        active = self.state.scopes[scope].active if scope in self.state.scopes else {}
        if not visit:
            visit = min((v for step, v in active if step == number), default=1)
        if not found["attempt"] and (number, visit) in active:
            attempt = active[number, visit].attempt
        return Address(scope, number, visit, attempt)

    # -- answers

    def _event(self, event: ExecutionEvent) -> str:
        tag = str(type(event).__struct_config__.tag)
        if tag == "execution.started":
            return f"{tag}{self._fields(event, {'at_ms', 'execution_id', 'definition', 'version'})}"
        return f"{tag}{self._fields(event, {'at_ms'})}"

    def _fields(self, value: Struct, without: set[str]) -> str:
        parts = []
        for field in structs.fields(value):
            content = getattr(value, field.name)
            default = field.default
            if field.default_factory is not NODEFAULT:
                default = field.default_factory()
            if field.name not in without and content != default:
                told = self._value(field.name, content)
                plain = isinstance(content, Address) or field.name == "step"
                parts.append(told if plain else f"{field.name}={told}")
        return "".join(f" {part}" for part in parts)

    def _value(self, name: str, value: Any) -> str:
        match value:
            case Address():
                return self._address(value)
            case Activation():
                at = self._address(Address(value.scope, value.step, value.visit))
                without = {"scope", "step", "visit", "parent"}
                return f"{at}{self._fields(value, without)}"
            case Failure():
                return f"({self._fields(value, set()).strip()})"
            case Parent():
                return f"{value.execution_id} {self._address(value.at)} depth {value.depth}"
            case TaskFacts():
                return f"({self._fields(value, set()).strip()})"
            case tuple() if name == "skipped":
                return ",".join(self.plan.steps[each].id for each in value)
            case tuple() if name == "taken":
                return ",".join(map(self._edge, value))
            case tuple() if name == "mro":
                return ",".join(value)
            case tuple():
                shown = [self._value(name, item) for item in value]
                if len(shown) > 8:
                    shown = [*shown[:3], f"… {len(shown) - 4} more", shown[-1]]
                return f"[{'; '.join(shown)}]"
            case int() if name == "step":
                return self.plan.steps[value].id
            case int() if name.endswith("at_ms") or name == "grace_until_ms":
                return self._instant(value)
        text = json.dumps(to_json(value), ensure_ascii=False)
        return text if len(text) <= 100 else f"{text[:60]}… ({len(text)} characters)"

    def _instant(self, at_ms: int) -> str:
        return _seconds(at_ms - EPOCH_MS) if at_ms >= EPOCH_MS else str(at_ms)

    def _address(self, at: Address) -> str:
        text = self.plan.steps[at.step].id
        if at.scope != ROOT:
            text += f"@{at.scope}"
        if at.visit != 1:
            text += f":{at.visit}"
        return text if at.attempt == 1 else f"{text}!{at.attempt}"

    def _edge(self, number: int) -> str:
        edge = self.plan.edges[number]
        source = self.plan.steps[edge.source].id if edge.source != END else ""
        return f"{source}→{self.plan.steps[edge.target].id if edge.target != END else 'end'}"

    def _command(self, command: Command) -> str:
        at = self._address(command.at)
        if isinstance(command, RunStep):
            alone = " alone" if command.alone else ""
            return f"run {at}{alone} {self._value('', command.input)}"
        return f"stop {at} within {_seconds(command.grace_ms)}"

    def _message(self, message: Outgoing) -> str:
        tag = str(type(message.body).__struct_config__.tag)
        return f"{message.receiver} {tag}{self._fields(message.body, set())}"

    def _task_view(self, task: TaskView) -> str:
        people = ",".join((*task.assignees, *task.candidates))
        claimed = f" claimed by {task.claimed_by}" if task.claimed_by else ""
        due = f" until {self._instant(task.deadline_at_ms)}" if task.deadline_at_ms else ""
        why = f" because of {task.failure.type}" if task.failure else ""
        return f"{self._address(task.at)} {task.status} for {people}{claimed}{due}{why}"

    def _status(self) -> str:
        state = self.state
        told = [str(state.status)]
        if state.ended and state.output is not None:
            told.append(f"output {self._value('', state.resolve(state.output))}")
        if state.busy:
            told.append(f"busy {state.busy}")
        wake_at_ms = state.wake_at_ms
        if wake_at_ms is not None:
            told.append(f"wakes at {self._instant(wake_at_ms) if wake_at_ms else 'once'}")
        return ", ".join(told)


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.10g}s"


def _read(text: str) -> Any:
    if text.startswith("ref:"):
        return Reference(f"default/{text[4:]}", "json", 100_000)
    if text.startswith("text:"):
        return "x" * int(text[5:])
    return _deep(json.loads(text))


def _deep(tree: Any) -> Any:
    if isinstance(tree, str) and tree.startswith(("ref:", "text:")):
        return _read(tree)
    if isinstance(tree, dict):
        return {key: _deep(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_deep(value) for value in tree]
    return tree

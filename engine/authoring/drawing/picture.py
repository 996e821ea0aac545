"""What there is to draw of a definition: boxes in frames, and arrows between them. Pure.

A scope is a frame; a body and a parallel step are frames too, so that an arrow may lead to one as
to any other step. The start of a scope is drawn where that says something: in the whole, and where
a way leads back to the first step. Its end is drawn in the whole, and where a way to it has words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..fields import END_TARGET, Alternative, ErrorClause
from ..model import (
    CONCURRENCY_DEFAULT,
    ActivityStep,
    BodyStep,
    DecisionStep,
    Definition,
    HumanStep,
    ParallelStep,
    ScriptStep,
    ServiceCallStep,
    Step,
    SubWorkflowStep,
    TimerStep,
    WaitStep,
)
from ..scopes import Scope, root
from .words import condition, value

Shape: TypeAlias = Literal[
    "start", "end", "cause", "activity", "choice", "computed", "failing", "timer", "wait", "human",
    "workflow", "call",
]  # fmt: skip
"""What a box is: `choice` is a decision with several ways, `computed` one with a single way,
`cause` something from outside that leads to a step."""

Manner: TypeAlias = Literal["next", "error", "cancels"]


@dataclass(frozen=True)
class Box:
    """Something without anything in it."""

    key: str
    shape: Shape
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arrow:
    """A way from one box or frame to another."""

    source: str
    target: str
    manner: Manner = "next"
    label: str = ""


@dataclass
class Frame:
    """A scope, or a step that opens scopes; the outermost one is the definition."""

    key: str
    lines: tuple[str, ...]
    parts: list[Box | Frame] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)


def picture_of(definition: Definition) -> Frame:
    """The definition as a frame."""
    whole = Frame("workflow", (definition.name or definition.id,))
    # a decision that was compiled has for its name what it asks
    _Pen(asks_by_name="python" in definition.metadata).fill(whole, root(definition))
    for handler in definition.handlers:
        for action in handler.actions:
            if action.trigger is not None:
                key = f"on_{handler.id or handler.event}"
                _cause(whole, key, f"on {handler.event}", action.trigger.step)
    for clause in definition.on_error:
        if clause.next is not None:
            said = _error(clause)
            _cause(whole, f"on_{said}", f"on {said}", clause.next)
    return whole


def _cause(whole: Frame, key: str, words: str, step: str) -> None:
    """Something from outside of the steps that puts a token on one."""
    if all(part.key != key for part in whole.parts):
        whole.parts.append(Box(key, "cause", (words,)))
    whole.arrows.append(Arrow(key, _key(step)))


@dataclass(frozen=True)
class _Pen:
    """Draws scopes, from the outside in."""

    asks_by_name: bool

    def fill(self, frame: Frame, scope: Scope) -> None:
        """Draw a scope's steps and ways into its frame."""
        begin, end = f"{frame.key}_start", f"{frame.key}_end"
        ways = list(self._ways(scope, begin, end))
        whole = scope.parent is None
        again = scope.notation == "state_machine" and any(
            way.target == _key(scope.first) for way in ways if way.source != begin
        )
        led = [way for way in ways if way.target == end]
        left_out = {
            *(() if whole or again else (begin,)),
            *(() if led and (whole or any(way.label for way in led)) else (end,)),
        }
        if begin not in left_out:
            frame.parts.append(Box(begin, "start", ("start",)))
        frame.parts += [self._part(scope, step) for step in scope.steps]
        if end not in left_out:
            frame.parts.append(Box(end, "end", ("end",)))
        frame.arrows += [way for way in ways if left_out.isdisjoint((way.source, way.target))]

    def _part(self, scope: Scope, step: Step) -> Box | Frame:
        if not isinstance(step, BodyStep | ParallelStep):
            return Box(_key(step.id), _shape(step), tuple(_lines(step)))
        frame = Frame(_key(step.id), tuple(_lines(step)))
        for inner in scope.opened_by(step):
            if inner.branch is None:
                self.fill(frame, inner)
            else:
                branch = Frame(f"{frame.key}_{inner.branch}", (inner.branch,))
                self.fill(branch, inner)
                frame.parts.append(branch)
        return frame

    def _ways(self, scope: Scope, begin: str, end: str) -> Iterator[Arrow]:
        if scope.notation == "dag":
            yield from _needs(scope, begin, end)
        else:
            yield Arrow(begin, _key(scope.first))
            for step in scope.steps:
                yield from self._transitions(step, end)
        for step in scope.steps:
            for target in step.cancels:
                yield Arrow(_key(step.id), _key(target), "cancels", "cancels")

    def _transitions(self, step: Step, end: str) -> Iterator[Arrow]:
        def to(target: str) -> str:
            return end if target == END_TARGET else _key(target)

        here = _key(step.id)
        clauses = step.next or []
        asked = self.asks_by_name and step.name is not None and len(clauses) == 2
        for index, clause in enumerate(clauses):
            if clause.when is not None:
                label = "yes" if asked else condition(clause.when)
            else:
                label = "else" if index and step.split == "first" else ""
            yield Arrow(here, to(clause.to), label=label)
        if not clauses and not (isinstance(step, DecisionStep) and step.fail is not None):
            yield Arrow(here, end)
        for handled in step.on_error:
            if handled.next is not None:
                yield Arrow(here, to(handled.next), "error", _error(handled))


def _key(step: str) -> str:
    """Apart from every word of the languages that diagrams are written in."""
    return f"step_{step}"


# -- words


def _shape(step: Step) -> Shape:
    if isinstance(step, DecisionStep):
        if step.fail is not None:
            return "failing"
        return "choice" if len(step.next or ()) > 1 else "computed"
    shapes: dict[type, Shape] = {
        ActivityStep: "activity",
        ScriptStep: "call",
        ServiceCallStep: "call",
        TimerStep: "timer",
        WaitStep: "wait",
        HumanStep: "human",
        SubWorkflowStep: "workflow",
    }
    return shapes[type(step)]


def _lines(step: Step) -> Iterator[str]:
    """The name of a step, and what it does."""
    yield step.name or step.id
    said = _deed(step)
    if said and said != step.id:
        yield said
    if step.foreach is not None:
        yield f"for each of {condition(step.foreach)}" + (
            f", {step.concurrency} at a time" if step.concurrency != CONCURRENCY_DEFAULT else ""
        )
    if isinstance(step, BodyStep | ParallelStep) or step.foreach is not None:
        rule = step.completion
        if not isinstance(rule, str):
            yield f"until {rule.at_least} are done"
        elif rule == "any":
            yield "until one is done"
    if step.when is not None:
        yield f"when {condition(step.when)}"
    if step.deadline is not None:
        yield f"deadline {value(step.deadline)}"


def _deed(step: Step) -> str:
    """What a step does, in a few words; empty where its name is all there is to say."""
    match step:
        case ActivityStep():
            return step.activity.rpartition(":")[2].rpartition(".")[2]
        case ScriptStep():
            return f"{step.language} script"
        case ServiceCallStep():
            return f"{step.method} {value(step.url)}"
        case TimerStep():
            until = step.until is not None
            return f"until {value(step.until)}" if until else value(step.duration)
        case WaitStep():
            return " or ".join(_awaited(step))
        case HumanStep():
            asked = step.assignees if step.assignees is not None else step.candidates
            return "" if asked is None else f"asks {value(asked)}"
        case SubWorkflowStep():
            return f"workflow {step.workflow}"
        case DecisionStep() if step.fail is not None and step.name is None:
            return f"fails as {value(step.fail.type)}"
    return ""


def _awaited(step: WaitStep) -> Iterator[str]:
    alternatives: Sequence[Alternative | WaitStep] = step.any if step.any is not None else [step]
    for each in alternatives:
        if each.event is not None:
            yield f"event {each.event}"
        elif each.signal is not None:
            yield f"signal {each.signal}"
        else:
            yield value(each.timer)


# -- ways


def _needs(scope: Scope, begin: str, end: str) -> Iterator[Arrow]:
    needed = {need for step in scope.steps for need in step.needs or ()}
    for step in scope.steps:
        before = [_key(need) for need in step.needs or ()] or [begin]
        for each in before:
            yield Arrow(each, _key(step.id))
        if step.id not in needed:
            yield Arrow(_key(step.id), end)


def _error(clause: ErrorClause) -> str:
    """Which errors a clause takes."""
    when = None if clause.when is None else condition(clause.when)
    return " and ".join(part for part in (clause.error, when) if part) or "any error"

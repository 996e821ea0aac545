"""Stimuli: all that can reach an execution from outside, the clock included."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import Failure, Parent
from heliostat.engine.plan.mapping import PlanMapping
from heliostat.engine.values import Value


class Stimulus(Struct, frozen=True, kw_only=True):
    """Something happened at `now_ms`; the kernel has no other clock."""

    now_ms: int


class Start(Stimulus, frozen=True, kw_only=True):
    """A new execution is asked for; decides nothing where one exists."""

    execution_id: str
    input: Value = None
    input_bytes: int = 0
    extracts: dict[str, Value] | None = None
    tags: dict[str, str] = {}
    parent: Parent | None = None
    message_id: str | None = None  # of the `StartChild` it came with
    priority: int | None = None  # as the start says; None: as the definition says
    inherited: int | None = None  # the priority of whoever started it, where neither says one
    correlation_id: str | None = None  # what its starter knows it by; it means nothing here


class StepReturned(Stimulus, frozen=True, kw_only=True):
    """A runner's attempt returned. Late and repeated reports decide nothing."""

    at: Address
    output: Value = None
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None
    started_at_ms: int | None = None
    elapsed_ms: int | None = None
    runner: str | None = None
    stdout: str | None = None
    stderr: str | None = None


class StepRaised(Stimulus, frozen=True, kw_only=True):
    """A runner's attempt raised, or what it returned could not be stored."""

    at: Address
    failure: Failure
    started_at_ms: int | None = None
    elapsed_ms: int | None = None
    runner: str | None = None


class StepLost(Stimulus, frozen=True, kw_only=True):
    """The runner of an attempt ended without a report."""

    at: Address
    cause: str
    counted: bool = False  # it ran alone, and neither node, host nor an operator ended it


class StepTimedOut(Stimulus, frozen=True, kw_only=True):
    """An attempt has run for its `timeout`, as the lane measured it."""

    at: Address


class StepStopped(Stimulus, frozen=True, kw_only=True):
    """An attempt that was told to stop is over and left no output."""

    at: Address


class Woke(Stimulus, frozen=True, kw_only=True):
    """`ExecutionState.wake_at_ms` has passed."""


class Cancel(Stimulus, frozen=True, kw_only=True):
    """Somebody asks the execution to end."""

    message_id: str
    reason: str | None = None


class Pause(Stimulus, frozen=True, kw_only=True):
    """Somebody asks that nothing new starts."""

    message_id: str
    reason: str | None = None


class Resume(Stimulus, frozen=True, kw_only=True):
    """Somebody asks a paused execution to go on."""

    message_id: str


class Retry(Stimulus, frozen=True, kw_only=True):
    """Somebody asks a failed execution to go on in a new run; `from_step` is a step of the root."""

    message_id: str
    from_step: str | None = None


class Migrate(Stimulus, frozen=True, kw_only=True):
    """Somebody asks an execution to go on with another version of its definition."""

    message_id: str
    mapping: PlanMapping
    reason: str | None = None
    dry_run: bool = False  # only say whether it would


class Signal(Stimulus, frozen=True, kw_only=True):
    """A client or another execution signals this one."""

    message_id: str
    name: str
    data: Value = None


class EventArrived(Stimulus, frozen=True, kw_only=True):
    """An event was published that the plan waits for or handles."""

    event_id: str
    name: str
    data: Value = None
    published_at_ms: int
    correlation_id: str | None = None


class ChildEnded(Stimulus, frozen=True, kw_only=True):
    """The execution that a `sub_workflow` step started has ended, or could not be started."""

    message_id: str
    at: Address
    status: Literal["Completed", "Failed", "Canceled"]
    output: Value = None
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None
    failure: Failure | None = None


class SetMetadata(Stimulus, frozen=True, kw_only=True):
    """Somebody writes the execution's metadata, also of one that has ended."""

    message_id: str
    metadata: dict[str, str]


TaskVerb = Literal["claim", "release", "assign", "complete", "fail", "progress"]


class TaskAction(Stimulus, frozen=True, kw_only=True):
    """A person does something with a human task."""

    message_id: str
    at: Address
    verb: TaskVerb
    user: str
    assignees: tuple[str, ...] = ()  # of `assign`
    candidates: tuple[str, ...] = ()
    data: Value = None  # of `complete`: what was submitted; of `fail` and `progress`: details
    error: str = ""  # of `fail`: what went wrong, in words
    progress: int | None = None  # of `progress`: so much of 100
    force: bool = False  # complete, fail or release what another person has claimed


class TakenOver(Stimulus, frozen=True, kw_only=True):
    """A new owner has loaded the execution; `known` are the attempts that runners hold or run."""

    epoch: int
    owner: str
    known: frozenset[Address] = frozenset()


AnyStimulus: TypeAlias = (
    Start
    | StepReturned
    | StepRaised
    | StepLost
    | StepTimedOut
    | StepStopped
    | Woke
    | Cancel
    | TakenOver
    | Pause
    | Resume
    | Retry
    | Signal
    | EventArrived
    | ChildEnded
    | TaskAction
    | SetMetadata
    | Migrate
)

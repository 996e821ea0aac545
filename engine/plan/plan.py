"""What a plan is: integer-indexed steps, resolved edges, compiled expressions.

Numbers of scopes, steps and edges come from the numbering stored with the version and never
change: events speak in them. Tuples are indexed by these numbers. Scope 0 is the root. A plan
holds closures and is therefore made anew in each process from the stored definition and numbering.

Numbers that only earlier versions used have a place that nothing leads to (`retired.py`).

Invariants, kept by `compile.py`: `plan.steps[n].number == n`; the steps of a scope are listed in
the order written; `edge.source` and `edge.target` lie in one scope; a step of a DAG scope has
`needs` and no `routes`, one of a state machine the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from heliostat.engine.calendars import Calendars
from heliostat.engine.expressions import Data, Expression, Read
from heliostat.engine.monitor.monitor import Monitor
from heliostat.engine.values import Json

END: Final = -1
"""The reserved target of an edge that ends its token."""

ScopeNumber: TypeAlias = int
StepNumber: TypeAlias = int
EdgeNumber: TypeAlias = int

StepKind = Literal[
    "activity", "decision", "timer", "body", "parallel", "wait", "human", "sub_workflow"
]
"""What a step is to the kernel; a script and a service call are activities of our own functions."""

Notation = Literal["state_machine", "dag"]


Validate: TypeAlias = Callable[[Json], str | None]
"""Checks a value against a JSON Schema: None, or one sentence that names the place."""


class Resources(Struct, frozen=True, kw_only=True):
    """What one attempt needs of a node; the empty one runs on a warm runner."""

    num_cpus: float | None = None
    num_gpus: float | None = None
    memory: int | None = None  # bytes
    custom: Mapping[str, float] = {}
    runtime_env: Mapping[str, Json] | None = None

    @property
    def any(self) -> bool:
        return self.reserves or bool(self.runtime_env)

    @property
    def reserves(self) -> bool:
        """Whether it takes something of a node for itself; an environment alone does not."""
        return bool(self.num_cpus or self.num_gpus or self.memory or self.custom)


class Retry(Struct, frozen=True, kw_only=True):
    """Which failures of an attempt are followed by another attempt, and after which back-off.

    `on` empty means every error but the reserved ones that repeat themselves; names match
    anywhere along the error's MRO.
    """

    max_attempts: int = 1
    initial_ms: int = 1_000
    factor: float = 2.0
    max_ms: int = 60_000
    jitter: bool = True
    on: tuple[str, ...] = ()
    never_on: tuple[str, ...] = ()


class Join(Struct, frozen=True):
    """When a step with several ways into it starts; `count` belongs to `at_least`."""

    kind: Literal["any", "all", "at_least", "all_done"]
    count: int = 1


class Completion(Struct, frozen=True):
    """When a `foreach` or a `parallel` is complete; `count` belongs to `at_least`, `any` has 1."""

    kind: Literal["all", "any", "at_least", "all_done"] = "all"
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A way from one step to another of its scope, or to `END`; `when` None is always open."""

    number: EdgeNumber
    source: StepNumber
    target: StepNumber  # or END
    when: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorClause:
    """One entry of `on_error`: the first whose `error` and `when` fit wins.

    Exactly one of `edge`, `output`, `fail`, `human` says what follows. For the definition's own
    clauses `next` is a step of the root scope, held in `edge` with `source == END`.
    """

    error: str | None = None
    when: Expression | None = None
    edge: Edge | None = None
    output: Data | None = None
    fail: tuple[Data, ...] | None = None  # type, message, perhaps bases
    human: Human | None = None  # a person decides: try again, complete with an output, or fail


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreach:
    """The list that a step runs over, and how."""

    items: Expression
    alias: str | None  # `as:`
    concurrency: int
    completion: Completion


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What a runner is to call; merged from the decorator and the definition at registration."""

    target: str  # `module:function`, or a registered name
    effects: Literal["at_least_once", "at_most_once"] = "at_least_once"
    resources: Resources = Resources()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """A durable wake-up: a duration from the visit's activation, or an instant."""

    duration: Data | None = None
    until: Data | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One of the things that a wait waits for."""

    name: str  # as the output names it
    kind: Literal["event", "signal", "timer"]
    key: str = ""  # of an event its type, of a signal its name
    timer: Data | None = None  # a duration or an instant
    where: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Whom a human task goes to as well, so long after it was opened."""

    after_ms: int
    assignees: Data | None = None
    candidates: Data | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Human:
    """What a human task is made from; an intervention point and the step's own fields, merged."""

    name: str | None = None
    assignees: Data | None = None
    candidates: Data | None = None
    form: Mapping[str, Json] | None = None
    validate: Validate | None = None  # of the form
    escalations: tuple[Escalation, ...] = ()  # in order of time
    deadline: Data | None = None  # for the person, where a clause of `on_error` asks one
    point: str | None = None  # the intervention point's id


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """The execution that a `sub_workflow` step starts."""

    workflow: str
    version: str | None  # None: the one registered last when the child starts
    detached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """An event published when a step completes."""

    event: str
    data: Data | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signalling:
    """A signal sent when a step completes, or by a handler."""

    execution: Data
    name: str
    data: Data | None = None


ActionKind = Literal["start", "signal", "trigger", "cancel", "pause", "resume", "custom"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that a handler does."""

    kind: ActionKind
    execution: Data | None = None  # of cancel, pause, resume; None: its own
    signalling: Signalling | None = None
    child: Child | None = None  # of start
    child_id: Data | None = None
    input: Data | None = None  # of start and custom
    step: StepNumber | None = None  # of trigger: a step of the root
    scope: ScopeNumber | None = None  # of custom: a scope with one activity


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """What an execution does when an event comes that fits."""

    number: int
    name: str
    event: str
    where: Expression | None
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One step. Fields in the order in which a visit passes them."""

    number: StepNumber
    id: str
    scope: ScopeNumber
    kind: StepKind
    name: str | None = None  # for people
    place: str | None = None  # `file:line:column` in the source of a compiled function
    type: str = ""  # as written: tells a script and a service call from an activity
    retired: bool = False  # of an earlier version: only its id means something
    scopes: tuple[ScopeNumber, ...] = ()  # a body's one; of a parallel its branches, in order
    # once per visit
    join: Join = Join("any")
    needs: tuple[StepNumber, ...] = ()
    dependents: tuple[StepNumber, ...] = ()
    when: Expression | None = None
    deadline: Data | None = None
    foreach: Foreach | None = None
    completion: Completion = Completion()  # of a parallel's branches
    # once per item, or per visit without `foreach`
    input: Data | None = None
    uses: tuple[tuple[str, int], ...] = ()  # semaphores of the execution, held per attempt
    semaphores: Mapping[str, int] = field(default_factory=dict)  # of the deployment, likewise
    activity: Activity | None = None
    timer: Timer | None = None
    alternatives: tuple[Alternative, ...] = ()  # of a wait
    human: Human | None = None
    child: Child | None = None
    timeout_ms: int | None = None
    grace_ms: int = 10_000
    output: Data | None = None  # a decision's own
    fail: tuple[Data, ...] | None = None  # type, message, perhaps bases
    retry: Retry = Retry()
    # once per visit again
    on_error: tuple[ErrorClause, ...] = ()
    assign: tuple[tuple[str, Data], ...] = ()
    append: tuple[tuple[str, Data], ...] = ()  # `assign: {name: {append: …}}`
    publish: tuple[Publication, ...] = ()
    signals: tuple[Signalling, ...] = ()
    cancels: tuple[StepNumber, ...] = ()
    split: Literal["first", "all"] = "first"
    routes: tuple[Edge, ...] = ()  # in order of evaluation; a default (`when` None) comes last
    terminate: bool = False  # `end: terminate`
    arrivals: tuple[EdgeNumber, ...] = ()
    """Edges into this step, `next` and `on_error`; a state machine's joins count over them."""
    reads: tuple[Read, ...] = ()
    """What expressions anywhere in the plan read of this step's output."""
    path_ms: int = 0
    """Of the longest path that still follows when it begins, the step itself included."""

    @property
    def error_edges(self) -> tuple[Edge, ...]:
        """The edges that `on_error` may take."""
        return tuple(clause.edge for clause in self.on_error if clause.edge is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopePlan:
    """A lexical scope: the root, a body, a branch, a handler's custom action. One notation each."""

    number: ScopeNumber
    retired: bool = False  # of an earlier version: nothing opens it
    owner: StepNumber | None = None  # the body or parallel step; None: the root, a custom action
    name: str | None = None  # a branch's
    notation: Notation
    steps: tuple[StepNumber, ...]
    start: tuple[StepNumber, ...]  # a state machine's one, a DAG's roots
    variables: Mapping[str, Data]  # declared here, with initial values
    output: Data | None = None
    ends: tuple[StepNumber, ...] = ()
    """Possible end steps: they fix the shape of a default output (one: its output, else a map)."""
    reachable: Mapping[StepNumber, frozenset[StepNumber]] = field(default_factory=dict)
    """From each step of a state machine, the steps that a token there may still come to (itself
    only when on a loop): tells a join that a way into it can no longer send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A definition's version, ready to run."""

    namespace: str
    id: str
    version: str
    content_hash: str
    scopes: tuple[ScopePlan, ...]
    steps: tuple[StepPlan, ...]
    edges: tuple[Edge, ...]
    validate_input: Validate | None = None
    validate_output: Validate | None = None
    on_error: tuple[ErrorClause, ...] = ()
    deadline: Data | None = None
    priority: int | None = None  # 1–10, 10 is most urgent; None: as whoever starts it
    dedicated: bool = False  # its executions live in actors of their own
    semaphores: Mapping[str, int] = field(default_factory=dict)
    handlers: tuple[Handler, ...] = ()
    awaited: frozenset[str] = frozenset()
    """Types of the events that the plan waits for: those that come early are kept for a time."""
    handled: frozenset[str] = frozenset()
    """Types of the events that a handler looks at."""
    input_reads: tuple[Read, ...] = ()
    calendars: Calendars = field(default_factory=dict)
    """Those that deadlines name, as they were when the version was registered."""
    code: str | None = None  # the blob with the modules shipped with this version
    tags: Mapping[str, str] = field(default_factory=dict)
    step_by_id: Mapping[str, StepNumber] = field(default_factory=dict)
    monitors: tuple[Monitor, ...] = ()
    """Of declared properties, those that are watched."""
    watched_facts: frozenset[str] = frozenset()
    """What they ask of what lasts, as `Watched.happened` has it."""

    @property
    def root(self) -> ScopePlan:
        return self.scopes[0]

"""What an execution does, at any time of its life, when an event comes that a handler fits."""

from __future__ import annotations

import hashlib

from heliostat.engine.errors import ExpressionError
from heliostat.engine.kernel.activation import Opening
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.events import (
    CancelRequested,
    ExecutionPaused,
    ExecutionResumed,
    Failure,
    HandlerFired,
)
from heliostat.engine.kernel.looking import close_scope
from heliostat.engine.kernel.messages import (
    AnyMessage,
    StartChild,
    TellCancel,
    TellPause,
    TellResume,
    TellSignal,
)
from heliostat.engine.kernel.state import ROOT, Buffered
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.kernel.waits import event_view
from heliostat.engine.plan.plan import Action, ActionKind, Handler

_OWN: dict[ActionKind, None] = {"cancel": None, "pause": None, "resume": None}


class _Actions:
    """What a handler's actions come to, before anything is recorded."""

    def __init__(self, turn: Turn, handler: Handler, came: Buffered) -> None:
        self._turn, self._handler, self._came = turn, handler, came
        root = turn.state.scopes[ROOT]
        self.context = ScopeContext(
            turn.plan, turn.state, root, turn.now_ms, event=event_view("event", came)
        ).seeded(None, f"handler.{handler.number}")
        self.opening = Opening(turn.plan, turn.state)
        self.messages: list[tuple[str, AnyMessage]] = []
        self.own: list[ActionKind] = []
        self.scopes: list[tuple[int, int]] = []

    def add(self, number: int, action: Action) -> None:
        """Raises `ExpressionError` where one of the action's fields has no value."""
        state, context = self._turn.state, self.context
        if action.kind == "start":
            assert action.child is not None
            body = StartChild(
                definition=action.child.workflow,
                version=action.child.version,
                input=None if action.input is None else action.input.evaluate(context),
                priority=state.inherited,
            )
            self.messages.append((self._child_id(number, action), body))
        elif action.kind == "signal":
            assert action.signalling is not None
            told = action.signalling
            data = None if told.data is None else told.data.evaluate(context)
            receiver = _receiver(told.execution.evaluate(context))
            self.messages.append((receiver, TellSignal(name=told.name, data=data)))
        elif action.kind in _OWN:
            receiver = state.execution_id
            if action.execution is not None:
                receiver = _receiver(action.execution.evaluate(context))
            if receiver == state.execution_id:
                self.own.append(action.kind)
                return
            reason = f"a handler of {state.execution_id}"
            bodies: dict[ActionKind, AnyMessage] = {
                "cancel": TellCancel(reason=reason),
                "pause": TellPause(),
                "resume": TellResume(),
            }
            self.messages.append((receiver, bodies[action.kind]))
        elif state.closing is None:  # nothing new begins in an execution that is about to end
            if action.kind == "trigger":
                assert action.step is not None
                step = self._turn.plan.steps[action.step]
                self.opening.visit(step, state.scopes[ROOT], context)
            else:
                assert action.scope is not None
                scope = self.opening.side_scope(action.scope, context)
                self.scopes.append((scope, action.scope))

    def _child_id(self, number: int, action: Action) -> str:
        if action.child_id is not None:
            return _receiver(action.child_id.evaluate(self.context))
        name = f"{self._turn.state.execution_id}#{self._came.id}#{self._handler.number}.{number}"
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        return f"{self._turn.state.execution_id[:100]}.{digest}"


def _receiver(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ExpressionError("`execution` and `id` must be the id of an execution")
    return value


def handle(turn: Turn, handler: Handler, came: Buffered) -> None:
    """Do what a handler says, if the event fits it: all its actions, in the order written."""
    if f"{came.id}/{handler.number}" in turn.state.seen:
        return
    actions = _Actions(turn, handler, came)
    failure = None
    try:
        if handler.where is not None and not handler.where.test(actions.context):
            return
        for number, action in enumerate(handler.actions):
            actions.add(number, action)
    except ExpressionError as error:
        failure = Failure(type="ExpressionError", message=f"handler {handler.name!r}: {error}")
    turn.emit(
        HandlerFired(
            at_ms=turn.now_ms,
            handler=handler.number,
            event_id=came.id,
            sent=tuple(receiver for receiver, _ in actions.messages),
            activated=tuple(actions.opening.activated),
            scopes=tuple(actions.scopes),
            failure=failure,
        )
    )
    for receiver, body in actions.messages:
        turn.send(receiver, body)
    for number, kind in enumerate(actions.own):
        _own(turn, kind, f"{came.id}/{handler.number}.{number}")


def _own(turn: Turn, kind: ActionKind, message_id: str) -> None:
    """What a handler asks of its own execution."""
    state = turn.state
    if kind == "cancel":
        if not state.cancel_ids:
            reason = "a handler said so"
            turn.emit(CancelRequested(at_ms=turn.now_ms, message_id=message_id, reason=reason))
            if state.closing is None:
                close_scope(turn, state.scopes[ROOT], canceled=True)
    elif kind == "pause":
        if not state.paused and state.closing is None:
            turn.emit(ExecutionPaused(at_ms=turn.now_ms, message_id=message_id))
    elif state.paused:
        turn.emit(ExecutionResumed(at_ms=turn.now_ms, message_id=message_id))

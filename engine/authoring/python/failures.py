"""What steps fail with that none of the user's code raised, as classes for `except`.

Errors go by name. The engine's own know no base classes, so a clause that names their base here
names all of them (`names_of`); those of scripts and requests are classes where they are raised
(`actors/runner/builtin.py`), whose names these have.
"""

from __future__ import annotations

from typing import Final


class StepError(Exception):
    """Base of what the engine itself fails a step with."""


class DeadlineExceeded(StepError):
    """A step has not ended by its deadline."""


class Timeout(StepError):
    """An attempt took longer than its `timeout`."""


class RunnerLost(StepError):
    """A step lost its runner again and again."""


class OutOfMemory(StepError):
    """An attempt was stopped by its memory limit."""


class SchemaError(StepError):
    """A value does not fit the schema that it was promised to fit."""


class TaskFailed(StepError):
    """Somebody gave up a task of `hs.human`; the text is what they said."""


class TooFewItems(StepError):
    """`hs.map` needs more results than its list has elements."""


class ChildFailed(StepError):
    """A workflow that was called has failed, with whatever error."""


class ScriptError(Exception):
    """A script of `hs.script` failed, or printed no JSON."""


class ServiceError(Exception):
    """A request of `hs.http` failed, or was not answered by a status from 200 to 299."""


class TransientServiceError(ServiceError):
    """Another attempt may help: no connection, no answer, a 429, or a status from 500 on."""


class PermanentServiceError(ServiceError):
    """Another attempt would get the same answer, as a 404."""


class UnexpectedStatus(ServiceError):
    """The answer has another status than those from 200 to 299."""


_NAMELESS: Final = ("Canceled", "RecursionTooDeep", "Unschedulable")
"""Engine's errors that have no class here: nobody would do something else about them."""


def names_of(kind: type) -> tuple[str, ...]:
    """The names by which a clause of `on_error` takes what `except` with this class does."""
    if kind is StepError:
        return (
            kind.__name__,
            *(each.__name__ for each in StepError.__subclasses__() if each.__module__ == __name__),
            *_NAMELESS,
        )
    return (kind.__name__,)

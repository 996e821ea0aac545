"""Errors cross processes: with their type, their words and their facts."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from heliostat.engine import errors
from heliostat.engine.errors import HeliostatError

MADE = [
    errors.DefinitionError("a.yaml", ["a.yaml:1:1 error[HS010] it lacks an id"]),
    errors.NotFound("execution", "a", "its namespace is 'default'"),
    errors.Overloaded("the queue", 1.5),
    errors.Overloaded("the buffer", 1.0, "1000 signals wait already"),
    errors.ResultTimeout("a", 3.0),
    errors.ExpressionError("no value", "$.a", (0, 3)),
    errors.InputError("wrong", {"field": "input"}),
    errors.ConfigurationError("wrong"),
    errors.Duplicate("taken", {"difference": "+a"}),
    errors.Unmapped("no", {"obstacles": [{"place": "step `a`", "reason": "is gone"}]}),
    errors.Dependency("order", ["a"], ["pay@1"]),
    errors.ExecutionFailed("a", {"type": "Busy", "message": "later", "step": "charge"}),
    errors.ExecutionCanceled("a"),
    errors.HistoryMisfit(7, "step.completed", "pay", "visit 1 of step 'pay' is not open"),
]
"""Those that are made from more than one message."""


def types() -> Iterator[type[HeliostatError]]:
    def below(type_: type[HeliostatError]) -> Iterator[type[HeliostatError]]:
        yield type_
        for subclass in type_.__subclasses__():
            yield from below(subclass)

    return (type_ for type_ in below(HeliostatError) if type_.__module__ == errors.__name__)


def test_each_is_tried() -> None:
    own = {type_ for type_ in types() if type_.__init__ is not HeliostatError.__init__}
    assert own == {type(error) for error in MADE}


@pytest.mark.parametrize(
    "error",
    [*MADE, *(type_("a message") for type_ in types() if type_.__init__ is Exception.__init__)],
    ids=repr,
)
def test_each_survives_a_pickle(error: HeliostatError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.details, again.code) == (str(error), error.details, error.code)
    assert str(error)

"""The decorator marks a function and leaves it what it was."""

import inspect
import pickle

import pytest
from pydantic import ValidationError

from heliostat.engine.authoring.steps import Retry, Step, StepOptions, step


@step
def double(n: int, *, twice: bool = False) -> int:
    """Multiply by two."""
    return n * (4 if twice else 2)


@step(retry=Retry(max_attempts=3), timeout="5s")
def halve(n: int) -> float:
    return n / 2


def test_a_marked_function_is_called_as_before() -> None:
    assert double(2) == 4
    assert double(2, twice=True) == 8
    assert halve(3) == 1.5


def test_it_keeps_name_docstring_and_signature() -> None:
    assert double.__name__ == "double"  # type: ignore[attr-defined]
    assert double.__doc__ == "Multiply by two."
    assert list(inspect.signature(double).parameters) == ["n", "twice"]


def test_options_are_kept() -> None:
    assert double.options == StepOptions()
    assert halve.options.retry.max_attempts == 3
    assert halve.using(timeout="1m").options.timeout == "1m"
    assert halve.options.timeout == "5s"


def test_it_is_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(double)) is double


def test_a_local_one_cannot_be_imported_and_is_given_by_value() -> None:
    @step
    def local(n: int) -> int:
        return n

    made, parts = local.__reduce__()
    assert made is Step
    assert parts[0] is local.function


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": "5"},
        {"timeout": 5},
        {"retry": Retry(max_attempts=0)},
        {"retry": Retry(initial="soon")},
        {"retry": Retry(on=["not a name"])},
        {"num_cpus": -1},
        {"memory": "lots"},
        {"resources": {"tpu": 0}},
        {"effects": "exactly_once"},
    ],
)
def test_options_that_no_definition_could_have_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        step(**options)  # type: ignore[call-overload]

"""Which failures another attempt follows."""

from __future__ import annotations

import pytest

from heliostat.actors.runner.builtin import SecretMissing, status_error
from heliostat.engine.kernel.events import Failure
from heliostat.engine.kernel.policy import retries
from heliostat.engine.plan.plan import Retry


def failure(kind: type[BaseException]) -> Failure:
    """As a runner reports it."""
    names = tuple(each.__name__ for each in kind.__mro__[:-1])
    return Failure(type=names[0], message="m", mro=names)


class TestServiceErrors:
    """Nothing but `max_attempts` has to be said for the right ones to be retried."""

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
    def test_what_may_pass_is_retried(self, status: int) -> None:
        assert retries(Retry(max_attempts=2), failure(status_error(status)), 1)
        assert not retries(Retry(max_attempts=2), failure(status_error(status)), 2)

    @pytest.mark.parametrize("kind", [status_error(404), status_error(422), SecretMissing])
    def test_what_stays_is_not(self, kind: type[BaseException]) -> None:
        assert not retries(Retry(max_attempts=2), failure(kind), 1)

    @pytest.mark.parametrize("name", ["Status404", "UnexpectedStatus", "PermanentServiceError"])
    def test_what_stays_is_retried_where_on_names_it(self, name: str) -> None:
        assert retries(Retry(max_attempts=2, on=(name,)), failure(status_error(404)), 1)

    def test_never_on_has_the_last_word(self) -> None:
        retry = Retry(max_attempts=2, on=("ServiceError",), never_on=("Status503",))
        assert retries(retry, failure(status_error(500)), 1)
        assert not retries(retry, failure(status_error(503)), 1)


@pytest.mark.parametrize("name", ["ExpressionError", "SchemaError", "NoWayOn", "Stuck"])
def test_an_error_that_repeats_itself_is_retried_only_where_on_names_it(name: str) -> None:
    found = Failure(type=name, message="m", mro=(name,))
    assert not retries(Retry(max_attempts=2), found, 1)
    assert retries(Retry(max_attempts=2, on=(name,)), found, 1)

"""The shared suite, against a real host in this process; and what only a client over HTTP does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from heliostat.actors.client.client import Client
from tests.client_http.behaviour import Behaviour
from tests.client_http.conftest import Place


class TestInThisProcess(Behaviour):
    @pytest.fixture(params=["within", "http"])
    def client(self, request: pytest.FixtureRequest, place: Place) -> Iterator[Client]:
        if request.param == "within":
            yield place.within
        else:
            yield request.getfixturevalue("over_http")

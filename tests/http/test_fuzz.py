"""Whatever is sent, valid or not, is answered as the OpenAPI document says."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from itertools import chain

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import DataObject, booleans, data, sampled_from
from schemathesis import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)

from heliostat.api.http.app import OPERATIONS, create_app
from heliostat.api.http.document import document
from heliostat.api.http.door import Way
from heliostat.engine.errors import Unreachable
from tests.http.conftest import Place

EXAMPLES = 10
"""Of each operation: half a minute in all."""

FRAMING = {"content-length", "transfer-encoding", "connection", "host", "expect", "upgrade"}
"""Headers by which the server knows what the request is; what breaks them never reaches us."""

IDS = ["fuzz-ask", "fuzz-patient", "fuzz-hello", "hello", "fuzz-ask~1:0:1:1"]

# Identifiers and durations have rules that a pattern does not say; what the deployment holds
# decides about the rest. So data of the right shape may be refused, and the other way round.
NOT_DECIDED_BY_SHAPE = [positive_data_acceptance, negative_data_rejection, unsupported_method]


def nobody() -> Way:
    raise Unreachable("only the document is wanted")


@pytest.fixture(scope="module")
def address(place: Place) -> Iterator[str]:
    """The door on a socket of its own, with executions and tasks that the fuzzer can hit."""
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(lambda: place.way, code_path=[place.home]),
            host="127.0.0.1",
            port=0,
            log_level="critical",
        )
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="door")
    thread.start()
    while not server.started:
        time.sleep(0.01)
    place.client.start("ask", {"order": "o-1"}, id="fuzz-ask")
    place.client.start("patient", id="fuzz-patient")
    place.client.start("hello", {"name": "ann"}, id="fuzz-hello").result(60)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(60)


SCHEMA = schemathesis.openapi.from_dict(document(create_app(nobody), chain(*OPERATIONS)))
ALL = [
    operation
    for operation in (result.ok() for result in SCHEMA.get_all_operations())
    if not operation.path.endswith("/events") or operation.method == "post"  # a stream stays open
]


@pytest.mark.parametrize("operation", ALL, ids=lambda each: each.label)
def test_it_is_answered_as_documented(operation: APIOperation, address: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data())
    def ask(drawn: DataObject) -> None:
        mode = drawn.draw(sampled_from(list(GenerationMode)))
        case = drawn.draw(operation.as_strategy(generation_mode=mode))
        if case.path_parameters and drawn.draw(booleans()):
            # Most ids that are drawn are none that there is.
            case.path_parameters = {"id": drawn.draw(sampled_from(IDS))}
        for framing in [name for name in case.headers or {} if name.lower() in FRAMING]:
            del case.headers[framing]
        case.call_and_validate(base_url=address, excluded_checks=NOT_DECIDED_BY_SHAPE, timeout=60)

    ask()

"""The words for a door that gives no answer."""

from __future__ import annotations

import errno
import os

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from heliostat.api.client.unreached import broken, too_late

KEY = ConnectionKey("door", 8080, False, True, None, None, None, None)


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            aiohttp.ClientConnectorError(KEY, _os_error(errno.ECONNREFUSED)),
            "the connection is refused, nothing listens on that port",
        ),
        (
            aiohttp.ClientConnectorError(KEY, _os_error(errno.EHOSTUNREACH)),
            "no way leads to that host",
        ),
        (
            aiohttp.ClientConnectorError(KEY, _os_error(errno.EMFILE)),
            "no connection: Too many open files",
        ),
        (
            aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known")),
            "no host is found by the name 'door'",
        ),
        (
            aiohttp.ServerDisconnectedError(),
            "the connection ended before an answer came",
        ),
        (ConnectionResetError(), "the connection ended before an answer came"),
    ],
)
def test_a_connection_that_breaks(error: aiohttp.ClientError | OSError, words: str) -> None:
    assert broken(error) == words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (aiohttp.ConnectionTimeoutError(), "no connection within 5 s"),
        (TimeoutError(), "no answer within 30 s"),
    ],
)
def test_a_bound_that_is_over(error: TimeoutError, words: str) -> None:
    assert too_late(error, connect_s=5, answer_s=30) == words

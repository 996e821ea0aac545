"""Service calls against a real server on this machine, which fails in every way there is."""

from __future__ import annotations

import base64
import gzip
import ipaddress
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.dispatch.protocol import Raised, Returned
from heliostat.actors.runner import service_calls
from heliostat.actors.runner.current import Current
from heliostat.engine.builtin import NEVER_RETRIED, TARGETS
from heliostat.engine.values import Sealed
from tests.runner.bench import Bench, open_bench
from tests.runner.service import (
    Answer,
    Service,
    endless,
    http,
    nobody,
    reset,
    silent,
    then,
)

SECRET = "s3cr3t/token=="
TOKEN = Sealed(("Bearer ", ""), ("token",))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path, {"TOKEN": SECRET, "BROKEN": "br0ken\n"}) as bench:
        yield bench


def call(bench: Bench, service: Service | str, path: str = "/", **fields: Any) -> Any:
    """Make one attempt; `attempt`, `timeout_ms` and `begun` are the bench's."""
    own = {name: fields.pop(name) for name in ("attempt", "timeout_ms", "begun") if name in fields}
    url = service if isinstance(service, str) else service.url(path)
    return bench.call(TARGETS["service_call"], {"url": url, **fields}, **own)


def failure(bench: Bench, answers: list[Answer], **fields: Any) -> Any:
    with Service(answers) as service:
        report = call(bench, service, **fields)
    assert isinstance(report, Raised), report
    assert report.failure.traceback is None
    return report.failure


def is_retried(failure: Any) -> bool:
    """By a step that says `max_attempts` and nothing else."""
    return not set(NEVER_RETRIED) & set(failure.mro)


class TestRequests:
    def test_a_body_is_sent_as_json_and_the_answer_read_as_json(self, bench: Bench) -> None:
        with Service([http(201, {"id": 7}, X_Trace="t")]) as service:
            report = call(bench, service, "/orders", method="POST", body={"a": [1, None, "ä"]})
        assert isinstance(report, Returned), report
        assert report.output["status"] == 201
        assert report.output["body"] == {"id": 7}
        assert report.output["headers"]["x-trace"] == "t"
        (request,) = service.requests
        assert (request.method, request.target) == ("POST", "/orders")
        assert request.json == {"a": [1, None, "ä"]}
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"].startswith("heliostat/")

    def test_a_text_is_sent_as_it_is(self, bench: Bench) -> None:
        with Service([http()]) as service:
            call(bench, service, method="PUT", body="<a>ä</a>", headers={"content-type": "a/xml"})
            call(bench, service, method="PUT", body="plain")
            call(bench, service, method="DELETE", body=None)
        first, second, third = service.requests
        assert first.body.decode() == "<a>ä</a>"
        assert first.headers["content-type"] == "a/xml"
        assert second.headers["content-type"] == "text/plain; charset=utf-8"
        assert "content-type" not in third.headers

    def test_query_and_url_are_put_together_and_quoted(self, bench: Bench) -> None:
        with Service([http()]) as service:
            query = {"q": "a b&c", "n": [1, 2], "on": True, "none": None}
            call(bench, service, "/x y?first=1#part", query=query)
            call(bench, service, "/x", query="a=1&b=2")
        assert service.requests[0].target == "/x%20y?first=1&q=a+b%26c&n=1&n=2&on=true"
        assert service.requests[1].target == "/x?a=1&b=2"

    def test_the_idempotency_key_is_the_same_over_attempts(self, bench: Bench) -> None:
        with Service([http(500), http(503), http(200)]) as service:
            reports = [call(bench, service, method="POST", attempt=n) for n in (1, 2, 3)]
            call(bench, service, headers={"idempotency-key": "mine"})
        keys = [request.headers["idempotency-key"] for request in service.requests]
        assert keys == ["ns/ex:1:s:3"] * 3 + ["mine"]
        assert [isinstance(report, Returned) for report in reports] == [False, False, True]

    def test_a_large_body_goes_out(self, bench: Bench) -> None:
        with Service([http()]) as service:
            report = call(bench, service, method="POST", body="x" * 3_000_000)
        assert isinstance(report, Returned)
        assert len(service.requests[0].body) == 3_000_000

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"url": "/orders"}, "'/orders'"),
            ({"url": "ftp://example.org/"}, "'ftp://example.org/'"),
            ({"url": "http://"}, "'http://'"),
            ({"url": "http://[::1"}, "'http://[::1'"),
            ({"headers": {"a b": "1"}}, "'a b'"),
            ({"headers": {"A": "x\r\nB: y"}}, "'A'"),
            ({"headers": {"A": Sealed(("", ""), ("broken",))}}, "line break"),
            ({"headers": {"A": [1]}}, "'A'"),
            ({"headers": {"Content-Length": 3}}, "leave it out"),
            ({"query": [1]}, "`query`"),
            ({"query": {"a": {}}}, "'a'"),
        ],
    )
    def test_what_cannot_be_sent_is_told(
        self, bench: Bench, fields: dict[str, Any], told: str
    ) -> None:
        report = call(bench, **{"service": fields.pop("url", "http://127.0.0.1:1/"), **fields})
        assert report.failure.type == "InvalidRequest", report.failure
        assert told in report.failure.message
        assert not is_retried(report.failure)


class TestAnswers:
    @pytest.mark.parametrize(
        ("kind", "content", "body"),
        [
            ("application/json", b'{"a": 1}', {"a": 1}),
            ("application/problem+json; charset=utf-8", b"[1]", [1]),
            ("text/plain; charset=latin-1", b"\xe4", "ä"),
            ("text/html", b"<p>", "<p>"),
            ("text/plain", b"\xff\xfe", base64.b64encode(b"\xff\xfe").decode()),
            ("text/plain; charset=nonsense", b"ab", base64.b64encode(b"ab").decode()),
            ("application/atom+xml", b"<a/>", "<a/>"),
            ("image/png", b"\x89PNG", base64.b64encode(b"\x89PNG").decode()),
            ("application/json", b"", None),
        ],
    )
    def test_bodies_are_read_by_their_content_type(
        self, bench: Bench, kind: str, content: bytes, body: Any
    ) -> None:
        with Service([http(200, content, content_type=kind)]) as service:
            assert call(bench, service).output["body"] == body

    def test_without_a_content_type_text_is_text(self, bench: Bench) -> None:
        with Service([http(200, b"hello"), http(200, b"\xff")]) as service:
            assert call(bench, service).output["body"] == "hello"
            assert call(bench, service).output["body"] == "/w=="

    def test_compressed_and_chunked_bodies_are_unpacked(self, bench: Bench) -> None:
        packed = gzip.compress(b'{"a": 1}')
        chunked = b"4\r\n[1,2\r\n1\r\n]\r\n0\r\n\r\n"
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        answers: list[Answer] = [
            http(200, packed, content_type="application/json", content_encoding="gzip"),
            head + b"Content-Type: application/json\r\n\r\n" + chunked,
        ]
        with Service(answers) as service:
            assert call(bench, service).output["body"] == {"a": 1}
            assert call(bench, service).output["body"] == [1, 2]

    def test_headers_of_one_name_are_joined(self, bench: Bench) -> None:
        head = b"HTTP/1.1 204 No\r\nVia: a\r\nVia: b\r\nSet-Cookie: x=1\r\nSet-Cookie: y=2\r\n\r\n"
        with Service([head]) as service:
            output = call(bench, service).output
        assert output == {
            "status": 204,
            "headers": {"via": "a, b", "set-cookie": "x=1\ny=2"},
            "body": None,
        }

    def test_head_has_no_body_however_long_it_says_it_is(self, bench: Bench) -> None:
        with Service([http(200, content_length="999999999999")]) as service:
            assert call(bench, service, method="HEAD").output["body"] is None

    def test_no_cookie_and_no_connection_is_kept(self, bench: Bench) -> None:
        with Service([http(200, set_cookie="session=1")]) as service:
            call(bench, service)
            call(bench, service)
        assert all("cookie" not in request.headers for request in service.requests)
        assert len(service.requests) == 2

    def test_the_environments_proxy_and_netrc_are_not_used(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "netrc").write_text("default login me password mine")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        with Service([http()]) as service:
            assert isinstance(call(bench, service), Returned)
        assert "authorization" not in service.requests[0].headers


class TestStatuses:
    @pytest.mark.parametrize(
        ("expect", "status", "good"),
        [
            (None, 204, True),
            (None, 304, False),
            ([404], 404, True),
            (["2xx", "404"], 404, True),
            (["2XX"], 200, True),
            ([201], 200, False),
            (["5xx"], 503, True),
        ],
    )
    def test_expect_says_what_success_is(
        self, bench: Bench, expect: Any, status: int, good: bool
    ) -> None:
        more = {} if expect is None else {"expect": expect}
        with Service([http(status)]) as service:
            report = call(bench, service, **more)
        assert isinstance(report, Returned if good else Raised)

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
    def test_what_may_pass_is_retried(self, bench: Bench, status: int) -> None:
        found = failure(bench, [http(status)])
        assert found.type == f"Status{status}"
        assert {"UnexpectedStatus", "TransientServiceError", "ServiceError"} <= set(found.mro)
        assert is_retried(found)

    @pytest.mark.parametrize("status", [300, 304, 400, 401, 403, 404, 409, 410, 418, 422])
    def test_what_stays_is_not_retried(self, bench: Bench, status: int) -> None:
        found = failure(bench, [http(status)])
        assert found.type == f"Status{status}"
        assert {"UnexpectedStatus", "PermanentServiceError", "ServiceError"} <= set(found.mro)
        assert not is_retried(found)

    def test_the_message_says_what_was_asked_and_what_came(self, bench: Bench) -> None:
        with Service([http(404, {"error": "no order 7"})]) as service:
            found = call(bench, service, "/orders/7", expect=[200, "3xx"]).failure
        assert found.message == (
            f"GET {service.url('/orders/7')} answered 404 Not Found, not 200 or 3xx: "
            f'{{"error": "no order 7"}}'
        )

    def test_of_a_long_body_the_beginning_is_told(self, bench: Bench) -> None:
        head = b"HTTP/1.1 500 No\r\nContent-Length: 99999999999\r\n\r\nfault! "
        found = failure(bench, [then(head, endless)])
        assert found.type == "Status500"
        assert "fault!" in found.message
        assert len(found.message) < 700


class TestFaults:
    def test_no_listener(self, bench: Bench) -> None:
        with nobody() as port:
            found = call(bench, f"http://127.0.0.1:{port}/").failure
        assert found.type == "ConnectError"
        assert f"GET http://127.0.0.1:{port}/" in found.message
        assert is_retried(found)

    def test_no_such_host(self, bench: Bench) -> None:
        found = call(bench, "http://there-is-no-such-host.invalid/").failure
        assert found.type == "ConnectError"
        assert "there-is-no-such-host.invalid" in found.message

    def test_no_answer_to_the_connection(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service_calls, "CONNECT_S_MAX", 0.2)
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            waiting = [socket.socket() for _ in range(4)]
            try:
                for one in waiting:  # those fill the queue; what comes then gets no answer
                    one.setblocking(False)
                    one.connect_ex(("127.0.0.1", port))
                found = call(bench, f"http://127.0.0.1:{port}/").failure
            finally:
                for one in waiting:
                    one.close()
        assert found.type == "ConnectTimeout"
        assert "ConnectError" in found.mro
        assert is_retried(found)

    @pytest.mark.parametrize(
        "answer",
        [
            silent,
            then(b"HTTP/1.1 200 OK\r\nContent-Le", silent),
            then(http(200, b"ab")[:-1], silent),
        ],
        ids=["before the answer", "within its head", "within its body"],
    )
    def test_silence(self, bench: Bench, monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
        monkeypatch.setattr(service_calls, "SILENCE_S_MAX", 0.2)
        found = failure(bench, [answer])
        assert found.type == "ReadTimeout"
        assert "`timeout`" in found.message
        assert is_retried(found)

    def test_one_that_goes_on_too_long(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        def dripping(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            connection.settimeout(0.02)
            while True:
                connection.sendall(b".")
                try:
                    if not connection.recv(1):
                        return
                except TimeoutError:
                    continue

        monkeypatch.setattr(service_calls, "TOTAL_S_MAX", 0.3)
        assert failure(bench, [dripping]).type == "ReadTimeout"

    def test_a_steps_own_timeout_is_waited_for(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service_calls, "SILENCE_S_MAX", 0.05)
        monkeypatch.setattr(service_calls, "TOTAL_S_MAX", 0.05)
        late = threading.Event()

        def answer(connection: socket.socket) -> None:
            late.wait(0.3)
            connection.sendall(http(200, {"late": True}))

        with Service([answer]) as service:
            report = call(bench, service, timeout_ms=60_000)
        assert report.output["body"] == {"late": True}

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            reset,
            b"HTTP/1.1 200 OK\r\nContent-Type: te",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            then(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", reset),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        ],
        ids=["at once", "reset", "in its head", "in its body", "reset in it", "in a chunk"],
    )
    def test_a_connection_that_is_cut(self, bench: Bench, answer: Answer) -> None:
        found = failure(bench, [answer])
        assert found.type == "ConnectionCut", found
        assert is_retried(found)

    @pytest.mark.parametrize(
        "answer",
        [
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
            http(200, b"abcdef", content_length="3"),
            http(200, b"no gzip", content_encoding="gzip"),
            http(200, b'{"a": ', content_type="application/json"),
            http(200, b"[" * 100_000, content_type="application/json"),
            http(200, b'"\xff"', content_type="application/json"),
        ],
        ids=[
            *("no HTTP", "no status", "no length", "no chunk", "long header"),
            *("more than announced", "no gzip"),
            *("cut JSON", "deep JSON", "no UTF-8"),
        ],
    )
    def test_an_answer_that_cannot_be_read(self, bench: Bench, answer: Answer) -> None:
        found = failure(bench, [answer])
        assert found.type == "InvalidResponse", found
        assert not is_retried(found)
        assert len(found.message) < 2_000

    @pytest.mark.parametrize(
        "head",
        [
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        ],
        ids=["unannounced", "announced"],
    )
    def test_a_huge_body_is_not_read_to_its_end(self, bench: Bench, head: bytes) -> None:
        found = failure(bench, [then(head, endless)])
        assert found.type == "ResponseTooLarge"
        assert "16,777,216" in found.message
        assert not is_retried(found)

    def test_a_body_that_is_huge_unpacked_is_not_unpacked(self, bench: Bench) -> None:
        squeezer = zlib.compressobj(wbits=31)
        packed = b"".join(squeezer.compress(bytes(1_000_000)) for _ in range(200))
        packed += squeezer.flush()
        assert len(packed) < 1_000_000
        found = failure(bench, [http(200, packed, content_encoding="gzip")])
        assert found.type == "ResponseTooLarge"

    def test_one_just_as_large_as_allowed_is_read(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service_calls, "RESPONSE_BYTES_MAX", 100_000)
        answers: list[Answer] = [http(200, b"x" * 100_000), http(200, b"x" * 100_001)]
        with Service(answers) as service:
            assert isinstance(call(bench, service), Returned)
            assert call(bench, service).failure.type == "ResponseTooLarge"

    def test_an_attempt_that_is_to_stop_ends_at_once(self, bench: Bench) -> None:
        arrived = threading.Event()

        def answer(connection: socket.socket) -> None:
            arrived.set()
            silent(connection)

        def stop(current: Current) -> None:
            assert arrived.wait(60)
            current.stop()

        with Service([answer]) as service:
            report = call(bench, service, begun=stop)
            assert report.failure.type == "CancelledError"
        with Service([http(200, {"next": 1})]) as service:
            assert call(bench, service).output["body"] == {"next": 1}


class TestRedirects:
    def test_get_is_led_on_with_its_headers(self, bench: Bench) -> None:
        answers: list[Answer] = [
            http(302, location="/b?x=1"),
            http(301, location="c"),
            http(200, b"there"),
        ]
        with Service(answers) as service:
            report = call(bench, service, "/a", headers={"Authorization": TOKEN})
        assert report.output["body"] == "there"
        assert [request.target for request in service.requests] == ["/a", "/b?x=1", "/c"]
        assert {request.headers["authorization"] for request in service.requests} == {
            f"Bearer {SECRET}"
        }

    def test_another_origin_gets_nothing_of_the_steps(self, bench: Bench) -> None:
        sent = {
            "Authorization": TOKEN,
            "X-Api-Key": Sealed(("", ""), ("token",)),
            "Cookie": "a=b",
            "X-Plain": "p",
            "Accept": "text/html",
        }
        with Service([http(200, b"other")]) as other:
            elsewhere = other.url("/", host="localhost")
            with Service([http(307, location=elsewhere)]) as service:
                report = call(bench, service, headers=sent, body={"t": TOKEN})
        assert report.output["body"] == "other"
        (request,) = other.requests
        assert request.headers["accept"] == "text/html"
        assert not {"authorization", "x-api-key", "cookie", "x-plain", "idempotency-key"} & set(
            request.headers
        )
        assert request.body == b""
        assert SECRET not in str(request)

    def test_another_port_is_another_origin(self, bench: Bench) -> None:
        with Service([http(200)]) as other, Service([http(302, location=other.url())]) as service:
            call(bench, service, headers={"Authorization": TOKEN})
        assert "authorization" not in other.requests[0].headers

    def test_a_loop_ends(self, bench: Bench) -> None:
        with Service([http(302, location="/again")]) as service:
            found = call(bench, service).failure
        assert found.type == "RedirectError"
        assert not is_retried(found)
        assert len(service.requests) == service_calls.REDIRECTS_MAX + 1

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://x/", "http://[::1", "//"])
    def test_one_to_where_none_leads_is_told(self, bench: Bench, location: str) -> None:
        found = failure(bench, [http(302, location=location)])
        assert found.type == "RedirectError"
        assert location in found.message

    def test_post_is_not_sent_twice(self, bench: Bench) -> None:
        with Service([http(307, location="/elsewhere")]) as service:
            found = call(bench, service, method="POST", body={}).failure
        assert found.type == "Status307"
        assert "redirected to /elsewhere" in found.message
        assert len(service.requests) == 1

    def test_one_that_is_expected_is_the_answer(self, bench: Bench) -> None:
        with Service([http(302, location="/elsewhere")]) as service:
            output = call(bench, service, expect=["3xx"]).output
        assert (output["status"], output["headers"]["location"]) == (302, "/elsewhere")
        assert len(service.requests) == 1


class TestSecrets:
    """They go where the step says, and into no record, whatever the service does with them."""

    def test_they_are_sent_in_url_headers_and_body(self, bench: Bench) -> None:
        with Service([http()]) as service:
            url = Sealed((service.url("/v1/"), "/x?k=", ""), ("token", "token"))
            report = bench.call(
                TARGETS["service_call"],
                {
                    "url": url,
                    "method": "POST",
                    "headers": {"Authorization": TOKEN},
                    "body": {"deep": [{"key": TOKEN}]},
                },
            )
        assert isinstance(report, Returned), report
        (request,) = service.requests
        assert request.target == f"/v1/{SECRET}/x?k={SECRET}"
        assert request.headers["authorization"] == f"Bearer {SECRET}"
        assert request.json == {"deep": [{"key": f"Bearer {SECRET}"}]}
        assert SECRET.encode() not in bench.recorded

    def test_an_answer_that_repeats_them_is_recorded_without(self, bench: Bench) -> None:
        echo = {"headers": {"Authorization": f"Bearer {SECRET}"}, SECRET: [f"<{SECRET}>"]}
        with Service([http(200, echo, x_echo=SECRET)]) as service:
            output = call(bench, service, headers={"Authorization": TOKEN}).output
        assert output["body"] == {
            "headers": {"Authorization": "Bearer [secret]"},
            "[secret]": ["<[secret]>"],
        }
        assert output["headers"]["x-echo"] == "[secret]"
        assert SECRET.encode() not in bench.recorded

    @pytest.mark.parametrize(
        "answer",
        [
            http(401, {"error": f"no such token: {SECRET}"}),
            http(302, location=f"http://127.0.0.1:1/?t={SECRET}"),
            http(302, location=f"file:///{SECRET}"),
            http(200, f"{{{SECRET}".encode(), content_type="application/json"),
            f"HTTP/1.1 {SECRET}\r\n\r\n".encode(),
            b"",
        ],
        ids=["status", "redirect", "bad redirect", "bad JSON", "no HTTP", "cut"],
    )
    def test_no_error_tells_them(self, bench: Bench, answer: Answer) -> None:
        with Service([answer]) as service:
            url = Sealed((service.url("/"), ""), ("token",))
            headers = {"Authorization": TOKEN}
            report = bench.call(TARGETS["service_call"], {"url": url, "headers": headers})
        assert isinstance(report, Raised), report
        assert SECRET.encode() not in bench.recorded
        assert b"[secret]" in bench.recorded

    def test_one_that_cannot_be_a_url_is_not_told_either(self, bench: Bench) -> None:
        report = bench.call(TARGETS["service_call"], {"url": Sealed(("", ""), ("token",))})
        assert report.failure.type == "InvalidRequest"
        assert SECRET.encode() not in bench.recorded

    def test_a_password_in_the_url_is_used_and_not_told(self, bench: Bench) -> None:
        with Service([http(401)]) as service:
            found = call(bench, service.url().replace("//", "//ann:pass-word@")).failure
        expected = base64.b64encode(b"ann:pass-word").decode()
        assert service.requests[0].headers["authorization"] == f"Basic {expected}"
        assert "pass-word" not in found.message

    def test_a_missing_one_stops_the_call_and_is_not_retried(self, bench: Bench) -> None:
        with Service([http()]) as service:
            headers = {"Authorization": Sealed(("", ""), ("other",))}
            found = call(bench, service, headers=headers).failure
        assert found.type == "SecretMissing"
        assert "HELIOSTAT_SECRET_OTHER" in found.message
        assert not is_retried(found)
        assert service.requests == []


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> ssl.SSLContext:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        pem = tmp_path / "pem"
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context

    def test_a_certificate_that_nobody_vouches_for(
        self, bench: Bench, certificate: ssl.SSLContext
    ) -> None:
        with Service([http()], tls=certificate) as service:
            found = call(bench, service).failure
        assert found.type == "CertificateError"
        assert not is_retried(found)
        assert service.requests == []

    def test_a_server_that_speaks_no_tls(self, bench: Bench) -> None:
        with Service([http()], reads=False) as service:
            found = call(bench, service.url().replace("http:", "https:")).failure
        assert found.type == "ConnectError"
        assert is_retried(found)

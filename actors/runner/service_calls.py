"""Service call steps: one HTTP request, and what came back.

- Every request carries `Idempotency-Key`, the same for all attempts of a visit; a header of that
  name in the step wins.
- `body`: a text is sent as it is, anything else as JSON, null not at all.
- Only a status that `expect` names is success. The output is `{status, headers, body}`, the body
  read as JSON where the content type says so, as text where it is text, else as Base64 text.
- A redirect of GET or HEAD is followed, `REDIRECTS_MAX` times, unless `expect` names its status;
  never from https to http. Another origin gets none of the step's headers but `HARMLESS_HEADERS`,
  and no body. Other methods are not sent twice: there a redirect is an unexpected status.
- Nothing is kept between calls: no connection, no cookie. Proxies of the environment and `.netrc`
  are not looked at. Any host may be called; who may call what is the network's to say.
- Whatever goes wrong is one of the errors in `builtin.py`.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp import http_exceptions
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

import heliostat

from .builtin import (
    CertificateError,
    ConnectError,
    ConnectionCut,
    ConnectTimeout,
    InvalidRequest,
    InvalidResponse,
    ReadTimeout,
    RedirectError,
    ResponseTooLarge,
    status_error,
)
from .current import current

CONNECT_S_MAX: Final = 30.0
"""For name, connection and TLS together."""

SILENCE_S_MAX: Final = 30.0
"""Without a byte of the answer, where the step has no `timeout` of its own."""

TOTAL_S_MAX: Final = 300.0
"""For all of it, where the step has no `timeout` of its own."""

RESPONSE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of a body, unpacked: a runner holds it in memory, and larger data has better ways to travel."""

REDIRECTS_MAX: Final = 5

EXCERPT_CHARS_MAX: Final = 500
"""Of the body, in the error of an unexpected status."""

HARMLESS_HEADERS: Final = frozenset({"accept", "accept-language", "user-agent"})

_E = TypeVar("_E", bound=BaseException)

_EXCERPT_BYTES: Final = 16 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_FOLLOWED: Final = frozenset({301, 302, 303, 307, 308})
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_COMPUTED: Final = frozenset({"content-length", "transfer-encoding", "connection"})
_TEXTUAL: Final = re.compile(
    r"text/.*|application/(.*\+)?(xml|yaml|x-yaml|javascript|x-ndjson|graphql|toml)"
    r"|application/x-www-form-urlencoded"
)
_JSON_TYPE: Final = re.compile(r"application/(.*\+)?json|text/json")


async def call(
    *,
    url: str,
    method: str = "GET",
    headers: Mapping[str, Any] | None = None,
    query: Any = None,
    body: Any = None,
    expect: Sequence[int | str] | None = None,
) -> dict[str, Any]:
    """Make the request; `{status, headers, body}` of an expected answer.

    Header names are in lower case; of several headers of one name the values are joined by `, `,
    and by line breaks for `set-cookie`.

    Raises:
        ServiceError: see `builtin.py`.
    """
    attempt = current()
    around = attempt.around
    request = _Request(
        method=method.upper(),
        url=_with_query(_url(url, around.scrub), query),
        headers=_headers(headers or {}),
        expected=tuple(expect or ("2xx",)),
        scrub=around.scrub,
    )
    request.headers.setdefault("Idempotency-Key", quote(attempt.idempotency_key, safe="/:@+,;= "))
    request.headers.setdefault("User-Agent", f"heliostat/{heliostat.__version__}")
    request.add_body(body)
    return await request.answered(_bounds(around.timeout_ms))


def _bounds(step_ms: int | None) -> aiohttp.ClientTimeout:
    """A step's own `timeout` ends the attempt from outside, and may be longer than ours."""
    if step_ms is not None:
        return aiohttp.ClientTimeout(connect=CONNECT_S_MAX)
    return aiohttp.ClientTimeout(total=TOTAL_S_MAX, connect=CONNECT_S_MAX, sock_read=SILENCE_S_MAX)


class _Request:
    """One request and the redirects it follows."""

    def __init__(
        self,
        *,
        method: str,
        url: URL,
        headers: CIMultiDict[str],
        expected: tuple[int | str, ...],
        scrub: Callable[[str], str],
    ) -> None:
        self.headers = headers
        self._method, self._url, self._expected, self._scrub = method, url, expected, scrub
        self._body: bytes | None = None

    def add_body(self, body: Any) -> None:
        """What is sent, and its type unless the step names it."""
        if body is None:
            return
        if isinstance(body, str):
            self._body = body.encode("utf-8", "replace")
            self.headers.setdefault("Content-Type", "text/plain; charset=utf-8")
            return
        try:
            self._body = msgspec.json.encode(body)
        except (TypeError, msgspec.MsgspecError, RecursionError) as error:
            raise InvalidRequest(
                f"the body cannot be sent as JSON ({error}); send the parts that are needed as "
                f"numbers and texts"
            ) from None
        self.headers.setdefault("Content-Type", "application/json")

    async def answered(self, bounds: aiohttp.ClientTimeout) -> dict[str, Any]:
        """The output."""
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=bounds,
            trust_env=False,
        )
        async with session:
            for _ in range(REDIRECTS_MAX + 1):
                async with self._response(session) as response:
                    if _matches(response.status, self._expected):
                        return await self._output(response)
                    if not self._is_redirect(response):
                        raise await self._unexpected(response)
                    self._follow(response.headers["Location"])
        raise RedirectError(f"{self._shown} is one redirect too many: {REDIRECTS_MAX} are followed")

    @asynccontextmanager
    async def _response(
        self, session: aiohttp.ClientSession
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer's head; whatever goes wrong until its body is read, as one of our errors."""
        try:
            async with session.request(
                self._method,
                self._url,
                headers=self.headers,
                data=None if self._body is None else io.BytesIO(self._body),
                allow_redirects=False,
            ) as response:
                yield response
        except aiohttp.ClientConnectorCertificateError as error:
            raise CertificateError(self._told(f"the certificate is not valid: {error}")) from None
        except aiohttp.ConnectionTimeoutError:
            raise ConnectTimeout(self._told(f"no connection within {CONNECT_S_MAX:g} s")) from None
        except aiohttp.ClientConnectorError as error:
            reason = error.strerror or str(error)
            raise ConnectError(self._told(f"no connection: {reason}")) from None
        except TimeoutError:
            raise ReadTimeout(self._told(_too_slow(session.timeout))) from None
        except aiohttp.ClientPayloadError as error:
            if _cause(error, http_exceptions.DecompressSizeError):
                raise self._too_large() from None
            if _is_garbled(error):
                raise InvalidResponse(self._told(f"the body cannot be read: {error}")) from None
            raise ConnectionCut(self._told("the connection ended within the answer")) from None
        except aiohttp.ClientConnectionError as error:
            raise ConnectionCut(
                self._told(f"the connection ended before the answer: {error}")
            ) from None
        except aiohttp.InvalidURL:
            raise InvalidRequest(self._told("this is no URL that can be called")) from None
        except (aiohttp.ClientError, http_exceptions.HttpProcessingError) as error:
            raise InvalidResponse(self._told(f"the answer is no HTTP: {_brief(error)}")) from None

    async def _output(self, response: aiohttp.ClientResponse) -> dict[str, Any]:
        content = await self._content(response)
        return {
            "status": response.status,
            "headers": _plain_headers(response.headers),
            "body": self._body_of(response, content),
        }

    async def _content(self, response: aiohttp.ClientResponse) -> bytes:
        length = response.content_length
        received = bytearray()
        if length is None or length <= RESPONSE_BYTES_MAX or self._method == "HEAD":
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                received += chunk
                if len(received) > RESPONSE_BYTES_MAX:
                    break
            else:
                return bytes(received)
        response.close()
        raise self._too_large()

    def _too_large(self) -> ResponseTooLarge:
        return ResponseTooLarge(
            self._told(
                f"the answer is longer than {RESPONSE_BYTES_MAX:,} bytes: ask for less, or fetch "
                f"it in an activity that stores it"
            )
        )

    def _body_of(self, response: aiohttp.ClientResponse, content: bytes) -> Any:
        if not content:
            return None
        kind = response.content_type if "Content-Type" in response.headers else None
        if kind is not None and _JSON_TYPE.fullmatch(kind):
            try:
                return msgspec.json.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                excerpt = self._excerpt(content, response.charset)
                raise InvalidResponse(
                    self._told(f"the body says it is {kind} and is not ({error}): {excerpt}")
                ) from None
        if kind is None or response.charset is not None or _TEXTUAL.fullmatch(kind):
            try:
                return content.decode(response.charset or "utf-8")
            except (UnicodeDecodeError, LookupError):
                pass  # not what it says it is: binary
        return base64.b64encode(content).decode()

    async def _unexpected(self, response: aiohttp.ClientResponse) -> Exception:
        received = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            received += chunk
            if len(received) >= _EXCERPT_BYTES:
                response.close()  # the rest is of no interest
                break
        excerpt = self._excerpt(bytes(received[:_EXCERPT_BYTES]), response.charset)
        kind = status_error(response.status)
        location = response.headers.get("Location")
        if location is not None and 300 <= response.status < 400:
            excerpt = f"redirected to {self._scrub(location)}. {excerpt}".strip()
        return kind(self._shown, response.status, self._expected, excerpt)

    def _excerpt(self, content: bytes, charset: str | None) -> str:
        try:
            text = content.decode(charset or "utf-8", "replace")
        except LookupError:
            text = content.decode("utf-8", "replace")
        text = " ".join(self._scrub(text).split())
        cut = len(text) > EXCERPT_CHARS_MAX
        return f"{text[:EXCERPT_CHARS_MAX]}…" if cut else text

    def _is_redirect(self, response: aiohttp.ClientResponse) -> bool:
        return (
            response.status in _FOLLOWED
            and self._method in ("GET", "HEAD")
            and "Location" in response.headers
        )

    def _follow(self, location: str) -> None:
        shown = self._scrub(location)
        try:
            target = self._url.join(URL(location))
        except ValueError:
            raise RedirectError(f"{self._shown} redirects to {shown!r}, which is no URL") from None
        if target.scheme not in ("http", "https") or not target.host:
            raise RedirectError(f"{self._shown} redirects to {shown!r}, which is not called")
        if self._url.scheme == "https" and target.scheme == "http":
            raise RedirectError(f"{self._shown} redirects to {shown!r}, away from https")
        if target.origin() != self._url.origin():
            self._body = None
            harmless = [(k, v) for k, v in self.headers.items() if k.lower() in HARMLESS_HEADERS]
            self.headers = CIMultiDict(harmless)
        self._url = target

    @property
    def _shown(self) -> str:
        return self._scrub(f"{self._method} {self._url.with_user(None)}")

    def _told(self, what: str) -> str:
        return f"{self._shown}: {self._scrub(what)}"


def _url(text: str, scrub: Callable[[str], str]) -> URL:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidRequest(
            f"{scrub(text)!r} is no URL that can be called: write it whole, as "
            f"https://example.org/path"
        )
    return url.with_fragment(None)


def _with_query(url: URL, query: Any) -> URL:
    """The URL with more pairs; a list gives its name several times, null leaves it out."""
    if query is None:
        return url
    if isinstance(query, str):
        return url.extend_query(query)
    if not isinstance(query, Mapping):
        raise InvalidRequest("`query` maps names to values, or is a text such as `a=1&b=2`")
    pairs = [
        (name, _text(each, f"{name!r} in `query`"))
        for name, value in query.items()
        for each in (value if isinstance(value, list) else [value])
        if each is not None
    ]
    return url.extend_query(pairs) if pairs else url


def _headers(given: Mapping[str, Any]) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name):
            raise InvalidRequest(f"{name!r} in `headers` is no header's name")
        if name.lower() in _COMPUTED:
            raise InvalidRequest(f"{name!r} in `headers` is worked out here: leave it out")
        if value is None:
            continue
        text = _text(value, f"{name!r} in `headers`").strip(" \t")
        if re.search(r"[\0-\x08\n-\x1f\x7f]", text):
            raise InvalidRequest(
                f"the value of {name!r} in `headers` holds a line break or another control "
                f"character (a secret read from a file may end with one)"
            )
        headers[name] = text
    return headers


def _text(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    raise InvalidRequest(f"{where} is neither a text, a number nor a boolean")


def _matches(status: int, expected: Iterable[int | str]) -> bool:
    """Whether a status is among those expected, each as `200` or `2xx`."""
    own = str(status), f"{status // 100}xx"
    return any(str(each).lower() in own for each in expected)


def _plain_headers(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    plain: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        between = "\n" if lower == "set-cookie" else ", "
        text = value.encode("utf-8", "replace").decode()  # raw bytes come as lone surrogates
        plain[lower] = f"{plain[lower]}{between}{text}" if lower in plain else text
    return plain


def _too_slow(timeout: aiohttp.ClientTimeout) -> str:
    if timeout.sock_read is None:
        return "no answer in time"
    return (
        f"no answer for {timeout.sock_read:g} s, or not all of it within {timeout.total:g} s: give "
        f"the step a `timeout` to wait as long as that"
    )


def _is_garbled(error: BaseException) -> bool:
    """Whether a body was complete and is wrong in itself."""
    if _cause(error, http_exceptions.ContentEncodingError):
        return True
    chunks = _cause(error, http_exceptions.TransferEncodingError)
    return chunks is not None and "not enough data" not in str(chunks).lower()


def _brief(error: BaseException) -> str:
    """What the parser of answers found, in one line."""
    text = " ".join(str(getattr(error, "message", error)).split())
    return text if len(text) <= EXCERPT_CHARS_MAX else f"{text[:EXCERPT_CHARS_MAX]}…"


def _cause(error: BaseException | None, kind: type[_E]) -> _E | None:
    """The error of a kind among those that led to this one."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error

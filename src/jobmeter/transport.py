"""One HTTP client port on the standard library: one endpoint, one connection, every failure one sentence.

What it needs is imported when the first endpoint is made, so that a meter that sends nothing stays small.
"""

import contextlib
import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from jobmeter.model.errors import SendError

if TYPE_CHECKING:
    import ssl
    from http.client import HTTPConnection
    from urllib.parse import SplitResult

TIMEOUT_SECONDS = 10.0
MAX_ANSWER_BYTES = 64 * 1024
MAX_RETRY_AFTER_SECONDS = 60.0
_RETRYABLE = frozenset({408, 425, 429})
# What the TLS library takes the answer of a plain HTTP server for.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG"})


class Answer(NamedTuple):
    """What a service answered."""

    status: int
    body: bytes


class _Question(NamedTuple):
    """What a service is asked; ``timeout`` in seconds; without ``max_bytes`` MAX_ANSWER_BYTES are read."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]
    timeout: float
    max_bytes: int | None = None


class _Problem(msgspec.Struct):
    """The part of an RFC 9457 problem that is said again."""

    detail: str = ""


class Endpoint:
    """A service below one URL, which may hold a path, and a user name and password (sent as Basic where no token is).

    Connections are kept and made again as needed; proxies come from the environment, certificates from the system
    or $SSL_CERT_FILE. No redirect is followed: the token is for this address only. For one thread.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        from urllib.parse import urlsplit

        self._parts = urlsplit(url)
        self._token = token
        self._headers = _authorization(self._parts, token)
        self._connection: HTTPConnection | None = None
        self._certificates: ssl.SSLContext | None = None
        # A proxy for plain http is asked for whole URLs.
        self._prefix = self._parts.path.rstrip("/")
        # The name of the service in every sentence: without user name and password.
        self.name = shown(url)

    def post(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout: float = TIMEOUT_SECONDS,
        expected: Collection[int] = (),
    ) -> Answer:
        """POST to ``path`` below the URL; ``timeout`` in seconds holds for each step of it.

        Returns an answer of 200 to 299 or of an ``expected`` status. Raises SendError for all else.
        """
        return self._ask(_Question("POST", path, body, headers, timeout), expected)

    def get(self, path: str, *, timeout: float = TIMEOUT_SECONDS, max_bytes: int | None = None) -> Answer:
        """GET ``path``, which may have a query, below the URL; ``timeout`` in seconds holds for each step of it.

        Returns an answer of 200 to 299, cut after ``max_bytes`` (MAX_ANSWER_BYTES unless said). Raises SendError for
        all else.
        """
        return self._ask(_Question("GET", path, None, {}, timeout, max_bytes), ())

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _ask(self, question: _Question, expected: Collection[int]) -> Answer:
        from http.client import HTTPException

        for kept in (self._connection is not None, False):
            try:
                status, text, retry_after = self._exchange(question)
                break
            except (OSError, HTTPException, ValueError) as error:
                self.close()
                # A service closes a kept connection when it likes, also while a request is on its way.
                if not kept or isinstance(error, TimeoutError):
                    raise self._unreachable(error) from None
        if 200 <= status < 300 or status in expected:
            return Answer(status, text)
        raise self._refused(status, text, retry_after)

    def _exchange(self, question: _Question) -> tuple[int, bytes, str | None]:
        connection = self._connection = self._connection or self._connect()
        connection.timeout = question.timeout
        if connection.sock is not None:
            connection.sock.settimeout(question.timeout)
        headers = {**self._headers, **question.headers}
        connection.request(question.method, self._prefix + question.path or "/", question.body, headers)
        response = connection.getresponse()
        text = response.read(question.max_bytes or MAX_ANSWER_BYTES)
        if not response.isclosed() or response.will_close:
            self.close()
        return response.status, text, response.headers.get("Retry-After")

    def _connect(self) -> "HTTPConnection":
        from http.client import HTTPConnection, HTTPSConnection

        host, port = self._parts.hostname or "", self._parts.port
        proxy = proxy_of(self._parts)
        next_host, next_port = (host, port) if proxy is None else (proxy.hostname or "", proxy.port or 80)
        if self._parts.scheme == "https":
            import ssl

            self._certificates = self._certificates or ssl.create_default_context()
            secure = HTTPSConnection(next_host, next_port, context=self._certificates)
            if proxy is not None:
                secure.set_tunnel(host, port, _authorization(proxy, None, "Proxy-Authorization"))
            return secure
        if proxy is not None:
            self._prefix = shown(self._parts._replace(query="").geturl()).rstrip("/")
            self._headers |= _authorization(proxy, None, "Proxy-Authorization")
        return HTTPConnection(next_host, next_port)

    def _unreachable(self, error: Exception) -> SendError:
        import ssl

        if isinstance(error, ssl.SSLCertVerificationError):
            return SendError(
                f"the certificate of {self.name} is not accepted: {error.verify_message}", retryable=False
            )
        if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
            plain = f"http{self.name.removeprefix('https')}"
            return SendError(
                f"{self.name} does not speak TLS; {plain} may be meant", retryable=False, meant=plain
            )
        if isinstance(error, TimeoutError):
            return SendError(f"{self.name} did not answer in time", retryable=True, answered=False)
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return SendError(
            f"{self.name} cannot be reached: {self._masked(reason)}",
            retryable=True,
            answered=_by_a_service(error),
        )

    def _refused(self, status: int, text: bytes, retry_after: str | None) -> SendError:
        from http import HTTPStatus

        detail = ""
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            detail = self._masked(msgspec.json.decode(text, type=_Problem).detail)
        with contextlib.suppress(ValueError):
            detail = detail or HTTPStatus(status).phrase
        if 300 <= status < 400:
            detail = "it is elsewhere, and no redirect is followed: give the address it leads to"
        return SendError(
            f"{self.name} answered {status}: {detail or 'no reason given'}",
            retryable=status in _RETRYABLE or status >= 500,
            status=status,
            retry_after_seconds=_seconds(retry_after),
        )

    def _masked(self, text: str) -> str:
        """What a peer said, as one short line without the token."""
        for one in (self._token, self._parts.password):
            text = text.replace(one, "***") if one else text
        return "".join(sign if sign.isprintable() else " " for sign in text[:300]).strip().rstrip(".")


def _by_a_service(error: Exception) -> bool:
    """Whether somebody was there: what is odd or cut off was begun by a service."""
    import ssl

    cut = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, ssl.SSLError)
    return isinstance(error, cut) or not isinstance(error, OSError)


def shown(url: str) -> str:
    """The URL without user name and password."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return scheme + separator + authority.rpartition("@")[2] + slash + path


def _authorization(parts: "SplitResult", token: str | None, header: str = "Authorization") -> dict[str, str]:
    if token is not None:
        return {header: f"Bearer {token}"}
    if parts.username is None:
        return {}
    from binascii import b2a_base64
    from urllib.parse import unquote

    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {header: f"Basic {b2a_base64(pair.encode(), newline=False).decode()}"}


def proxy_of(parts: "SplitResult") -> "SplitResult | None":
    """The proxy that the environment names for this service."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2], proxies):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header, bounded; a date, the header's other form, is left out."""
    if retry_after is None or not retry_after.strip().isdecimal():
        return None
    return min(float(retry_after.strip()[:6]), MAX_RETRY_AFTER_SECONDS)

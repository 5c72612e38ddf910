"""The docker SDK on a Unix socket, so that another thread can end any wait, and nothing of the user's is read.

The SDK can end the wait for an event, but not for the beginning of an answer, and it waits for events without
a time limit. Its client begins with reading passwords for registries, which a daemon has no need to hold.
Imported only where there is a socket: it needs the SDK.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import docker
from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool

Opened = Callable[[socket.socket], None]


class Client(docker.APIClient):  # type: ignore[misc]  # the SDK has no types
    """The SDK's client for one socket; ``speak`` says in which version of the API."""

    def __init__(self, adapter: "CancellableAdapter") -> None:
        super(docker.APIClient, self).__init__()
        self.base_url = "http+docker://localhost"
        self.timeout = adapter.timeout
        self.trust_env = False
        self._general_configs: dict[str, object] = {}
        self.mount("http+docker://", adapter)

    def speak(self, version: str) -> None:
        """Ask in this version from now on."""
        self._version = version


class CancellableAdapter(UnixHTTPAdapter):  # type: ignore[misc]
    """Knows the sockets it opened."""

    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__(f"http+unix://{path}", timeout_seconds)
        self._opened: list[socket.socket] = []
        self._cancelled = False

    def get_connection(self, url: str, proxies: object = None) -> Any:
        """The pool for this address, as the SDK has one for each."""
        with self.pools.lock:
            pool = self.pools.get(url)
            if pool is None:
                pool = _Pool(url, self.socket_path, self.timeout, opened=self._remember)
                self.pools[url] = pool
        return pool

    def cancel(self) -> None:
        """End every wait, and each that would begin."""
        self._cancelled = True
        for opened in list(self._opened):
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close what is open, also under an answer that somebody may still hold."""
        super().close()
        for opened in self._opened:
            descriptor = opened.detach()
            if descriptor >= 0:
                os.close(descriptor)

    def _remember(self, opened: socket.socket) -> None:
        self._opened.append(opened)
        if self._cancelled:
            raise ConnectionAbortedError("cancelled")


class _Pool(UnixHTTPConnectionPool):  # type: ignore[misc]
    def __init__(self, url: str, path: str, timeout_seconds: float, *, opened: Opened) -> None:
        super().__init__(url, path, timeout_seconds, maxsize=1)
        self._tell = opened

    def _new_conn(self) -> UnixHTTPConnection:
        return _Connection(self.base_url, self.socket_path, self.timeout, opened=self._tell)


class _Connection(UnixHTTPConnection):  # type: ignore[misc]
    def __init__(self, url: str, path: str, timeout_seconds: float, *, opened: Opened) -> None:
        super().__init__(url, path, timeout_seconds)
        self._tell = opened

    def connect(self) -> None:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            opened.settimeout(self.timeout)
            opened.connect(self.unix_socket)
            self._tell(opened)
        except BaseException:
            opened.close()
            raise
        self.sock = opened

"""What a receiver holds of senders that do not come to an end."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from tests.receiver.api.running import PUSH, RunningReceiver, running_receiver

CLIENTS, LENGTH = 24, 8_000_000
HEAD = (
    f"POST /api/v1/metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {PUSH}\r\nContent-Length: {LENGTH}\r\n\r\n"
).encode()


def peak_bytes(receiver: RunningReceiver) -> int:
    """The most memory it has had."""
    status = Path(f"/proc/{receiver.process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def test_bodies_that_are_never_complete_leave_room_for_others(tmp_path: Path) -> None:
    """Those beyond the bound are cut off; small ones are stored all the while."""
    with running_receiver(tmp_path) as receiver, ExitStack() as clients:
        receiver.push({"n": 0})
        before, refused = peak_bytes(receiver), 0
        address = urlsplit(receiver.url)
        for _ in range(CLIENTS):
            client = clients.enter_context(socket.create_connection((address.hostname, address.port), 30))
            try:
                client.sendall(HEAD + bytes(LENGTH - 1))
                client.settimeout(0.1)
                refused += client.recv(100).startswith(b"HTTP/1.1 503")
            except TimeoutError:
                continue  # It is waited for.
            except ConnectionError:
                refused += 1
        assert receiver.push({"n": 1}) == 2
        assert refused >= CLIENTS - 7
        assert peak_bytes(receiver) - before < 100 * 2**20

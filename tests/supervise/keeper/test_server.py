"""The starter that forks keepers ends when the gateway is gone, however that went."""

from __future__ import annotations

import os
import socket

import pytest

from jobmeter.supervise.keeper.server import serve


@pytest.mark.parametrize("unread", [False, True])
def test_the_gateway_is_gone(unread: bool) -> None:
    """It ends without a word, also when the gateway has not read all that it was told."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if unread:
        theirs.send(b"an answer")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            ours.close()
            serve(theirs, lambda spec, start: None)
            code = 0
        finally:
            os._exit(code)
    theirs.close()
    ours.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

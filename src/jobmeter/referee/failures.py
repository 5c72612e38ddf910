"""Why a peer cannot be spoken with, in words that hold nothing of what was sent."""

import os
import ssl

import aiohttp

from jobmeter.referee.reading import one_line

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})


def why(error: BaseException) -> str:
    """A few words, to stand after a colon."""
    match error:
        case aiohttp.ClientConnectorCertificateError(
            certificate_error=ssl.SSLCertVerificationError() as cause
        ):
            return f"its certificate is not accepted: {one_line(cause.verify_message)}"
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known here"
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            reason = getattr(error, "reason", None) or getattr(
                getattr(error, "os_error", None), "reason", None
            )
            return "it does not speak TLS" if reason in _NO_TLS else "TLS is not agreed on"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionResetError():
            return "it closed the connection"
        case TimeoutError():
            return "no connection came about in time"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number).lower()
        case aiohttp.ClientConnectorError():
            return "none of its addresses can be connected to"
        case aiohttp.ClientResponseError():
            return "it does not speak HTTP"
    return type(error).__name__

"""The place that was chosen."""

import ssl

from jobmeter.model.errors import UsageError
from jobmeter.referee.uploads.actions import Actions
from jobmeter.referee.uploads.directory import Directory
from jobmeter.referee.uploads.gitlab import GitLab
from jobmeter.referee.uploads.options import UploadOptions
from jobmeter.referee.uploads.port import Place
from jobmeter.referee.uploads.presigned import Presigned
from jobmeter.referee.uploads.sending import USUAL, Sending


def place_of(options: UploadOptions, sending: Sending = USUAL) -> Place:
    """Raises UsageError for authorities that cannot be used."""
    address, token = options.address or "", options.token or ""
    match options.kind:
        case "gitlab":
            return GitLab(address, options.job_id or "", token, _with_authorities(sending, options.ca_file))
        case "actions":
            return Actions(token, options.address, options.runtime_url, options.run_id, sending)
        case "presigned":
            return Presigned(address, sending)
        case "directory":
            return Directory(address)


def _with_authorities(sending: Sending, file: str | None) -> Sending:
    if file is None:
        return sending
    tls = ssl.create_default_context()
    try:
        tls.load_verify_locations(file)
    except (OSError, ssl.SSLError):
        raise UsageError(f"CI_SERVER_TLS_CA_FILE: {file!r} has no certificate that can be read") from None
    return Sending(timeout=sending.timeout, tls=tls, pause=sending.pause)

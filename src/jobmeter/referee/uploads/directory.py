"""A plain directory: whole files, each by its job."""

import asyncio
import contextlib
import os
from dataclasses import dataclass

from jobmeter.model.errors import SendError
from jobmeter.referee.uploads.port import Attachment


@dataclass(frozen=True)
class Directory:
    """One that is there."""

    path: str

    async def upload(self, attachment: Attachment) -> str:
        """Write it under its artifact's name; who looks sees all of it or nothing. Raises SendError."""
        target = os.path.join(self.path, f"{attachment.name}-{attachment.file}")
        try:
            await asyncio.to_thread(_write_whole, target, attachment.content)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise SendError(f"{target} cannot be written: {why}", retryable=False) from None
        return f"in {target}"


def _write_whole(target: str, content: bytes) -> None:
    """Raises OSError, with nothing left behind."""
    directory, name = os.path.split(target)
    temporary = os.path.join(directory, f".{name[:100]}.{os.urandom(4).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise

"""What a runner writes to stdout and stderr: its last mebibyte, in a file."""

import os

KEPT_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024


class Output:
    """A pipe whose ``writing`` end the runner is given, and the file at ``path``, which is never twice KEPT_BYTES."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._size = 0
        self._reading, self.writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reading, False)

    def fileno(self) -> int:
        """Readable when the runner has written, and when nobody can write any more."""
        return self._reading

    def give_away(self) -> None:
        """The runner has the writing end now."""
        os.close(self.writing)

    def take(self) -> bool:
        """Take a piece of what was written; False once nobody can write any more."""
        try:
            piece = os.read(self._reading, _PIECE_BYTES)
        except BlockingIOError:
            return True
        self._keep(piece)
        return bool(piece)

    def close(self) -> None:
        """Take what is left of what was written up to now, and close."""
        left = 2 * KEPT_BYTES // _PIECE_BYTES
        while left and self._more():
            left -= 1
        os.close(self._reading)
        os.close(self._file)

    def _more(self) -> bool:
        try:
            piece = os.read(self._reading, _PIECE_BYTES)
        except BlockingIOError:
            return False
        self._keep(piece)
        return bool(piece)

    def _keep(self, piece: bytes) -> None:
        if self._size + len(piece) >= 2 * KEPT_BYTES:
            last = os.pread(self._file, KEPT_BYTES - len(piece), self._size - KEPT_BYTES + len(piece))
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            self._size = 0
            piece = last + piece
        try:
            self._size += os.write(self._file, piece)
        except OSError:
            return  # A full disk must not stop the job.

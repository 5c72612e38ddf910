"""Every error jobmeter raises on purpose; each message is one sentence for the person who reads it.

JobmeterError                 exit code 1
├── UsageError                exit code 2: a flag, variable or quantity that is not accepted
├── SourceUnavailable         something the kernel or the machine does not let us read, and why
├── KernelFormatError         kernel text that is not what its manual page promises
├── MissingExtra              a library is not installed that one part of jobmeter needs
├── JournalError              a journal that cannot be read or written
├── EvidenceError             a document of evidence that is none, or larger than what is taken
├── StoreError                the receiver's database cannot be opened, read or written
│   ├── StoreFull             there is no room for it
│   └── NewerSchema           a later release made it
├── LaunchError               a keeper cannot start, or cannot clear away, what it was told to
├── SendError                 another service cannot be reached, or does not take what it was sent
└── CommandError              the command could not be started; carries its exit code
    ├── CommandNotExecutable  126
    └── CommandNotFound       127
"""


class JobmeterError(Exception):
    """Base of all errors with a message for the user; ``exit_code`` is what the process returns."""

    exit_code = 1


class UsageError(JobmeterError):
    """What the user gave is not accepted; the message names the value, the place and what is accepted."""

    exit_code = 2


class SourceUnavailable(JobmeterError):
    """A source of numbers cannot be read here; the message says which, and why."""


class KernelFormatError(JobmeterError):
    """Text from the kernel does not have the documented form."""


class MissingExtra(JobmeterError):
    """A library is not installed; ``extra`` is the extra of jobmeter that brings it."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            f"{library} is not installed, it comes with jobmeter's extra {extra}: "
            f"pip install '.[{extra}]' in the checkout"
        )


class JournalError(JobmeterError):
    """A journal or a summary file cannot be read or written."""


class EvidenceError(JobmeterError):
    """A document of evidence is none, of a later version, or larger than what is taken."""


class SendError(JobmeterError):
    """A service cannot be reached or refuses; no secret is in the message.

    ``retryable`` says whether the same may succeed later, ``retry_after_seconds`` when at the earliest;
    ``status`` is the HTTP status, None without an answer. ``answered`` is False when nobody was there to answer,
    not even by cutting the connection. ``meant`` is the URL that seems to have been meant, where there is one.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool,
        status: int | None = None,
        retry_after_seconds: float | None = None,
        answered: bool = True,
        meant: str | None = None,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.answered = answered
        self.meant = meant


class StoreError(JobmeterError):
    """The receiver's database cannot be opened, read or written; the message says which, and why."""


class StoreFull(StoreError):
    """There is no room left for the database; what was acknowledged is in it."""


class NewerSchema(StoreError):
    """A later release has changed the database; this one must not touch it."""


class LaunchError(JobmeterError):
    """A task's runner cannot be started here, or what it left cannot be ended; the message says why."""


class CommandError(JobmeterError):
    """The command could not be started; exit codes as in timeout(1)."""

    exit_code = 125


class CommandNotExecutable(CommandError):
    """The command was found but may not be executed."""

    exit_code = 126


class CommandNotFound(CommandError):
    """The command was not found."""

    exit_code = 127

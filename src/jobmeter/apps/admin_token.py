"""`jobmeter admin token`: gives out tokens and takes them back."""

from jobmeter.config.admin import TokenSettings
from jobmeter.model.errors import UsageError


def token(settings: TokenSettings) -> int:
    """Add, list or revoke. Raises StoreError, UsageError."""
    raise UsageError(f"token {settings.action} is not there yet")

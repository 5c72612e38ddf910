"""Errors of the store beside those of ``model.errors``."""

from jobmeter.model.errors import StoreError


class Locked(StoreError):
    """Another process held the lock of the database all the time that is given to it."""


class Foreign(StoreError):
    """The run is not one of those that its sender may store."""


class NotStorable(StoreError):
    """The database takes no such value, whenever it is sent."""

"""What ``--db`` names: the file of SQLite's, or the address of a PostgreSQL server's."""

_SCHEMES = ("postgresql://", "postgres://")


def is_address(place: str) -> bool:
    """Whether it is the address of a database, not a file."""
    return place.startswith(_SCHEMES)


def shown(place: str) -> str:
    """What may be shown of it: no password. Raises UsageError for an address that is none."""
    if not is_address(place):
        return place
    from jobmeter.receiver.store.postgresql.address import parse_address

    return parse_address(place).shown

"""What ``--db`` names: the file of SQLite's, or the address of a PostgreSQL server's."""

_SCHEMES = ("postgresql://", "postgres://")


def is_address(place: str) -> bool:
    """Whether it is the address of a database, not a file."""
    return place.startswith(_SCHEMES)

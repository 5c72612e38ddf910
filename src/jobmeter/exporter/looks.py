"""When to look at a container again between two readings of all."""

_UNHELD_SECONDS = 0.01
_HELD_SECONDS = 0.025
_YOUNG_SECONDS = 2.0
_SHARE_OF_AGE = 0.5
_UNNAMED_SECONDS = 30.0


class Looks:
    """Of those that have just come, and of those whose first process has just ended.

    An engine takes some milliseconds until a container's first process is there. From then on the kernel tells of its
    end; but on a busy host that may be heard when there is nothing left to read, so the young are read on.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._due: dict[str, float] = {}

    def begin(self, path: str, now: float, *, age: float = 0.0) -> None:
        """Something happens there, or did so long ago."""
        age = min(max(0.0, age), _YOUNG_SECONDS)
        self._since[path] = now - age
        self._due[path] = now + (_UNHELD_SECONDS if age < _YOUNG_SECONDS else age * _SHARE_OF_AGE)

    def drop(self, path: str) -> None:
        """There is nothing more to be seen."""
        self._since.pop(path, None)
        self._due.pop(path, None)

    def due(self, now: float) -> list[str]:
        """Where to look now."""
        return [path for path, due in self._due.items() if due <= now]

    def seconds_left(self, now: float, most: float) -> float:
        """How long there is nothing to look at, but not more than that."""
        return max(0.0, min(most, min(self._due.values(), default=now + most) - now))

    def looked(self, path: str, now: float, *, held: bool, named: bool) -> bool:
        """Look again while there is something to be seen: ``held`` if its end is told, ``named`` if all is known.

        Whether its engine has long made it by now.
        """
        age = now - self._since[path]
        if age < _YOUNG_SECONDS:
            self._due[path] = now + (_HELD_SECONDS if held else _UNHELD_SECONDS)
        elif named or age > _UNNAMED_SECONDS:
            self.drop(path)
        else:
            self._due[path] = now + age * _SHARE_OF_AGE
        return age >= _YOUNG_SECONDS

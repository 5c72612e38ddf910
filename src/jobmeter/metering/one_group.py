"""The one group of a run: the command and its descendants."""

from collections.abc import Iterable

from jobmeter.metering.group import Group
from jobmeter.model.sample import ContainerInfo


class OneGroup:
    """A single group, declared once."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self._declared = False

    def refresh(self, elapsed: float) -> Iterable[ContainerInfo]:
        """The group's declaration, the first time."""
        if self._declared:
            return ()
        self._declared = True
        return (self.group.info,)

    def live(self) -> Iterable[Group]:
        """The group."""
        return (self.group,)

    @property
    def orphan_reaper(self) -> int | None:
        """None: orphans of the one group stay in it."""
        return None

"""The rule that names containers.

Grouping (fact of the Forgejo Runner Resource Collector): a process named in ``CGROUP_PROCESS_MAP``
identifies its cgroup, and every other process of that cgroup belongs to the same container. The rule:

- A process is named by its comm and, where readable, by the base name of argv[0]; case counts.
- The kernel cuts comm to 15 bytes, so a longer name of the map also matches by its first 15 bytes,
  unless the full name of another entry with the same beginning is seen.
- When processes of a group match several entries, the one that stands first in the map wins.
- The first group to match an entry gets its name; the next ones get ``name-2``, ``name-3``.
- A name from the map stays for the run. What no entry names is called by its cgroup's short name until
  a named process starts in it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jobmeter.containers.cgroup_path import ContainerRef, short_name

COMM_BYTES = 15


class Naming(NamedTuple):
    """A container's current name; ``mapped`` if the map gave it, ``changed`` if it was another before."""

    name: str
    mapped: bool
    changed: bool


class ContainerNamer:
    """Names the containers of one run; a name is never given to two of them."""

    def __init__(self, process_map: Mapping[str, str], known: Mapping[str, str] | None = None) -> None:
        """``known`` are the names by key of a run that goes on, so that they stay as they were."""
        self._process_map = dict(process_map)
        self._order = {process: place for place, process in enumerate(process_map)}
        self._by_comm: dict[str, list[str]] = {}
        for process in process_map:
            for comm in _cut_names(process):
                self._by_comm.setdefault(comm, []).append(process)
        self._names = dict(known or {})
        self._taken = set(self._names.values())
        self._mapped = {key for key, name in self._names.items() if self._is_from_map(name)}

    def name(self, key: str, ref: ContainerRef | None, path: str, process_names: Iterable[str]) -> Naming:
        """The name of the group ``key``, given names of its processes (those not told before suffice).

        ``ref`` is the container of its cgroup path, None outside of one; ``path`` is that path.
        """
        previous = self._names.get(key)
        if previous is not None and key in self._mapped:
            return Naming(previous, mapped=True, changed=False)
        process = self._match(process_names)
        if process is not None:
            self._mapped.add(key)
            return self._give(key, self._process_map[process], previous, mapped=True)
        if previous is not None:
            return Naming(previous, mapped=False, changed=False)
        return self._give(key, short_name(path if ref is None else ref), previous, mapped=False)

    def _match(self, process_names: Iterable[str]) -> str | None:
        """The entry of the map that these processes identify."""
        if not self._process_map:
            return None
        seen = frozenset(process_names)
        matched: set[str] = set()
        for name in seen:
            if name in self._process_map:
                matched.add(name)
            elif name in self._by_comm:
                candidates = self._by_comm[name]
                # argv[0] tells candidates with the same 15 bytes apart; without it the first one is meant.
                if seen.isdisjoint(candidates):
                    matched.add(candidates[0])
        return min(matched, key=self._order.__getitem__, default=None)

    def _give(self, key: str, wanted: str, previous: str | None, *, mapped: bool) -> Naming:
        name, number = wanted, 1
        while name in self._taken and name != previous:
            number += 1
            name = f"{wanted}-{number}"
        self._taken.add(name)
        self._names[key] = name
        return Naming(name, mapped=mapped, changed=previous is not None and name != previous)

    def _is_from_map(self, name: str) -> bool:
        base, _, number = name.rpartition("-")
        values = self._process_map.values()
        return name in values or (number.isdigit() and base in values)


def _cut_names(process: str) -> set[str]:
    """The first 15 bytes of a longer name, in the ways that a cut character may have been decoded."""
    encoded = process.encode("utf-8", "replace")
    if len(encoded) <= COMM_BYTES:
        return set()
    cut = encoded[:COMM_BYTES]
    return {cut.decode("utf-8", errors) for errors in ("replace", "surrogateescape", "ignore")}

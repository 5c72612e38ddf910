"""CRI-O.

``crio-ID.scope`` (systemd; crun puts the processes into ``…scope/container``) and ``crio-ID``
(cgroupfs), below the pod's directory. The monitor's ``crio-conmon-ID`` is no container.
Source: cri-o's internal/config/cgmgr.
"""

from collections.abc import Sequence

from jobmeter.containers.engines.ids import prefixed_id

NAME = "crio"


def find_id(parts: Sequence[str], index: int) -> str | None:
    """The id when ``parts[index]`` is a container of CRI-O."""
    return prefixed_id(parts[index], "crio")

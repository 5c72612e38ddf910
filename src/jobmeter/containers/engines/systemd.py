"""systemd's machines.

``machine.slice/machine-NAME.scope`` (machined: nspawn, libvirt's guests) and
``systemd-nspawn@NAME.service``. Services, slices and sessions are no containers.
Source: systemd-machined(8), systemd-nspawn(1), systemd.unit(5) for the escapes.
"""

import re
from collections.abc import Sequence

NAME = "systemd"
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def find_id(parts: Sequence[str], index: int) -> str | None:
    """The name when ``parts[index]`` is a machine."""
    component = parts[index]
    if component.startswith("machine-") and component.endswith(".scope"):
        return unescape(component[8:-6]) or None
    if component.startswith("systemd-nspawn@") and component.endswith(".service"):
        return unescape(component[15:-8]) or None
    return None


def unescape(name: str) -> str:
    r"""A unit's name as it was before systemd-escape(1): ``\x2d`` is a dash."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), name) if "\\x" in name else name

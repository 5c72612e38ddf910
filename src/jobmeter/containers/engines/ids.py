"""Forms of ids and unit names that several engines share."""

_HEX = "0123456789abcdef"
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_FULL_ID_DIGITS = 64
_SHORT_ID_DIGITS = 12
_BUILD_ID_DIGITS = 25


def is_long_hex(text: str) -> bool:
    """Whether this is a full id of Docker, containerd, CRI-O or Podman: 64 hexadecimal digits."""
    return len(text) == _FULL_ID_DIGITS and not text.strip(_HEX)


def is_build_id(text: str) -> bool:
    """Whether this is an id of BuildKit: 25 digits of base 36."""
    return len(text) == _BUILD_ID_DIGITS and not text.strip(_BASE36)


def after_prefix(component: str, prefix: str) -> str | None:
    """What an engine's prefix marks in the name of a cgroup.

    ``prefix-ID.scope`` under the systemd driver, ``prefix-ID`` under cgroupfs, and
    ``some.slice:prefix:ID`` where a runtime that was not told of systemd takes the systemd form for a
    directory (runc without ``--systemd-cgroup``).
    """
    if component.startswith(prefix) and component[len(prefix) : len(prefix) + 1] == "-":
        return component[len(prefix) + 1 :].removesuffix(".scope")
    if ":" in component:
        before, colon, rest = component.rpartition(f":{prefix}:")
        return rest if colon and before else None
    return None


def prefixed_id(component: str, prefix: str) -> str | None:
    """The hexadecimal id behind a prefix: so ``crio-conmon-ID`` and ``docker-desktop`` are none."""
    rest = after_prefix(component, prefix) or ""
    return rest if len(rest) >= _SHORT_ID_DIGITS and not rest.strip(_HEX) else None

"""Which namespaces a process is in (namespaces(7))."""

import os

# The initial network namespace's inode lies below this (since Linux 6.18, linux/nsfs.h) or is one of the first
# above (PROC_DYNAMIC_FIRST); where the kernel has a connector, its file in /proc/PID/net is there only.
_FIRST_DYNAMIC_INODE = 0xF0000000
_MADE_AT_BOOT = 256
_ONLY_IN_INITIAL = "connector"


def network_namespace(root: str, pid: int) -> int | None:
    """The inode of a process's network namespace; None when it cannot be seen. ``root`` is /proc."""
    try:
        return os.stat(f"{root}/{pid}/ns/net").st_ino
    except OSError:
        return None


def is_initial_network(root: str, pid: int, inode: int) -> bool:
    """Whether that namespace is the host's."""
    return inode < _FIRST_DYNAMIC_INODE + _MADE_AT_BOOT or os.path.exists(
        f"{root}/{pid}/net/{_ONLY_IN_INITIAL}"
    )

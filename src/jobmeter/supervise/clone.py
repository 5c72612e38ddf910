"""A fork whose child begins in another cgroup: clone3(2) with CLONE_INTO_CGROUP, for version 2 of cgroups.

A process that enters a cgroup by itself waits until no fork is under way on any processor, some 15 ms.
"""

import ctypes
import errno
import os
import signal

_SYS_CLONE3 = 435  # The same on all architectures that this Python runs on; Linux 5.7 knows the flag.
_CLONE_INTO_CGROUP = 0x200000000
# struct clone_args of linux/sched.h: eleven words of 64 bits; the fifth is the signal at exit, the last the cgroup.
_CloneArgs = ctypes.c_uint64 * 11


def clone_into(directory: str) -> int:
    """Fork into the cgroup at ``directory``; 0 in the child. Raises OSError where that cannot be done.

    Only for a child that does little more than exec: Python's own handlers of a fork are not called.
    A process of several threads is refused: the child would wait for a lock that one of them held.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        raise OSError(errno.EBUSY, "more than one thread", directory)
    # PyDLL keeps the interpreter's lock, so that the child has it too.
    libc = ctypes.PyDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        arguments = _CloneArgs(_CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, place)
        pid = int(libc.syscall(_SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments)))
    finally:
        os.close(place)
    if pid < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), directory)
    return pid

"""A filter on the system calls of this process: no sockets, no other processes, no look into other processes.

Needs no privilege. Numbers of system calls are those of Linux on x86_64 and aarch64; elsewhere there is no filter.
"""

import ctypes
import errno
import os
import platform
import struct

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_X32 = 0x40000000
_CLONE_THREAD = 0x00010000

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

# name: (x86_64, aarch64); the latter has no fork, only clone
_DENIED: dict[str, tuple[int, int | None]] = {
    # the network, and what goes round a filter
    "socket": (41, 198), "io_uring_setup": (425, 425),
    # other programs and processes
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "tkill": (200, 130),
    # memory and messages that outlive the process or count for none
    "memfd_create": (319, 279), "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    # other namespaces and mounts, keys, the kernel's own interpreters and probes
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "mount_setattr": (442, 442), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
}  # fmt: skip
_SIGNALS = {"kill": (62, 129), "tgkill": (234, 131)}
_PRLIMIT, _CLONE, _CLONE3 = (302, 261), (56, 220), (435, 435)


def program(machine: str, pid: int) -> bytes | None:
    """The filter for a machine (``uname -m``) and the process that it is for; None for a machine that it knows not.

    A denied call fails with EPERM. ``clone`` may make threads only; ``clone3``, whose flags a filter cannot see, fails
    with ENOSYS, upon which the C library uses ``clone``. Signals and limits may be set for ``pid`` alone.
    """
    if machine not in _ARCHITECTURES:
        return None
    column, architecture = _ARCHITECTURES[machine]
    deny, missing = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    code = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, deny)]
    code += [(_LOAD, 0, 0, _NUMBER)]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, deny)]
    for number in (numbers[column] for numbers in _DENIED.values()):
        code += [] if number is None else [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, deny)]
    for numbers in _SIGNALS.values():
        code += _if(numbers[column], [(_EQUAL, 1, 0, pid), (_RETURN, 0, 0, deny)])
    code += _if(_PRLIMIT[column], [(_EQUAL, 2, 0, 0), (_EQUAL, 1, 0, pid), (_RETURN, 0, 0, deny)])
    code += _if(_CLONE[column], [(_ANY_BIT, 1, 0, _CLONE_THREAD), (_RETURN, 0, 0, deny)])
    code += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, missing), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _if(number: int, checks: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Instructions that run ``checks`` on the first argument of one call and then allow it."""
    body = [(_LOAD, 0, 0, _FIRST_ARGUMENT), *checks, (_RETURN, 0, 0, _ALLOW)]
    return [(_EQUAL, 0, len(body), number), *body]


def install() -> bool:
    """Filter the calls of this thread and of those that it starts, for good; False where that cannot be done.

    PR_SET_NO_NEW_PRIVS must be set.
    """
    code = program(platform.machine(), os.getpid())
    if code is None:
        return False

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    filtering = Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(filtering), 0, 0) == 0)

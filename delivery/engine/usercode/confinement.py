"""What the child process gives up before it runs code that a request brought.

Each layer is asked for; the names of those that this kernel refuses come back, so that the result can say so.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

from delivery.engine.usercode import landlock, seccomp
from delivery.engine.usercode.limits import Limits

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITIES_VERSION = 0x20080522
_PROCESSES_WITHOUT_FILTER = 1024

_SYSTEM = (
    "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/proc/self", "/proc/cpuinfo",
    "/proc/meminfo", "/sys/devices/system/cpu", "/dev/random", "/dev/urandom",
)  # fmt: skip


def confine(scratch: Path, readable: Path, packages: tuple[Path, ...], limits: Limits) -> tuple[str, ...]:
    """Close everything but ``scratch`` (to read and write), ``readable`` and the installed libraries (to read).

    Must be called before any library starts a thread. Returns what could not be closed, in words.
    """
    _limit_resources(limits)
    if not sys.platform.startswith("linux"):
        return ("the network", "the files of this account", "other processes")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    isolated = _leave_network(libc)
    _drop_capabilities(libc)
    libraries = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    read = [Path(path) for path in (*_SYSTEM, *sorted(libraries))]
    files = landlock.restrict([*read, *packages, readable], [scratch, Path("/dev/null")])
    calls = seccomp.install()
    if not calls:
        _limit(resource.RLIMIT_NPROC, _PROCESSES_WITHOUT_FILTER)
    layers = {"the network": isolated or calls, "the files of this account": files, "other processes": calls}
    return tuple(name for name, closed in layers.items() if not closed)


def limit_memory(limits: Limits, input_bytes: int) -> None:
    """Bound what is allocated from now on; the input may be mapped once on top of it.

    Two limits, since each misses something: that on data does not see shared memory, that on address space counts
    the libraries and the mapped input.
    """
    with suppress(OSError, ValueError, IndexError):
        pages = [int(word) for word in Path("/proc/self/statm").read_text(encoding="ascii").split()]
        page = os.sysconf("SC_PAGE_SIZE")
        _limit(resource.RLIMIT_AS, pages[0] * page + limits.memory_bytes + input_bytes)
        _limit(resource.RLIMIT_DATA, pages[5] * page + limits.memory_bytes)


def _limit_resources(limits: Limits) -> None:
    _limit(resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1)  # SIGXCPU, then SIGKILL
    _limit(resource.RLIMIT_FSIZE, limits.disk_bytes)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    """Lower a limit; one that is lower already stays."""
    _, ceiling = resource.getrlimit(kind)
    wanted = soft if hard is None else hard
    top = wanted if ceiling == resource.RLIM_INFINITY else min(wanted, ceiling)
    resource.setrlimit(kind, (min(soft, top), top))


def _leave_network(libc: ctypes.CDLL) -> bool:
    """Move to a network of its own, which has no interfaces; where users may make namespaces."""
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEW_USER | _NEW_NETWORK) != 0:
        return False
    with suppress(OSError):  # without names for user and group everything works, only the numbers look odd
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    return True


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    number = _CAPSET.get(os.uname().machine)
    if number is not None:
        header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
        libc.syscall(number, header, bytes(24))

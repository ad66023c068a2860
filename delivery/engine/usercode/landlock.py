"""Which files this process may read and write, by the kernel's Landlock; needs no privilege (Linux 5.13 and later)."""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15, 4: 15}  # later: 16


def restrict(read: Iterable[Path], write: Iterable[Path]) -> bool:
    """From now on only what lies at or under these paths can be read, or read and written; False without Landlock.

    Paths that do not exist are passed over. Where the kernel knows how, TCP and signals to processes outside are
    closed too. PR_SET_NO_NEW_PRIVS must be set.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)
    if version < 1:
        return False
    rights = (1 << _RIGHTS_BY_VERSION.get(version, 16)) - 1
    attributes = struct.pack("=Q", rights)
    attributes += struct.pack("=Q", 0b11) if version >= 4 else b""  # bind and connect of TCP
    attributes += struct.pack("=Q", 0b11) if version >= 6 else b""  # abstract sockets and signals
    rules = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return False
    try:
        for path in read:
            _allow(libc, rules, path, _READ_FILE | _READ_DIR | _EXECUTE)
        for path in write:
            _allow(libc, rules, path, rights)
        return bool(libc.syscall(_RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        of_folder = stat.S_ISDIR(os.fstat(opened).st_mode)
        beneath = struct.pack("=Qi", rights if of_folder else rights & _OF_FILES, opened)
        libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, beneath, 0)
    finally:
        os.close(opened)

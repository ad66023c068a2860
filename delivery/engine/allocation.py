"""How the process keeps the memory that arrays leave behind.

glibc gives large freed blocks back to the system at once and asks for them anew for the next array, page by page; on
arrays that live as briefly as a query's steps, that takes more time than the steps. Up to `KEPT_BYTES` of freed memory
therefore stay with each of the process's heaps. Other allocators are left as they are.
"""

import ctypes
import sys
from functools import cache

KEPT_BYTES = 256 * 1024 * 1024
_LARGEST_ON_HEAP = 32 * 1024 * 1024  # glibc allows no more
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@cache
def keep_freed_memory() -> None:
    """Have glibc keep what is freed, for the rest of the process."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_ON_HEAP)

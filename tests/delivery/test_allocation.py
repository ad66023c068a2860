"""Freed memory stays with the process, so that arrays need no pages of the system; threads take turns sooner."""

import platform
import subprocess
import sys

import pytest

from delivery.engine.stream import SWITCH_SECONDS, handing_over

ROUNDS = 30
PROGRAM = f"""
import resource, sys
import numpy as np
from delivery.engine.allocation import keep_freed_memory

if "keep" in sys.argv:
    keep_freed_memory()
for _ in range({ROUNDS}):
    arrays = [np.ones(3_000_000, np.int8) for _ in range(4)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def page_faults(*arguments: str) -> int:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left as they are")
def test_arrays_take_the_pages_of_those_before_them() -> None:
    pages_of_a_round = 4 * 3_000_000 // 4096
    assert page_faults() - page_faults("keep") > 0.5 * ROUNDS * pages_of_a_round


def test_the_interpreter_is_handed_over_sooner_until_the_last_transform_ends():
    """Transforms of several threads at once, the first of which ends first."""
    before = sys.getswitchinterval()
    first, second = handing_over(), handing_over()
    first.__enter__()
    second.__enter__()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS, rel=0.01)
    first.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS, rel=0.01)
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == before

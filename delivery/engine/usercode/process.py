"""The child process as its parent sees it: started with nothing, watched, stopped at a limit."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from delivery.engine.usercode.job import PRINTED, Job, Report, read_regular, read_report
from delivery.engine.usercode.limits import Limits

_LOOK_SECONDS = 0.05
_DISK_SECONDS = 0.5
_PRINTED_BYTES, _PRINTED_LINES = 4096, 8
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ")  # without them some installations do not start


class LimitReached(Exception):
    """The process was stopped; ``args[0]`` says at which limit."""


class NoReport(Exception):
    """The process ended without saying how; ``args[0]`` says what the system says."""


def run(job: Job, folder: Path) -> Report:
    """Run the child in ``folder`` until it ends; raises LimitReached and NoReport."""
    began = time.monotonic()
    job.write(folder)
    with (folder / PRINTED).open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-m", "delivery.engine.usercode.child"],
            stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, cwd=folder, env=_environment(folder),
            start_new_session=True,
        )  # fmt: skip
    try:
        _watch(process, folder, job.limits, began)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    report = read_report(folder)
    if report is not None:
        return report
    raise _without_report(process.returncode, job.limits, time.monotonic() - began)


def printed_last(folder: Path) -> str:
    """The last lines that the process printed."""
    text = (read_regular(folder / PRINTED, _PRINTED_BYTES, last=True) or b"").decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-_PRINTED_LINES:])


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of this process but where libraries lie: tokens and passwords live in environments.

    One thread per library: the limits are for one function, and threads would take memory for their stacks.
    """
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    single = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
    place = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "MPLCONFIGDIR"), str(folder))
    return {
        **kept,
        **single,
        **place,
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }


def _watch(process: subprocess.Popen[bytes], folder: Path, limits: Limits, began: float) -> None:
    """Wait for the end; raises LimitReached for time and for disk, which the kernel does not bound for a folder."""
    look_at_disk = began
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_SECONDS)
            return
        now = time.monotonic()
        if now - began > limits.wall_seconds:
            raise LimitReached(f"{limits.wall_seconds:g} s of time")
        if now >= look_at_disk:
            _check_disk(folder, limits)
            look_at_disk = now + _DISK_SECONDS


def _check_disk(folder: Path, limits: Limits) -> None:
    taken = count = 0
    waiting = [str(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                count += 1
                if count > limits.files:
                    raise LimitReached(f"{limits.files} files in its scratch folder")
                with suppress(OSError):
                    taken += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
    if taken > limits.disk_bytes:
        raise LimitReached(disk(limits))


def disk(limits: Limits) -> str:
    """The limit in words."""
    return f"{limits.disk_bytes / 1e6:,.0f} MB of disk"


def _without_report(status: int, limits: Limits, elapsed: float) -> Exception:
    """What a process that ended by itself, or by the kernel's hand, ended of."""
    if status == -signal.SIGKILL and elapsed * (os.cpu_count() or 1) < limits.cpu_seconds:
        return NoReport("the system killed the process, most likely because the machine has no memory left")
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return LimitReached(f"{limits.cpu_seconds:g} s of CPU time")
    if status < 0:
        return NoReport(f"the process died of {signal.Signals(-status).name}")
    return NoReport(f"the process ended by itself with exit code {status}, and without a result")

"""What befalls workers in tests: files that kill them or take their time. Workers import it by its name."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin

KILLER, SLOW, STUCK = "killer", "slow", "stuck"
SLOW_SECONDS = 0.3


class Faults(WorkerPlugin):
    """A file with `KILLER` in its name kills whoever looks at it, one with `SLOW` takes a while, one with `STUCK`
    is not done before the file `released` is there beside `made`.

    What is made is written down, a path a line, in `made`.
    """

    name = "faults"

    def __init__(self, made: Path) -> None:
        self.made = made

    def setup(self, worker: Any) -> None:
        from delivery.service.runner import tasks

        does = tasks._DOES["file"]
        keep = tasks._keep

        def file(job: Any, task: Any) -> Any:
            if KILLER in Path(job.path).name:
                os.kill(os.getpid(), signal.SIGKILL)
            if SLOW in Path(job.path).name:
                time.sleep(SLOW_SECONDS)
            while STUCK in Path(job.path).name and not self.made.with_name("released").exists():
                time.sleep(0.05)
            return does(job, task)

        def kept(job: Any, *rest: Any) -> Any:
            with self.made.open("a") as lines:
                lines.write(f"{job.path}\n")
            return keep(job, *rest)

        tasks._DOES["file"], tasks._keep = file, kept

"""Processors that go wrong in one chunk, for the tests of the run; workers import this module by name."""

import os
import resource
import signal
from pathlib import Path
from typing import Any

from processing.chunks import ChunkResult
from processing.ttbar import TtbarProcessor

BAD_START = 12_000


def seen_before(name: str) -> bool:
    """Whether this fault happened already, in whatever process."""
    mark = Path(os.environ["FAULT_MARKS"]) / name
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return True
    return False


class Faulty(TtbarProcessor):
    def process(self, events: Any) -> ChunkResult:
        if events.metadata["entrystart"] == BAD_START:
            self.fault()
        return super().process(events)

    def fault(self) -> None:
        raise NotImplementedError


class Broken(Faulty):
    def fault(self) -> None:
        raise ZeroDivisionError("a bug in the analysis\nwith a second line")


class ReturnsADict(TtbarProcessor):
    def process(self, events: Any) -> Any:
        return {"events": len(events)}


class BrokenUntilMended(Faulty):
    def fault(self) -> None:
        if not seen_before("mended"):
            raise ZeroDivisionError("a bug in the analysis")


class Flaky(Faulty):
    def fault(self) -> None:
        if not seen_before("flaky"):
            raise OSError("the network went away for a moment")


class KillsWorkerOnce(Faulty):
    def fault(self) -> None:
        if not seen_before("killed"):
            os.kill(os.getpid(), signal.SIGKILL)


class KillsWorker(Faulty):
    def fault(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class FillsDisk(Faulty):
    def fault(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))


class NotAProcessor:
    pass

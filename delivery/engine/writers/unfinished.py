"""A file that gets its name when it is whole."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from delivery.errors import OutputUnwritable


class Unfinished:
    """A file beside ``path``, of another name until `finish`.

    It lies in the same folder, because only there a file can be renamed in one step; a link is followed, so that the
    file it points to is replaced. Raises OutputUnwritable where no file can be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self.refusals():
            self._target = Path(os.path.realpath(path))
            if self._target.exists() and not self._target.is_file():
                raise OutputUnwritable(str(path), "it is there and is no file")
            self.place = self._target.with_name(f".skimflow-{uuid.uuid4().hex[:16]}.part")
            self.place.open("xb").close()

    def finish(self) -> None:
        """Give the file its name."""
        with self.refusals():
            self.place.replace(self._target)

    def discard(self) -> None:
        """Remove the file, if it has not got its name yet."""
        with suppress(OSError):
            self.place.unlink(missing_ok=True)

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """What the file system refuses, as OutputUnwritable."""
        try:
            yield
        except OSError as error:
            raise OutputUnwritable.because(str(self.path), error) from error

"""What is known of the input without running anything: its events, its weights, what identifies it."""

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from delivery.engine.rows import WEIGHT, exact_sum, has_weights
from delivery.engine.source import Source, open_source
from delivery.engine.storage.fetching import whole
from delivery.errors import OutputUnwritable, UnknownTree, UnreadableFile
from delivery.identity import identify, local_path, missing
from delivery.requests import TransformRequest
from delivery.urls import shown

_ENTRIES_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class Input:
    """A file: ``entries`` of its tree, their sum of genWeight if there is one, its identity and bytes (``size``).

    ``warning`` says why events could not be counted; then ``entries`` is 0.
    """

    entries: int
    identity: bytes
    size: int
    tree: str | None = None
    sum_of_weights: float | None = None
    warning: str = ""

    def described(self) -> dict[str, Any]:
        """The input in the record of what was done, in the form that the other codegens have."""
        return {"uuid": self.identity.hex(), "tree": self.tree}


def at_hand(request: TransformRequest, folder: Path, longest: int) -> Path:
    """Where the input lies on this machine; a remote one of at most ``longest`` bytes is fetched into ``folder``.

    Raises UnreadableFile and its kinds, OutputUnwritable.
    """
    path = local_path(request.input)
    if path is not None:
        if not path.is_file():
            raise missing(path)
        return path.resolve()
    fetched = folder / "input.root"
    try:
        with fetched.open("xb") as stream:
            for piece in whole(request.input, longest):
                stream.write(piece)
    except OSError as error:
        raise OutputUnwritable.because(str(fetched), error) from error
    return fetched.resolve()


def look_at(request: TransformRequest, path: Path) -> Input:
    """The input, which lies at ``path``. Raises UnknownTree for a tree that the request names."""
    name = shown(request.input)
    try:
        with closing(open_source(str(path), request.tree)) as source:
            return Input(source.entries, source.identity, source.file_bytes, source.tree, _sum_of_weights(source))
    except UnknownTree as error:
        if request.tree is not None:
            raise UnknownTree(name, error.tree, error.trees) from error
        warning = f"{name} has no tree, so its events were not counted"
    except UnreadableFile as error:
        warning = f"the events of {name} were not counted: {error.reason}"
    return Input(0, bytes.fromhex(identify(path).digest), path.stat().st_size, warning=warning)


def _sum_of_weights(source: Source) -> float | None:
    """The sum without rounding before its end, as the other codegens give it; None without such a branch."""
    if not has_weights(source):
        return None
    total = Fraction(0)
    for start in range(0, source.entries, _ENTRIES_AT_ONCE):
        part = exact_sum(source.read(WEIGHT, start, min(start + _ENTRIES_AT_ONCE, source.entries), None))
        if part is None:
            return None
        total += part
    return float(total)

"""What is known of the input without running anything: its events, its weights, what identifies it."""

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from delivery.engine.rows import WEIGHT, exact_sum, has_weights
from delivery.engine.source import Source, open_source
from delivery.errors import UnknownTree, UnreadableFile
from delivery.identity import identify, missing
from delivery.requests import TransformRequest

_ENTRIES_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class Input:
    """A local file: ``entries`` of its tree, their sum of genWeight if there is one, its identity and bytes (``size``).

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


def look_at(request: TransformRequest) -> Input:
    """Raises UnreadableFile for a URL, MissingFile, and UnknownTree for a tree that the request names."""
    if "://" in request.input:
        reason = "codegen 'python' runs without a network and reads local files only; copy the file here first"
        raise UnreadableFile(request.input, reason)
    if not Path(request.input).is_file():
        raise missing(Path(request.input))
    try:
        with closing(open_source(request.input, request.tree)) as source:
            return Input(source.entries, source.identity, source.file_bytes, source.tree, _sum_of_weights(source))
    except UnknownTree:
        if request.tree is not None:
            raise
        warning = f"{request.input} has no tree, so its events were not counted"
    except UnreadableFile as error:
        warning = f"the events of the input were not counted: {error.sentence()}"
    size = Path(request.input).stat().st_size
    return Input(0, bytes.fromhex(identify(request.input).digest), size, warning=warning)


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

"""What can go wrong while columns are delivered.

Every error keeps its parts in ``args``, so that it pickles (errors cross process borders)
and a program can ask for the parts instead of reading the sentence. Files and services are kept as `shown`: errors are
printed, logged and put into reports, where a token has no business.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import ClassVar

from delivery.urls import shown, without_secrets


class DeliveryError(Exception):
    """Base of everything that `delivery` raises.

    ``transient`` says whether the same request may succeed when it is tried again (network, busy service).
    """

    transient: ClassVar[bool] = False


class UnreadableFile(DeliveryError):
    """The file is damaged, truncated, absent, or no ROOT file."""

    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = shown(file), without_secrets(reason, file)
        super().__init__(self.file, self.reason)

    def __str__(self) -> str:
        return f"cannot read {self.file}: {self.reason}"


class InputUnreachable(UnreadableFile):
    """The file could not be reached this time (network or storage failed); trying again may help."""

    transient: ClassVar[bool] = True


class MissingFile(UnreadableFile):
    """There is no such file; ``near`` has the nearest names in its folder."""

    def __init__(self, file: str, reason: str = "it does not exist", near: Sequence[str] = ()) -> None:
        super().__init__(file, reason)
        self.args = (self.file, self.reason, tuple(near))
        self.near = tuple(near)

    def __str__(self) -> str:
        return super().__str__() + (f"; near: {', '.join(self.near)}" if self.near else "")


class UnknownEndpoint(DeliveryError):
    """No endpoint has this name; ``known`` are those that there are."""

    def __init__(self, name: str, known: Sequence[str], where: str) -> None:
        super().__init__(name, tuple(known), where)
        self.name, self.known, self.where = name, tuple(known), where

    def __str__(self) -> str:
        return f"no endpoint {self.name!r} {self.where}; allowed: {', '.join(self.known) or 'none'}"


class EndpointUnreachable(DeliveryError):
    """Nothing answers at the endpoint's address."""

    transient: ClassVar[bool] = True

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = shown(url), reason
        super().__init__(self.url, reason)

    def __str__(self) -> str:
        return f"cannot reach the endpoint {self.url}: {self.reason}; `skimflow doctor` says what answers from here"


class NotAuthorized(DeliveryError):
    """The endpoint refuses the token; ``source`` is where the token comes from."""

    def __init__(self, url: str, source: str) -> None:
        self.url, self.source = shown(url), source
        super().__init__(self.url, source)

    def __str__(self) -> str:
        return f"{self.url} refuses {self.source}; get a new token from {self.url}/profile and put it there"


class RequestFailed(DeliveryError):
    """The endpoint could not carry out a request, for a reason that it gives."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = shown(url), reason
        super().__init__(self.url, reason)

    def __str__(self) -> str:
        return f"{self.url}: {self.reason}"


class MissingResult(RequestFailed):
    """The endpoint ended the request without a result for this file."""


class NoWorkers(DeliveryError):
    """The scheduler has tasks to run and no worker has been there to run them for ``seconds``."""

    def __init__(self, scheduler: str, seconds: float, left: int) -> None:
        super().__init__(scheduler, seconds, left)
        self.scheduler, self.seconds, self.left = scheduler, seconds, left

    def __str__(self) -> str:
        return (
            f"the Dask scheduler {self.scheduler} has had no workers for {self.seconds:.0f} s and {self.left} files "
            "are left; start workers there (`dask worker ADDRESS`, or scale the cluster) and run again: "
            "what was delivered is kept"
        )


class WorkerDiffers(DeliveryError):
    """A worker has another version of a library that decides the bytes of delivered files.

    ``found`` is the worker's version, ``wanted`` the one of the process that asks and keeps the files.
    """

    def __init__(self, worker: str, library: str, found: str, wanted: str) -> None:
        super().__init__(worker, library, found, wanted)
        self.worker, self.library, self.found, self.wanted = worker, library, found, wanted

    def __str__(self) -> str:
        return (
            f"the worker {self.worker} has {self.library} {self.found} and this process has {self.wanted}: its files "
            "would be kept under the wrong version; install the same versions on both sides (then restart the "
            "workers) and run again: what was delivered is kept"
        )


class WorkerKilled(DeliveryError):
    """The file killed every worker that tried it alone."""

    def __init__(self, file: str, workers: int) -> None:
        self.file, self.workers = shown(file), workers
        super().__init__(self.file, workers)

    def __str__(self) -> str:
        return (
            f"{self.file} killed the {self.workers} workers that tried it, the last one alone: out of memory, or "
            "damaged in a way that crashes the reader; the worker's log says which"
        )


class UnknownTree(DeliveryError):
    """The file has no tree of the wanted name (or none at all)."""

    def __init__(self, file: str, tree: str | None, trees: Sequence[str]) -> None:
        self.file, self.tree, self.trees = shown(file), tree, tuple(trees)
        super().__init__(self.file, tree, self.trees)

    def __str__(self) -> str:
        wanted = "no tree" if self.tree is None else f"no tree {self.tree!r}"
        there = ", ".join(repr(name) for name in self.trees) or "none"
        return f"{self.file} has {wanted}; trees in the file: {there}"


class QueryFault(DeliveryError):
    """The query asks for something wrong; ``span`` is the place in ``text`` (start and end character offsets)."""

    def __init__(self, problem: str, text: str = "", span: tuple[int, int] | None = None) -> None:
        super().__init__(problem, text, span)
        self.problem, self.text, self.span = problem, text, span

    def __str__(self) -> str:
        return self.problem + excerpt(self.text, self.span)


class UnsupportedNode(QueryFault):
    """The query uses a part of the language that the engine does not run."""


class DepthMismatch(QueryFault):
    """An operator meets a value of the wrong shape (a list where a number is needed, or the reverse)."""


class BadLiteral(QueryFault):
    """A literal does not fit where it stands, such as 300 compared with an unsigned byte."""


class UnknownName(QueryFault):
    """A name in the query is neither a lambda's variable nor a known function."""


class UnwritableType(QueryFault):
    """The query's result has a type that the output format cannot hold."""


class LengthMismatch(DeliveryError):
    """Lists that are combined item by item differ in length in some event of the file, or First meets an empty one."""

    def __init__(self, file: str, reason: str, text: str = "", span: tuple[int, int] | None = None) -> None:
        self.file, self.reason, self.text, self.span = shown(file), reason, text, span
        super().__init__(self.file, reason, text, span)

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}{excerpt(self.text, self.span)}"


class UnknownBranch(DeliveryError):
    """The query names columns that the tree lacks; all of them in one error.

    ``near`` maps each missing name to the nearest names in the tree, ``spans`` to its first place in ``text``.
    """

    def __init__(
        self,
        file: str,
        tree: str,
        near: dict[str, tuple[str, ...]],
        text: str = "",
        spans: dict[str, tuple[int, int]] | None = None,
    ) -> None:
        self.file, self.tree, self.near, self.text = shown(file), tree, near, text
        super().__init__(self.file, tree, near, text, spans)
        self.spans = spans or {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The missing names, in the order in which the query names them."""
        return tuple(self.near)

    def __str__(self) -> str:
        lines = [f"{self.file}: tree {self.tree!r} lacks {', '.join(self.columns)}"]
        for name, near in self.near.items():
            place = location(self.text, self.spans.get(name))
            lines.append(f"  {name}{f' (query {place})' if place else ''}: {describe_near(name, near)}")
        first = next(iter(self.near), None)
        return "\n".join(lines) + excerpt(self.text, self.spans.get(first) if first else None)


def nearest(name: str, known: Iterable[str], limit: int = 5) -> tuple[str, ...]:
    """Names that ``name`` may have meant: the most alike, those of the same collection (`Jet_…`) first."""
    names = sorted(known)
    prefix = name.split("_", maxsplit=1)[0] + "_"
    same = [other for other in names if other.startswith(prefix)]
    close = difflib.get_close_matches(name, same, limit, 0.5)
    close += difflib.get_close_matches(name, (n for n in names if n not in close), limit, 0.7)
    return tuple(close[:limit])


def describe_near(name: str, near: Sequence[str]) -> str:
    """A sentence on what stands near a missing name, such as ``no jet tagger`` for b-tag discriminants."""
    what = "not in the tree"
    if "btag" in name.lower():
        what = f"the file has no jet tagger {name.removeprefix('Jet_')}"
    return f"{what}; near: {', '.join(near)}" if near else f"{what}, and nothing near it"


def location(text: str, span: tuple[int, int] | None) -> str:
    """``line:column`` (from 1) of a span's start, empty without a span."""
    if span is None or not text:
        return ""
    line = text.count("\n", 0, span[0]) + 1
    return f"{line}:{span[0] - (text.rfind(chr(10), 0, span[0]) + 1) + 1}"


def excerpt(text: str, span: tuple[int, int] | None, width: int = 96) -> str:
    """The query's line around a span with carets below it, as lines to append to a message; empty without a span."""
    if span is None or not text:
        return ""
    start = text.rfind("\n", 0, span[0]) + 1
    end = text.find("\n", span[0])
    line = text[start : end if end >= 0 else len(text)]
    column = span[0] - start
    left = max(0, column - width // 2)
    carets = max(1, min(span[1], start + len(line)) - span[0])
    shown = line[left : left + width]
    marks = " " * (column - left) + "^" * max(1, min(carets, len(shown) - (column - left)))
    return f"\n  query {location(text, span)}\n    {shown}\n    {marks}"

"""What can be wrong with a query: in itself, for a file's columns, or for the data of some events."""

from collections.abc import Mapping, Sequence

from delivery.errors.base import DeliveryError
from delivery.errors.excerpts import Span, describe_near, location
from delivery.urls import masked, shown


class QueryFault(DeliveryError):
    """The query asks for something wrong, as is known before any event is read.

    ``span`` is the place in ``text`` (start and end character offsets), ``near`` the names that an unknown ``name`` may
    have meant, ``hint`` what to do (each class has a general one), ``file`` the input whose columns it does not fit.
    """

    def __init__(
        self,
        problem: str,
        text: str = "",
        span: Span | None = None,
        *,
        hint: str = "",
        name: str = "",
        near: Sequence[str] = (),
        file: str | None = None,
    ) -> None:
        self.problem, self.text, self.span = problem, masked(text), span
        self.hint = hint or type(self).hint
        self.name, self.near = name, tuple(near)
        self.file = None if file is None else shown(file)
        super().__init__(problem, self.text, span)

    def sentence(self) -> str:
        """What was wrong, and what may have been meant."""
        return self.problem + (f"; near: {', '.join(self.near)}" if self.near else "")

    def suggestions(self) -> Mapping[str, tuple[str, ...]]:
        """The known names nearest to an unknown one."""
        return {self.name: self.near} if self.name else {}

    def details(self) -> str:
        """The file that the query does not fit."""
        return f"\n  file {self.file}" if self.file else ""


class UnsupportedNode(QueryFault):
    """The query uses a part of the language that the engine does not run."""

    hint = "docs/queries.md lists what a query may hold"


class DepthMismatch(QueryFault):
    """An operator meets a value of the wrong shape (a list where a number is needed, or the reverse)."""

    hint = "docs/queries.md says which shape each operator takes"


class BadLiteral(QueryFault):
    """A literal does not fit where it stands, such as 300 compared with an unsigned byte."""

    hint = "write a literal that fits the column's type"


class UnknownName(QueryFault):
    """A name in the query is neither a lambda's variable nor a known function."""

    hint = "use a variable of a lambda around it, or a function of docs/queries.md"


class NotAFunction(QueryFault):
    """A call of something that is no function of the language."""

    hint = "docs/queries.md lists the functions"


class UnwritableType(QueryFault):
    """The query's result has a type that the output format cannot hold."""

    hint = "write Parquet, or select flat columns with a name each"


class DataFault(DeliveryError):
    """What the query asks cannot be done with the data of some event.

    ``entry`` is the number of the first such event in the tree, where it is known.
    """

    file: str

    def __init__(
        self, file: str, reason: str, text: str = "", span: Span | None = None, entry: int | None = None
    ) -> None:
        self.file, self.reason, self.text, self.span = shown(file), reason, masked(text), span
        self.entry = entry
        super().__init__(self.file, reason, self.text, span, entry)

    def sentence(self) -> str:
        """What was wrong, and where."""
        entry = "" if self.entry is None else f", entry {self.entry}"
        return f"{self.file}{entry}: {self.reason}"


class LengthMismatch(DataFault):
    """Lists that are combined item by item differ in length in some event of the file."""

    hint = "combine columns of one collection, or select with Count() first so that only events with equal counts stay"


class EmptyList(DataFault):
    """First, Last or ElementAt meets a list that has no such item."""

    hint = "select the events that have one in a Where of its own before, such as Where(lambda e: e.x.Count() > 0)"


class ResultTooLarge(DataFault):
    """The query makes more of one event, or of one range of events, than memory should hold, as Choose(20) of 80."""

    hint = "cut on the objects before they are combined, or combine fewer"


class UnknownBranch(DeliveryError):
    """The query names columns that the tree lacks; all of them in one error.

    ``near`` maps each missing name to the nearest names in the tree, ``spans`` to its first place in ``text``.
    """

    file: str
    hint = "correct the name, or leave the column out for files that lack it"

    def __init__(
        self,
        file: str,
        tree: str,
        near: dict[str, tuple[str, ...]],
        text: str = "",
        spans: dict[str, Span] | None = None,
    ) -> None:
        self.file, self.tree, self.near, self.text = shown(file), tree, near, masked(text)
        self.spans = spans or {}
        super().__init__(self.file, tree, near, self.text, self.spans)
        self.span = self.spans.get(next(iter(near))) if near else None

    @property
    def columns(self) -> tuple[str, ...]:
        """The missing names, in the order in which the query names them."""
        return tuple(self.near)

    def sentence(self) -> str:
        """What is missing."""
        return f"{self.file}: tree {self.tree!r} lacks {', '.join(self.columns)}"

    def suggestions(self) -> Mapping[str, tuple[str, ...]]:
        """The nearest branches of each missing name."""
        return self.near

    def details(self) -> str:
        """Each missing name with its place and what stands near it."""
        lines = []
        for name, near in self.near.items():
            place = location(self.text, self.spans.get(name))
            lines.append(f"\n  {name}{f' (query {place})' if place else ''}: {describe_near(name, near)}")
        return "".join(lines)

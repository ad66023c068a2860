"""Expression tree of a query: what qastle text, and a func_adl query written in Python, are read into."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple, NoReturn, TypeVar


class Span(NamedTuple):
    """Where in the text a node stands: character offsets, `start` included, `end` excluded."""

    start: int
    end: int


NOWHERE: Final = Span(0, 0)  # of nodes that were not read from text

MAX_DEPTH: Final = 200  # levels of nesting; every pass over the tree is recursive and stays within Python's stack


class Malformed(Exception):
    """Something that is no query, at a place."""

    def __init__(self, reason: str, span: Span) -> None:
        super().__init__(reason, span)
        self.reason = reason
        self.span = span


def malformed(reason: str, span: Span) -> NoReturn:
    """Raise Malformed."""
    raise Malformed(reason, span)


class Node:
    """Base of all nodes. `span` takes no part in equality."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()  # set by dataclass: the fields in order, `span` last
    span: Span


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A lambda variable, a function, or EventDataset."""

    id: str
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Constant(Node):
    """A literal, equal only to one of the same type: 1, 1.0 and True mean different things in arithmetic."""

    value: int | float | str | bool | None
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Constant):
            return NotImplemented
        return type(self.value) is type(other.value) and self.value == other.value

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


@dataclass(frozen=True, slots=True)
class List(Node):
    """A list or a tuple: qastle does not tell them apart."""

    items: tuple[Node, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Dict(Node):
    """Named columns or fields; as many `keys` as `values`, in the order of the columns."""

    keys: tuple[Node, ...]
    values: tuple[Node, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Attribute(Node):
    """`value.name`."""

    value: Node
    name: str
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Subscript(Node):
    """`value[index]`."""

    value: Node
    index: Node
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`func(*args)` that is no LINQ operator. A query begins with `Call(Name("EventDataset"), …)`."""

    func: Node
    args: tuple[Node, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class If(Node):
    """`body if test else orelse`."""

    test: Node
    body: Node
    orelse: Node
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`op operand`, op one of `not ~ + -`. The text `-5` is `Unary("-", Constant(5))`."""

    op: str
    operand: Node
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`left op right`, op one of `+ - * / % ** // & | ^ << >>`."""

    op: str
    left: Node
    right: Node
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """`left op right`, op one of `== != < <= > >=`."""

    op: str
    left: Node
    right: Node
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class BoolOp(Node):
    """`left op right`, op `and` or `or`."""

    op: str
    left: Node
    right: Node
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    """`lambda params: body`."""

    params: tuple[str, ...]
    body: Node
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Linq(Node):
    """A LINQ operator on a sequence, whichever way it was spelt: `source.op(*args)`."""

    op: str
    source: Node
    args: tuple[Node, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)


UNARY_OPERATORS: Final = ("not", "~", "+", "-")
BINARY_OPERATORS: Final = ("+", "-", "*", "/", "%", "**", "//", "&", "|", "^", "<<", ">>")
COMPARE_OPERATORS: Final = ("==", "!=", "<", "<=", ">", ">=")
BOOLEAN_OPERATORS: Final = ("and", "or")

N = TypeVar("N", bound=Node)


def children(node: Node) -> list[Node]:
    """The nodes directly below, in the order of the text."""
    found: list[Node] = []
    for name in node.__match_args__[:-1]:
        value = getattr(node, name)
        if isinstance(value, Node):
            found.append(value)
        elif isinstance(value, tuple):
            found.extend(item for item in value if isinstance(item, Node))
    return found


def with_children(node: N, new: Sequence[Node]) -> N:
    """The same node, span included, with `new` in place of its `children`."""
    values: list[object] = []
    rest = iter(new)
    for name in node.__match_args__[:-1]:
        value = getattr(node, name)
        if isinstance(value, Node):
            value = next(rest)
        elif isinstance(value, tuple) and value and isinstance(value[0], Node):
            value = tuple([next(rest) for _ in value])
        values.append(value)
    return type(node)(*values, node.span)  # type: ignore[call-arg]  # the fields in their order


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, each before its children, children in the order of the text."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(children(current)))


def names_in(node: Node) -> Iterator[str]:
    """The names that occur in a node, in no order, each as often as it stands there."""
    return (inner.id for inner in walk(node) if isinstance(inner, Name))

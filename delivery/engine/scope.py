"""What names stand for inside a query's lambdas."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from delivery.engine.expressions import Expression, Literal
from queries.syntax import Dict, List, Node


@dataclass(frozen=True, slots=True)
class EventRecord:
    """The event: every branch of the tree, after selections of their items by `indices`."""

    indices: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """A dict or a list of the query, before an operator makes records of it; `depths` are those of its fields."""

    fields: "dict[str, Value]"
    is_dict: bool
    depths: "dict[str, int | None]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Stands for whatever follows from a column that the file lacks, so that all such columns are found."""


Value: TypeAlias = Expression | Literal | Container | EventRecord | Unknown


class Term(NamedTuple):
    """A value, and how many list levels its items lie below the dataset (None: it has no place among the lists)."""

    value: Value
    depth: int | None


@dataclass(frozen=True, slots=True)
class Scope:
    """Variables by name, and the names of those bound by the Select, Where and the like around, outermost first."""

    variables: Mapping[str, Term] = field(default_factory=dict)
    stack: tuple[str, ...] = ()

    def bound(self, variables: Mapping[str, Term]) -> "Scope":
        """With variables added or changed."""
        return replace(self, variables={**self.variables, **variables})

    def inside(self, name: str) -> "Scope":
        """Inside a lambda of this variable."""
        return replace(self, stack=(*self.stack, name))


def least(depths: Iterable[int | None]) -> int | None:
    """The least depth that is known."""
    return min((depth for depth in depths if depth is not None), default=None)


def greatest(depths: Iterable[int | None]) -> int | None:
    """The greatest depth that is known."""
    return max((depth for depth in depths if depth is not None), default=None)


def written(node: Node, name: str) -> Node:
    """What stands in a dict or list under this name; the node itself if it is none."""
    match node:
        case Dict(keys=keys, values=values):
            found = [value for key, value in zip(keys, values, strict=True) if getattr(key, "value", None) == name]
            return found[-1] if found else node
        case List(items=items) if name.isdigit() and int(name) < len(items):
            return items[int(name)]
    return node

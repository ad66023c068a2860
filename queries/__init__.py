"""What to ask: the query language and the analyses' own queries."""

from queries.canonical import canonical, digest
from queries.errors import QueryError, QueryFunctionError, QueryNotFoundError, QuerySyntaxError
from queries.named import NamedQuery, load
from queries.parser import parse
from queries.printer import unparse

__all__ = [
    "NamedQuery",
    "QueryError",
    "QueryFunctionError",
    "QueryNotFoundError",
    "QuerySyntaxError",
    "canonical",
    "digest",
    "load",
    "parse",
    "unparse",
]

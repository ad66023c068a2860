"""One form for all ways to write the same query, and its digest."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from queries.parser import parse
from queries.printer import unparse
from queries.syntax import Attribute, Call, Constant, Dict, Lambda, Name, Node, children, with_children

DIGEST_FORMAT: Final = 1  # raise when the canonical form changes, so that no digest means two things

PLACEHOLDER_FILE: Final = "bogus.root"  # what the clients write for the file, which is known only when the query runs


def digest(query: str | Node) -> str:
    """SHA-256 (64 hexadecimal digits) of the canonical form.

    Unchanged by white space, names of lambda variables and the spelling of LINQ operators; changed by
    anything else that has a meaning, the order of columns included. Raises QuerySyntaxError for text that
    is no query.
    """
    node = parse(query) if isinstance(query, str) else query
    document = f"qastle {DIGEST_FORMAT}\n{unparse(canonical(node))}"
    return hashlib.sha256(document.encode()).hexdigest()


def canonical(node: Node) -> Node:
    """The tree with variables named by the level that binds them, no empty MetaData, no input file name."""
    return _renamed(node, {}, 0, _prefix(node))


def _prefix(node: Node) -> str:
    """What the new variables' names begin with, so that none of them is a name that no lambda binds."""
    prefix, free = "v", _free_names(node)
    while any(re.fullmatch(rf"{prefix}\d+", name) for name in free):
        prefix = "_" + prefix
    return prefix


def _free_names(node: Node) -> set[str]:
    """Names that no lambda binds, but for those in the input file's name, which the canonical form leaves out."""
    free: set[str] = set()
    stack: list[tuple[Node, frozenset[str]]] = [(node, frozenset())]
    while stack:
        current, bound = stack.pop()
        if isinstance(current, Name) and current.id not in bound:
            free.add(current.id)
        elif isinstance(current, Lambda):
            bound = bound.union(current.params)
        below = children(current)
        if isinstance(current, Call) and current.func == Name("EventDataset") and "EventDataset" not in bound:
            del below[1:2]
        stack.extend((child, bound) for child in below)
    return free


def _renamed(node: Node, names: Mapping[str, str], level: int, prefix: str) -> Node:
    """`names`: new names of the variables in scope; `level`: how many variables are bound around here."""
    if isinstance(node, Name):
        return Name(names.get(node.id, node.id), node.span)
    if isinstance(node, Lambda):
        params = tuple(f"{prefix}{level + i}" for i in range(len(node.params)))
        names = {**names, **dict(zip(node.params, params, strict=True))}
        body = _renamed(node.body, names, level + len(params), prefix)
        return Lambda(params, body, node.span)
    new: list[Node] = []
    for child in children(node):  # a loop, not a comprehension: one frame of Python's stack for each level
        new.append(_renamed(child, names, level, prefix))  # noqa: PERF401
    changed = with_children(node, new)
    return _plain_call(changed) if isinstance(changed, Call) else changed


def _plain_call(node: Call) -> Node:
    """EventDataset without its file name; MetaData as a function, and left out when empty."""
    func, args = node.func, node.args
    if isinstance(func, Attribute) and func.name == "MetaData":
        args = (func.value, *args)
        func = Name("MetaData", func.span)
    if not isinstance(func, Name):
        return node
    if func.id == "MetaData" and len(args) == 2:
        empty = args[1] == Dict((), ())
        return args[0] if empty else Call(func, args, node.span)
    if func.id == "EventDataset" and args:
        placeholder = Constant(PLACEHOLDER_FILE, args[0].span)
        return Call(func, (placeholder, *args[1:]) if args[1:] else (), node.span)
    return node

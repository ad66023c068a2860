"""Shapes of values: how deep their lists are, what is in them, and whether an operator has the lists that it needs."""

import awkward as ak
import numpy as np

from delivery.engine.expressions import Expression
from delivery.engine.operators import Fault
from delivery.engine.scope import Term
from delivery.engine.values import Lists
from delivery.errors import DepthMismatch
from queries.syntax import Linq, Node


def ndim(expression: Expression) -> int:
    """Dimensions of a column: 1 for one value per row, 2 for lists; of records the least of their fields."""
    sample = expression.sample
    if isinstance(sample, ak.Array):
        return int(sample.layout.minmax_depth[0])
    return 2 if isinstance(sample, Lists) else 1


def leaf_type(expression: Expression) -> str:
    """Type of the numbers in a column's innermost lists."""
    sample = expression.sample
    if isinstance(sample, np.ndarray):
        return str(sample.dtype)
    if isinstance(sample, Lists):
        return str(sample.content.dtype)
    layout = sample.layout
    while not (layout.is_numpy or layout.is_record or layout.is_union or layout.is_unknown):
        layout = layout.content
    return str(layout.dtype) if layout.is_numpy else str(layout.form.type)


def check_lists(lists: Expression, depth: int, node: Node, fault: Fault, name: str = "this") -> None:
    """The value has lists where the operator at ``node`` (or the function of this name) acts; DepthMismatch if not."""
    if depth and ndim(lists) <= depth:
        op = node.op if isinstance(node, Linq) else name
        what = "columns side by side; Zip makes a list of them" if lists.fields else f"one value ({lists.type})"
        raise fault(DepthMismatch, f"{op} needs a list, this is {what}", node)


def depth_of(source: Term, node: Linq, fault: Fault) -> int:
    """Depth of an operator's source; DepthMismatch for a literal, which has none."""
    if source.depth is None:
        raise fault(DepthMismatch, f"{node.op} needs a list, this is a literal", node.source)
    return source.depth

"""Begin of a func_adl query on a ROOT tree, without the ServiceX client (which takes seconds to import)."""

import ast
import logging
from typing import Any

from func_adl import EventDataset, ObjectStream
from func_adl.util_ast import function_call

from queries.canonical import PLACEHOLDER_FILE


def dataset(tree: str) -> "Dataset":
    """The events of the tree called `tree`: the func_adl stream that a query is built on, by `.Where(...)`
    and `.Select(...)`.

    Sent over the wire, a query built on it is character for character what
    `servicex.query.FuncADL_Uproot().FromTree(tree)` would send. The lambdas may be given as text, which
    does not depend on how func_adl recovers them from source files.
    """
    return Dataset(tree)


class Dataset(EventDataset[Any]):  # type: ignore[misc]  # func_adl has no type information
    """Events of a tree in files that are named only when the query runs."""

    def __init__(self, tree: str) -> None:
        super().__init__()
        arguments: list[ast.expr] = [ast.Constant(PLACEHOLDER_FILE), ast.Constant(tree)]
        root = function_call("EventDataset", arguments)
        self._q_ast = root

    async def execute_result_async(self, a: ast.AST, title: str | None = None) -> Any:
        """Not here: a query is run by handing its text to an endpoint."""
        raise NotImplementedError("this query is only a description: deliver it with skimflow")


def _about_columns(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(("Method Zip not found", "Unknown type for name np"))


# func_adl warns that it does not know the types of `{...}.Zip()` and of NumPy's functions; columns of a tree have no
# types for it to know.
logging.getLogger("func_adl.type_based_replacement").addFilter(_about_columns)

__all__ = ["Dataset", "ObjectStream", "dataset"]

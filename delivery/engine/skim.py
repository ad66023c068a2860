"""The engine's two entry points: a query over files in memory, and from file to file."""

import hashlib
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from delivery.engine.compiler import compile_query
from delivery.engine.plan import Plan, leaves
from delivery.engine.rows import ordered
from delivery.engine.source import Source, open_source
from delivery.engine.stream import assemble, empty, pieces
from delivery.engine.writers import GROUP_BYTES, GROUP_ROWS, ParquetWriter, Rebuffered, RootWriter, Writer
from delivery.errors import UnsupportedNode
from delivery.requests import DEFAULT_CHUNK_BYTES, CutflowRow, TransformRequest, TransformResult
from queries.canonical import canonical, digest
from queries.parser import parse
from queries.syntax import Call, Constant, Linq, Name, Node


def evaluate(text: str, files: str | Path | Sequence[str | Path], tree: str | None = None) -> Any:
    """The result of a qastle query over files, in memory, as one ``ak.Array``.

    ``tree`` None means the tree that the query names, else the first of each file. Raises what `transform` raises.
    """
    import awkward as ak

    paths = [files] if isinstance(files, str | Path) else list(files)
    if not paths:
        raise ValueError("no files given")
    node = canonical(parse(text))
    parts = []
    for path in paths:
        with closing(open_source(str(path), tree or _named_tree(node))) as source:
            plan = _plan(node, text, source)
            shape = plan.output
            parts.append(empty(shape))
            parts += [
                assemble(shape, piece.values, piece.rows)
                for piece in pieces(plan, source, text, DEFAULT_CHUNK_BYTES, 1)
            ]
    return ak.concatenate(parts)


def transform(request: TransformRequest) -> TransformResult:
    """Run a query on one file and write the result; equal requests on equal files write equal bytes.

    Raises QuerySyntaxError of `queries` for text that is no query, and of `delivery.errors`: UnreadableFile,
    UnknownTree, UnknownBranch, UnsupportedNode, DepthMismatch, BadLiteral, UnknownName, LengthMismatch,
    UnwritableType. No output file is left behind by an error.
    """
    began = time.perf_counter()
    if request.codegen != "uproot":
        raise UnsupportedNode(f"codegen {request.codegen!r} is not supported by the engine; use 'uproot'")
    node = canonical(parse(request.text))
    with closing(open_source(request.input, request.tree or _named_tree(node))) as source:
        plan = _plan(node, request.text, source)
        try:
            rows, passed = _write(plan, source, request, node)
        except BaseException:
            request.output.unlink(missing_ok=True)
            raise
        texts = [selection.text for stage in plan.stages for selection in stage.selections]
        return TransformResult(
            events_in=source.entries,
            events_out=rows,
            cutflow=tuple(CutflowRow(text, count) for text, count in zip(texts, passed, strict=True)),
            bytes_read=source.bytes_read,
            bytes_written=request.output.stat().st_size,
            seconds=time.perf_counter() - began,
            columns=plan.columns,
        )


def _plan(node: Node, text: str, source: Source) -> Plan:
    return ordered(compile_query(node, text, source), source)


def _write(plan: Plan, source: Source, request: TransformRequest, node: Node) -> tuple[int, list[int]]:
    selections = sum(len(stage.selections) for stage in plan.stages)
    rows, passed = 0, [0] * selections
    writer = _writer(plan, request, node, source)
    try:
        grouped = Rebuffered(writer, plan.output, _group_rows(plan, source))
        for piece in pieces(plan, source, request.text, request.chunk_bytes, request.threads):
            rows += piece.rows
            passed = [total + count for total, count in zip(passed, piece.passed, strict=True)]
            grouped.add(piece)
        grouped.end()
    finally:
        writer.close()
    return rows, passed


def _writer(plan: Plan, request: TransformRequest, node: Node, source: Source) -> Writer:
    nothing = empty(plan.output)
    if request.format == "parquet":
        return ParquetWriter(request.output, nothing)
    identity = hashlib.sha256(digest(node).encode() + source.identity).digest()
    return RootWriter(request.output, nothing, identity)


def _group_rows(plan: Plan, source: Source) -> int:
    """Rows per group of the output, from the header alone: as many as fit in `GROUP_BYTES`, at most `GROUP_ROWS`."""
    if len(plan.stages) > 1:
        return GROUP_ROWS
    names = {name for expression in leaves(plan.output) for name in expression.columns}
    width = sum(source.size(name)[1] for name in names) / max(source.entries, 1)
    return max(1, min(GROUP_ROWS, int(GROUP_BYTES / max(width, 1.0))))


def _named_tree(node: Node) -> str | None:
    """The tree that EventDataset names as its second argument."""
    while isinstance(node, Linq):
        node = node.source
    match node:
        case Call(func=Name(id="EventDataset"), args=(_, Constant(value=str() as name))):
            return name
    return None

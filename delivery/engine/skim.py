"""The engine's entry points: a query over files in memory, from file to file, and its plan."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from delivery.engine.compiler import STREAMING, compile_query, run_tail
from delivery.engine.forms import general
from delivery.engine.plan import Plan
from delivery.engine.plans import plan_of
from delivery.engine.reading import about
from delivery.engine.rows import Piece, has_weights, ordered
from delivery.engine.source import Source, open_source
from delivery.engine.stream import Progress, pieces, rounded, total_weight, write_pieces
from delivery.engine.writable import writable
from delivery.engine.writers import TREE, Grouped, open_writer
from delivery.engine.writers.record import Json
from delivery.errors import DeliveryError, UnsupportedNode, UnwritableType
from delivery.requests import (
    DEFAULT_CHUNK_BYTES,
    ColumnBytes,
    CutflowRow,
    Explanation,
    Phase,
    Semantics,
    TransformRequest,
    TransformResult,
)
from queries.canonical import canonical, digest
from queries.parser import parse
from queries.syntax import Call, Constant, Linq, Name, Node


def evaluate(
    text: str,
    files: str | Path | Sequence[str | Path],
    tree: str | None = None,
    *,
    codegen: str = "uproot",
    semantics: Semantics = "servicex",
) -> Any:
    """The result of a query over files, in memory: an ``ak.Array``, or a number for a query that ends in one.

    ``tree`` None means the tree that the query names, else the first of each file. Four-vectors carry the behaviours of
    the `vector` library. Raises what `transform` raises.
    """
    import awkward as ak

    paths = [files] if isinstance(files, str | Path) else list(files)
    if not paths:
        raise ValueError("no files given")
    if not isinstance(text, str):
        raise TypeError("a query is text; `queries.named.load('module:function').text` gives that of a query function")
    _check_semantics(semantics)
    if codegen == "uproot-raw":
        from delivery.engine.raw.transform import evaluate_raw

        return evaluate_raw(text, [str(path) for path in paths], tree, semantics=semantics)
    if codegen != "uproot":
        raise UnsupportedNode(f"codegen {codegen!r} does not run in memory; use 'uproot' or 'uproot-raw'")
    node, _ = understood(text)
    strict = semantics == "strict"
    parts: list[Any] = []
    for path in paths:
        with about(str(path)), closing(open_source(str(path), tree or named_tree(node))) as source:
            plan = ordered(compile_query(node, text, source, strict=strict), source)
            found = [piece.rows for piece in pieces(plan, source, text, DEFAULT_CHUNK_BYTES, 1)]
            parts += found or [general(plan.output.sample)]
    rows = parts[0] if len(parts) == 1 else ak.concatenate(parts)
    return rows if plan.tail is None else run_tail(plan, text, rows, strict=strict)


def transform(
    request: TransformRequest, *, progress: Progress | None = None, found: Iterable[Piece] | None = None
) -> TransformResult:
    """Run a query on one file and write the result; equal requests on equal files write equal bytes.

    ``progress`` is told of the entries done (not with codegen python). ``found`` are all pieces of the result, in
    order, where they were made before (`delivery.engine.parts`): the input is then read for its header alone.

    Raises QuerySyntaxError of `queries` for text that is no query, and of `delivery.errors`: UnreadableFile,
    UnknownTree, UnknownBranch, UnsupportedNode, DepthMismatch, BadLiteral, UnknownName, NotAFunction, LengthMismatch,
    EmptyList, UnwritableType, OutputUnwritable. An output that was there before stays as it was if an error is raised.
    """
    _check_semantics(request.semantics)
    if request.codegen == "uproot-raw":
        from delivery.engine.raw.transform import transform_raw

        return transform_raw(request, progress, found)
    if request.codegen == "python":
        from delivery.engine.usercode.transform import transform_python

        return transform_python(request)
    if request.codegen != "uproot":
        problem = f"codegen {request.codegen!r} is not supported; use 'uproot', 'uproot-raw' or 'python'"
        raise UnsupportedNode(problem)
    began = time.perf_counter()
    with planned(request) as (_, plan, source):
        identity = hashlib.sha256(
            f"{understood(request.text)[1]} {request.semantics} ".encode() + source.identity
        ).digest()
        # what a tail makes of the rows is known only when it has them all
        made = found if found is not None else pieces_of(plan, source, request, progress=progress)
        sample = general(plan.output.sample)
        if plan.tail is not None:
            whole = _collected(plan, request, list(made))
            made, sample = [whole], whole.rows[:0]
        writer = open_writer(request.output, request.format, {TREE: sample}, identity)
        try:
            written = write_pieces(made, Grouped(writer, TREE), len(plan.selections))
            cutflow = tuple(CutflowRow(s.text, count) for s, count in zip(plan.selections, written.passed, strict=True))
            total = rounded(written.weights) if has_weights(source) else None
            writer.close(_record(request, source, cutflow, written.rows, total))
        except BaseException:
            writer.abandon()
            raise
        return TransformResult(
            events_in=source.entries,
            events_out=written.rows,
            cutflow=cutflow,
            bytes_read=source.bytes_read,
            bytes_written=request.output.stat().st_size,
            seconds=time.perf_counter() - began,
            columns=plan.columns,
            warnings=plan.warnings,
            sum_of_weights=total,
        )


@contextmanager
def planned(request: TransformRequest) -> Iterator[tuple[Node, Plan, Source]]:
    """The canonical query, its plan on the input, and the input's tree, open within the block."""
    node, _ = understood(request.text)
    with about(request.input), closing(open_source(request.input, request.tree or named_tree(node))) as source:
        plan = plan_of(node, request.text, source, strict=request.semantics == "strict")
        yield node, ordered(writable(plan, request.format), source), source


@lru_cache(maxsize=16)
def understood(text: str) -> tuple[Node, str]:
    """A query's canonical tree and digest; a process reads many files with one text. Raises QuerySyntaxError."""
    node = canonical(parse(text))
    return node, digest(node)


def _check_semantics(name: str) -> None:
    if name not in get_args(Semantics):
        raise ValueError(f"unknown semantics {name!r}; there are {' and '.join(get_args(Semantics))}")


def explain(request: TransformRequest) -> Explanation:
    """The plan of a query on one file, from the file's header alone; raises what `transform` raises before it reads."""
    if request.codegen == "uproot-raw":
        from delivery.engine.raw.transform import explain_raw

        return explain_raw(request)
    if request.codegen != "uproot":
        raise UnsupportedNode(f"the plan of codegen {request.codegen!r} cannot be shown: it is a function")
    node, _ = understood(request.text)
    with about(request.input), closing(open_source(request.input, request.tree or named_tree(node))) as source:
        strict = request.semantics == "strict"
        plan = ordered(compile_query(node, request.text, source, strict=strict), source)
        seen: set[str] = set()
        phases = []
        for number, selection in enumerate(plan.stages[0].selections, 1):
            phases.append(_phase(f"Where {number}", selection.text, selection.columns - seen, source))
            seen |= selection.columns
        phases.append(_phase("output", "", plan.payload(0) - seen, source))
        rows = general(plan.output.sample)
        layout = rows.layout.content if rows.layout.is_option else rows.layout
        fields = rows.fields if layout.is_record else []
        schema = tuple((name, str(rows[name].type.content)) for name in fields) or (("", str(rows.type.content)),)
        if plan.tail is not None:
            schema = (("", f"what {_operator(node)} makes of all rows, known when they are there"),)
        one_value = plan.tail is not None and _gives_one_value(plan, request.text, strict)
        return Explanation(tuple(phases), schema, plan.warnings, source.file_bytes, source.entries, one_value)


def _gives_one_value(plan: Plan, text: str, strict: bool) -> bool:
    """Whether a query's tail makes one value of its rows, as is tried on one row."""
    import awkward as ak

    row = ak.Array(general(plan.output.sample).layout.form.length_one_array(highlevel=False))
    try:
        return not isinstance(run_tail(plan, text, row, strict=strict), ak.Array)
    except DeliveryError:  # ElementAt(5) of one row
        return isinstance(plan.tail, Linq) and plan.tail.op not in ("OrderBy", "OrderByDescending", *STREAMING)


def _operator(node: Node) -> str:
    return node.op if isinstance(node, Linq) else "the query's last operator"


def _phase(title: str, text: str, names: set[str] | frozenset[str], source: Source) -> Phase:
    return Phase(title, text, tuple(ColumnBytes(name, *source.size(name)) for name in sorted(names)))


def pieces_of(
    plan: Plan,
    source: Source,
    request: TransformRequest,
    entries: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> Iterator[Piece]:
    """The pieces of a request's result, of all entries or of a range of them; see `delivery.engine.stream.pieces`."""
    return pieces(
        plan,
        source,
        request.text,
        request.chunk_bytes,
        request.threads,
        weigh=has_weights(source),
        entries=entries,
        progress=progress,
    )


def _collected(plan: Plan, request: TransformRequest, found: Sequence[Piece]) -> Piece:
    """All rows of a query that goes on with operators on the whole dataset, and what these make of them."""
    import awkward as ak

    rows = ak.concatenate([piece.rows for piece in found]) if found else general(plan.output.sample)
    result = run_tail(plan, request.text, rows, strict=request.semantics == "strict")
    if not isinstance(result, ak.Array):
        raise UnwritableType(
            f"the query gives one value for the whole file ({result}), which is no column to write",
            hint="`delivery.engine.evaluate` gives it; the events read and passed are in every transform's result",
        )
    passed = [sum(piece.passed[number] for piece in found) for number in range(len(plan.selections))]
    return Piece(result, tuple(passed), total_weight([piece.weights for piece in found]))


def _record(
    request: TransformRequest,
    source: Source,
    cutflow: tuple[CutflowRow, ...],
    written: int,
    weights: float | None,
) -> dict[str, Json]:
    """What the output keeps of how it was made; nothing of where or when."""
    return {
        "query": understood(request.text)[1],
        "codegen": request.codegen,
        "semantics": request.semantics,
        "input": {"uuid": source.identity.hex(), "tree": source.tree, "bytes": source.file_bytes},
        "events_in": source.entries,
        "events_out": written,
        "cutflow": [{"where": row.text, "passed": row.passed} for row in cutflow],
        "sum_of_weights": weights,
    }


def named_tree(node: Node) -> str | None:
    """The tree that EventDataset names as its second argument."""
    while isinstance(node, Linq) or (isinstance(node, Call) and node.func != Name("EventDataset") and node.args):
        node = node.source if isinstance(node, Linq) else node.args[0]
    match node:
        case Call(func=Name(id="EventDataset"), args=(_, Constant(value=str() as name))):
            return name
    return None

"""Runs a selection of codegen uproot-raw: each sub-query on its trees, the rows into the output's trees.

Sub-queries that name one output tree write their rows one after the other into it, in the selection's order. A tree
that the file lacks is left out, with a warning, unless its sub-query says `fail_on_missing_trees`.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import awkward as ak

from delivery.engine.expressions import Expressions
from delivery.engine.forms import general
from delivery.engine.plan import Plan, Selection, Stage
from delivery.engine.raw.hints import hinting
from delivery.engine.raw.objects import directory_of, objects_in
from delivery.engine.raw.planning import compile_raw, may_fail
from delivery.engine.raw.request import BadSelection, SubQuery, parse_selection
from delivery.engine.reading import about
from delivery.engine.rows import Piece, has_weights, ordered
from delivery.engine.source import Source, open_source
from delivery.engine.stream import Progress, Written, pieces, rounded, total_weight, write_pieces
from delivery.engine.writable import writable
from delivery.engine.writers import Grouped, Writer, open_writer
from delivery.engine.writers.record import Json
from delivery.errors import UnknownTree, UnwritableType
from delivery.requests import (
    DEFAULT_CHUNK_BYTES,
    ColumnBytes,
    CutflowRow,
    Explanation,
    OutputFormat,
    Phase,
    Semantics,
    TransformRequest,
    TransformResult,
)


@dataclass(frozen=True, slots=True)
class TreePlan:
    """One sub-query on one tree of the input, and the tree of the output that its rows go to."""

    source: Source
    output: str
    plan: Plan
    first: bool  # of the plans that read this tree

    @property
    def sample(self) -> Any:
        """Rows of the output, none of them: their type."""
        return general(self.plan.output.sample)


@dataclass(frozen=True, slots=True)
class RawPlan:
    """All of a selection on one file."""

    trees: tuple[TreePlan, ...]
    copied: tuple[str, ...]
    warnings: tuple[str, ...]
    identity: bytes
    file_bytes: int

    def progress_at(self, tree: TreePlan, progress: Progress | None) -> Progress | None:
        """What to tell while ``tree`` is read: its entries, after those of the trees before it, of all there are."""
        if progress is None:
            return None
        total = sum(other.source.entries for other in self.trees)
        before = sum(other.source.entries for other in self.trees[: self.trees.index(tree)])
        return lambda done, _: progress(before + done, total)

    @property
    def only(self) -> TreePlan | None:
        """The tree that alone makes the output, so that it can be made in ranges of entries; None if more does."""
        return self.trees[0] if len(self.trees) == 1 and not self.copied else None

    @property
    def samples(self) -> dict[str, Any]:
        """The type of each tree of the output; UnwritableType if two sub-queries give one tree different columns."""
        found: dict[str, Any] = {}
        for tree in self.trees:
            sample = found.setdefault(tree.output, tree.sample)
            if str(sample.type) != str(tree.sample.type):
                raise UnwritableType(
                    f"two sub-queries write different columns into the output tree {tree.output!r}: "
                    f"{sample.type.content} and {tree.sample.type.content}",
                    hint='give each its own output tree, as in "treename": {"Events": "selected"}',
                )
        return found


def transform_raw(
    request: TransformRequest, progress: Progress | None = None, found: Iterable[Piece] | None = None
) -> TransformResult:
    """Run a selection on one file and write the result; raises what `delivery.engine.transform` raises.

    ``progress`` is told of the entries done of all trees together. ``found`` are all pieces of the only tree's rows, in
    order, where they were made before.
    """
    began = time.perf_counter()
    with planned_raw(request) as (subqueries, plan):
        identity = hashlib.sha256(f"{_digest(subqueries)} {request.semantics} ".encode() + plan.identity).digest()
        writer = open_writer(request.output, request.format, plan.samples, identity, treenames=True)
        try:
            if plan.copied:
                with directory_of(request.input) as directory:
                    for name in plan.copied:
                        writer.copy(name, directory)
            written = [_write(tree, request, writer, plan.progress_at(tree, progress), found) for tree in plan.trees]
            result = _result(plan, written)
            writer.close(_record(request, subqueries, plan, result))
        except BaseException:
            writer.abandon()
            raise
        seconds = time.perf_counter() - began
        return replace(result, bytes_written=request.output.stat().st_size, seconds=seconds)


@contextmanager
def planned_raw(request: TransformRequest) -> Iterator[tuple[Sequence[SubQuery], RawPlan]]:
    """A selection and its plan on the input, whose trees are open within the block."""
    subqueries = parse_selection(request.text)
    with about(request.input), hinting(), ExitStack() as opened:
        strict = request.semantics == "strict"
        plan = plan_raw(subqueries, request.text, request.input, opened, strict=strict)
        yield subqueries, _writable(plan, request.format)


def evaluate_raw(text: str, files: Sequence[str], tree: str | None = None, *, semantics: Semantics = "servicex") -> Any:
    """The result of a selection over files in memory: an ``ak.Array``, or one by output tree if there are several.

    ``tree`` is ignored: the selection names the trees. Raises UnknownTree if no file has any of them.
    """
    del tree
    subqueries = parse_selection(text)
    parts: dict[str, list[Any]] = {}
    for file in files:
        with about(file), hinting(), ExitStack() as opened:
            plan = plan_raw(subqueries, text, file, opened, strict=semantics == "strict")
            for one in plan.trees:
                found = [piece.rows for piece in pieces(one.plan, one.source, text, DEFAULT_CHUNK_BYTES, 1)]
                parts.setdefault(one.output, []).extend(found or [one.sample])
    if not parts:
        wanted = ", ".join(name for subquery in subqueries for name in subquery.trees)
        raise UnknownTree(files[0], wanted, [])
    whole = {name: ak.concatenate(rows) if len(rows) > 1 else rows[0] for name, rows in parts.items()}
    return next(iter(whole.values())) if len(whole) == 1 else whole


def explain_raw(request: TransformRequest) -> Explanation:
    """The plan of a selection on one file, from the file's header alone; raises what `transform_raw` raises."""
    subqueries = parse_selection(request.text)
    with about(request.input), ExitStack() as opened:
        plan = plan_raw(subqueries, request.text, request.input, opened, strict=request.semantics == "strict")
        several = len(plan.trees) > 1
        phases: list[Phase] = []
        schema: list[tuple[str, str]] = []
        for tree in plan.trees:
            prefix = f"{tree.source.tree} -> {tree.output}: " if several else ""
            seen: set[str] = set()
            for selection in tree.plan.selections:
                phases.append(_phase(f"{prefix}cut", selection.text, set(selection.columns), tree.source))
                seen |= selection.columns
            phases.append(_phase(f"{prefix}output", "", tree.plan.payload(0) - seen, tree.source))
            sample = tree.sample
            path = f"{tree.output}/" if several else ""
            schema += [(f"{path}{name}", str(sample[name].type.content)) for name in sample.fields]
        entries = sum(tree.source.entries for tree in plan.trees if tree.first)
        return Explanation(tuple(phases), tuple(schema), plan.warnings, plan.file_bytes, entries)


def _phase(title: str, text: str, names: set[str], source: Source) -> Phase:
    return Phase(title, text, tuple(ColumnBytes(name, *source.size(name)) for name in sorted(names)))


def plan_raw(
    subqueries: Sequence[SubQuery], text: str, file: str, opened: ExitStack, *, strict: bool = False
) -> RawPlan:
    """The plan of a selection on one file, whose trees stay open until `opened` ends."""
    trees: list[TreePlan] = []
    warnings: list[str] = []
    for subquery in subqueries:
        for name, output in subquery.trees.items():
            try:
                source = opened.enter_context(closing(open_source(file, name)))
            except UnknownTree as error:
                if subquery.fail_on_missing_trees:
                    raise
                warnings.append(f"the tree {name!r} is left out: the file has {_listed(error.trees)}")
                continue
            plan = _tree_plan(subquery, text, file, source, strict)
            if plan is None:
                warnings.append(f"the tree {name!r} is left out: the filters fit none of its branches")
            else:
                first = all(tree.source.tree != source.tree for tree in trees)
                trees.append(TreePlan(source, output, plan, first))
                warnings += plan.warnings
    patterns = [pattern for subquery in subqueries for pattern in subquery.copied]
    copied: list[str] = []
    refused: list[str] = []
    identity, size = b"", 0
    if patterns or not trees:
        with directory_of(file) as directory:
            copied, refused = objects_in(directory, patterns) if patterns else ([], [])
            identity, size = directory.file.uuid.bytes, int(directory.file.fEND)
    if trees:
        identity, size = trees[0].source.identity, trees[0].source.file_bytes
    if patterns and not copied:
        warnings.append(f"copy_histograms fits no object: {_listed(patterns)}")
    warnings += [f"the tree {name!r} is not copied: name it in treename" for name in refused]
    taken = [name for name in copied if name in {tree.output for tree in trees}]
    if taken:
        raise BadSelection(f"{taken[0]!r} is the name of an output tree and of an object to copy", text)
    return RawPlan(tuple(trees), tuple(copied), tuple(dict.fromkeys(warnings)), identity, size)


def _writable(plan: RawPlan, output_format: OutputFormat) -> RawPlan:
    """The plan, of trees that are taken whole without the columns that the format cannot hold."""
    plans = [writable(tree.plan, output_format) for tree in plan.trees]
    pairs = list(zip(plan.trees, plans, strict=True))
    told = [warning for tree, made in pairs for warning in made.warnings[len(tree.plan.warnings) :]]
    trees = tuple(replace(tree, plan=made) for tree, made in pairs)
    return replace(plan, trees=trees, warnings=(*plan.warnings, *told))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"


def _tree_plan(subquery: SubQuery, text: str, file: str, source: Source, strict: bool) -> Plan | None:
    """The plan for one tree; None if the filters fit no branch of it."""
    expressions = Expressions()
    typenames = partial(_typenames, file, source.tree)
    compiled = compile_raw(subquery, text, source, expressions, typenames, strict=strict)
    if not compiled.columns:
        return None
    conjuncts = compiled.conjuncts()
    selection = Selection(subquery.cut or "", conjuncts, any(may_fail(conjunct) for conjunct in conjuncts))
    selections = (selection,) if conjuncts else ()
    output = expressions.make("zip", *compiled.columns.values(), parameter=(tuple(compiled.columns), 1), span=(0, 0))
    whole = (subquery.expressions, subquery.filter_name, subquery.filter_typename) == (None, None, None)
    return ordered(Plan((Stage(selections, {}),), output, warnings=compiled.warnings, whole=whole), source)


def _typenames(file: str, tree: str) -> dict[str, str]:
    with directory_of(file) as directory:
        return {name: str(kind) for name, kind in directory[tree].typenames(recursive=False).items()}


def _write(
    tree: TreePlan,
    request: TransformRequest,
    writer: Writer,
    progress: Progress | None,
    found: Iterable[Piece] | None,
) -> Written:
    """All rows of one tree into the output."""
    if found is None:
        weigh = tree.first and has_weights(tree.source)
        found = pieces(
            tree.plan, tree.source, request.text, request.chunk_bytes, request.threads, weigh=weigh, progress=progress
        )
    return write_pieces(found, Grouped(writer, tree.output), len(tree.plan.selections))


def _result(plan: RawPlan, written: Sequence[Written]) -> TransformResult:
    """The sums over all trees; each tree of the input counts once."""
    pairs = list(zip(plan.trees, written, strict=True))
    weighed = [done.weights for tree, done in pairs if tree.first and has_weights(tree.source)]
    return TransformResult(
        events_in=sum(tree.source.entries for tree in plan.trees if tree.first),
        events_out=sum(done.rows for done in written),
        cutflow=tuple(
            CutflowRow(selection.text, passed)
            for tree, done in pairs
            for selection, passed in zip(tree.plan.selections, done.passed, strict=True)
        ),
        bytes_read=sum(tree.source.bytes_read for tree in plan.trees),
        bytes_written=0,
        seconds=0.0,
        columns=_columns_read(plan),
        warnings=plan.warnings,
        sum_of_weights=rounded(total_weight(weighed)) if weighed else None,
    )


def _columns_read(plan: RawPlan) -> tuple[str, ...]:
    """Branches that are read, sorted; with their trees' names where there are several."""
    read = {(tree.source.tree, name) for tree in plan.trees for name in tree.plan.columns}
    several = len({tree for tree, _ in read}) > 1
    return tuple(sorted(f"{tree}/{name}" if several else name for tree, name in read))


def _digest(subqueries: Sequence[SubQuery]) -> str:
    """The selection's meaning: the spelling of the JSON does not count."""
    document = [asdict(subquery) for subquery in subqueries]
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _record(
    request: TransformRequest, subqueries: Sequence[SubQuery], plan: RawPlan, result: TransformResult
) -> dict[str, Json]:
    """What the output keeps of how it was made; nothing of where or when."""
    return {
        "query": _digest(subqueries),
        "codegen": request.codegen,
        "semantics": request.semantics,
        "input": {
            "uuid": plan.identity.hex(),
            "tree": ", ".join(tree.source.tree for tree in plan.trees if tree.first),
            "bytes": plan.file_bytes,
        },
        "events_in": result.events_in,
        "events_out": result.events_out,
        "cutflow": [{"where": row.text, "passed": row.passed} for row in result.cutflow],
        "sum_of_weights": result.sum_of_weights,
    }

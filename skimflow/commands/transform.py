"""`skimflow transform` and `explain`: one query on one file."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from delivery.requests import Codegen, Explanation, OutputFormat, Semantics, TransformRequest, TransformResult
from delivery.urls import shown
from skimflow.cli import json_option, print_json
from skimflow.errors import UsageError
from skimflow.progress import late_clock
from skimflow.quantities import bytes_text, share_text
from skimflow.selections import CUT_TEXT, cut_text, python_text, selection_text

if TYPE_CHECKING:
    from delivery.requests import ColumnBytes

FORMAT_BY_SUFFIX: dict[str, OutputFormat] = {".parquet": "parquet", ".root": "root-file"}
_OF_SHELL = '"$`\\!'


def _query_options(codegens: tuple[str, ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            json_option,
            click.option("--tree", metavar="T", help="Tree to read (default: the query's, else the first)."),
            click.option(
                "--semantics", type=click.Choice(get_args(Semantics)), default="servicex", show_default=True,
                help="servicex: what ServiceX answers; strict: what the query says.",
            ),
            click.option(
                "--selection", required=True, metavar="FILE|TEXT",
                help="The query: its text, a file that holds it, or a query function, such as queries.ttbar:selected.",
            ),
            click.option(
                "--codegen", type=click.Choice(codegens), default="uproot", show_default=True,
                help="Language of the selection.",
            ),
        ):  # fmt: skip
            function = option(function)
        return function

    return add


@click.command()
@click.argument("source", metavar="INPUT")
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
@_query_options(get_args(Codegen))
@click.option(
    "--format", "form", type=click.Choice(get_args(OutputFormat)),
    help="Format of OUTPUT (default: by its suffix, .parquet or .root).",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Threads (default: one for each core, at most 8).")
@click.option("--allow-python", is_flag=True, help="Run the code that a selection for codegen python brings.")
def transform(
    source: str, output: Path, codegen: str, selection: str, semantics: Semantics, tree: str | None,
    form: OutputFormat | None, threads: int | None, allow_python: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run a query on INPUT (a ROOT file or URL) and write the result to OUTPUT.

    OUTPUT appears when it is whole; if the query fails, what was there stays.
    """
    if form is None:
        form = _format_of(output)
    if "://" not in source and output.exists() and Path(source).exists() and output.samefile(source):
        raise UsageError(f"{output} is the input; give the result another name")
    request = TransformRequest(
        selection_text(selection, codegen), source, output, tree, codegen, form,
        threads=threads or min(8, os.cpu_count() or 1), semantics=semantics, allow_python=allow_python,
    )  # fmt: skip
    from delivery import engine

    with late_clock(f"transform {Path(shown(source)).name}"):
        result = engine.transform(request)
    if as_json:
        print_json({"input": shown(source), "output": str(output), "format": form, **asdict(result)})
    else:
        _print_result(result, request)


@click.command()
@click.argument("source", metavar="INPUT")
@_query_options(("uproot", "uproot-raw"))
def explain(source: str, codegen: str, selection: str, semantics: Semantics, tree: str | None, as_json: bool) -> None:
    """Show what a query would read of INPUT, in which order, and what it would give; reads the file's header only."""
    request = TransformRequest(
        selection_text(selection, codegen), source, Path(os.devnull), tree, codegen, semantics=semantics
    )
    from delivery import engine

    with late_clock(f"explain {Path(shown(source)).name}"):
        found = engine.explain(request)
    if as_json:
        print_json({"input": shown(source), **asdict(found)})
    else:
        _print_plan(found, request)
        click.echo(f"do it: {(_evaluate_command if found.one_value else _transform_command)(request, selection)}")


def _format_of(output: Path) -> OutputFormat:
    if output.suffix not in FORMAT_BY_SUFFIX:
        formats = ", ".join(get_args(OutputFormat))
        raise UsageError(f"the suffix of {output} tells no format; add --format, one of {formats}")
    return FORMAT_BY_SUFFIX[output.suffix]


def _print_result(result: TransformResult, request: TransformRequest) -> None:
    click.echo(f"{result.events_in:,} events in, {result.events_out:,} rows out")
    before = result.events_in
    for row in result.cutflow:
        click.echo(f"  {row.passed:>13,}  {share_text(row.passed, before):>7}  {cut_text(row.text)}")
        before = row.passed
    if result.sum_of_weights is not None:
        click.echo(f"sum of genWeight over all events in: {result.sum_of_weights:.10g}")
    if request.codegen != "python":  # what a function reads is not known
        click.echo(f"read {bytes_text(result.bytes_read)} of {_columns(len(result.columns))}")
    click.echo(f"wrote {bytes_text(result.bytes_written)} in {result.seconds:.2f} s")
    _print_warnings(result.warnings)
    click.echo(f"look at it: {_look_command(request)}")


def _print_warnings(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        click.secho(f"warning: {warning}", fg="yellow")


def _look_command(request: TransformRequest) -> str:
    path = str(request.output)
    if request.format == "raw-file":
        return f"file {shlex.quote(path)}"
    if request.format == "parquet":
        code = f"import awkward as ak; ak.from_parquet({path!r}).show(type=True)"
    elif request.codegen == "uproot":
        code = f"import uproot; uproot.open({path!r})['servicex'].arrays().show(type=True)"
    else:
        code = f"import uproot; print(uproot.open({path!r}).classnames())"
    return _python_command(code)


def _print_plan(found: Explanation, request: TransformRequest) -> None:
    click.echo(f"{shown(request.input)}: {found.entries:,} events, {bytes_text(found.file_bytes)}")
    read = [column for phase in found.phases for column in phase.columns]
    width = max((len(column.name) for column in read), default=0)
    for number, phase in enumerate(found.phases, 1):
        click.echo(f"phase {number}: {phase.title}, {_amount(phase.columns, found.file_bytes)}")
        for line in textwrap.wrap(python_text(phase.text), CUT_TEXT) if phase.text else []:
            click.echo(f"    {line}")
        for column in phase.columns:
            click.echo(f"    {column.name:<{width}}  {_bytes(column)}")
    if read:
        plain = bytes_text(sum(column.plain for column in read))
        click.echo(f"all phases: at most {_amount(read, found.file_bytes)}, {plain} uncompressed")
    click.echo("gives:")
    width = max((len(name) for name, _ in found.schema), default=0)
    for name, kind in found.schema:
        click.echo(f"    {name or '(no name)':<{width}}  {kind}")
    _print_warnings(found.warnings)


def _amount(columns: Sequence[ColumnBytes], file_bytes: int) -> str:
    """How many columns, and how much of the file they are."""
    if not columns:
        return "nothing new to read"
    compressed = sum(column.compressed for column in columns)
    if not compressed:
        return f"{_columns(len(columns))}, no bytes of their own"
    share = share_text(compressed, file_bytes)
    return f"{_columns(len(columns))}, {bytes_text(compressed)}" + (f", {share} of the file" if share else "")


def _bytes(column: ColumnBytes) -> str:
    if not column.plain:  # as small trees are written: their baskets lie inside the tree's own record
        return "no bytes of its own"
    return f"{bytes_text(column.compressed):>9}, {bytes_text(column.plain):>9} uncompressed"


def _columns(count: int) -> str:
    return f"{count} column{'' if count == 1 else 's'}"


def _transform_command(request: TransformRequest, selection: str) -> str:
    words = ["skimflow", "transform", "--codegen", request.codegen, "--selection", selection]
    words += ["--semantics", "strict"] if request.semantics == "strict" else []
    words += ["--tree", request.tree] if request.tree else []
    safe = [word if len(word) <= CUT_TEXT else "…" for word in words]
    return shlex.join(safe).replace("'…'", "…") + f" {shlex.quote(shown(request.input))} OUT.parquet"


def _evaluate_command(request: TransformRequest, selection: str) -> str:
    """How to get the one value of a query that no output can hold."""
    query = repr(selection) if len(selection) <= CUT_TEXT else "…"
    options = f", {request.tree!r}" if request.tree else ""
    options += f", semantics={request.semantics!r}" if request.semantics != "servicex" else ""
    code = (
        "from delivery.engine import evaluate; from skimflow.selections import selection_text; "
        f"print(evaluate(selection_text({query}, {request.codegen!r}), {shown(request.input)!r}{options}))"
    )
    return _python_command(code)


def _python_command(code: str) -> str:
    return "python -c " + (shlex.quote(code) if set(code) & set(_OF_SHELL) else f'"{code}"')

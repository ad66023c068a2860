"""`skimflow compare`: two models, or two fits, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skimflow.commands.workspaces import Output, assignments, output_options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.comparison.results import Comparison

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@click.option("--measurement", help="Name of the measurement (default: the first).")
@click.option("--fix", multiple=True, metavar="NAME=VALUE", help="Hold a parameter in both; may be given repeatedly.")
@click.option("--fix-second", multiple=True, metavar="NAME=VALUE", help="Hold a parameter in the second alone.")
@click.option("--without", multiple=True, metavar="PATTERN", help="Hold in the second where measured; repeatable.")
@output_options
def compare(
    first: Path,
    second: Path,
    measurement: str | None,
    fix: tuple[str, ...],
    fix_second: tuple[str, ...],
    without: tuple[str, ...],
    output: Output,
) -> None:
    """Compare the models of two workspaces (pyhf JSON files), or two fits that `skimflow fit --output` kept."""
    held, held_second = assignments(fix, "--fix"), assignments(fix_second, "--fix-second")
    result = _compare((first, second), measurement, held, held_second, without)
    from inference.comparison.tables import comparison_tables, sentence

    def figure() -> Figure:
        from inference.comparison.figures import parameters

        return parameters(result)

    output.show(result, lambda: comparison_tables(result), figure, sentences=[sentence(result)])


def _compare(
    paths: tuple[Path, Path],
    measurement: str | None,
    held: dict[str, float],
    held_second: dict[str, float],
    without: tuple[str, ...],
) -> Comparison:
    documents = [_document(path) for path in paths]
    names = _names(paths, changed=bool(held_second or without))
    fits = [document.get("kind") == "FitResult" for document in documents]
    if any(fits):
        if not all(fits):
            raise click.UsageError(f"{paths[fits.index(False)]} is no fit: give two workspaces, or two fits")
        if held or held_second or without:
            raise click.UsageError("nothing can be held in fits that are made: give the workspaces")
        from inference.comparison.compare import compare_fits
        from inference.documents import from_document
        from inference.results import FitResult

        one, other = (from_document(FitResult, document) for document in documents)
        return compare_fits(one, other, names=names)
    from inference.comparison.variants import compare_with
    from inference.likelihood.model import Likelihood
    from inference.workspace import load_workspace

    return compare_with(
        Likelihood(load_workspace(documents[0]), measurement),
        other=paths[1],
        measurement=measurement,
        without=without,
        hold=held_second,
        this=names[0],
        called=names[1],
        fixed=held,
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise click.BadParameter(f"{path} is no JSON object: {error}") from error


def _names(paths: tuple[Path, Path], *, changed: bool) -> tuple[str, str]:
    """The files' names, with as many folders as it takes to tell them apart; ``changed`` tells them apart too."""
    one, other = (path.resolve() for path in paths)
    if one == other:
        return one.stem, one.stem if changed else f"{one.stem}, again"
    if one.stem != other.stem:
        return one.stem, other.stem
    return f"{one.parent.name}/{one.stem}", f"{other.parent.name}/{other.stem}"

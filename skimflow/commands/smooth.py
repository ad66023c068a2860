"""`skimflow smooth`: templates of a workspace symmetrised, smoothed and pruned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skimflow.cli import json_option, print_json
from skimflow.commands.workspaces import in_a_folder, new_file, source

if TYPE_CHECKING:
    from inference.smoothing.effects import Algorithm, Symmetry
    from inference.smoothing.workspace import Smoothed

ALGORITHMS = ("353QH", "ratio")
SYMMETRIES = ("two-sided", "one-sided", "maximum", "up-only", "down-only")


@click.command()
@click.argument("workspace", type=click.Path(dir_okay=False, allow_dash=True, path_type=str))
@click.option("--output", type=new_file(), callback=in_a_folder, help="Write the new workspace here.")
@click.option("--smooth", "algorithm", type=click.Choice(ALGORITHMS), help="Smooth ratios to the nominal template.")
@click.option("--tolerance", type=float, help="Statistical error of a group of bins, for --smooth ratio.")
@click.option("--symmetrise", type=click.Choice(SYMMETRIES), help="Make up and down equally large.")
@click.option("--prune-norm", type=float, default=0.0, help="Drop normalisation effects below this fraction.")
@click.option("--prune-shape", type=float, default=0.0, help="Drop shape effects below this fraction in all bins.")
@click.option("--only", multiple=True, metavar="PATTERN", help="Systematics to change, such as 'jes*'; repeatable.")
@click.option("--figures", type=click.Path(file_okay=False, path_type=Path), help="Draw before and after, to a folder.")
@click.option("--table", type=click.Choice(["text", "csv", "latex"]), default="text", help="How the table looks.")
@json_option
def smooth(
    workspace: str,
    output: Path | None,
    algorithm: Algorithm | None,
    tolerance: float | None,
    symmetrise: Symmetry | None,
    prune_norm: float,
    prune_shape: float,
    only: tuple[str, ...],
    figures: Path | None,
    table: str,
    as_json: bool,
) -> None:
    """Symmetrise, smooth and prune the templates of WORKSPACE (a pyhf JSON file, - for standard input), in this order.

    Without --output nothing is written: the table shows what would be done.
    """
    from inference.documents import to_document
    from inference.smoothing.algorithms import TOLERANCE
    from inference.smoothing.tables import changes_table
    from inference.smoothing.workspace import smooth_workspace
    from inference.workspace import load_workspace, workspace_bytes

    result = smooth_workspace(
        load_workspace(source(workspace)),
        smooth=algorithm,
        symmetrise=symmetrise,
        prune_norm=prune_norm,
        prune_shape=prune_shape,
        tolerance=TOLERANCE if tolerance is None else tolerance,
        only=only or ("*",),
    )
    if output is not None:
        output.write_bytes(workspace_bytes(result.workspace))
    if figures is not None:
        _draw(result, figures)
    if as_json:
        print_json(to_document(result))
        return
    click.echo(getattr(changes_table(result), f"to_{table}")().rstrip("\n"))
    if table == "text":
        gone = f"; no parameters any more: {', '.join(result.gone)}" if result.gone else ""
        click.echo(f"{len(result.changes)} changes of {len(result.comparisons)} variations{gone}")
        click.echo("nothing is written: give --output NEW.json" if output is None else f"fit it: skimflow fit {output}")


def _draw(result: Smoothed, folder: Path) -> None:
    from inference.canvas import save
    from inference.smoothing.figures import comparison

    folder.mkdir(parents=True, exist_ok=True)
    for each in result.comparisons:
        stem = re.sub(r"[^\w.-]+", "_", "_".join((each.channel, each.sample, each.systematic)))
        for name, content in save(comparison(each), stem, ("pdf", "png")).items():
            (folder / name).write_bytes(content)

"""`skimflow reinterpret`: limits on new signals in a preserved workspace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from skimflow.commands.workspaces import Output, assignments, in_a_folder, new_file, output_options, source

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@click.command()
@click.argument("workspace", type=click.Path(dir_okay=False, allow_dash=True, path_type=str))
@click.option(
    "--signal",
    "archive",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="JSON Patch, PatchSet, folder or tar archive of patches, named signals, or histograms (UHI JSON or ROOT).",
)
@click.option("--select", multiple=True, metavar="PATTERN", help="Only signals of such names, for example '*_60'.")
@click.option(
    "--drop", multiple=True, metavar="SAMPLE", help="Take a signal of the workspace away, by name or pattern."
)
@click.option("--poi", metavar="NAME", help="Name of the strength (default: the workspace's parameter of interest).")
@click.option("--leave-out", multiple=True, metavar="CHANNEL", help="Take a channel away, such as a validation region.")
@click.option("--measurement", help="Name of the measurement (default: the first).")
@click.option("--fix", multiple=True, metavar="NAME=VALUE", help="Hold a parameter; may be given more than once.")
@click.option("--level", type=float, default=0.95, show_default=True, help="Confidence level.")
@click.option("--method", type=click.Choice(["CLs", "CLsb"]), default="CLs", show_default=True)
@click.option("--labels", default="", metavar="NAME,…", help="Names of the numbers in the signals' names.")
@click.option("--along", metavar="X[,Y]", help="Figure: limits along one label, or exclusion contours in two of them.")
@click.option("--patchset", "kept", type=new_file(), callback=in_a_folder, help="Keep as a PatchSet; no fit.")
@click.option("--hepdata", default="ins0000000", help="Record that a kept PatchSet refers to, such as ins1748602.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Signals at once, in threads.")
@output_options
def reinterpret(
    workspace: str,
    archive: Path,
    output: Output,
    select: tuple[str, ...],
    drop: tuple[str, ...],
    poi: str | None,
    leave_out: tuple[str, ...],
    measurement: str | None,
    fix: tuple[str, ...],
    level: float,
    method: Literal["CLs", "CLsb"],
    labels: str,
    along: str | None,
    kept: Path | None,
    hepdata: str,
    workers: int,
) -> None:
    """Limits on new signals in WORKSPACE, a pyhf JSON file of the background, - for standard input."""
    from inference.reinterpretation.archive import read_signals
    from inference.reinterpretation.reinterpret import poi_of
    from inference.reinterpretation.reinterpret import reinterpret as limits_on
    from inference.reinterpretation.signals import background_of, chosen
    from inference.reinterpretation.tables import signal_table
    from inference.workspace import load_workspace

    background = background_of(load_workspace(source(workspace)), drop, poi)
    signals, own = read_signals(archive, background, poi_of(background, measurement))
    signals = chosen(signals, select)
    names = tuple(name for name in labels.split(",") if name) or own
    if kept is not None:
        _keep(kept, background, signals, names, hepdata)
        return
    axes = _axes(along, names)
    result = limits_on(
        background,
        signals,
        measurement=measurement,
        labels=names,
        leave_out=leave_out,
        level=level,
        method=method,
        fixed=assignments(fix, "--fix"),
        workers=workers,
        progress=output.clock.told,
    )

    def figure() -> Figure:
        from inference.reinterpretation.figures import exclusion, limit_curve, limit_summary

        if len(axes) == 2:
            return exclusion(result, (axes[0], axes[1]))
        return limit_curve(result, axes[0]) if axes else limit_summary(result)

    limits = [limit for each in result.signals for limit in (each.observed, *each.expected)]
    output.show(result, lambda: [signal_table(result)], figure, found=any(limit is not None for limit in limits))


def _keep(file: Path, background: Any, signals: Any, labels: tuple[str, ...], hepdata: str) -> None:
    from inference.reinterpretation.patchset import write

    description = f"{len(signals)} signals"
    document = write(background, signals, labels=labels, hepdata=hepdata, description=description)
    file.write_text(json.dumps(document) + "\n", encoding="utf-8")
    click.echo(f"{description} with the background's digests in {file}")


def _axes(along: str | None, labels: tuple[str, ...]) -> tuple[int, ...]:
    if along is None:
        return ()
    chosen = along.split(",")
    if len(chosen) > 2 or not set(chosen) <= set(labels):
        known = ", ".join(labels) or "none: name them with --labels"
        raise click.BadParameter(f"{along!r} is not one or two of the labels ({known})", param_hint="--along")
    return tuple(labels.index(label) for label in chosen)

"""`skimflow convert`: a statistical model from one format to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skimflow.cli import json_option, print_json

if TYPE_CHECKING:
    from inference.formats.convert import Written


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path), metavar="IN")
@click.argument("target", type=click.Path(path_type=Path), metavar="OUT")
@click.option(
    "--to",
    "kind",
    type=click.Choice(["pyhf", "hs3", "xml"]),
    help="Format of OUT (default: XML for a folder; else pyhf JSON, or HS3 where IN is pyhf JSON).",
)
@click.option("--analysis", help="HS3: take this analysis only.")
@click.option(
    "--base", type=click.Path(exists=True, file_okay=False, path_type=Path), help="XML: its paths start here."
)
@click.option("--mass", type=float, default=120.0, show_default=True, help="Datacard: what $MASS stands for.")
@json_option
def convert(
    source: Path,
    target: Path,
    kind: Written | None,
    analysis: str | None,
    base: Path | None,
    mass: float,
    as_json: bool,
) -> None:
    """Write the model in IN to OUT: pyhf JSON, HS3, HistFactory XML + ROOT, or a Combine datacard (IN only).

    What IN holds is seen from its content. What does not survive is said on standard error.
    """
    from inference.formats.convert import NAMES, default_kind, read_model, write_model

    model = read_model(source, base=base, part=analysis, mass=mass)
    wanted = kind or default_kind(model.kind, target)
    lost = write_model(model, target, wanted)
    notes = [*model.remarks, *lost]
    for sentence in notes:
        click.echo(f"note: {sentence}", err=True)
    if as_json:
        print_json({"input": str(source), "from": model.kind, "output": str(target), "to": wanted, "notes": notes})
    else:
        click.echo(f"{source}: {NAMES[model.kind]} → {target}: {NAMES[wanted]}")
        if wanted == "pyhf":
            click.echo(f"fit it: skimflow fit {target}")

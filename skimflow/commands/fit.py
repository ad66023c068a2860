"""`skimflow fit`: a pyhf workspace to a checked fit."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from skimflow.cli import json_option, print_json


@click.command()
@click.argument("workspace", type=click.Path(dir_okay=False, allow_dash=True, path_type=str))
@click.option("--measurement", help="Name of the measurement (default: the first).")
@click.option("--fix", multiple=True, metavar="NAME=VALUE", help="Hold a parameter.")
@json_option
def fit(
    workspace: str,
    measurement: str | None,
    fix: tuple[str, ...],
    as_json: bool,
) -> None:
    """Fit WORKSPACE (a pyhf JSON file, - for standard input) to its observed data."""
    fixed = dict(_assignment(text) for text in fix)
    from inference.fit import FitSettings
    from inference.fit import fit as fit_workspace

    source = _standard_input() if workspace == "-" else Path(workspace)
    result = fit_workspace(source, FitSettings(measurement, fixed))
    if as_json:
        print_json(json.loads(result.to_json()))
        return
    from inference.tables import parameter_table

    click.echo(parameter_table(result).to_text())
    click.echo(f"{result.certificate.sentence}; uncertainties from the exact Hessian")


def _assignment(text: str) -> tuple[str, float]:
    name, sign, value = text.rpartition("=")
    try:
        if not (sign and name):
            raise ValueError
        return name, float(value)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE, such as ttbar_norm=1", param_hint="--fix") from error


def _standard_input() -> dict[str, Any]:
    try:
        return dict(json.load(sys.stdin))
    except (TypeError, ValueError) as error:
        raise click.BadParameter(f"standard input is no JSON: {error}", param_hint="WORKSPACE") from error

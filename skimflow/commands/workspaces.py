"""What all commands on a workspace share: reading it, and showing a result as a table, JSON or a figure."""

from __future__ import annotations

import functools
import json
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skimflow.cli import json_option, print_json
from skimflow.progress import Clock, late_clock

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from inference.tables import Table

FIGURE_KINDS = (".svg", ".pdf", ".png")


@dataclass(frozen=True, slots=True)
class Output:
    """Where a result goes, as the options say; `clock` shows how far it is until then."""

    as_json: bool
    table: str
    file: Path | None
    figure: Path | None
    clock: Clock

    def show(
        self,
        result: Any,
        tables: Callable[[], Iterable[Table]],
        figure: Callable[[], Figure] | None = None,
        *,
        sentences: Iterable[str] = (),
        found: bool = True,
    ) -> None:
        """Print a result, a dataclass that `inference.documents` can write, and write the files that are asked for.

        Tables and figure are made only if they are wanted; `sentences` follow the tables of a terminal. Where nothing
        was `found` of what was asked for, the command ends with status 1.
        """
        from inference.documents import to_document, to_json

        if self.figure is not None and figure is None:
            raise click.UsageError("this result has no figure: leave out --figure")
        if self.file is not None:
            self.file.write_text(to_json(result), encoding="utf-8")
        if self.figure is not None and figure is not None:
            draw(self.figure, figure())
        shown = [] if self.as_json else [getattr(table, f"to_{self.table}")() for table in tables()]
        self.clock.stop()
        if self.as_json:
            print_json(to_document(result))
        else:
            click.echo("\n".join(shown).rstrip("\n"))
            for sentence in sentences if self.table == "text" else ():
                click.echo(sentence)
        if not found:
            click.get_current_context().exit(1)


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--json, --table, --output and --figure; the command gets `output`, an `Output`."""

    @json_option
    @click.option("--table", type=click.Choice(["text", "csv", "latex"]), default="text", help="How tables look.")
    @click.option("--output", "file", type=new_file(), callback=in_a_folder, help="Keep the result as JSON.")
    @figure_option
    @functools.wraps(function)
    def wrapped(*args: Any, as_json: bool, table: str, file: Path | None, figure: Path | None, **kwargs: Any) -> Any:
        with late_clock(click.get_current_context().info_name or "skimflow") as clock:
            return function(*args, output=Output(as_json, table, file, figure, clock), **kwargs)

    return wrapped


def figure_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--figure, the path of a file to draw in with `draw`."""
    help_ = "Draw it: FILE.svg, FILE.pdf or FILE.png."
    return click.option("--figure", type=new_file(), callback=_figure_path, help=help_)(function)


def draw(path: Path, figure: Figure) -> None:
    """Write a figure as what the file's ending says."""
    from inference.canvas import save

    kind = path.suffix[1:]
    path.write_bytes(save(figure, "figure", (kind,))[f"figure.{kind}"])


def on_workspace(function: Callable[..., Any]) -> Callable[..., Any]:
    """WORKSPACE, --measurement, --fix and the options of the output.

    The command gets `likelihood`, a `Likelihood`; `fixed`, the parameters to hold by name; and `output`, an `Output`.
    """

    @click.argument("workspace", type=click.Path(dir_okay=False, allow_dash=True, path_type=str))
    @click.option("--measurement", help="Name of the measurement (default: the first).")
    @click.option("--fix", multiple=True, metavar="NAME=VALUE", help="Hold a parameter; may be given more than once.")
    @output_options
    @functools.wraps(function)
    def wrapped(*args: Any, workspace: str, measurement: str | None, fix: tuple[str, ...], **kwargs: Any) -> Any:
        fixed = assignments(fix, "--fix")
        from inference.likelihood.model import Likelihood
        from inference.workspace import load_workspace

        likelihood = Likelihood(load_workspace(source(workspace)), measurement)
        return function(*args, likelihood=likelihood, fixed=fixed, **kwargs)

    return wrapped


def assignments(texts: Iterable[str], option: str) -> dict[str, float]:
    """Values by name of an option that is given as NAME=VALUE; raises `click.BadParameter`."""
    found = {}
    for text in texts:
        name, sign, value = text.rpartition("=")
        try:
            if not (sign and name):
                raise ValueError
            found[name] = float(value)
            if not math.isfinite(found[name]):
                raise ValueError
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE, such as ttbar_norm=1", param_hint=option) from error
    return found


def source(workspace: str) -> dict[str, Any] | Path:
    """The path, or what stands on standard input for ``-``; raises `click.BadParameter` where that is no JSON."""
    if workspace != "-":
        return Path(workspace)
    try:
        return dict(json.load(sys.stdin))
    except (TypeError, ValueError) as error:
        raise click.BadParameter(f"standard input is no JSON: {error}", param_hint="WORKSPACE") from error


def new_file() -> click.Path:
    """A path that may be of no file yet."""
    return click.Path(dir_okay=False, path_type=Path)


def in_a_folder(_: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """The path of a file to write, checked before anything is computed; raises `click.BadParameter`."""
    if value is not None and not value.parent.is_dir():
        raise click.BadParameter(f"there is no folder {value.parent}: make it first", param=parameter)
    return value


def finite(_: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """A number, or numbers, that are no NaN or infinity; raises `click.BadParameter`."""
    found = [value]
    while found:
        one = found.pop()
        if isinstance(one, tuple):
            found.extend(one)
        elif one is not None and not math.isfinite(one):
            raise click.BadParameter(f"{one} is no number to calculate with", param=parameter)
    return value


def _figure_path(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.suffix not in FIGURE_KINDS:
        raise click.BadParameter(f"{str(value)!r}: give a file ending in {', '.join(FIGURE_KINDS)}", param=parameter)
    return in_a_folder(context, parameter, value)

"""`skimflow combine`: several workspaces as one."""

from __future__ import annotations

from pathlib import Path

import click

from skimflow.cli import json_option, print_json
from skimflow.commands.workspaces import draw, figure_option, in_a_folder, new_file


@click.command()
@click.argument("workspaces", nargs=-1, required=True, metavar="[NAME=]WORKSPACE...")
@click.option(
    "--map",
    "map_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML or JSON: which parameters are one (docs/formats.md); without it those of the same name are.",
)
@click.option(
    "--output", type=new_file(), callback=in_a_folder, help="Write it here; the terminal shows what is one then."
)
@click.option("--table", type=click.Choice(["text", "csv", "latex"]), default="text", help="How the table looks.")
@figure_option
@json_option
def combine(
    workspaces: tuple[str, ...],
    map_file: Path | None,
    output: Path | None,
    table: str,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Combine pyhf JSON files; each goes by NAME, or by its file's name without the ending."""
    from inference.combination.combine import combine as combined
    from inference.combination.correlation import load_map
    from inference.combination.tables import correlation_table
    from inference.documents import to_document
    from inference.workspace import load_workspace, workspace_bytes

    paths = _named(workspaces)
    found = combined(
        {name: load_workspace(path) for name, path in paths.items()}, None if map_file is None else load_map(map_file)
    )
    content = workspace_bytes(found.workspace)
    if output is not None:
        output.write_bytes(content)
    if figure is not None:
        from inference.combination.figures import correlation

        draw(figure, correlation(found))
    if as_json:
        print_json(to_document(found))
    elif output is None:
        click.echo(content.decode(), nl=False)
    else:
        click.echo(getattr(correlation_table(found), f"to_{table}")(), nl=False)
        if table == "text":
            click.echo(f"fit it: skimflow fit {output}")


def _named(workspaces: tuple[str, ...]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for text in workspaces:
        name, sign, path = text.partition("=")
        if not sign:
            name, path = Path(text).stem, text
        if name in paths:
            raise click.BadParameter(
                f"two of them are called {name!r}: say NAME=FILE, such as {name}2={path}", param_hint="WORKSPACE"
            )
        paths[name] = Path(path)
    return paths

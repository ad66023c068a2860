"""`skimflow init`: a commented pipeline file that runs."""

from __future__ import annotations

from pathlib import Path

import click

from skimflow.cli import json_option, print_json
from skimflow.errors import UsageError
from skimflow.pipeline import json_schema, packaged_pipeline


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=Path("pipeline.yml"))
@click.option("--schema", is_flag=True, help="Print the JSON schema of pipeline files instead (for editors).")
@json_option
def init(file: Path, schema: bool, as_json: bool) -> None:
    """Write a commented pipeline to FILE (default: pipeline.yml); never overwrites one."""
    if schema:
        print_json(json_schema())
        return
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(packaged_pipeline().read_text(encoding="utf-8"))
    except FileExistsError as error:
        raise UsageError(f"{file} is there already; name another file, or run it: skimflow run {file}") from error
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error
    if as_json:
        print_json({"file": str(file)})
    else:
        click.echo(f"wrote {file}; see what it would do: skimflow plan {file}; do it: skimflow run {file}")

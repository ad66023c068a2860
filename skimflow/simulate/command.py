"""`skimflow simulate`: write demonstration files."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from skimflow.cli import json_option, print_json
from skimflow.progress import reporter
from skimflow.simulate.run import (
    EVENTS_PER_FILE,
    FILES_PER_SAMPLE,
    LARGEST_FILE,
    SEED,
    Compression,
    simulate,
)


@click.command("simulate")
@click.argument("outdir", type=click.Path(file_okay=False, path_type=Path))
@click.option("--events-per-file", type=click.IntRange(1, LARGEST_FILE), default=EVENTS_PER_FILE, show_default=True)
@click.option("--files-per-sample", type=click.IntRange(1), default=FILES_PER_SAMPLE, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=SEED, show_default=True)
@click.option("--compression", type=click.Choice(get_args(Compression)), default="zlib", show_default=True)
@click.option("--jobs", type=click.IntRange(1), help="Processes (default: one per core).")
@click.option("--damaged", is_flag=True, help="Also write files that are wrong in known ways, to OUTDIR/damaged.")
@json_option
def simulate_command(
    outdir: Path,
    events_per_file: int,
    files_per_sample: int,
    seed: int,
    compression: Compression,
    jobs: int | None,
    damaged: bool,
    as_json: bool,
) -> None:
    """Write NanoAOD-like files of the nine AGC samples to OUTDIR, and OUTDIR/fileset.json that lists them.

    Files that are there with the same settings are kept.
    """
    result = simulate(
        outdir,
        events_per_file=events_per_file,
        files_per_sample=files_per_sample,
        seed=seed,
        compression=compression,
        jobs=jobs,
        reporter=reporter(),
    )
    document = result.to_json()
    if damaged:
        from skimflow.simulate.damaged import write_damaged

        document["damaged"] = [str(path) for path in write_damaged(outdir / "damaged", seed)]
    if as_json:
        print_json(document)
        return
    click.echo(
        f"{len(result.made)} files made, {len(result.kept)} were there: {result.size / 1e6:,.0f} MB"
        + (f", {result.events / result.seconds:,.0f} events/s" if result.made else "")
    )
    click.echo(f"fileset: {result.fileset}")
    if damaged:
        click.echo(f"damaged: {outdir / 'damaged'}")

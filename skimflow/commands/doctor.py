"""`skimflow doctor`: what is wrong with this installation, and what to do."""

from __future__ import annotations

import click

from skimflow.cache import default_store_url
from skimflow.cli import json_option, print_json
from skimflow.doctor import examine


@click.command()
@click.option("--store", help="Store to try (default: the one that `skimflow cache` uses).")
@json_option
@click.pass_context
def doctor(ctx: click.Context, store: str | None, as_json: bool) -> None:
    """Check versions, package names, store and endpoints; exit code 1 if something is wrong."""
    findings = []
    for finding in examine(store or default_store_url()):
        findings.append(finding)
        if not as_json:
            mark = "✓" if finding.ok else "✗"
            advice = f"\n    → {finding.advice}" if finding.advice and not finding.ok else ""
            click.echo(f"{mark} {finding.check:<22}{finding.found}{advice}")
    if as_json:
        print_json([finding.to_json() for finding in findings])
    ctx.exit(0 if all(finding.ok for finding in findings) else 1)

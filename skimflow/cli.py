"""The command line. Commands import what they need when they run: `--help` must be quick.

Exit codes: 0 done; 1 a stage failed (what was done is kept); 2 bad input; 130 interrupted (run again to go on).
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import skimflow

COMMANDS = {
    "demo": (
        "skimflow.commands.run:demo",
        "Simulate events, run the AGC ttbar measurement on them, write the report.",
    ),
    "init": ("skimflow.commands.init:init", "Write a commented pipeline file that runs."),
    "run": ("skimflow.commands.run:run", "Run a pipeline; what is kept is not computed again."),
    "plan": ("skimflow.commands.run:plan", "Show what would run and why; compute nothing."),
    "check": ("skimflow.commands.check:check", "Prove that delivery loses no event that processing selects."),
    "report": ("skimflow.commands.run:report", "Write the report of a pipeline from its kept results."),
    "fit": ("skimflow.commands.fit:fit", "Fit a pyhf workspace."),
    "ranking": ("skimflow.commands.ranking:ranking", "Impacts of its nuisance parameters, and pulls."),
    "intervals": ("skimflow.commands.intervals:intervals", "Profiled (Minos) or Feldman-Cousins intervals."),
    "scan": ("skimflow.commands.scan:scan", "Its likelihood along one or two parameters, and contours."),
    "limit": ("skimflow.commands.limit:limit", "Upper limits, observed and expected."),
    "significance": ("skimflow.commands.significance:significance", "Significance of a discovery."),
    "gof": ("skimflow.commands.gof:gof", "Goodness of fit."),
    "toys": ("skimflow.commands.toys:toys", "Toys: pulls and coverage of the fit."),
    "unfold": ("skimflow.commands.unfold:unfold", "Unfold its data, regularised or not."),
    "eft": ("skimflow.commands.eft:eft", "Fit Wilson coefficients."),
    "combine": ("skimflow.commands.combine:combine", "Combine workspaces, parameters correlated by a map."),
    "compare": ("skimflow.commands.compare:compare", "Two models or two fits side by side."),
    "reinterpret": ("skimflow.commands.reinterpret:reinterpret", "Limits on new signals in a preserved workspace."),
    "smooth": ("skimflow.commands.smooth:smooth", "Symmetrise, smooth and prune its templates."),
    "convert": (
        "skimflow.commands.convert:convert",
        "A workspace to or from HS3, XML + ROOT; from Combine's datacards.",
    ),
    "preserve": ("skimflow.commands.preserve:preserve", "Leave a pipeline for HEPData, REANA and RECAST."),
    "transform": ("skimflow.commands.transform:transform", "Run a query on one ROOT file, as ServiceX would."),
    "explain": ("skimflow.commands.transform:explain", "Show what a query would read of a file; run nothing."),
    "simulate": ("skimflow.simulate.command:simulate_command", "Write NanoAOD-like demonstration files."),
    "serve": ("skimflow.commands.serve:serve", "Serve a ServiceX endpoint on this machine."),
    "submit": ("skimflow.commands.submit:submit", "Ask a service for a query on files or a dataset."),
    "requests": ("skimflow.commands.requests:requests", "List, watch, fetch, stop and repeat what was submitted."),
    "users": ("skimflow.commands.users:users", "Say who may use a service, and how much."),
    "token": ("skimflow.commands.users:token", "Print a new token of a user of a service."),
    "cache": ("skimflow.cache:cache", "List, check and clean the store."),
    "doctor": ("skimflow.commands.doctor:doctor", "Check versions, packages, store and endpoints."),
}
"""Command name -> where it is, and its line in `--help`."""

BAD_INPUT = 2
INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Commands in the order in which people use them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Their lines, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when there is none of this name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No command '{args[0]}'.{hint} Commands: {', '.join(COMMANDS)}.")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(skimflow.__version__, "-V", "--version", prog_name="skimflow")
def cli() -> None:
    """From a func_adl query to a fitted result; what did not change is not computed again."""


def main() -> None:
    """Run the command line; known errors become one message and an exit code."""
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\ninterrupted: nothing is half written; the same command goes on from what was finished", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        click.echo(f"error: {error}", err=True)
        if "--json" in sys.argv:
            from delivery.errors import to_json

            print_json({"error": to_json(error)})
        sys.exit(code)


def exit_code(error: Exception) -> int | None:
    """The exit code of an error of ours or of the system; None for a bug, which keeps its traceback."""
    from artifacts.errors import ArtifactError, InvalidStoreURL
    from delivery.engine.usercode.errors import PythonNotAllowed
    from delivery.errors import DeliveryError, MissingFile, QueryFault, UnknownBranch, UnknownEndpoint, UnknownTree
    from delivery.service.errors import BadRequest, Conflict, NotThere
    from delivery.service_client.errors import NoSuchRequest, RequestRefused
    from inference.errors import FitFailed, InferenceError
    from processing.errors import FilesetError, ProcessingError, UnknownProcessor
    from queries.errors import QueryError
    from skimflow.errors import SkimflowError

    if isinstance(error, SkimflowError):
        return error.exit_code
    bad_service = (BadRequest, Conflict, NotThere, NoSuchRequest, RequestRefused, UnknownEndpoint)
    bad_query = (QueryError, QueryFault, UnknownBranch, UnknownTree, MissingFile, PythonNotAllowed)
    bad_input = (FilesetError, UnknownProcessor, InvalidStoreURL, InferenceError)
    if isinstance(error, FitFailed):  # the one of its room that is not about what was given
        return 1
    if isinstance(error, (*bad_query, *bad_input, *bad_service)):
        return BAD_INPUT
    if isinstance(error, OSError | ArtifactError | DeliveryError | ProcessingError):
        return 1
    return None


def print_json(document: Any) -> None:
    """The one way to print a result for programs: JSON on stdout, nothing else."""
    click.echo(json.dumps(document, indent=2, default=str))


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option that every command has."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")(function)


def existing_file() -> click.Path:
    """A path that must be a file."""
    return click.Path(exists=True, dir_okay=False, path_type=Path)

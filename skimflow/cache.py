"""`skimflow cache`: what the store holds, whether it is sound, and making room in it.

Exit codes: 0 done, 1 the store is damaged or cannot be used, or the answer was no; 2 bad input.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skimflow.quantities import SIZES, bytes_text

if TYPE_CHECKING:
    from artifacts.entry import Entry
    from artifacts.maintenance import Kept, Removal
    from artifacts.store import Store

AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WIDEST = 60


def default_store_url() -> str:
    """SKIMFLOW_STORE, else the store of the pipeline in the current folder, else one in the user's cache folder."""
    named = os.environ.get("SKIMFLOW_STORE")
    if named:
        return named
    here = Path(".skimflow") / "store"
    if here.is_dir():
        return str(here)
    from artifacts.copies import user_cache

    return str(user_cache() / "store")


class _BadInput(click.ClickException):
    """What was asked for makes no sense: one sentence, exit code 2."""

    exit_code = 2


class _Quantity(click.ParamType[float]):
    """A number with a unit."""

    def __init__(self, name: str, units: dict[str, int], example: str) -> None:
        self.name, self.units, self.example = name, units, example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number in the base unit."""
        if isinstance(value, int | float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", value.strip())
        units = {unit.lower(): factor for unit, factor in self.units.items()}
        if match is None or match[2].lower() not in units:
            known = ", ".join(self.units)
            self.fail(
                f"{value!r} is no {self.name}; write a number and a unit ({known}), as {self.example}", param, ctx
            )
        return float(match[1]) * units[match[2].lower()]


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """What every command has: `--store`, `--json`, and errors in one sentence."""

    @functools.wraps(function)
    def run(store: str | None, **options: Any) -> None:
        from artifacts.errors import ArtifactError, InvalidRequest, InvalidStoreURL, UnknownKey
        from artifacts.store import Store

        try:
            function(Store.open(store or default_store_url()), **options)
        except (InvalidRequest, InvalidStoreURL, UnknownKey) as error:
            raise _BadInput(str(error)) from error
        except ArtifactError as error:
            raise click.ClickException(str(error)) from error

    with_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
    with_store = click.option(
        "--store", metavar="URL", help="Folder, s3://BUCKET/PREFIX. Default: $SKIMFLOW_STORE, else ./.skimflow/store."
    )
    return with_store(with_json(run))


_yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@click.group()
def cache() -> None:
    """List, check and clean the store of computed results."""


@cache.command("ls")
@click.option("--stage", help="Only entries of this stage.")
@_command
def list_entries(store: Store, stage: str | None, as_json: bool) -> None:
    """List the entries, the most recently used first."""
    from artifacts.maintenance import survey

    kept = survey(store)
    stages = sorted({one.entry.stage for one in kept})
    if stage is not None and kept and stage not in stages:
        raise _BadInput(f"no entry is of stage {stage!r}; the stages in {store.url} are {', '.join(stages)}")
    kept = [one for one in kept if stage in {None, one.entry.stage}]
    if as_json:
        _print_json([_summary(one) for one in kept])
        return
    if kept:
        rows = [_row(one) for one in kept]
        _print_table(("key", "stage", "what", "blobs", "size", "age", "used"), rows, right={"blobs", "size"})
    click.echo(f"{_count(len(kept), 'entry', 'entries')}, {bytes_text(_room(kept))} in {store.url}", err=True)


@cache.command("show")
@click.argument("key")
@_command
def show(store: Store, key: str, as_json: bool) -> None:
    """Show one entry.

    KEY is the beginning of its key, long enough to be the only one.
    """
    from artifacts.maintenance import find, survey

    entry = find(store, key)
    whole = store.is_whole(entry)
    if as_json:
        _print_json({**entry.to_json(), "size": entry.size, "whole": whole})
        return
    used = next((one.used for one in survey(store) if one.entry.key == entry.key), time.time())
    state = "whole" if whole else "a blob is gone or cut short: it is computed again when it is next needed"
    for name, value in {
        "key": entry.key,
        "stage": f"{entry.stage} (version {entry.version})",
        "created": f"{entry.created} ({_age(_since(entry))} ago)",
        "used": _used(time.time() - used),
        "size": f"{bytes_text(entry.size)}, {state}",
    }.items():
        click.echo(f"{name:8} {value}")
    for title, document in (("request", entry.request), ("meta", entry.meta)):
        click.echo(f"\n{title}\n{_indented(document)}")
    click.echo("\nblobs")
    rows = [(name, bytes_text(blob.size), blob.media_type, blob.digest) for name, blob in sorted(entry.blobs.items())]
    _print_table(("output", "size", "type", "sha256"), rows, right={"size"})


@cache.command("verify")
@_command
def verify_store(store: Store, as_json: bool) -> None:
    """Compare every blob with its digest.

    Exit code 1 if an entry cannot be served.
    """
    from artifacts.maintenance import verify

    found = verify(store)
    if as_json:
        _print_json({**dataclasses.asdict(found), "sound": found.sound})
    else:
        for digest in found.damaged:
            click.echo(f"damaged   blob {digest}")
        for lack in found.missing:
            click.echo(f"missing   output {lack.output} of entry {lack.key[:12]} (blob {lack.digest[:12]})")
        for key in found.unreadable:
            click.echo(f"damaged   entry {key}")
        counts = [
            _count(len(found.damaged), "damaged blob"),
            f"{len(found.missing)} missing",
            _count(len(found.unreadable), "damaged entry", "damaged entries"),
            f"{_count(len(found.orphaned), 'blob')} without an entry",
        ]
        read = (
            f"{_count(found.entries, 'entry', 'entries')} and {_count(found.blobs, 'blob')} ({bytes_text(found.size)})"
        )
        click.echo(f"{read} read: {', '.join(counts)}")
        if not found.sound:
            click.echo("what is damaged is never served: it is computed again when it is next needed", err=True)
    click.get_current_context().exit(0 if found.sound else 1)


@cache.command("rm")
@click.argument("keys", nargs=-1, required=True)
@_yes
@_command
def remove_entries(store: Store, keys: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Remove entries.

    Each KEY is the beginning of a key, long enough to be the only one.
    """
    from artifacts.maintenance import find, remove

    entries = {entry.key: entry for entry in (find(store, key) for key in keys)}
    room = sum(entry.size for entry in entries.values())
    for entry in entries.values():
        click.echo(f"{entry.key[:12]}  {entry.stage}  {_what(entry)}  {bytes_text(entry.size)}", err=True)
    _ask(f"Remove {_count(len(entries), 'entry', 'entries')} ({bytes_text(room)}) from {store.url}?", yes)
    _report([remove(store, key) for key in entries], as_json)


@cache.command("gc")
@click.option("--max-size", type=_Quantity("size", SIZES, "10GB"), help="Keep at most so much, as 10GB.")
@click.option("--max-age", type=_Quantity("age", AGES, "30d"), help="Keep what was used within this time, as 30d.")
@_yes
@_command
def collect(store: Store, max_size: float | None, max_age: float | None, yes: bool, as_json: bool) -> None:
    """Remove the least recently used, and left-overs.

    Without --max-size and --max-age only left-overs go: entries that cannot be served, blobs that no
    entry names, files that a killed run did not finish.
    """
    from artifacts.maintenance import collect_garbage, survey, to_remove

    limit = None if max_size is None else int(max_size)
    kept = survey(store)
    going = to_remove(kept, limit, max_age, time.time())
    if going:
        room = f"{bytes_text(_room(kept))} in {_count(len(kept), 'entry', 'entries')}"
        _ask(f"Remove {_count(len(going), 'entry', 'entries')} from {store.url} ({room})?", yes)
    _report([collect_garbage(store, limit, max_age)], as_json)


# -- asking and reporting --------------------------------------------------------------------------------------


def _ask(question: str, yes: bool) -> None:
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        raise _BadInput("there is nobody to ask; give --yes to remove without asking") from None
    if not agreed:
        raise click.ClickException("nothing was removed")


def _report(removals: Sequence[Removal], as_json: bool) -> None:
    keys = [key for removal in removals for key in removal.keys]
    blobs, size, temporaries = (
        sum(getattr(removal, name) for removal in removals) for name in ("blobs", "size", "temporaries")
    )
    if as_json:
        _print_json({"keys": keys, "blobs": blobs, "size": size, "temporaries": temporaries})
        return
    left = f" and {_count(temporaries, 'half-written file')}" if temporaries else ""
    click.echo(
        f"removed {_count(len(keys), 'entry', 'entries')}, {_count(blobs, 'blob')}{left}: {bytes_text(size)} freed"
    )


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2))


def _print_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: set[str]) -> None:
    """A table: with rules on a terminal, bare and unbroken in a pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False)
    for name in head:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=not terminal)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(file=sys.stdout, width=None if terminal else 1000)
    console.print(table)


# -- words -----------------------------------------------------------------------------------------------------


def _summary(one: Kept) -> dict[str, Any]:
    entry = one.entry
    return {
        "key": entry.key,
        "stage": entry.stage,
        "version": entry.version,
        "what": _what(entry),
        "blobs": len(entry.blobs),
        "size": entry.size,
        "created": entry.created,
        "used": datetime.fromtimestamp(one.used, UTC).isoformat(timespec="seconds"),
    }


def _row(one: Kept) -> tuple[str, ...]:
    entry = one.entry
    return (
        entry.key[:12],
        entry.stage,
        _what(entry),
        str(len(entry.blobs)),
        bytes_text(entry.size),
        _age(_since(entry)),
        _used(time.time() - one.used),
    )


def _what(entry: Entry) -> str:
    """What an entry is in a few words: the name that its stage gave it, else the telling parts of its request."""
    name = entry.meta.get("unit")
    if isinstance(name, str):
        return _shortened(name)
    telling = {
        part: value
        for part, value in entry.request.items()
        if isinstance(value, str | int | float | list) and not (isinstance(value, str) and _DIGEST.fullmatch(value))
    }
    return _shortened(" ".join(f"{part}={value}" for part, value in telling.items()))


def _shortened(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _indented(document: Any) -> str:
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return "\n".join(f"  {line}" for line in text.splitlines())


def _room(kept: Iterable[Kept]) -> int:
    """Bytes that the blobs of the entries take, shared ones once."""
    return sum({blob.digest: blob.size for one in kept for blob in one.entry.blobs.values()}.values())


def _since(entry: Entry) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(entry.created)).total_seconds()


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _age(seconds: float) -> str:
    """Seconds in the two largest units that apply, as `2m 14s`."""
    left = max(0, int(seconds))
    words: list[str] = []
    for unit in ("d", "h", "m", "s"):
        number, left = divmod(left, AGES[unit])
        if number or words:
            words.append(f"{number}{unit}")
    return " ".join(words[:2]) or "0s"


def _used(seconds: float) -> str:
    """The time of last use is kept to the hour."""
    return "< 1h ago" if seconds < AGES["h"] else f"{_age(seconds)} ago"

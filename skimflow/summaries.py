"""Requests of a service in words and columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skimflow.errors import SHOWN_FILES
from skimflow.quantities import bytes_text, share_text
from skimflow.selections import cut_text

if TYPE_CHECKING:
    from delivery.service_client.records import RequestStatus
    from skimflow.chosen_service import ChosenService
    from skimflow.following import Followed


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of aligned columns; the last may be as long as it likes."""
    widths = [max(map(len, cells)) for cells in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def requests_table(requests: Sequence[RequestStatus]) -> Iterator[str]:
    """One line for each request."""
    rows = [
        (one.request_id, one.status, count(one), one.submitted[:19].replace("T", " "), one.codegen, one.title)
        for one in requests
    ]
    return columns(("request", "status", "files", "submitted (UTC)", "codegen", "title"), rows)


def files_table(followed: Followed) -> Iterator[str]:
    """One line for each file, and below one that failed the reason."""
    rows = []
    for place, file in sorted(followed.files.items()):
        result = followed.results.get(place)
        events = f"{result.events_in:,} → {result.events_out:,}" if result and result.events_in is not None else ""
        size = bytes_text(result.bytes) if result else ""
        state = "reused" if result and result.reused else file.state
        rows.append((str(place), state, str(file.attempts), events, size, file.path))
    header, *lines = columns(("place", "state", "tries", "events read → selected", "size", "file"), rows)
    yield header
    for line, (_, file) in zip(lines, sorted(followed.files.items()), strict=True):
        yield line
        if file.error:
            yield from (f"       {text}" for text in file.error.splitlines())


def counted_text(number: int, noun: str) -> str:
    """1 file, 2 files."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def count(status: RequestStatus) -> str:
    """Files done of all, and failed ones."""
    if not status.files:
        return "–"
    return f"{status.completed} of {status.files} files" + (f", {status.failed} failed" if status.failed else "")


def _size(followed: Followed) -> str:
    results = followed.results.values()
    read, selected = sum(one.events_in or 0 for one in results), sum(one.events_out for one in results)
    of_read = f" of {read:,} read" if read else ""  # a Python function's events are not counted
    return f"{selected:,} events selected{of_read}, {bytes_text(sum(one.bytes for one in results))}"


def facts(followed: Followed) -> Iterator[str]:
    """A request in some lines."""
    status = followed.status
    lines = {
        "request": status.request_id,
        "title": status.title,
        "status": status.status + (f": {status.failure}" if status.failure else ""),
        "files": count(status),
        "dataset": status.did,
        "codegen": f"{status.codegen} to {status.format}",
        "submitted": status.submitted,
        "finished": status.finished,
        "results": _size(followed),
    }
    yield from (f"{name:<10} {text}" for name, text in lines.items() if text)
    yield from cutflow(followed)


def cutflow(followed: Followed) -> Iterator[str]:
    """Events that pass each cut, summed over the files that are done."""
    results = list(followed.results.values())
    if not results or any(result.events_in is None for result in results):
        return
    before = sum(result.events_in or 0 for result in results)
    yield f"{'cutflow':<10} {before:,} events read"
    passed: Counter[tuple[int, str]] = Counter()
    for result in results:
        passed.update({(place, row.text): row.passed for place, row in enumerate(result.cutflow)})
    for (_, text), events in sorted(passed.items()):
        yield f"  {events:>13,}  {share_text(events, before):>7}  {cut_text(text)}"
        before = events


def ending(followed: Followed, output: Path | None, service: ChosenService) -> Iterator[str]:
    """How a request ended, or how far it is, and what may be typed next."""
    status = followed.status
    reused = sum(result.reused for result in followed.results.values())
    known = f", {reused} known from before" if reused else ""
    yield f"{status.status}: {count(status)}{known}, {_size(followed)}"
    reasons = list(_failures(followed))
    yield from reasons or filter(None, [status.failure])
    if output is not None:
        yield f"results in {output}"
    elif followed.results:
        yield f"bring them: {service.command('download', status.request_id, '--output DIR')}"
    if status.failed:
        yield f"read what their runs said: {service.command('logs', status.request_id)}"
        yield f"try the failed files again: {service.command('retry', status.request_id)}"


def _failures(followed: Followed) -> Iterator[str]:
    """Failed files by reason: a mistake in the query is one mistake, however many files it meets."""
    groups: dict[str, list[str]] = {}
    for file in followed.files.values():
        if file.state == "failed":
            groups.setdefault(file.error.replace(file.path, "the file"), []).append(file.path)
    for reason, files in groups.items():
        yield from (f"  {file}" for file in files[:SHOWN_FILES])
        if len(files) > SHOWN_FILES:
            yield f"  and {len(files) - SHOWN_FILES} more"
        yield from (f"    {line}" for line in reason.splitlines())


def warn_of(followed: Followed) -> None:
    """Say on stderr what the engine warned of."""
    counted = Counter(warning for result in followed.results.values() for warning in result.warnings)
    for warning, files in counted.items():
        click.secho(f"warning, in {counted_text(files, 'file')}: {warning}", fg="yellow", err=True)

"""What the page shows, as plain values: sections of figure groups and tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from skimflow.units import StageSummary

Row = Sequence[Any]


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the page: `source` is a data URI; `formats` are also in the folder `figures`."""

    name: str
    caption: str
    source: str
    formats: tuple[str, ...]


@dataclass(frozen=True)
class FigureGroup:
    """Figures side by side; `folded` groups open on a click."""

    title: str
    figures: tuple[ReportFigure, ...]
    wide: bool = False
    folded: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the page; `name` is its file in the folder `tables`."""

    name: str
    title: str
    head: Row
    rows: tuple[Row, ...]
    folded: bool = False
    code: bool = False

    def csv(self) -> str:
        """The table for programs."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.head)
        writer.writerows(self.rows)
        return text.getvalue()


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    id: str
    title: str
    text: str = ""
    figures: tuple[FigureGroup, ...] = ()
    tables: tuple[Table, ...] = field(default=())


@dataclass(frozen=True)
class Tile:
    """A headline number."""

    value: str
    label: str
    detail: str = ""


def stages_table(summaries: Iterable[StageSummary]) -> Table:
    """Kept and run units, time and reasons of each stage."""
    rows = tuple(
        (one.stage, one.hits, one.ran, one.failed, f"{one.seconds:.1f} s", "; ".join(r for r in one.reasons if r))
        for one in summaries
    )
    return Table("stages", "This run", ("stage", "kept", "ran", "failed", "time", "because"), rows)


def metrics_table(metrics: dict[str, Any]) -> Table:
    """What processing cost, in the AGC's quantities (of the run that did the work)."""
    rates = {
        "events": f"{metrics['events']:,}",
        "events worked on in that run": f"{metrics['new_events']:,}",
        "wall time": f"{metrics['wall_seconds']:.1f} s",
        "process time": f"{metrics['process_seconds']:.1f} s",
        "events per second": f"{metrics['events_per_second']:,.0f}",
        "events per second and core": f"{metrics['events_per_second_per_core']:,.0f}",
        "bytes read": f"{metrics['bytes_read'] / 1e6:,.1f} MB",
        "chunks": f"{metrics['chunks']} ({metrics['cached_chunks']} kept)",
        "cluster": f"{metrics['cluster']}, {metrics['workers']} workers",
    }
    return Table("metrics", "Processing", ("quantity", "value"), tuple(rates.items()))


def delivery_table(units: Iterable[tuple[str, dict[str, Any]]]) -> Table:
    """Events in and out of each delivered file."""
    rows = tuple(
        (
            name,
            f"{meta['events_in']:,}" if meta["events_in"] is not None else "not told",
            f"{meta['events_out']:,}",
            f"{meta['bytes_read'] / 1e6:.1f} MB",
            f"{meta['seconds']:.1f} s",
        )
        for name, meta in units
    )
    return Table("delivery", "Delivered files", ("file", "events in", "events out", "read", "time"), rows, folded=True)


def cutflow_tables(cutflow: dict[str, dict[str, dict[str, int]]]) -> tuple[Table, ...]:
    """One table per region: events that pass each step, by sample (not weighted)."""
    regions = {region for flows in cutflow.values() for region in flows}
    return tuple(_cutflow_table(region, cutflow) for region in sorted(regions))


def _cutflow_table(region: str, cutflow: dict[str, dict[str, dict[str, int]]]) -> Table:
    samples = [sample for sample in cutflow if region in cutflow[sample]]
    steps = list(dict.fromkeys(step for sample in samples for step in cutflow[sample][region]))
    rows = tuple((sample, *(f"{cutflow[sample][region].get(step, 0):,}" for step in steps)) for sample in samples)
    return Table(f"cutflow_{region}", f"Region {region}", ("sample", *steps), rows)


def provenance_table(record: dict[str, Any]) -> Table:
    """Key, inputs and outputs of every result: from the numbers down to the input files."""
    rows = tuple(
        (
            unit,
            found["key"][:16],
            _inputs(found["parts"]),
            ", ".join(f"{n} {d[:16]}" for n, d in found["blobs"].items()),
        )
        for unit, found in record.items()
    )
    head = ("result", "key", "made of", "holds")
    return Table("provenance", "Keys and digests", head, rows, folded=True, code=True)


def _inputs(parts: dict[str, Any]) -> str:
    """The digests that went into a key, named."""
    said = [
        f"{name} {parts[name][:16]}" for name in ("query", "code", "histograms", "workspace", "fit") if parts.get(name)
    ]
    if "input" in parts:
        said.append(f"file {parts['input']['digest'][:16]}")
    if "samples" in parts:
        said.append(f"{sum(len(one['files']) for one in parts['samples'].values())} files")
    return ", ".join(said)


def versions_table(versions: dict[str, str]) -> Table:
    """The libraries that decide the numbers."""
    return Table("versions", "Versions", ("library", "version"), tuple(versions.items()), folded=True)

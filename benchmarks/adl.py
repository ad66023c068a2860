"""The eight ADL benchmark queries: ``python -m benchmarks.adl [FILE] [--peer PYTHON …] [--sample SAMPLE.root]``.

Events per CPU second and core, in memory, text to result; beside the peer's in the same run, and beside the published
rates of RDataFrame on one core (Graur et al., PVLDB 15(2), 2022, recomputed from their measurements). Without FILE a
million events are made of SAMPLE's by `benchmarks.adl_events`.
"""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uproot

from benchmarks.adl_events import make_events
from benchmarks.measuring import Peer, Report, Timing, agree, options, table, timed
from benchmarks.peer_child import checks
from delivery.engine import evaluate
from queries.named import load

TREE = "Events"
RDATAFRAME = dict(zip(range(1, 9), (7.2, 2.2, 0.90, 1.6, 1.6, 0.031, 0.27, 0.87), strict=True))  # 10^6 events/s/core


@dataclass(frozen=True)
class Rates:
    """One query: million events per CPU second of each engine, and which peers gave the same numbers."""

    number: int
    rates: Mapping[str, float]
    equal: Mapping[str, bool]
    failed: Mapping[str, str]


def measure(number: int, file: Path, events: int, peers: list[Peer]) -> Rates:
    """One query by every engine."""
    text = load(f"queries.adl:q{number}").text
    timings: dict[str, Timing] = {"skimflow": timed(partial(evaluate, text, file, TREE))}
    failed = {}
    for peer in peers:
        try:
            timings[peer.name] = peer.run(text, file, TREE)
        except RuntimeError as error:
            failed[peer.name] = str(error)
    rates = {name: events / timing.cpu / 1e6 for name, timing in timings.items()} | {"RDataFrame": RDATAFRAME[number]}
    ours = checks(evaluate(text, file, TREE))
    equal = {peer.name: agree(ours, timings[peer.name].checks) for peer in peers if peer.name in timings}
    return Rates(number, rates, equal, failed)


def section(found: list[Rates], events: int, peers: list[Peer]) -> str:
    """The table."""
    names = ["skimflow", *(peer.name for peer in peers), "RDataFrame"]
    header = ["", *names, *(f"/ {name}" for name in names[1:])]
    rows = []
    for one in found:
        rates = [f"{one.rates[n]:.3g}{_doubt(one, n)}" if n in one.rates else "fails" for n in names]
        ratios = [f"{one.rates['skimflow'] / one.rates[n]:.1f}" if n in one.rates else "" for n in names[1:]]
        rows.append([f"Q{one.number}", *rates, *ratios])
    return (
        f"Million events per CPU second on one core, {events:,} events, in memory as an awkward array; then our rate "
        f"over each other's. RDataFrame's are published, from another machine "
        f"and the whole data set, whose events have more objects than the sample's.\n\n{table(header, rows)}"
    )


def _doubt(one: Rates, name: str) -> str:
    return " (other numbers)" if one.equal.get(name) is False else ""


def main() -> None:
    """Measure."""
    parser = options(__doc__)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--sample", type=Path, default=Path("../shared/data/adl/Run2012B_SingleMu_1000.root"))
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, nargs="*", default=list(range(1, 9)))
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        file = chosen.file or make_events(chosen.sample, folder / "adl.root", chosen.events)
        with uproot.open(file) as opened:
            events = int(opened[TREE].num_entries)
        peers = [stack.enter_context(Peer(python)) for python in chosen.peer]
        found = [measure(number, file, events, peers) for number in chosen.queries]
        text = section(found, events, peers)
    Report("The ADL queries", "python -m benchmarks.adl", text, found).show(chosen)


if __name__ == "__main__":
    main()

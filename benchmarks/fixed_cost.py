"""What a file costs before its events do: ``python -m benchmarks.fixed_cost [--peer PYTHON …]``.

Two real files of a few hundred events and a thousand branches or more, in a warm process, file to Parquet file.
"""

import argparse
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measuring import Peer, Report, Timing, options, table, timed
from delivery.engine import TransformRequest, transform
from queries.named import load

WIDE = "nanoAOD_2015_CMS_Open_Data_ttbar.root"
PHYSLITE = "PHYSLITE_example.root"
ONE_COLUMN = (
    "(Select (call EventDataset 'bogus.root' 'CollectionTree')"
    " (lambda (list e) (dict (list 'pt') (list (subscript e 'AnalysisElectronsAuxDyn.pt')))))"
)
REPEATS = 10


@dataclass(frozen=True)
class Case:
    """A query on a small file of many branches."""

    name: str
    file: str
    tree: str
    text: str
    budget_s: float


@dataclass(frozen=True)
class Cost:
    """CPU and wall seconds per file."""

    case: str
    budget_s: float
    ours: Timing
    peers: dict[str, Timing]


CASES = (
    Case(
        "CMS NanoAOD, 947 branches, 200 events, the AGC's query", WIDE, "Events", "queries.ttbar:agc_published_ml", 0.10
    ),
    Case("ATLAS PHYSLITE, 1494 branches, 100 events, one column", PHYSLITE, "CollectionTree", ONE_COLUMN, 0.15),
)


def measure(case: Case, data: Path, folder: Path, peers: list[Peer]) -> Cost:
    """One case by every engine."""
    file, out = data / case.file, folder / "out.parquet"
    text = load(case.text).text if case.text.startswith("queries.") else case.text
    request = TransformRequest(text, str(file), out, tree=case.tree, format="parquet")
    theirs = {peer.name: peer.run(text, file, case.tree, out) for peer in peers}
    return Cost(case.name, case.budget_s, timed(partial(transform, request), REPEATS), theirs)


def section(costs: list[Cost]) -> str:
    """The table."""
    peers = list(costs[0].peers)
    header = ["file", "CPU", "budget", *(f"{name} CPU" for name in peers), *(f"{name} / ours" for name in peers)]
    rows = []
    for cost in costs:
        theirs = [f"{cost.peers[name].cpu:.2f} s" for name in peers]
        ratios = [f"{cost.peers[name].cpu / cost.ours.cpu:.0f}" for name in peers]
        rows.append([cost.case, f"{cost.ours.cpu:.3f} s", f"{cost.budget_s:.2f} s", *theirs, *ratios])
    return f"Per file, in a process that has done it before, Parquet written.\n\n{table(header, rows)}"


def main() -> None:
    """Measure."""
    parser: argparse.ArgumentParser = options(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/root"), help="folder of the two files")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peers = [stack.enter_context(Peer(python)) for python in chosen.peer]
        costs = [measure(case, chosen.data, folder, peers) for case in CASES]
    Report("Fixed cost", "python -m benchmarks.fixed_cost", section(costs), costs).show(chosen)


if __name__ == "__main__":
    main()

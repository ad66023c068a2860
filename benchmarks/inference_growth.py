"""How the time of a fit grows with nuisance parameters and with bins, beside pyhf and cabinetry where they finish.

python -m benchmarks.inference_growth [--peer] [--limit SECONDS] [--write]     # --write: docs/figures/growth.png too
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import inference_models as models
from benchmarks.inference_speed import ask_peers, fastest, said, spoken
from benchmarks.measuring import Report, options, table

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "inference-speed.md"
FIGURE = DOCUMENT.parent / "figures" / "growth.png"
NUISANCES = [(20, shapes) for shapes in (10, 30, 100, 300, 1000)]
BINS = [(bins, 10) for bins in (10, 30, 100, 300, 1000, 3000, 10_000)]


@dataclass(frozen=True)
class Case:
    """One size: seconds of a fit once compiled and of the first call; the peers' answers."""

    bins: int
    shapes: int
    seconds: float
    first: float
    peers: dict[str, Any]


def measure(bins: int, shapes: int, peer: bool, limit: float) -> Case:
    """A generated model of five channels and five backgrounds."""
    import time

    from inference.likelihood.model import Likelihood

    likelihood = Likelihood(models.generated(bins, shapes, backgrounds=5))
    begin = time.perf_counter()
    found = likelihood.fit()
    first = time.perf_counter() - begin
    assert found.certificate.converged, found.certificate.reason
    seconds = fastest(likelihood.fit, 5)
    peers = ask_peers("fit", f"{bins} {shapes}", limit) if peer else {}
    print(f"{bins} bins, {shapes} shapes: {seconds:.4g} s {peers}", file=sys.stderr)
    return Case(bins, shapes, seconds, first, peers)


def shown(cases: Sequence[Case]) -> str:
    """The Markdown table."""
    peers = sorted({peer for case in cases for peer in case.peers})
    rows = [
        (f"{case.bins}", f"{case.shapes}", spoken(case.seconds), *(said(case.peers.get(peer, {})) for peer in peers))
        for case in cases
    ]
    return table(("bins", "shapes", "here", *peers), rows)


def draw(growths: Sequence[Sequence[Case]], path: Path) -> None:
    """Two panels, seconds over nuisance parameters and over bins, both logarithmic."""
    from inference.canvas import SAMPLE_COLOURS, new_figure, save, styled

    @styled
    def figure() -> Any:
        made = new_figure(13, 5.5)
        words = ("nuisance parameters (shapes), 20 bins", "bins, 10 shapes")
        for place, (cases, word) in enumerate(zip(growths, words, strict=True)):
            axes = made.add_axes((0.075 + 0.5 * place, 0.15, 0.4, 0.79))
            sizes = [case.bins if place else case.shapes for case in cases]
            axes.plot(sizes, [case.seconds for case in cases], "o-", color=SAMPLE_COLOURS[2], label="skimflow")
            for index, peer in enumerate(sorted({peer for case in cases for peer in case.peers})):
                known = [(size, case.peers[peer]) for size, case in zip(sizes, cases, strict=True)]
                points = [(size, one["seconds"]) for size, one in known if "seconds" in one]
                colour = SAMPLE_COLOURS[index]
                axes.plot(*zip(*points, strict=True), "s--", color=colour, label=peer) if points else None
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel(word)
            axes.set_ylabel("seconds for a fit")
            axes.legend()
        return made

    path.write_bytes(save(figure(), "growth", ("png",))["growth.png"])


def main() -> None:
    """Print, draw, and write into the document if asked to."""
    parser = options(__doc__, peers=False)
    parser.add_argument("--peer", action="store_true", help="ask pyhf and cabinetry too")
    parser.add_argument("--limit", type=float, default=100.0, help="seconds after which a peer is stopped")
    chosen = parser.parse_args()
    growths = [[measure(*size, chosen.peer, chosen.limit) for size in sizes] for sizes in (NUISANCES, BINS)]
    text = "\n\n".join(shown(cases) for cases in growths) + "\n\n![Growth](figures/growth.png)"
    if chosen.write:
        draw(growths, FIGURE)
    command = "python -m benchmarks.inference_growth --peer --limit 10"
    Report("Growth", command, text, growths).show(chosen, DOCUMENT)


if __name__ == "__main__":
    main()

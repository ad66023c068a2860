"""The likelihood and its tools beside pyhf and cabinetry as installed, each task once compiled.

python -m benchmarks.inference_speed [--peer] [--limit SECONDS] [--write]

The peers work in processes of their own, which are stopped after --limit; of toys they do a few, and the time of all is
that of as many times more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import inference_models as models
from benchmarks.measuring import Report, options, table

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "inference-speed.md"
MODELS: dict[str, Callable[[], models.Workspace]] = {
    "AGC": models.agc,
    "sbottom": models.sbottom,
    "351 parameters": lambda: models.generated(100, 250),
    "6 POIs": lambda: models.generated(192, 255, channels=4, backgrounds=6, pois=6),
}
TOYS = 1000


@dataclass(frozen=True)
class Row:
    """A task: seconds once compiled, seconds of its first call in a process, what was asked, and the peers' seconds."""

    task: str
    model: str
    seconds: float
    first: float
    asked: float | None
    value: float
    peers: dict[str, Any]


def fastest(work: Callable[[], Any], repeats: int) -> float:
    """Least wall seconds of some runs: the machine is shared."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def tasks() -> list[tuple[str, str, float | None, Callable[[Any], float], int]]:
    """Name, model, seconds asked for, the work (which returns a number to compare), repeats.

    "result" is what ``skimflow fit`` computes: other minima looked for, covariance, goodness of fit.
    """
    return [
        ("fit", "AGC", 0.5e-3, lambda model: 2 * model.fit().nll, 100),
        ("result", "AGC", None, _result, 20),
        ("ranking", "AGC", 30e-3, _impact, 10),
        ("fit", "sbottom", 1.5e-3, lambda model: 2 * model.fit().nll, 100),
        ("result", "sbottom", None, _result, 20),
        ("ranking", "sbottom", 0.12, _impact, 10),
        ("limit", "sbottom", 0.2, _limit, 3),
        ("fit", "351 parameters", 60e-3, lambda model: 2 * model.fit().nll, 5),
        ("gradient", "351 parameters", 0.3e-3, lambda model: model.gradient(model.init)[0], 50),
        ("Hessian", "351 parameters", 10e-3, _hessian, 20),
        ("toys", "AGC", 3.0, _toy_fits, 3),
        ("toys", "sbottom", 6.0, _toy_fits, 3),
        ("toys, searched", "AGC", 3.0, _toys, 2),
        ("toys, searched", "sbottom", 6.0, _toys, 2),
        ("impacts", "6 POIs", 60.0, lambda model: _impact(model, [f"mu_{index}" for index in range(6)]), 1),
    ]


def _result(model: Any) -> float:
    from inference.fit import fit_likelihood

    return fit_likelihood(model).twice_nll


def _impact(model: Any, pois: list[str] | None = None) -> float:
    from inference.ranking import impacts

    return impacts(model, pois=pois).rankings[0].impacts[0].size


def _limit(model: Any) -> float:
    from inference.hypotheses.limits import upper_limit

    found = upper_limit(model)
    assert found.observed is not None
    return found.observed


def _hessian(model: Any) -> float:
    from inference.likelihood import compiled

    data = model.data(parameters=model.init)
    found = compiled.point(model.init[model.places.reduced], model.arrays, model.layout, data)
    return float(found.curvature[0, 0])


def _toys(model: Any) -> float:
    from inference.toys.exclusion import hypothesis_tests_by_toys

    found = hypothesis_tests_by_toys(model, toys=TOYS, workers=os.cpu_count() or 1)
    return len(found.failures)


def _toy_fits(model: Any) -> float:
    """As many fits as the peers make of them: no other minimum is looked for."""
    import numpy as np

    from inference.toys.campaign import Campaign, carry_out

    poi, best = model.poi, model.fit().parameters
    variants = {"free": {}, "held": {poi: 1.0}}
    failures = 0
    for signal in (0.0, 1.0):
        point = np.where(np.arange(len(best)) == model.index(poi), signal, best)
        campaign = Campaign(point, TOYS, 1, variants=variants, search=False)
        done = carry_out(model, campaign, workers=os.cpu_count() or 1)
        failures += sum(int((~fits.converged).sum()) for fits in done.values())
    return float(failures)


def measure(peer: bool, limit: float) -> list[Row]:
    """All tasks, each model read once."""
    from inference.likelihood.model import Likelihood

    read: dict[str, Likelihood] = {}
    rows = []
    for task, name, asked, work, repeats in tasks():
        if name not in read:
            read[name] = Likelihood(MODELS[name]())
        model = read[name]
        begin = time.perf_counter()
        value = work(model)
        first = time.perf_counter() - begin
        seconds = fastest(lambda model=model, work=work: work(model), repeats)  # type: ignore[misc]
        rows.append(Row(task, name, seconds, first, asked, value, ask_peers(task, name, limit) if peer else {}))
        print(f"{task:<10}{name:<16}{seconds:>10.4g} s   asked {asked} s   {rows[-1].peers}", file=sys.stderr)
    return rows


def ask_peers(task: str, model: str, limit: float) -> dict[str, Any]:
    """What each peer says of a task: seconds and value, why it failed, or that it was stopped."""
    from benchmarks.inference_peers import PEERS

    said = {}
    for peer in (name for name, known in PEERS.items() if task in known):
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.inference_peers", peer, task, model]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
            lines = done.stdout.strip().splitlines()
            said[peer] = json.loads(lines[-1]) if lines else {"failed": done.stderr.strip().splitlines()[-1][:120]}
        except subprocess.TimeoutExpired:
            said[peer] = {"stopped": limit}
    return said


def shown(rows: list[Row]) -> str:
    """The Markdown table."""
    peers = sorted({peer for row in rows for peer in row.peers})
    header = ("task", "model", "here", "asked", *(f"{peer}" for peer in peers), "ratio")
    cells = []
    for row in rows:
        times = [row.peers.get(peer, {}) for peer in peers]
        known = [one["seconds"] for one in times if "seconds" in one] or [
            one["stopped"] for one in times if "stopped" in one
        ]
        asked = spoken(row.asked) if row.asked else ""
        ratio = f"{min(known) / row.seconds:,.0f}" if known else ""
        cells.append((row.task, row.model, spoken(row.seconds), asked, *map(said, times), ratio))
    return table(header, cells)


def said(one: dict[str, Any]) -> str:
    """A peer's answer in a cell."""
    if "seconds" in one:
        return spoken(one["seconds"])
    if "stopped" in one:
        return f"> {spoken(one['stopped'])}"
    return "fails" if "failed" in one else ""


def spoken(seconds: float) -> str:
    """Seconds or milliseconds."""
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def main() -> None:
    """Print, and write into the document if asked to."""
    parser = options(__doc__, peers=False)
    parser.add_argument("--peer", action="store_true", help="ask pyhf and cabinetry too")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds after which a peer is stopped")
    chosen = parser.parse_args()
    rows = measure(chosen.peer, chosen.limit)
    command = "python -m benchmarks.inference_speed --peer"
    Report("Fits and tools", command, shown(rows), rows).show(chosen, DOCUMENT)


if __name__ == "__main__":
    main()

"""How long the function of a fit takes to compile, for each kind of model; ahead of the fit, and apart from it.

python -m benchmarks.inference_compile [--write]

Each model in processes of its own: the first finds nothing on disk, the next what that one left there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks import inference_models as models
from benchmarks.extended_models import EXTENDED
from benchmarks.inference_speed import DOCUMENT, spoken
from benchmarks.measuring import Report, options, table

ASKED = 2.0
REPEATS = 3
TEXT = """The first fit in a process less the second: what tracing and compiling the function take when nothing is on
disk, and when an earlier process left it there. Extensions stand on a model of 100 bins and 30 shapes."""
MODELS: dict[str, Callable[[], models.Workspace]] = {
    "AGC": models.agc,
    "sbottom": models.sbottom,
    "351 parameters": lambda: models.generated(100, 250),
    **EXTENDED,
}


@dataclass(frozen=True)
class Row:
    """Seconds of the first fit in a process less those of the second: with nothing on disk, and with it on disk."""

    model: str
    cold: float
    kept: float
    fit: float


def first_fit(name: str) -> tuple[float, float]:
    """Seconds of the first and of the second fit in this process, the model being read."""
    from inference.likelihood.model import Likelihood

    model, times = Likelihood(MODELS[name]()), []
    for _ in range(2):
        begin = time.perf_counter()
        model.fit()
        times.append(time.perf_counter() - begin)
    return times[0], times[1]


def measure() -> Iterator[Row]:
    """The least of a few processes: the machine is shared."""
    for name in MODELS:
        found = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as folder:
                found.append((_in_a_process(name, folder), _in_a_process(name, folder)))
        cold, kept = (min(first - fit for first, fit in times) for times in zip(*found, strict=True))
        yield Row(name, cold, kept, found[-1][1][1])
        print(f"{name:<16}{cold:.2f} s, from disk {kept:.2f} s", file=sys.stderr)


def _in_a_process(name: str, cache: str) -> tuple[float, float]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.inference_compile", "--model", name]
    environment = os.environ | {"XDG_CACHE_HOME": cache}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    first, fit = json.loads(done.stdout)
    return first, fit


def main() -> None:
    """Print, and write into the document if asked to."""
    parser = options(__doc__, peers=False)
    parser.add_argument("--model", choices=MODELS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.model:
        print(json.dumps(first_fit(chosen.model)))
        return
    rows = list(measure())
    cells = [(row.model, spoken(row.cold), spoken(ASKED), spoken(row.kept)) for row in rows]
    text = f"{TEXT}\n\n{table(('model', 'nothing on disk', 'asked', 'kept on disk'), cells)}"
    Report("Compiling", "python -m benchmarks.inference_compile", text, rows).show(chosen, DOCUMENT)


if __name__ == "__main__":
    main()

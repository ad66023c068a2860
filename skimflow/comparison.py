"""Does delivery lose anything that processing would select? Both ways are run and compared bit for bit."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skimflow.progress import Quiet, Reporter
from skimflow.stages.process import HISTOGRAMS
from skimflow.workflow import Options, mending, open_context, run_to_histograms


@dataclass(frozen=True)
class Comparison:
    """Histograms compared by name; `differing` says how those that are not identical differ."""

    compared: int
    differing: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"compared": self.compared, "differing": self.differing, "identical": not self.differing}


def compare_delivery(
    path: Path | str, *, store: str | None = None, files_per_sample: int | None = None, reporter: Reporter | None = None
) -> Comparison:
    """Process a pipeline's files directly and as delivered, and compare every histogram.

    Raises:
        SkimflowError and the stage packages' errors, as `skimflow.run`.
    """
    options = Options(store=store, files_per_sample=files_per_sample)
    shown = reporter or Quiet()
    delivered = mending(lambda: _histograms(Path(path), options, shown), shown)
    direct = mending(lambda: _histograms(Path(path), replace(options, endpoint="raw"), shown), shown)
    names = sorted({*delivered, *direct})
    differing = {
        name: difference for name in names if (difference := _difference(direct.get(name), delivered.get(name)))
    }
    return Comparison(len(names), differing)


def _histograms(path: Path, options: Options, reporter: Reporter) -> dict[str, Any]:
    context = open_context(path, options, reporter)
    entry = run_to_histograms(context, options)
    return dict(json.loads(context.store.read(entry.blobs[HISTOGRAMS])))


def _difference(direct: Any, delivered: Any) -> str:
    if direct == delivered:
        return ""
    if direct is None or delivered is None:
        return f"only {'delivered' if direct is None else 'direct'}"
    before, after = _total(direct), _total(delivered)
    return f"sum of weights {before:.6g} direct, {after:.6g} delivered"


def _total(histogram: Any) -> float:
    return float(sum(histogram["storage"]["values"]))

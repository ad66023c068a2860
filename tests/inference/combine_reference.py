"""CMS Combine's likelihood written out from its documentation: slow, plain NumPy, and apart from what it checks.

`Example` is a card as plain values: it is written as a datacard with a ROOT file, and evaluated by `Example.nll`.
Sources: Combine's manual ("Setting up the analysis", "Automatic statistical uncertainties") and the formulas of its
ShapeTools, ProcessNormalization, FastVerticalInterpHistPdf2, CMSHistFunc and CMSHistErrorPropagator.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import hist
import numpy as np
import uproot
from scipy.special import gammaln


@dataclass
class Example:
    """A card.

    Attributes:
        identifiers: number of each process.
        templates: (bin, process) -> values and errors; the process "data_obs" has the data.
        lines: nuisances: name, kind, events of a gmN, (bin, process) -> text of the entry.
        varied: (bin, process, nuisance) -> up and down.
        rates: name, bin, process, value and what follows, as in the card.
        computed: rates that are formulas, as functions of the parameters.
        more: lines at the end of the card.
        starts: values of the rates and of what formulas use, at which statistical errors are taken.
        threshold: of autoMCStats, None without.
    """

    identifiers: dict[str, int]
    templates: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]
    lines: list[tuple[str, str, int | None, dict[tuple[str, str], str]]]
    varied: dict[tuple[str, str, str], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    rates: list[tuple[str, str, str, str]] = field(default_factory=list)
    computed: dict[str, Callable[[dict[str, float]], float]] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    starts: dict[str, float] = field(default_factory=dict)
    threshold: float | None = None
    counting: bool = False

    @property
    def bins(self) -> list[str]:
        return list(dict.fromkeys(bin_ for bin_, _ in self.templates))

    @property
    def cells(self) -> list[tuple[str, str]]:
        return [cell for cell in self.templates if cell[1] != "data_obs"]

    def write(self, folder: Path) -> Path:
        """As a datacard, with its templates in a file beside it."""
        rows = [f"imax {len(self.bins)}", "jmax *", "kmax *", "-" * 10]
        if not self.counting:
            rows.append("shapes * * shapes.root $CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC")
            with uproot.recreate(folder / "shapes.root") as file:
                for (bin_, process), (values, errors) in self.templates.items():
                    file[f"{bin_}/{process}"] = _histogram(values, errors)
                for (bin_, process, name), sides in self.varied.items():
                    for side, values in zip(("Up", "Down"), sides, strict=True):
                        file[f"{bin_}/{process}_{name}{side}"] = _histogram(values, np.zeros(len(values)))
        data = [f"{self.templates[bin_, 'data_obs'][0][0]:.17g}" if self.counting else "-1" for bin_ in self.bins]
        sums = [f"{self.templates[cell][0].sum():.17g}" if self.counting else "-1" for cell in self.cells]
        rows += [" ".join(["bin", *self.bins]), " ".join(["observation", *data]), "-" * 10]
        rows.append(" ".join(["bin", *(bin_ for bin_, _ in self.cells)]))
        rows.append(" ".join(["process", *(process for _, process in self.cells)]))
        rows.append(" ".join(["process", *(str(self.identifiers[process]) for _, process in self.cells)]))
        rows.append(" ".join(["rate", *sums]))
        for name, kind, count, entries in self.lines:
            head = f"{name} {kind}" + ("" if count is None else f" {count}")
            rows.append(" ".join([head, *(entries.get(cell, "-") for cell in self.cells)]))
        rows += [f"{name} rateParam {bin_} {process} {rest}" for name, bin_, process, rest in self.rates]
        rows += list(self.more)
        if self.threshold is not None:
            rows.append(f"* autoMCStats {self.threshold:g}")
        path = folder / "card.txt"
        path.write_text("\n".join(rows) + "\n")
        return path

    def nll(self, at: dict[str, float]) -> float:
        """−log L without constants of the parameters alone."""
        total = sum(self._bin(bin_, at) for bin_ in self.bins)
        for name, kind, count, _ in self.lines:
            if kind == "gmN":
                events = at[name] * max(count, 1)
                total += events - count * np.log(events)
            elif kind.split()[0] not in ("lnU", "shapeU", "unif"):
                total += 0.5 * at[name] ** 2
        for line in self.more:
            if line.split()[1] == "param":
                name, _, mean, width = line.split()[:4]
                total += 0.5 * ((at[name] - float(mean)) / float(width)) ** 2
        return total

    def _bin(self, bin_: str, at: dict[str, float]) -> float:
        contents, errors, nominal, sizes = {}, {}, {}, {}
        for cell in self.cells:
            if cell[0] == bin_:
                norm = self._norm(cell, at)
                contents[cell[1]] = norm * self._shape(cell, at)
                values, sigmas = self.templates[cell]
                errors[cell[1]] = norm * sigmas / values.sum()
                scale = self._scale(cell, {"r": 1.0} | self.starts)
                nominal[cell[1]], sizes[cell[1]] = scale * values, scale * sigmas
        rate = np.sum(list(contents.values()), axis=0)
        penalty = 0.0
        if self.threshold is not None:
            rate, penalty = self._statistics(bin_, at, contents, errors, nominal, sizes)
        data = self.templates[bin_, "data_obs"][0]
        if (rate <= 0).any():
            return 1e9
        return float(np.sum(rate - data * np.log(rate) + gammaln(data + 1))) + penalty

    def _norm(self, cell: tuple[str, str], at: dict[str, float]) -> float:
        values = self.templates[cell][0]
        norm = values.sum() * (at["r"] if self.identifiers[cell[1]] <= 0 else 1.0)
        for name, kind, count, entries in self.lines:
            entry = entries.get(cell, "-")
            if entry == "-":
                continue
            if kind == "gmN":
                whole = values.sum() if self.threshold is not None else float(entry) * max(count, 1)
                norm *= whole * at[name] / values.sum()
            elif kind.split()[0] in ("trG", "unif"):
                norm *= 1 + float(entry) * at[name]
            elif kind in ("lnN", "lnU"):
                low, high = (float(part) for part in (entry.split("/") if "/" in entry else (1 / float(entry), entry)))
                norm *= power(at[name], low, high)
            else:
                up, down = (side.sum() / values.sum() for side in self.varied[(*cell, name)])
                if abs(up - 1) < 1e-3 and abs(down - 1) < 1e-3:
                    continue
                norm *= power(at[name], down ** float(entry), up ** float(entry))
        return float(norm) * self._scale(cell, at)

    def _scale(self, cell: tuple[str, str], at: dict[str, float]) -> float:
        scale = 1.0
        for name, bin_, process, _ in self.rates:
            if bin_ in ("*", cell[0]) and process in ("*", cell[1]):
                scale *= self.computed[name](at) if name in self.computed else at[name]
        return scale

    def _shape(self, cell: tuple[str, str], at: dict[str, float]) -> np.ndarray:
        values = self.templates[cell][0]
        nominal = values / values.sum()
        morphs = [
            (float(entries[cell]), at[name], self.varied[(*cell, name)], kind)
            for name, kind, _, entries in self.lines
            if kind.startswith("shape") and cell in entries
        ]
        region = min([1.0, *(scale for scale, *_ in morphs)])
        shape, logs = nominal.copy(), np.log(nominal)
        for scale, theta, sides, _ in morphs:
            x = scale * theta
            up, down = (side / side.sum() for side in sides)
            step = smooth_step(x / region)
            shape += 0.5 * x * ((up - down) + step * (up + down - 2 * nominal))
            logs += 0.5 * x * (np.log(up / down) + step * np.log(up * down / nominal**2))
        if morphs and morphs[0][3].startswith("shapeN"):
            return np.exp(logs) / np.exp(logs).sum()
        return np.maximum(shape, 1e-9)

    def _statistics(self, bin_, at, contents, errors, nominal, sizes):
        """Bin by bin as CMSHistErrorPropagator::setupBinPars decides; parameters by the names of `inference`."""
        rate, penalty = np.sum(list(contents.values()), axis=0), 0.0
        backgrounds = [process for process in contents if self.identifiers[process] > 0]
        for index in range(len(rate)):
            n = sum(nominal[process][index] for process in backgrounds)
            e = np.sqrt(sum(sizes[process][index] ** 2 for process in backgrounds))
            if e <= 0:
                continue
            if int(0.5 + n**2 / e**2) > self.threshold:
                x = at[f"prop_bin{bin_}[{index}]"]
                rate[index] += x * np.sqrt(sum(errors[process][index] ** 2 for process in contents))
                penalty += 0.5 * x**2
                continue
            for process in contents:
                v, s = nominal[process][index], sizes[process][index]
                if s <= 0:
                    continue
                events = int(0.5 + v**2 / s**2)
                name = f"prop_bin{bin_}_{process}"
                if v >= 0.999 * s and events <= self.threshold:
                    x = at[f"{name}[{index}]"]
                    rate[index] += (x - 1) * contents[process][index]
                    penalty += events * x - events * np.log(x)
                else:
                    x = at[f"{name}_bin{index}"]
                    rate[index] += x * errors[process][index]
                    penalty += 0.5 * x**2
        return rate, penalty


def power(theta: float, low: float, high: float) -> float:
    """ProcessNormalization: κ^θ with a κ that goes smoothly from one side to the other within ±1/2."""
    if abs(theta) >= 0.5:
        return high**theta if theta > 0 else low ** (-theta)
    up, down = np.log(high), -np.log(low)
    return float(np.exp(theta * (0.5 * (up + down) + 0.5 * (up - down) * smooth_step(2 * theta))))


def smooth_step(x: float) -> float:
    """Combine's polynomial between −1 and 1."""
    return float(np.sign(x)) if abs(x) >= 1 else 0.125 * x * (x**2 * (3 * x**2 - 10) + 15)


def _histogram(values: np.ndarray, errors: np.ndarray) -> hist.Hist:
    made = hist.Hist(hist.axis.Regular(len(values), 0, 1), storage=hist.storage.Weight())
    made[...] = np.stack([values, np.asarray(errors) ** 2], axis=-1)
    return made

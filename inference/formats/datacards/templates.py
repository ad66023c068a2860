"""Templates of a datacard: the histograms of its ROOT files, found as Combine finds them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import nearest
from inference.formats.datacards.card import Card, ShapeRule
from inference.formats.datacards.errors import refuse
from inference.likelihood.specification import Floats

DATA = "data_obs"


@dataclass(frozen=True, slots=True)
class Template:
    """Contents and squared errors of the bins, shape (bins,), without underflow and overflow."""

    values: Floats
    variances: Floats

    @property
    def integral(self) -> float:
        """Sum of the contents."""
        return float(self.values.sum())


class Templates:
    """Reads templates of a card's cells; each file is opened once."""

    def __init__(self, card: Card, mass: float) -> None:
        self._card, self._mass = card, str(int(mass)) if mass == int(mass) else str(mass)
        self._files: dict[Path, Any] = {}

    def counting(self, bin_: str) -> bool:
        """Whether the bin has numbers only: the card has no shapes at all, or FAKE ones for its data."""
        return not self._card.shapes or self._rule(bin_, DATA, self._card.place).file is None

    def nominal(self, bin_: str, process: str, place: str) -> Template:
        """Template of a process, or of the data under the name of ``DATA``."""
        rule = self._rule(bin_, process, place)
        if rule.file is None:
            raise refuse(rule.place, f"the shape of {process!r} in {bin_!r} is FAKE, but the bin's data are not")
        return self._read(rule, rule.file, rule.nominal, bin_, process, "")

    def varied(self, bin_: str, process: str, systematic: str, place: str) -> tuple[Template, Template]:
        """Up and down."""
        rule = self._rule(bin_, process, place)
        if rule.file is None or rule.varied is None:
            raise refuse(
                place,
                f"{systematic!r} needs templates of {process!r} in {bin_!r}, but {rule.place} names none with "
                "$SYSTEMATIC",
            )
        up, down = (
            self._read(rule, rule.file, rule.varied, bin_, process, f"{systematic}{side}") for side in ("Up", "Down")
        )
        return up, down

    def has(self, bin_: str, process: str, place: str, systematic: str = "") -> bool:
        """Whether there is a template of the process, or of its variation: what decides on ``shape?`` and no data."""
        rule = self._rule(bin_, process, place)
        pattern = rule.varied if systematic else rule.nominal
        if rule.file is None or pattern is None:
            return False
        systematic = systematic and f"{systematic}Up"
        return self._filled(pattern, bin_, process, systematic) in self._open(
            rule, rule.file, bin_, process, systematic
        )

    def _rule(self, bin_: str, process: str, place: str) -> ShapeRule:
        """Of the bin before those of all bins, of the process before those of all processes."""
        for wanted in ((bin_, process), (bin_, "*"), ("*", process), ("*", "*")):
            for rule in self._card.shapes:
                if (rule.bin, rule.process) == wanted:
                    return rule
        raise refuse(place, f"no line `shapes` covers process {process!r} in bin {bin_!r}")

    def _filled(self, pattern: str, bin_: str, process: str, systematic: str) -> str:
        words = {"$PROCESS": process, "$CHANNEL": bin_, "$SYSTEMATIC": systematic, "$MASS": self._mass}
        for word, meaning in words.items():
            pattern = pattern.replace(word, meaning)
        return pattern

    def _open(self, rule: ShapeRule, file: str, bin_: str, process: str, systematic: str) -> Any:
        import uproot

        path = self._card.folder / self._filled(file, bin_, process, systematic)
        if path not in self._files:
            try:
                self._files[path] = uproot.open(path)
            except (OSError, ValueError) as error:
                raise refuse(rule.place, f"cannot read {path}: {error}".splitlines()[0]) from error
        return self._files[path]

    def _read(self, rule: ShapeRule, file: str, pattern: str, bin_: str, process: str, systematic: str) -> Template:
        name = self._filled(pattern, bin_, process, systematic)
        if ":" in name:
            raise refuse(
                rule.place,
                f"{name}: functions and data sets of a RooFit workspace, and tables, cannot be read; give histograms "
                "(TH1)",
            )
        folder = self._open(rule, file, bin_, process, systematic)
        if name not in folder:
            known = [key.partition(";")[0] for key in folder.keys()]  # noqa: SIM118 (a folder of uproot's)
            raise refuse(rule.place, f"{folder.file_path} has no histogram {name!r}; {nearest(name, known)}")
        found = folder[name]
        if not getattr(found, "classname", "").startswith("TH1"):
            raise refuse(rule.place, f"{name!r} is a {found.classname}; templates are histograms of one axis (TH1)")
        values, variances = (np.asarray(each, dtype=float) for each in (found.values(), found.variances()))
        if not (np.isfinite(values).all() and np.isfinite(variances).all()):
            raise refuse(rule.place, f"{name!r} has contents or errors that are no finite numbers")
        return Template(values, variances)

"""Object definitions of the AGC ttbar analysis (its version 2), as plain data.

The one source of the selection: the processor evaluates these cuts on columns (`ObjectDefinition.mask`),
the query is made from the same cuts (`ObjectDefinition.func_adl`), and delivery therefore loses no event
that processing would select.
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final, Literal

Comparison = Literal["==", "!=", "<", "<=", ">", ">="]

COMPARISONS: Final[Mapping[Comparison, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Cut:
    """One requirement on one field of an object: `field op value`, or `abs(field) op value`.

    Momenta and masses are in GeV. A flag (a boolean field that must be set) is `Cut(field, "==", True)`.
    """

    field: str
    op: Comparison
    value: float | bool
    absolute: bool = False

    def mask(self, objects: Any) -> Any:
        """Boolean mask, shaped like `getattr(objects, field)` (jagged array, flat array or plain number)."""
        column = getattr(objects, self.field)
        return COMPARISONS[self.op](abs(column) if self.absolute else column, self.value)

    def func_adl(self, variable: str) -> str:
        """The cut as func_adl text on the lambda variable `variable`."""
        column = f"{variable}.{self.field}"
        if self.op == "==" and self.value is True:
            return column
        return f"{f'abs({column})' if self.absolute else column} {self.op} {self.value!r}"


@dataclass(frozen=True, slots=True)
class ObjectDefinition:
    """Objects of a NanoAOD collection (branches `<collection>_<field>`) that pass every cut."""

    collection: str
    cuts: tuple[Cut, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields that the cuts read, each once, in the order of the cuts."""
        return tuple(dict.fromkeys(cut.field for cut in self.cuts))

    def mask(self, objects: Any) -> Any:
        """Which of `objects` (with the fields as attributes, as awkward records have) are selected."""
        return reduce(operator.and_, (cut.mask(objects) for cut in self.cuts))

    def also(self, *cuts: Cut) -> "ObjectDefinition":
        """The same definition with further cuts."""
        return replace(self, cuts=self.cuts + cuts)

    def with_value(self, field: str, value: float) -> "ObjectDefinition":
        """The same definition with another value in the cuts on `field`; KeyError if there is none."""
        if field not in self.fields:
            raise KeyError(f"no cut on {field!r} for {self.collection}; there are cuts on {', '.join(self.fields)}")
        return replace(self, cuts=tuple(replace(c, value=value) if c.field == field else c for c in self.cuts))

    def func_adl(self, event: str) -> str:
        """The selected objects of the event variable `event`, as func_adl text (add `.Count()` and so on)."""
        variable = self.collection.lower()
        predicate = " and ".join(cut.func_adl(variable) for cut in self.cuts)
        return f"{zipped(self.collection, self.fields, event)}.Where(lambda {variable}: {predicate})"


def zipped(collection: str, fields: tuple[str, ...], event: str) -> str:
    """func_adl text of a collection's objects with the given fields, from the event variable `event`."""
    return "{" + ", ".join(f"'{field}': {event}.{collection}_{field}" for field in fields) + "}.Zip()"


ELECTRONS: Final = ObjectDefinition(
    "Electron",
    (Cut("pt", ">", 30), Cut("eta", "<", 2.1, absolute=True), Cut("cutBased", "==", 4), Cut("sip3d", "<", 4)),
)
MUONS: Final = ObjectDefinition(
    "Muon",
    (
        Cut("pt", ">", 30),
        Cut("eta", "<", 2.1, absolute=True),
        Cut("tightId", "==", True),
        Cut("sip3d", "<", 4),
        Cut("pfRelIso04_all", "<", 0.15),
    ),
)
# jetId == 6 is "tight with lepton veto" in 2015 NanoAOD, where the values are 0, 2 and 6.
JETS: Final = ObjectDefinition("Jet", (Cut("pt", ">", 30), Cut("eta", "<", 2.4, absolute=True), Cut("jetId", "==", 6)))
B_TAG: Final = Cut("btagCSVV2", ">", 0.5)
B_JETS: Final = JETS.also(B_TAG)

N_LEPTONS: Final = 1  # exactly: electrons and muons together
MIN_JETS: Final = 4


@dataclass(frozen=True, slots=True)
class Region:
    """A signal or control region: events with `n_b_jets op count`, on top of the lepton and jet counts."""

    name: str
    op: Comparison
    count: int

    def mask(self, n_b_jets: Any) -> Any:
        """Which events are in the region, from their number of b-tagged selected jets."""
        return COMPARISONS[self.op](n_b_jets, self.count)


REGIONS: Final = (Region("4j1b", "==", 1), Region("4j2b", ">=", 2))

# How far a variation can move the transverse momentum of a jet, and hence how soft a delivered jet must be.
#
# Energy scale: pT * 1.03. Energy resolution: pT * (1 + 0.05 z) with z a standard normal number made from
# 53-bit uniform ones. The smallest non-zero uniform number is 2^-53, so no transformation to normal numbers
# in use can give more than sqrt(2 * 53 * ln 2) = 8.572 (Box-Muller; the inverse of the distribution stays
# below 8.3): Z_MAX bounds it, and the processor clips to it. A jet above 30 GeV after a variation was above
# 30 / 1.43 = 20.98 GeV before. Nothing else that the selection reads is varied: neither leptons, nor eta,
# nor jetId, nor the b tag.
JET_ENERGY_SCALE: Final = 1.03
JET_RESOLUTION: Final = 0.05
Z_MAX: Final = 8.6
MAX_JET_PT_FACTOR: Final = max(JET_ENERGY_SCALE, 1 + JET_RESOLUTION * Z_MAX)
MIN_JET_PT: Final = next(cut.value for cut in JETS.cuts if cut.field == "pt")
DELIVERED_JET_PT: Final = math.floor(MIN_JET_PT / MAX_JET_PT_FACTOR)  # 20 GeV
DELIVERED_JETS: Final = JETS.with_value("pt", DELIVERED_JET_PT)
DELIVERED_B_JETS: Final = DELIVERED_JETS.also(B_TAG)

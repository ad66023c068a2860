"""The nine samples of the AGC, and how each is generated."""

from dataclasses import dataclass, field
from zlib import crc32


@dataclass(frozen=True, slots=True)
class Radiation:
    """Strength of what goes beyond leading order; 1 is the nominal tune except ``extra``, a mean number of jets."""

    isr: float = 1.0
    extra: float = 1.4
    fsr: float = 1.0


@dataclass(frozen=True, slots=True)
class PartonFilter:
    """What an event must have before the detector is simulated.

    One electron or muon of a W boson or tau within |η| < 2.4, and partons that can make jets within |η| < 2.7.
    """

    lepton_pt: float = 25.0
    partons: int = 4
    parton_pt: float = 15.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: its names in the AGC's file list, and what is special about its generation."""

    process: str
    variation: str
    radiation: Radiation = field(default_factory=Radiation)
    parton_filter: PartonFilter = field(default_factory=PartonFilter)

    @property
    def name(self) -> str:
        """The name that folders, files and datasets carry."""
        return f"{self.process}__{self.variation}"

    def seed(self, seed: int, file_index: int) -> tuple[int, int, int]:
        """Entropy of one file's random numbers: the same file whatever else is made."""
        return seed, crc32(self.name.encode()), file_index


SAMPLES = (
    Sample("ttbar", "nominal"),
    Sample("ttbar", "scaledown", Radiation(isr=1.0, fsr=1.15)),
    Sample("ttbar", "scaleup", Radiation(isr=1.0, fsr=0.85)),
    Sample("ttbar", "ME_var", Radiation(isr=1.3, extra=1.8)),
    Sample("ttbar", "PS_var", Radiation(isr=0.7, extra=1.1, fsr=1.3)),
    Sample("single_top_s_chan", "nominal"),
    Sample("single_top_t_chan", "nominal"),
    Sample("single_top_tW", "nominal"),
    Sample("wjets", "nominal"),
)

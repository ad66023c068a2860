"""A model's specification laid out as arrays: what the compiled functions take.

Channels are cut into *blocks* of equally many bins, padded at the end, and a block has one *slot* for each sample of
its channel. So models with long and short channels, with few or many samples, all become arrays of axes

    c block, s slot, w bin, k shape parameter, g cell parameter, r reduced parameter, l layer

without much padding. A *cell* is a slot of a block: normfactor, lumi and normsys scale whole cells. Bin gammas that
stand alone in their bin are *profiled*: they take no part in the reduced vector, since the best one is known in
closed form.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.likelihood.composition import compose, inverse
from inference.likelihood.interpolation import normsys_coefficients
from inference.likelihood.specification import Channel, Floats, Specification, offsets

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layout:
    """What a compiled function depends on besides the shapes of its arrays."""

    histosys: Literal["code0", "code2", "code4p"] = "code4p"
    normsys: Literal["code1", "code4", "combine"] = "code4"
    layers: int = 0
    sparse_shapes: bool = False
    poisson_gammas: bool = False
    noise: bool = False  # errors of bins that follow the cells
    extended: bool = False
    operators: tuple[tuple[str, Any], ...] = ()  # of the extensions: name and program of each


class Arrays(NamedTuple):
    """The model as the compiled functions take it. C blocks, S slots, W bins, R reduced parameters.

    ``shape_at``, ``cell_at``, ``normal_at`` and ``poisson_at`` (R,) say which shape, cell or constrained parameter a
    reduced one is (their number: none).
    """

    nominal: Any  # (C, S, W)
    shape_odd: Any  # (C, S, W, K): half of up minus down
    shape_even: Any  # (C, S, W, K): half of up plus down, minus nominal
    shape_par: Any  # (C, K): which shape parameter of all; only used if sparse
    shapes: Any  # (N,): reduced parameter of each shape parameter of all
    cells: Any  # (G,): reduced parameter of each cell parameter
    factor: Any  # (C, S, G): 1 where the cell is scaled by the parameter itself
    norm_poly: Any  # (6, C, S, G): powers 1 to 6 of normsys within ±1
    norm_logs: Any  # (2, C, S, G): logarithms of up and down
    layer_par: Any  # (L, C, S, W): reduced parameter that scales an entry; R if none
    error: Any  # (C, S, W): errors that the cell scales and that add up in quadrature
    noise_on: Any  # (C, S, W): 1 where an entry is scaled by that sum
    gamma_on: Any  # (C, S, W): 1 where the profiled gamma of the bin scales the entry
    shape_at: Any  # (R,)
    cell_at: Any  # (R,)
    normal_par: Any  # (Q,): reduced parameters with a normal constraint
    normal_at: Any  # (R,)
    normal_weight: Any  # (Q,): 1 / sigma²
    poisson_par: Any  # (T,): reduced parameters with a Poisson constraint
    poisson_at: Any  # (R,)
    poisson_factor: Any  # (T,)
    gamma_weight: Any  # (C, W): 1 / sigma² of a normal gamma, 0 if none
    gamma_factor: Any  # (C, W): factor of a Poisson gamma, 0 if none
    gamma_poisson: Any  # (C, W): whether its constraint is Poisson
    composition: Any = ()  # arrays of the extensions, a ``Composition``


@dataclass(frozen=True, slots=True)
class Places:
    """Where things stand: from pyhf's flat vectors to the arrays and back.

    Attributes:
        bin_at: (C, W) place of the bin in all bins; their number where padded.
        reduced: (R,) places of the reduced parameters among all.
        gamma: (C, W) place of the profiled gamma among all parameters; -1 if none.
        slots: names of the samples of each block.
        channel_of: name of the channel of each block.
        shared: how many of the reduced parameters are HistFactory's; the others are introduced by extensions.
    """

    bin_at: Indices
    reduced: Indices
    gamma: Indices
    slots: tuple[tuple[str, ...], ...]
    channel_of: tuple[str, ...]
    shared: int


def lay_out(
    made: Specification, *, profile: bool = True, histosys: str = "code4p", normsys: str = "code4"
) -> tuple[Arrays, Layout, Places]:
    """Arrays of a specification.

    Args:
        profile: take bin gammas out of the vector where that is exact.
        histosys: "code0", "code2" or "code4p"; normsys: "code1" or "code4".
    """
    builder = _Builder(made, _width([channel.bins for channel in made.channels]))
    builder.fill(profile)
    found = builder.arrays(histosys, normsys)
    return compose(made, *found) if made.extensions else found


def _width(sizes: list[int]) -> int:
    """Bins of a block such that padding and the number of blocks are small."""
    return min(sorted(set(sizes)), key=lambda width: (sum(-(-size // width) * (width + 8) for size in sizes), width))


@dataclass(slots=True)
class _Block:
    channel: Channel
    start: int  # first bin within the channel
    stop: int
    offset: int  # of the first bin among all bins

    def cut(self, values: Any) -> Floats:
        return np.asarray(values, dtype=float)[self.start : self.stop]


class _Builder:
    def __init__(self, made: Specification, width: int) -> None:
        self.made, self.width = made, width
        self.blocks: list[_Block] = []
        offset = 0
        for channel in made.channels:
            for start in range(0, channel.bins, width):
                stop = min(start + width, channel.bins)
                self.blocks.append(_Block(channel, start, stop, offset + start))
            offset += channel.bins
        self.slots = max(len(channel.samples) for channel in made.channels)
        self.offsets = offsets(made.histfactory)
        self.total = sum(each.size for each in made.histfactory)
        # parameter -> entries (block, slot, bin) that a parameter for each bin scales
        self.entries: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        self.shapes: dict[int, dict[int, list[tuple[int, Floats, Floats]]]] = defaultdict(lambda: defaultdict(list))
        self.norms: list[tuple[int, int, int, float, float]] = []
        self.factors: list[tuple[int, int, int]] = []
        self.gamma = np.full((len(self.blocks), width), -1, dtype=np.int64)

    def fill(self, profile: bool) -> None:
        shape = (len(self.blocks), self.slots, self.width)
        self.nominal = np.zeros(shape)
        for c, block in enumerate(self.blocks):
            for s, sample in enumerate(block.channel.samples):
                self.nominal[c, s, : block.stop - block.start] = block.cut(sample.nominal)
                for modifier in sample.modifiers:
                    self._modifier(c, s, block, sample.nominal, modifier)
        if profile:
            self._profile()

    def _modifier(self, c: int, s: int, block: _Block, nominal: Floats, modifier: Mapping[str, Any]) -> None:
        place, kind, data = self.offsets[modifier["name"]], modifier["type"], modifier.get("data", {})
        if kind == "histosys":
            up, down, middle = block.cut(data["hi_data"]), block.cut(data["lo_data"]), block.cut(nominal)
            self.shapes[c][place].append((s, 0.5 * (up - down), 0.5 * (up + down) - middle))
        elif kind == "normsys":
            self.norms.append((place, c, s, float(data["hi"]), float(data["lo"])))
        elif kind in ("normfactor", "lumi"):
            self.factors.append((place, c, s))
        else:
            first = place + self._before(modifier, block) + block.start
            for w in range(block.stop - block.start):
                self.entries[first + w].append((c, s, w))

    def _before(self, modifier: Mapping[str, Any], block: _Block) -> int:
        """Bins of earlier channels that the name of a staterror covers; the other types begin anew in each channel."""
        if modifier["type"] != "staterror":
            return 0
        key = ("staterror", modifier["name"])
        bins = 0
        for channel in self.made.channels:
            if channel is block.channel:
                break
            if any(key == (other["type"], other["name"]) for sample in channel.samples for other in sample.modifiers):
                bins += channel.bins
        return bins

    def _profile(self) -> None:
        """One gamma of each bin leaves the vector: constrained, of this bin alone; a normal one if there is one.

        Those that an extension reads or correlates stay.
        """
        named = {name.partition("[")[0] for each in self.made.extensions for name in each.names}
        for constraint in ("normal", "poisson"):
            for made in self.made.histfactory:
                if made.constraint != constraint or made.scalar or made.name in named:
                    continue
                for place in range(self.offsets[made.name], self.offsets[made.name] + made.size):
                    bins = {(c, w) for c, _, w in self.entries.get(place, ())}
                    if len(bins) == 1 and self.gamma[next(iter(bins))] < 0:
                        self.gamma[next(iter(bins))] = place

    def arrays(self, histosys: str, normsys: str) -> tuple[Arrays, Layout, Places]:
        profiled = set(self.gamma[self.gamma >= 0].tolist())
        reduced = np.asarray([place for place in self._order() if place not in profiled], dtype=np.int64)
        at = {int(place): index for index, place in enumerate(reduced)}
        odd, even, shape_par, shapes, sparse = self._shape_arrays(at)
        cells, factor, poly, logs = self._cell_arrays(at, normsys)
        layer_par = self._layers(at)
        arrays = Arrays(
            nominal=self.nominal,
            shape_odd=odd,
            shape_even=even,
            shape_par=shape_par,
            shapes=shapes,
            cells=cells,
            factor=factor,
            norm_poly=poly,
            norm_logs=logs,
            layer_par=layer_par,
            **self._errors(),
            gamma_on=self._gamma_entries(),
            shape_at=inverse(shapes, len(reduced)),
            cell_at=inverse(cells, len(reduced)),
            **self._constraints(at),
        )
        poisson = bool(np.any(arrays.gamma_poisson))
        noise = bool(np.any(arrays.noise_on))
        layout = Layout(histosys, normsys, len(layer_par), sparse, poisson, noise)  # type: ignore[arg-type]
        return arrays, layout, self._places(reduced)

    def _order(self) -> list[int]:
        """Places of all parameters: those that extensions set come last, in the order of the extensions' outputs."""
        outputs = [name for each in self.made.extensions for name in each.changes]
        rank = [outputs.index(each.name) if each.name in outputs else -1 for each in self.made.histfactory]
        of_each = [turn for turn, each in zip(rank, self.made.histfactory, strict=True) for _ in each.init]
        return sorted(range(self.total), key=lambda place: of_each[place])

    def _places(self, reduced: Indices) -> Places:
        bin_at = np.full((len(self.blocks), self.width), self.made.bins, dtype=np.int64)
        for c, block in enumerate(self.blocks):
            bin_at[c, : block.stop - block.start] = np.arange(block.offset, block.offset + block.stop - block.start)
        slots = tuple(tuple(sample.name for sample in block.channel.samples) for block in self.blocks)
        return Places(
            bin_at, reduced, self.gamma, slots, tuple(block.channel.name for block in self.blocks), len(reduced)
        )

    def _shape_arrays(self, at: Mapping[int, int]) -> tuple[Floats, Floats, Indices, Indices, bool]:
        """Shapes block by block, for the parameters that touch the block, or for all where most touch most."""
        union = sorted({place for block in self.shapes.values() for place in block})
        most = max((len(block) for block in self.shapes.values()), default=0)
        sparse = most < 0.7 * len(union)
        size = most if sparse else len(union)
        order = {place: index for index, place in enumerate(union)}
        odd = np.zeros((len(self.blocks), self.slots, self.width, size))
        even = np.zeros_like(odd)
        shape_par = np.full((len(self.blocks), size), len(union), dtype=np.int64)
        for c, block in self.shapes.items():
            for index, (place, parts) in enumerate(sorted(block.items())):
                k = index if sparse else order[place]
                shape_par[c, k] = order[place]
                for s, one, other in parts:
                    odd[c, s, : len(one), k] += one
                    even[c, s, : len(other), k] += other
        return odd, even, shape_par, np.asarray([at[place] for place in union], dtype=np.int64), sparse

    def _cell_arrays(self, at: Mapping[int, int], code: str) -> tuple[Indices, Floats, Floats, Floats]:
        union = sorted({norm[0] for norm in self.norms} | {scaled[0] for scaled in self.factors})
        order = {place: index for index, place in enumerate(union)}
        cells = (len(self.blocks), self.slots, len(union))
        factor, poly, logs = np.zeros(cells), np.zeros((6, *cells)), np.zeros((2, *cells))
        for place, c, s in self.factors:
            factor[c, s, order[place]] = 1.0
        for place, c, s, up, down in self.norms:
            g = order[place]
            logs[:, c, s, g] = np.log(up), np.log(down)
            poly[:, c, s, g] = normsys_coefficients(up, down, code)
        return np.asarray([at[place] for place in union], dtype=np.int64), factor, poly, logs

    def _layers(self, at: Mapping[int, int]) -> Indices:
        """Entries that parameters in the vector scale one by one, in as few layers as the busiest entry needs."""
        rows: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        for place, entries in self.entries.items():
            for entry in entries if place in at else ():
                rows[entry].append(at[place])
        depth = max(map(len, rows.values()), default=0)
        layers = np.full((depth, len(self.blocks), self.slots, self.width), len(at), dtype=np.int64)
        for (c, s, w), parameters in rows.items():
            layers[: len(parameters), c, s, w] = parameters
        return layers

    def _errors(self) -> dict[str, Floats]:
        """Errors of samples that extensions name, and the entries that their sum scales."""
        error, on = np.zeros_like(self.nominal), np.zeros_like(self.nominal)
        noises = {each.noise[0]: each.noise for each in self.made.extensions if each.noise is not None}
        for c, block in enumerate(self.blocks):
            _, scaled, errors = noises.get(block.channel.name, ("", "", {}))
            for s, sample in enumerate(block.channel.samples):
                own = slice(block.stop - block.start)
                error[c, s, own] = block.cut(errors.get(sample.name, np.zeros(block.channel.bins)))
                on[c, s, own] = float(sample.name == scaled)
        return {"error": error, "noise_on": on}

    def _gamma_entries(self) -> Floats:
        on = np.zeros((len(self.blocks), self.slots, self.width))
        for c, w in zip(*np.nonzero(self.gamma >= 0), strict=True):
            for block, s, index in self.entries[int(self.gamma[c, w])]:
                on[block, s, index] = 1.0
        return on

    def _constraints(self, at: Mapping[int, int]) -> dict[str, Any]:
        rows: dict[str, list[tuple[int, float]]] = {"normal": [], "poisson": []}
        for place, made, index in self._constrained():
            if place in at:
                rows[made.constraint].append((at[place], made.widths[index]))
        shape = (len(self.blocks), self.width)
        weight, factor, poisson = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
        where = {int(self.gamma[c, w]): (c, w) for c, w in zip(*np.nonzero(self.gamma >= 0), strict=True)}
        for place, made, index in self._constrained():
            if place in where:
                poisson[where[place]] = made.constraint == "poisson"
                width = made.widths[index]
                (factor if made.constraint == "poisson" else weight)[where[place]] = (
                    width if made.constraint == "poisson" else width**-2
                )
        normal, counted = rows["normal"], rows["poisson"]
        pars = {kind: np.asarray([row[0] for row in found], dtype=np.int64) for kind, found in rows.items()}
        return {
            "normal_par": pars["normal"],
            "normal_at": inverse(pars["normal"], len(at)),
            "normal_weight": np.asarray([row[1] ** -2 for row in normal], dtype=float),
            "poisson_par": pars["poisson"],
            "poisson_at": inverse(pars["poisson"], len(at)),
            "poisson_factor": np.asarray([row[1] for row in counted], dtype=float),
            "gamma_weight": weight,
            "gamma_factor": factor,
            "gamma_poisson": poisson,
        }

    def _constrained(self) -> Iterable[tuple[int, Any, int]]:
        for made in self.made.histfactory:
            if made.constraint != "free":
                for index in range(made.size):
                    yield self.offsets[made.name] + index, made, index

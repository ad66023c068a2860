"""A campaign of toys: thrown and fitted in chunks, by threads or by other workers, each finished chunk kept in a store.

A chunk is decided by its toys' numbers alone, so that the numbers are the same for any number of workers, and a
campaign that was interrupted, or asks for more toys of the same kind, goes on from the chunks that are there.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from artifacts.keys import JSON, Request
from artifacts.store import Store
from inference.likelihood.specification import Floats
from inference.toys.columns import MEDIA_TYPE, from_parquet, to_parquet
from inference.toys.errors import InvalidToys
from inference.toys.fits import ToyFits, fit_variants
from inference.toys.generate import Method, Seed, Toys, mask_of, throw
from inference.workers import executor_of

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood

# Toys of a chunk: some tenths of a second of work.
CHUNK = 256
# Raised when chunks are written in another way.
VERSION = 2
# Rooms of the package whose code decides what toys are and how they are fitted.
DECIDING = ("likelihood", "extensions", "toys")
Span = tuple[int, int]
FREE: Mapping[str, Mapping[str, float]] = {"free": {}}


@dataclass(frozen=True, slots=True)
class Campaign:
    """What toys to throw, and how to fit them.

    Attributes:
        parameters: all of them, where the toys are thrown, shape (parameters,).
        count, seed, first, method, mask: as `generate.throw`.
        variants: fits of each toy by name, with what each holds besides what the workspace holds.
        keep: labels of the parameters to keep; all if None.
        uncertainties: whether to have the uncertainty of each fit too.
        search: whether each fit is to look for other minima, as ``fits.fit_toys``.
    """

    parameters: Floats
    count: int
    seed: Seed
    first: int = 0
    method: Method = "frequentist"
    mask: Floats | None = None
    variants: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: FREE)
    keep: Sequence[str] | None = None
    uncertainties: bool = False
    search: bool = False

    def throw(self, likelihood: "Likelihood", first: int, count: int) -> Toys:
        """Some of its toys; raises ``InvalidToys``."""
        held = likelihood.constant.copy()
        for label in set.intersection(*map(set, self.variants.values())):
            held[likelihood.index(label)] = True
        return throw(
            likelihood,
            self.parameters,
            count=count,
            seed=self.seed,
            first=first,
            method=self.method,
            mask=self.mask,
            held=held,
        )


def carry_out(
    likelihood: "Likelihood",
    campaign: Campaign,
    *,
    store: Store | None = None,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, ToyFits]:
    """Throw and fit all toys.

    Args:
        store: where finished chunks are kept and found; nowhere if None.
        workers: number of threads, or an executor: of processes (not forked ones), or a Dask client's
            ``get_executor()``.
        progress: called with toys done and all toys.

    Returns:
        Fits of all toys by the name of the variant, toy ``first + k`` in row k.

    Raises:
        InvalidToys: the model cannot be thrown there, or there is nothing to do.
        UnknownParameter: a label of a variant or of ``keep``.
    """
    if campaign.count < 1 or not campaign.variants:
        raise InvalidToys(f"{campaign.count} toys with {len(campaign.variants)} fits: ask for at least one of each")
    for label in (*(campaign.keep or ()), *(label for fixed in campaign.variants.values() for label in fixed)):
        likelihood.index(label)
    spans = _spans(campaign.first, campaign.first + campaign.count)
    requests = _requests(likelihood, campaign, spans) if store is not None else {}
    chunks: dict[Span, dict[str, ToyFits]] = {}
    for span, request in requests.items():
        kept = _found(store, request)
        if kept is not None:
            chunks[span] = kept
    done = sum(count for _, count in chunks)
    for span, made in _made(likelihood, campaign, [span for span in spans if span not in chunks], workers):
        if store is not None:
            store.put(requests[span], {"fits.parquet": to_parquet(made)}, {}, {"fits.parquet": MEDIA_TYPE})
        chunks[span] = made
        done += span[1]
        if progress is not None:
            progress(done, campaign.count)
    return {name: ToyFits.joined([chunks[span][name] for span in spans]) for name in campaign.variants}


def chunk(likelihood: "Likelihood", campaign: Campaign, first: int, count: int) -> dict[str, ToyFits]:
    """Some toys of a campaign, thrown and fitted."""
    found = fit_variants(
        likelihood,
        campaign.throw(likelihood, first, count),
        campaign.variants,
        search=campaign.search,
        uncertainties=campaign.uncertainties,
    )
    return {name: each.keep(campaign.keep) for name, each in found.items()}


def _spans(first: int, stop: int) -> list[Span]:
    """Cut at multiples of ``CHUNK``: first toy and number of toys of each chunk."""
    edges = [first, *range(first - first % CHUNK + CHUNK, stop, CHUNK), stop]
    return [(begin, end - begin) for begin, end in itertools.pairwise(edges)]


def _made(
    likelihood: "Likelihood", campaign: Campaign, spans: Sequence[Span], workers: int | Executor
) -> Iterator[tuple[Span, dict[str, ToyFits]]]:
    """Chunks as they are made, in order; one that is not wanted any more is not begun."""
    from inference.likelihood.bulk import at_once

    if workers == 1 or len(spans) < 2:
        for group in _groups(spans, at_once()):
            yield from _together(likelihood, campaign, group)
        return
    with executor_of(workers) as executor:
        futures: list[Future[dict[str, ToyFits]]] = [
            executor.submit(chunk, likelihood, campaign, *span) for span in spans
        ]
        try:
            for span, future in zip(spans, futures, strict=True):
                yield span, future.result()
        finally:
            for future in futures:
                future.cancel()


def _groups(spans: Sequence[Span], most: int) -> Iterator[list[Span]]:
    """Neighbours together, up to ``most`` toys."""
    group: list[Span] = []
    for span in spans:
        if group and (span[0] != sum(group[-1]) or span[0] + span[1] - group[0][0] > most):
            yield group
            group = []
        group.append(span)
    if group:
        yield group


def _together(
    likelihood: "Likelihood", campaign: Campaign, spans: Sequence[Span]
) -> Iterator[tuple[Span, dict[str, ToyFits]]]:
    """Chunks that are neighbours, worked on as one."""
    begin = spans[0][0]
    made = chunk(likelihood, campaign, begin, sum(spans[-1]) - begin)
    for first, count in spans:
        rows = np.arange(first - begin, first - begin + count)
        yield (first, count), {name: fits.rows(rows) for name, fits in made.items()}


def digest(likelihood: "Likelihood") -> str:
    """SHA-256 of all that decides what a likelihood says, but its observed data.

    Raises:
        InvalidToys: it has functions of the user's, of which nothing can tell whether they are the same.
    """
    import jax

    documents = []
    for extension in likelihood.specification.extensions:
        if not extension.serialisable:
            raise InvalidToys(f"{extension.name!r} is a Python function: its toys cannot be kept, leave out the store")
        documents.append(extension.model_dump_json())
    layout = replace(likelihood.layout, operators=())
    sha = hashlib.sha256(repr((layout, likelihood.labels, documents)).encode())
    auxiliary = likelihood.observation(np.zeros(likelihood.bins)).auxiliary
    ends = (likelihood.init, likelihood.lower, likelihood.upper, likelihood.constant, likelihood.widths, auxiliary)
    places = (likelihood.places.bin_at, likelihood.places.reduced, likelihood.places.gamma)
    for leaf in (*jax.tree.leaves(likelihood.arrays), *ends, *places):
        array = np.asarray(leaf)
        sha.update(f"{array.dtype}{array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def _requests(likelihood: "Likelihood", campaign: Campaign, spans: Sequence[Span]) -> dict[Span, Request]:
    decided: dict[str, JSON] = {
        "likelihood": digest(likelihood),
        "parameters": np.asarray(campaign.parameters, dtype=float).tolist(),
        "seed": campaign.seed if isinstance(campaign.seed, int) else list(campaign.seed),
        "method": campaign.method,
        "mask": mask_of(likelihood, campaign.mask).tolist(),
        "variants": {name: dict(fixed) for name, fixed in campaign.variants.items()},
        "keep": None if campaign.keep is None else list(campaign.keep),
        "uncertainties": campaign.uncertainties,
        "search": campaign.search,
        "code": _code(),
        "libraries": {name: version(name) for name in ("numpy", "scipy", "jax", "jaxlib")},
    }
    return {
        (first, count): Request("toys", VERSION, {**decided, "first": first, "count": count}) for first, count in spans
    }


@cache
def _code() -> str:
    """SHA-256 of the source that decides a chunk's numbers: chunks do not outlive it."""
    sha = hashlib.sha256()
    for room in DECIDING:
        for file in sorted((Path(__file__).parents[1] / room).glob("*.py")):
            sha.update(file.read_bytes())
    return sha.hexdigest()


def _found(store: Store | None, request: Request) -> dict[str, ToyFits] | None:
    from artifacts.errors import BlobDamaged

    entry = store.get(request) if store is not None else None
    if store is None or entry is None:
        return None
    try:
        return from_parquet(store.read(entry.blobs["fits.parquet"]))
    except BlobDamaged:
        return None

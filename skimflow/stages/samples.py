"""Where the input files come from: a fileset, or events simulated once."""

from __future__ import annotations

from pathlib import Path

from processing.filesets import Fileset, load_fileset
from skimflow.stages.context import Context


def resolve_samples(context: Context, *, simulate: bool = True) -> Fileset | None:
    """The fileset of the pipeline; simulates its events where they are missing.

    Returns None when events would have to be simulated and `simulate` is off (planning computes nothing).
    """
    samples = context.pipeline.samples
    path = _simulated(context, simulate) if samples.simulate is not None else context.path(samples.fileset or Path())
    return None if path is None else load_fileset(path, samples.files_per_sample)


def _simulated(context: Context, simulate: bool) -> Path | None:
    from skimflow.simulate import simulate as make_events
    from skimflow.simulate import up_to_date

    wanted = context.pipeline.samples.simulate
    assert wanted is not None  # noqa: S101
    folder = context.path(context.pipeline.samples.folder)
    count, files, seed = wanted.events_per_file, wanted.files_per_sample, wanted.seed
    if not up_to_date(folder, events_per_file=count, files_per_sample=files, seed=seed):
        if not simulate:
            return None
        context.reporter.say(f"simulating events into {folder}")
        make_events(folder, events_per_file=count, files_per_sample=files, seed=seed, reporter=context.reporter)
    return folder / "fileset.json"

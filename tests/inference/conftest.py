"""The real models of this room, each read once for all of its tests."""

import functools
import json
import tarfile

import jsonpatch
import pytest


@pytest.fixture(scope="session")
def published(shared_data):
    """ATLAS's published likelihood, sbottom, region A with one signal (ins1748602); best fit at μ = 0, a bound."""
    with tarfile.open(shared_data / "likelihoods" / "pyhf-ins1748602-probability-models.tar.gz") as files:
        background, patch = (
            json.loads(files.extractfile(f"RegionA/{name}.json").read())
            for name in ("BkgOnly", "patch.sbottom_1300_205_60")
        )
    return jsonpatch.apply_patch(background, patch)


@pytest.fixture(scope="session")
def fitted(shared_data):
    """Function of a number of files per process: workspace and fit of those reference histograms."""
    from inference.fit import fit
    from inference.templates import load_histograms
    from inference.workspace import build

    @functools.cache
    def of(size):
        workspace = build(load_histograms(shared_data / "agc" / "reference" / f"histos_{size}_file_per_process.json"))
        return workspace, fit(workspace)

    return of

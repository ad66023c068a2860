"""Fits of the AGC's reference histograms, each made once for all tests of the room."""

import functools

import pytest


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

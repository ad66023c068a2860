"""Covariance of all parameters from the Hessian in which some gammas were profiled."""

from typing import TYPE_CHECKING, Any

import numpy as np

from inference.errors import FitFailed
from inference.likelihood import compiled
from inference.likelihood.specification import Floats

if TYPE_CHECKING:
    from inference.likelihood.model import Likelihood, Minimum, Observation


def covariance(likelihood: "Likelihood", at: "Minimum", seen: "Observation", free: Any) -> Floats:
    """See ``Likelihood.covariance``."""
    places = likelihood.places
    data = likelihood.data(seen, at.parameters, free)
    theta = at.parameters[places.reduced]
    found = compiled.point(theta, likelihood.arrays, likelihood.layout, data)
    curvature = np.asarray(found.curvature)
    inside = free[places.reduced]
    held = np.isin(likelihood.labels, at.certificate.at_bound)[places.reduced]
    for moving in (np.flatnonzero(inside), np.flatnonzero(inside & ~held)):
        inner = _inverse(curvature[np.ix_(moving, moving)])
        if inner is not None:
            break
    else:
        raise FitFailed(f"no covariance: {at.certificate.reason or 'the Hessian is not positive definite'}")
    full = np.zeros((len(likelihood.labels),) * 2)
    rows = places.reduced[moving]
    full[np.ix_(rows, rows)] = inner
    has = (places.gamma >= 0).reshape(-1)
    if has.any():
        mixed, inverse = (
            np.asarray(each) for each in compiled.mixed(theta, likelihood.arrays, likelihood.layout, data)
        )
        gammas = places.gamma.reshape(-1)[has]
        slope = -inverse[has, None] * mixed[np.ix_(has, moving)]
        across = slope @ inner
        full[np.ix_(gammas, rows)], full[np.ix_(rows, gammas)] = across, across.T
        full[np.ix_(gammas, gammas)] = np.diag(inverse[has]) + across @ slope.T
    return full


def _inverse(matrix: Floats) -> Floats | None:
    """Of a positive definite matrix, None of others."""
    try:
        half = np.linalg.inv(np.linalg.cholesky(matrix))
    except np.linalg.LinAlgError:
        return None
    return np.asarray(half.T @ half)

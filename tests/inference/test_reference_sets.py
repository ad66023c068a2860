"""All nine sets of the AGC's reference histograms: fit, ranking, scan, interval and limit end with certificates."""

import pytest

from inference.hypotheses.limits import upper_limit
from inference.intervals.scan import scan
from inference.likelihood.model import Likelihood
from inference.ranking import impacts

SIZES = ("1", "2", "5", "10", "20", "50", "100", "200", "all")


@pytest.mark.parametrize("size", SIZES)
def test_every_tool_converges(fitted, size):
    workspace, result = fitted(size)
    assert result.certificate.converged
    likelihood = Likelihood(workspace)
    [ranked] = impacts(likelihood, fit=result, bin_gammas=True).rankings
    assert len(ranked.impacts) == sum(not fixed for fixed in result.fixed) - 1
    assert not [impact for impact in ranked.impacts if impact.failures]
    scanned = scan(likelihood, points=21, fit=result)
    assert scanned.failures == ()
    assert all(rise is not None and rise > -1e-8 for rise in scanned.twice_rises)
    limit = upper_limit(likelihood, fit=result)
    assert limit.failures == ()
    assert all(fit.certificate.converged for fit in limit.fits)
    assert limit.observed is not None
    assert None not in limit.expected
    assert result.value("ttbar_norm")[0] < limit.observed

"""Results of tests of hypotheses, as plain values."""

from dataclasses import dataclass

from inference.hypotheses.statistic import Method, Statistic
from inference.likelihood.certificate import Certificate

Band = tuple[float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Fitted:
    """One of the fits behind a result.

    Attributes:
        data: "observed", or "Asimov" and the value of the parameter of interest it was made at.
        held_at: value that the parameter of interest was held at; None for the best fit.
        bestfit: parameter of interest where the fit ended.
        nll: −log L there.
    """

    data: str
    held_at: float | None
    bestfit: float
    nll: float
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class HypothesisTest:
    """Test of one value of a parameter of interest against 0, asymptotic (arXiv:1007.1727).

    Attributes:
        poi, mu: the parameter and the value that is tested.
        statistic: "qtilde" or "q".
        q, q_asimov: test statistic of the data, and of the Asimov data of μ = 0.
        clsb, clb, cls: observed p-values and their ratio.
        expected: CLs for data at −2, −1, 0, 1, 2 σ of the background.
        expected_clsb: CLsb for the same.
    """

    poi: str
    mu: float
    statistic: Statistic
    q: float
    q_asimov: float
    clsb: float
    clb: float
    cls: float
    expected: Band
    expected_clsb: Band


@dataclass(frozen=True, slots=True)
class HypothesisTests:
    """Tests of several values.

    Attributes:
        poi: parameter of interest.
        bestfit: of the data, at 0 or above for "qtilde".
        tests: by growing value.
        fits: the fits that count, with their certificates.
        failures: values that could not be tested, and why.
        notes: what was done that was not asked for.
    """

    poi: str
    bestfit: float
    tests: tuple[HypothesisTest, ...]
    fits: tuple[Fitted, ...]
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpperLimit:
    """Upper limit on a parameter of interest, asymptotic (arXiv:1007.1727).

    Attributes:
        poi: parameter of interest.
        level: confidence level, such as 0.95.
        method: "CLs" or "CLsb".
        statistic: "qtilde" or "q".
        observed: the limit; None where there is none, and ``failures`` say why.
        expected: limits for data at −2, −1, 0, 1, 2 σ of the background, None likewise.
        bestfit: of the data, at 0 or above for "qtilde"; None if that fit failed.
        test_of_one: the test of μ = 1; None if a fit failed.
        tests: at the values asked for, for figures.
        fits: the fits that count, with their certificates.
        failures: what could not be had, and why.
        notes: what was done that was not asked for.
    """

    poi: str
    level: float
    method: Method
    statistic: Statistic
    observed: float | None
    expected: tuple[float | None, float | None, float | None, float | None, float | None]
    bestfit: float | None
    test_of_one: HypothesisTest | None
    tests: tuple[HypothesisTest, ...]
    fits: tuple[Fitted, ...]
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LowerLimit:
    """Lower limit on a parameter of interest, asymptotic (the mirror image of qμ of arXiv:1007.1727).

    Attributes:
        poi: parameter of interest.
        level: confidence level, such as 0.95.
        observed: the limit; None where there is none, and ``failures`` say why.
        signal: value that the expected ones assume, with all other parameters as the data want them there.
        expected: limits for data at −2, −1, 0, 1, 2 σ of that signal, None likewise.
        bestfit: of the data; None if that fit failed.
        fits: the fits that count, with their certificates.
        failures: what could not be had, and why.
        notes: what was done that was not asked for.
    """

    poi: str
    level: float
    observed: float | None
    signal: float
    expected: tuple[float | None, float | None, float | None, float | None, float | None]
    bestfit: float | None
    fits: tuple[Fitted, ...]
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Significance:
    """Significance of a discovery: test of 0 by q0, asymptotic (arXiv:1007.1727).

    Attributes:
        poi: parameter of interest.
        bestfit: of the data.
        q0: test statistic; 0 where the best fit is not above 0.
        p_value, z: one-sided p-value of the background alone, and the same in standard deviations.
        signal: value that the expected ones assume, with all other parameters as the data want them there.
        expected_p_value, expected_z: of the Asimov data at ``signal``.
        expected_band: Z at −2, −1, 0, 1, 2 σ of such data.
        fits: the fits that count, with their certificates.
        failures: what could not be had, and why.
        notes: what was done that was not asked for.
    """

    poi: str
    bestfit: float | None
    q0: float | None
    p_value: float | None
    z: float | None
    signal: float
    expected_p_value: float | None
    expected_z: float | None
    expected_band: Band | None
    fits: tuple[Fitted, ...]
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

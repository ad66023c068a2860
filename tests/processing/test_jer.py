import numpy as np
import scipy.stats

from processing.jer import GOLDEN, jet_normals, mix
from queries.objects import Z_MAX


def test_the_mixer_is_splitmix64() -> None:
    # Published outputs of SplitMix64 for the seed 1234567.
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    with np.errstate(over="ignore"):
        states = np.uint64(1234567) + GOLDEN * np.arange(1, 6, dtype=np.uint64)
    assert mix(states).tolist() == published


def grid(events: int, jets: int) -> np.ndarray:
    event, jet = (axis.ravel() for axis in np.meshgrid(np.arange(events), np.arange(jets), indexing="ij"))
    return jet_normals(np.full(event.shape, 1), event // 1000, event, jet).reshape(events, jets)


def test_the_numbers_are_standard_normal_and_independent() -> None:
    z = grid(40_000, 8)
    assert scipy.stats.kstest(z.ravel(), "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(z.T) - np.eye(8)).max() < 5 / np.sqrt(len(z))
    following = np.corrcoef(z[:-1, 0], z[1:, 0])[0, 1]
    assert abs(following) < 5 / np.sqrt(len(z))
    assert np.abs(z).max() < Z_MAX


def test_a_number_depends_on_its_jet_alone() -> None:
    run, lumi, event, jet = (np.array(x) for x in ([1, 1, 1, 1, 2], [5, 5, 5, 6, 5], [9, 9, 8, 9, 9], [0, 1, 0, 0, 0]))
    together = jet_normals(run, lumi, event, jet)
    alone = [jet_normals(*(column[i : i + 1] for column in (run, lumi, event, jet)))[0] for i in range(5)]
    assert together.tolist() == alone
    assert len(set(alone)) == 5


def test_the_type_of_the_integers_does_not_matter() -> None:
    event = np.array([3, 2**40 + 1])
    ones = np.ones(2)
    expected = jet_normals(ones.astype(np.uint32), ones.astype(np.uint32), event.astype(np.uint64), [0, 3])
    assert np.array_equal(jet_normals(ones.astype(np.int64), ones.astype(np.int32), event, [0, 3]), expected)


def test_the_numbers_stay_as_they_are() -> None:
    # They decide published histograms: a change of the generator must be seen.
    z = jet_normals([1, 1, 277_000], [1, 1, 33], [1, 1, 2**40], [0, 1, 5])
    np.testing.assert_allclose(z, EXPECTED, rtol=1e-12)


EXPECTED = [0.5891155832513923, 0.32507879921368094, -0.8544152963416997]


def test_the_extreme_bits_stay_bounded() -> None:
    from scipy.special import ndtri

    ends = (np.array([0, 2**52 - 1], dtype=np.float64) + 0.5) * 2.0**-52
    assert np.all((ends > 0) & (ends < 1))
    assert np.abs(ndtri(ends)).max() < Z_MAX

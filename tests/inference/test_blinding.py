"""Blinded results: the true value is nowhere in them, offsets are the phrase's alone."""

import hashlib
import json

import numpy as np
import pytest
from click.testing import CliRunner

from inference import figures
from inference.blinding import Blinding, NotBlind, blind_fit, blind_impacts, blind_yields, signal_bins
from inference.documents import from_json, to_document, to_json
from inference.errors import UnknownParameter
from inference.fit import fit_likelihood
from inference.impacts.figures import impacts as draw_impacts
from inference.impacts.tables import impact_tables
from inference.likelihood.model import Likelihood
from inference.ranking import impacts
from inference.results import FitResult
from inference.tables import yield_table
from skimflow.commands.fit import fit
from skimflow.commands.ranking import ranking

# jsonschema deprecates the RefResolver that pyhf 0.7.6 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

PHRASE = Blinding("a herring in the moonlight")


@pytest.fixture(scope="module")
def agc(fitted):
    workspace, result = fitted("5")
    return Likelihood(workspace), result


def numbers(document):
    """All numbers in a document, however deep."""
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list | tuple):
        return [number for each in document for number in numbers(each)]
    return [float(document)] if isinstance(document, int | float) and not isinstance(document, bool) else []


def holds(document, value):
    """Whether any number is the value, to four digits."""
    return any(number == pytest.approx(value, rel=1e-4) for number in numbers(document))


def test_the_offset_is_the_hash_of_phrase_and_label():
    """In the words of the module, by Python's own big numbers."""
    value = int(hashlib.sha256(b"phrase\nmu").hexdigest()[:14], 16)
    assert Blinding("phrase", 2.0).offset("mu") == pytest.approx(2.0 * (2 * value / 16**14 - 1), rel=1e-12)
    offsets = np.asarray([Blinding("phrase").offset(f"mu{number}") for number in range(2000)])
    # Uniform within ±1: mean 0, variance 1/3, each to five standard deviations of 2000 draws.
    assert abs(offsets.mean()) < 5 / np.sqrt(3 * 2000)
    assert abs((offsets**2).mean() - 1 / 3) < 5 * np.sqrt(4 / 45 / 2000)
    assert -1 < offsets.min() < -0.99
    assert 0.99 < offsets.max() < 1


def test_a_blinded_fit_has_everything_but_the_value(agc):
    _, result = agc
    value, sigma = result.value("ttbar_norm")
    shown = blind_fit(result, PHRASE)
    text = to_json(shown)
    assert holds(to_document(result), value)
    assert not holds(json.loads(text), value)
    assert PHRASE.phrase not in text
    assert from_json(FitResult, text) == shown
    assert json.loads(text)["blinded"] == ["ttbar_norm"]
    assert shown.value("ttbar_norm") == (value + PHRASE.offset("ttbar_norm"), sigma)
    assert shown.covariance == result.covariance
    place = result.index("ttbar_norm")
    assert shown.bestfit[:place] + shown.bestfit[place + 1 :] == result.bestfit[:place] + result.bestfit[place + 1 :]


def test_differences_between_two_fits_are_true(agc):
    likelihood, result = agc
    other = fit_likelihood(likelihood, {"Luminosity": 0.0})
    first, second = (blind_fit(each, PHRASE).value("ttbar_norm")[0] for each in (result, other))
    assert second - first == pytest.approx(other.value("ttbar_norm")[0] - result.value("ttbar_norm")[0], abs=1e-12)


def test_blinded_impacts_their_tables_and_figures_do_not_tell(agc):
    likelihood, result = agc
    value, sigma = result.value("ttbar_norm")
    pois = ("ttbar_norm", "PS variation")
    plain = impacts(likelihood, fit=result, pois=pois, method="covariance")
    shown = blind_impacts(plain, PHRASE)
    assert [one.blinded for one in shown.rankings] == [True, True]
    assert not holds(to_document(shown), value)
    assert shown.of("ttbar_norm").uncertainty == sigma
    assert shown.of("ttbar_norm").impacts == plain.of("ttbar_norm").impacts
    words = "".join(table.to_text() for table in impact_tables(shown))
    assert "(blinded)" in words
    assert f"{value:.4g}" not in words
    titles = [axes.get_title() for axes in draw_impacts(shown).axes]
    assert sum("(blinded)" in title for title in titles) == 2
    assert not any(f"{value:.3g}" in title for title in titles)


def test_data_where_the_signal_is_are_hidden(agc):
    """Signal in the first of two bins; a background region keeps its data."""
    likelihood = Likelihood(two_regions())
    result = fit_likelihood(likelihood)
    assert signal_bins(likelihood).tolist() == [False, False, True, False]
    assert signal_bins(likelihood, ["mu", "norm"]).tolist() == [True] * 4
    shown = blind_yields(likelihood, result)
    assert shown.blinded
    assert shown.region("signal").data == (None, 55.0)
    assert shown.region("control").data == (98.0, 104.0)
    mu = result.value("mu")[0]
    [signal] = [one for one in shown.region("signal").samples if one.sample == "signal"]
    assert mu == pytest.approx(2.0, abs=0.3)
    assert signal.values == (20.0, 0.0)
    assert not holds(to_document(shown), 90.0)
    assert ("signal", 0, "data", None, None) in yield_table(shown, bins=True).rows
    points = figures.data_mc(shown, "signal").axes[1].containers[-1].lines[0].get_ydata()
    assert np.isnan(points[0])
    assert points[1] == 55.0
    everywhere = signal_bins(agc[0])
    assert everywhere.all()


def test_what_would_hide_nothing_is_refused(agc):
    _, result = agc
    with pytest.raises(NotBlind, match=r"a scale of 0\.1 hides nothing of ttbar_norm, .* give at least 0\.28"):
        blind_fit(result, Blinding("phrase", 0.1))
    with pytest.raises(NotBlind, match="and a phrase"):
        blind_fit(result, Blinding(""))
    with pytest.raises(UnknownParameter, match="no parameter 'mu'"):
        blind_fit(result, PHRASE, pois=["mu"])


def test_the_ranking_of_the_command_is_blind(tmp_path):
    document = two_regions()
    path, kept = tmp_path / "workspace.json", tmp_path / "impacts.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    value, sigma = fit_likelihood(Likelihood(document)).value("mu")
    words = [str(path), "--method", "covariance", "--blind", "phrase", "--blind-scale", "5", "--output", str(kept)]
    ended = CliRunner().invoke(ranking, words, catch_exceptions=False)
    assert ended.exit_code == 0
    assert "(blinded)" in ended.output
    assert f"{value:.4g}" not in ended.output
    [shown] = json.loads(kept.read_text())["rankings"]
    assert not holds(shown, value)
    assert shown["bestfit"] == pytest.approx(value + Blinding("phrase", 5.0).offset("mu"))
    assert shown["uncertainty"] == pytest.approx(sigma)


def test_a_value_at_its_bound_is_not_told():
    likelihood = Likelihood(two_regions(observed=(40.0, 55.0)))
    result = fit_likelihood(likelihood)
    assert result.certificate.at_bound == ("mu",)
    shown = blind_fit(result, Blinding("phrase", 10.0))
    assert shown.certificate.at_bound == ()
    assert shown.value("mu")[0] == Blinding("phrase", 10.0).offset("mu")


def two_regions(observed=(90.0, 55.0)):
    """A signal of 20 in one of four bins over a background whose size a control region measures."""
    mu, norm = ({"name": name, "type": "normfactor", "data": None} for name in ("mu", "norm"))
    size = {"name": "size", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
    background = {"name": "background", "data": [50.0, 55.0], "modifiers": [norm, size]}
    signal = {"name": "signal", "data": [20.0, 0.0], "modifiers": [mu]}
    control = {"name": "background", "data": [100.0, 100.0], "modifiers": [norm]}
    return {
        "channels": [{"name": "signal", "samples": [signal, background]}, {"name": "control", "samples": [control]}],
        "observations": [{"name": "signal", "data": list(observed)}, {"name": "control", "data": [98.0, 104.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        "version": "1.0.0",
    }


def test_the_fit_as_a_command_is_blinded_too(fitted, tmp_path):
    """Neither the printed table nor the kept file holds the value; without the phrase both do."""
    workspace, result = fitted("5")
    file, kept = tmp_path / "workspace.json", tmp_path / "fit.json"
    file.write_text(json.dumps(workspace))
    options = [str(file), "--output", str(kept), "--figure", str(tmp_path / "pulls.png")]
    value = result.value("ttbar_norm")[0]
    assert CliRunner().invoke(fit, options, catch_exceptions=False).exit_code == 0
    assert holds(json.loads(kept.read_text()), value)
    done = CliRunner().invoke(fit, [*options, "--blind", "a herring"], catch_exceptions=False)
    assert "blinded: ttbar_norm moved by an offset of at most 1" in done.output
    assert f"{value:.4g}" not in done.output
    assert not holds(json.loads(kept.read_text()), value)
    assert (tmp_path / "pulls.png").read_bytes().startswith(b"\x89PNG")

"""Limits on new signals: the published archive, pyhf's PatchSets, and the same signal given in every form."""

import json
import shutil
import tarfile
from dataclasses import replace

import hist
import numpy as np
import pyhf
import pytest
import uhi.io.json
import uproot
from click.testing import CliRunner

from inference.documents import from_json, to_json
from inference.hypotheses.asymptotic import Asymptotic
from inference.hypotheses.limits import upper_limit
from inference.likelihood import compiled
from inference.likelihood.model import Likelihood
from inference.reinterpretation import patchset
from inference.reinterpretation.archive import read_signals
from inference.reinterpretation.errors import InvalidSignal
from inference.reinterpretation.reinterpret import poi_of, reinterpret
from inference.reinterpretation.results import Reinterpretation, SignalLimit
from inference.reinterpretation.signals import Signal, chosen, named, without

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")

PUBLISHED = "sbottom_1300_205_60"


@pytest.fixture(scope="session")
def archive(shared_data):
    return shared_data / "likelihoods" / "pyhf-ins1748602-probability-models.tar.gz"


@pytest.fixture(scope="session")
def background(archive):
    with tarfile.open(archive) as files:
        return json.loads(files.extractfile("RegionA/BkgOnly.json").read())


@pytest.fixture(scope="session")
def signals(archive, background):
    return read_signals(archive, background, "mu_SIG")[0]


@pytest.fixture(scope="session")
def one(signals, background):
    """Limits on the signal whose numbers are published."""
    return reinterpret(background, chosen(signals, [PUBLISHED])).signals[0]


@pytest.fixture
def counting_background():
    """Two bins of 50 and a control region, a luminosity of 2 %, and a systematic that a signal may share."""
    shift = {"name": "tilt", "type": "histosys", "data": {"hi_data": [52.0, 48.0], "lo_data": [48.0, 52.0]}}
    lumi = {"name": "lumi", "type": "lumi", "data": None}
    stat = {"name": "staterror_SR", "type": "staterror", "data": [2.0, 2.0]}
    norm = {"name": "norm", "type": "normfactor", "data": None}
    return {
        "channels": [
            {"name": "CR", "samples": [{"name": "b", "data": [900.0], "modifiers": [norm]}]},
            {"name": "SR", "samples": [{"name": "b", "data": [50.0, 50.0], "modifiers": [norm, shift, stat]}]},
            {"name": "VR", "samples": [{"name": "b", "data": [30.0], "modifiers": [norm, lumi]}]},
        ],
        "observations": [
            {"name": "CR", "data": [905.0]},
            {"name": "SR", "data": [51.0, 47.0]},
            {"name": "VR", "data": [60.0]},
        ],
        "measurements": [
            {
                "name": "m",
                "config": {
                    "poi": "mu",
                    "parameters": [
                        {"name": "lumi", "inits": [1.0], "bounds": [[0.9, 1.1]], "auxdata": [1.0], "sigmas": [0.02]}
                    ],
                },
            }
        ],
        "version": "1.0.0",
    }


def test_the_archive_gives_the_patches_of_the_workspace_that_is_asked_about(archive, signals):
    assert len(signals) == 217
    with tarfile.open(archive) as files:
        other = json.loads(files.extractfile("RegionC/BkgOnly.json").read())
    region_c, labels = read_signals(archive, other, "mu_SIG")
    assert len(region_c) == 215
    assert labels == ()
    assert chosen(signals, [PUBLISHED])[0].values == (1300, 205, 60)
    assert chosen(signals, [PUBLISHED])[0].patch != chosen(region_c, [PUBLISHED])[0].patch
    other["observations"][0]["data"][0] += 1
    with pytest.raises(InvalidSignal, match=r"holds the workspaces of RegionA, RegionB, RegionC, none of which"):
        read_signals(archive, other, "mu_SIG")


def test_a_published_signal_has_its_published_limits(one):
    assert one.cls == pytest.approx(0.24443627759085326, rel=1e-5)
    assert one.observed == pytest.approx(2.01016, abs=5e-6)
    assert one.expected == pytest.approx((1.24263, 1.76243, 2.65791, 4.13667, 6.29696), abs=5.1e-6)
    assert one.fits <= 30
    assert one.largest_edm < 1e-10
    assert not one.failures


def test_many_signals_are_compiled_once(signals, background):
    result = reinterpret(background, chosen(signals, ["sbottom_1400_*_60"]), labels=("msb", "mn2", "mn1"))
    assert len(result.signals) == 14
    assert result.shapes == 1
    assert not any(signal.failures for signal in result.signals)
    before = compiled.fit._cache_size()
    told = []
    reinterpret(background, chosen(signals, ["sbottom_1200_*_60"]), progress=lambda *at: told.append(at))
    assert compiled.fit._cache_size() == before
    assert told == [(count, len(told)) for count in range(1, len(told) + 1)]
    assert from_json(Reinterpretation, to_json(result)) == result


def test_a_signal_in_the_workspace_makes_way(counting_background, tmp_path):
    """Dropped, or left as an ordinary sample beside a strength of another name."""
    from inference.reinterpretation.files import reinterpret_file

    file = tmp_path / "new.json"
    file.write_text(json.dumps({"name": "new", "channels": {"SR": {"data": [4.0, 6.0]}}}))
    [plain] = reinterpret_file(counting_background, signals=file).signals
    poi = counting_background["measurements"][0]["config"]["poi"]
    old = named({"name": "old", "channels": {"SR": {"data": [5.0, 1.0]}}}, counting_background, poi)[0]
    published = old.applied(counting_background)
    [dropped] = reinterpret_file(published, signals=file, drop=["ol*"]).signals
    assert dropped == plain
    beside = reinterpret_file(published, signals=file, poi="strength")
    assert beside.poi == "strength"
    # the old signal, free in the fit, takes a part of what the new one may be
    assert beside.signals[0].expected[2] > plain.expected[2]
    assert not beside.signals[0].failures
    with pytest.raises(InvalidSignal, match="no sample 'olf' to drop; nearest: old"):
        reinterpret_file(published, signals=file, drop=["olf"])


def test_workers_change_no_number(signals, background):
    some, told = chosen(signals, ["sbottom_1200_*_60"])[:4], []
    together = reinterpret(background, some, workers=2, progress=lambda *at: told.append(at))
    assert together == reinterpret(background, some)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_signal_that_names_its_channels_is_the_same_as_its_patch(signals, background, one):
    [patch] = chosen(signals, [PUBLISHED])
    samples = {
        background["channels"][int(step["path"].split("/")[2])]["name"]: step["value"]
        for step in patch.patch
        if step["op"] == "add"
    }
    assert list(samples) == ["SR_meff", "CRtt_meff"]
    document = {"name": "mine", "channels": samples, "remove": ["VRtt_meff"], "values": [1300, 60]}
    [mine] = named(document, background, "mu_SIG")
    assert mine.values == (1300, 60)
    [limit] = reinterpret(background, [mine]).signals
    assert limit.observed == pytest.approx(one.observed, rel=1e-9)
    assert limit.expected == pytest.approx(one.expected, rel=1e-9)
    [kept] = named({**document, "remove": []}, background, "mu_SIG")
    [limit] = reinterpret(background, [kept], leave_out=["VRtt_meff"]).signals
    assert limit.observed == pytest.approx(one.observed, rel=1e-9)


def test_patchsets_are_written_verified_and_read(signals, background, tmp_path):
    some = chosen(signals, ["sbottom_1300_*_60"])
    labels = ("msb", "mn2", "mn1")
    document = patchset.write(background, some, labels=labels, hepdata="ins1748602", description="sbottom pairs")
    theirs = pyhf.PatchSet(document)
    theirs.verify(background)
    assert theirs.labels == list(labels)
    assert dict(theirs.apply(background, (1300, 205, 60))) == chosen(some, [PUBLISHED])[0].applied(background)
    path = tmp_path / "patchset.json"
    path.write_text(json.dumps(document))
    assert read_signals(path, background, "mu_SIG") == (some, labels)
    changed = json.loads(json.dumps(background))
    changed["observations"][0]["data"][0] += 1
    with pytest.raises(InvalidSignal, match="the PatchSet was made for another workspace: its md5 is"):
        read_signals(path, changed, "mu_SIG")
    with pytest.raises(pyhf.exceptions.PatchSetVerificationError):
        theirs.verify(changed)


def test_patchsets_that_cannot_be(signals, background):
    some = chosen(signals, [PUBLISHED])

    def write(signals, labels=("a", "b", "c"), hepdata="ins1748602"):
        return patchset.write(background, signals, labels=labels, hepdata=hepdata, description="")

    with pytest.raises(InvalidSignal, match="there must be a label for each value"):
        write(some, labels=("msb",))
    with pytest.raises(InvalidSignal, match="no valid PatchSet: Multiple patches were defined by"):
        write([*some, *some])
    with pytest.raises(InvalidSignal, match="no valid PatchSet"):
        write(some, hepdata="1748602")
    with pytest.raises(InvalidSignal, match="letters, digits and underscores"):
        write([Signal("a b", (1, 2, 3), some[0].patch)])
    wrong = ({"op": "remove", "path": "/channels/9"},)
    with pytest.raises(InvalidSignal, match="the patch x does not fit the workspace"):
        write([Signal("x", (1, 2, 3), wrong)])
    document = write(some)
    document["patches"].append(document["patches"][0])
    with pytest.raises(InvalidSignal, match="no valid PatchSet: Multiple patches were defined by"):
        patchset.read(document, background)


def weighted(values, variances):
    histogram = hist.Hist(hist.axis.Regular(len(values), 0, 1), storage=hist.storage.Weight())
    histogram[...] = np.stack([values, variances], axis=-1)
    return histogram


@pytest.fixture
def histograms():
    return {
        "mine_300/SR": weighted([6.0, 9.0], [0.5, 0.6]),
        "mine_300/CR": weighted([1.5], [0.1]),
        "mine_300/SR/tilt_Up": weighted([7.0, 8.0], [0.5, 0.6]),
        "mine_300/SR/tilt_Down": weighted([5.0, 10.0], [0.5, 0.6]),
    }


def by_hand(background):
    """Workspace with the histograms' signal, written out."""
    workspace = json.loads(json.dumps(background))
    mu, lumi = {"name": "mu", "type": "normfactor", "data": None}, {"name": "lumi", "type": "lumi", "data": None}
    tilt = {"name": "tilt", "type": "histosys", "data": {"hi_data": [7.0, 8.0], "lo_data": [5.0, 10.0]}}
    errors = {"SR": [0.5**0.5, 0.6**0.5], "CR": [0.1**0.5]}
    for place, data, more in ((0, [1.5], []), (1, [6.0, 9.0], [tilt])):
        channel = workspace["channels"][place]
        stat = {"name": f"staterror_{channel['name']}", "type": "staterror", "data": errors[channel["name"]]}
        channel["samples"].append({"name": "mine_300", "data": data, "modifiers": [mu, lumi, stat, *more]})
    return workspace


def test_histograms_become_the_workspace_that_one_would_write(counting_background, histograms, tmp_path):
    expected = upper_limit(Likelihood(by_hand(counting_background)))
    assert not expected.failures
    as_json, as_root = tmp_path / "signal.json", tmp_path / "signal.root"
    as_json.write_text(json.dumps(histograms, default=uhi.io.json.default))
    with uproot.recreate(as_root) as file:
        for name, histogram in histograms.items():
            file[name if name.count("/") == 2 else f"{name}/Nominal"] = histogram
    flat = tmp_path / "mine_300.json"
    flat.write_text(json.dumps({"SR": histograms["mine_300/SR"]}, default=uhi.io.json.default))
    [found] = reinterpret(counting_background, read_signals(as_json, counting_background, "mu")[0]).signals
    assert (found.name, found.values) == ("mine_300", (300,))
    assert found.observed == pytest.approx(expected.observed, rel=1e-9)
    assert found.expected == pytest.approx(expected.expected, rel=1e-9)
    [again] = reinterpret(counting_background, read_signals(as_root, counting_background, "mu")[0]).signals
    assert again.observed == pytest.approx(expected.observed, rel=1e-9)
    [alone] = read_signals(flat, counting_background, "mu")[0]
    assert alone.name == "mine_300"
    assert [step["path"] for step in alone.patch] == ["/channels/1/samples/-"]


def test_histograms_that_do_not_fit(counting_background, histograms, tmp_path):
    def read(content):
        path = tmp_path / "wrong.json"
        path.write_text(json.dumps(content, default=uhi.io.json.default))
        return read_signals(path, counting_background, "mu")

    two, short = histograms["mine_300/SR"], histograms["mine_300/CR"]
    with pytest.raises(InvalidSignal, match="no channel 'SX'; nearest: SR"):
        read({"mine/SX": two})
    with pytest.raises(InvalidSignal, match="1 bins given, the channel has 2"):
        read({"mine/SR": short})
    with pytest.raises(InvalidSignal, match="one of which is missing"):
        read({"mine/SR": two, "mine/SR/tilt_Up": two})
    with pytest.raises(InvalidSignal, match="must end in _Up or _Down"):
        read({"mine/SR": two, "mine/SR/tilt": two})


def test_one_bad_signal_spoils_no_other(signals, background):
    good = chosen(signals, [PUBLISHED])[0]
    nothing = Signal("nothing", (), ({"op": "remove", "path": "/channels/1"},))
    wrong = Signal("wrong", (), ({"op": "replace", "path": "/channels/0/samples/99/data", "value": []},))
    result = reinterpret(background, [nothing, wrong, good])
    first, second, third = result.signals
    assert first.failures[0].startswith("the parameter of interest 'mu_SIG' is in no sample")
    assert second.failures[0].startswith("the patch wrong does not fit the workspace")
    assert (first.observed, second.observed) == (None, None)
    assert third.observed == pytest.approx(2.01016, abs=5e-6)
    assert from_json(Reinterpretation, to_json(result)) == result


def test_a_signal_that_its_own_uncertainty_lets_vanish(archive):
    """Region B: pyhf's fit of these Asimov data ends at 52.7460 for μ = 3; its own density is higher at our end."""
    with tarfile.open(archive) as files:
        region_b = json.loads(files.extractfile("RegionB/BkgOnly.json").read())
    signals, _ = read_signals(archive, region_b, "mu_SIG")
    [signal] = chosen(signals, ["sbottom_700_480_350"])
    workspace = signal.applied(region_b)
    shared = Asymptotic(Likelihood(workspace))
    shared.test(3.0)
    found = shared.asimov.at(3.0)
    model = pyhf.Workspace(workspace).model(
        modifier_settings={"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    )
    seen = shared.asimov.seen
    data = np.concatenate([seen.main, seen.auxiliary[~np.isnan(seen.auxiliary)]])
    assert found.nll == pytest.approx(-float(model.logpdf(found.minimum.parameters, data)[0]), rel=1e-12)
    assert found.nll == pytest.approx(52.70209759, abs=1e-7)
    [limit] = reinterpret(region_b, [signal]).signals
    assert limit.expected[3] == pytest.approx(1.9333, abs=1e-4)
    assert limit.expected[4] is None
    assert limit.failures[0].startswith("expected limit at +2 σ: not reached up to mu_SIG = ")


def test_what_is_no_signal(counting_background, tmp_path):
    def read(content):
        path = tmp_path / "signal.json"
        path.write_text(content)
        return read_signals(path, counting_background, "mu")

    for content, words in (
        ("{", "is no JSON"),
        ("3", "holds no signal"),
        ("[1]", "is no JSON Patch"),
        ('{"patches": []}', "no valid PatchSet"),
        ('{"name": "x"}', "must have a 'name' and 'channels'"),
        ('{"signals": 3}', "'signals' must be a list"),
        ('{"name": "b", "channels": {"SR": {"data": [1, 2]}}}', "has a sample of this name already"),
        ('{"name": "x", "channels": {"SR": [1, 2]}}', "give {'data'"),
        ('{"name": "x", "channels": {"SR": {"data": [1, 2]}}, "remove": ["CX"]}', "no channel 'CX'; nearest: CR"),
    ):
        with pytest.raises(InvalidSignal, match=words):
            read(content)
    with pytest.raises(InvalidSignal, match="there is no"):
        read_signals(tmp_path / "nothing.json", counting_background, "mu")
    with pytest.raises(InvalidSignal, match="holds no JSON Patch"):
        read_signals(shutil.copytree(tmp_path, tmp_path / "empty", ignore=lambda *_: ["signal.json"]), {}, "mu")
    with pytest.raises(InvalidSignal, match="no signal matches z\\*"):
        chosen([Signal("a", (), ())], ["z*"])
    with pytest.raises(InvalidSignal, match="no channel 'X' to leave out"):
        without(counting_background, ["X"])
    with pytest.raises(InvalidSignal, match="no measurement 'other'; it has m"):
        poi_of(counting_background, "other")


def plane(slope_x, slope_y):
    """Signals whose limit's logarithm is a plane, 0 where 2 x + y = 20."""
    signals = []
    for x in range(8):
        for y in range(0, 20, 3):
            log = slope_x * x + slope_y * y - 10 * slope_x
            limits = [float(np.exp(log + shift)) for shift in (-1.0, -0.5, 0.0, 0.5, 1.0)]
            signals.append(SignalLimit(f"s_{x}_{y}", (x, y), None, None, float(np.exp(log)), limits, 0.0, 9, 0.0))
    return Reinterpretation("mu", 0.95, "CLs", "qtilde", ("x", "y"), tuple(signals), 1)


def test_the_exclusion_contour_is_where_the_limit_is_one():
    from inference.reinterpretation.figures import exclusion

    figure = exclusion(plane(0.4, 0.2))
    [axes] = figure.axes
    # In the order they are drawn: the band in two parts, expected, observed.
    *_, expected, observed = [each for each in axes.collections if hasattr(each, "levels")]
    for contour in (expected, observed):
        at = np.concatenate([path.vertices for path in contour.get_paths()])
        assert len(at) > 4
        assert 2 * at[:, 0] + at[:, 1] == pytest.approx(np.full(len(at), 20.0))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    with pytest.raises(InvalidSignal, match="needs 4 signals"):
        exclusion(Reinterpretation("mu", 0.95, "CLs", "qtilde", ("x", "y"), (), 0))


def test_the_curve_has_one_signal_for_each_value():
    from inference.reinterpretation.figures import limit_curve

    of_plane = plane(0.4, 0.2)
    row = replace(of_plane, signals=tuple(each for each in of_plane.signals[::-1] if each.values[1] == 3))
    [axes] = limit_curve(row).axes
    observed = next(line for line in axes.lines if line.get_label() == "Observed")
    assert observed.get_xdata().tolist() == list(range(8))
    assert np.log(observed.get_ydata()) == pytest.approx(0.4 * np.arange(8) + 0.6 - 4.0)
    with pytest.raises(InvalidSignal, match="a curve needs signals"):
        limit_curve(of_plane)


def test_the_summary_has_a_row_for_each_signal_with_limits():
    from inference.reinterpretation.figures import limit_summary

    result = plane(0.4, 0.2)
    [axes] = limit_summary(result).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [signal.name for signal in result.signals]
    assert axes.get_xscale() == "log"


def test_the_command(archive, background, tmp_path):
    from skimflow.commands.reinterpret import reinterpret as command

    workspace, kept, drawn = tmp_path / "BkgOnly.json", tmp_path / "kept.json", tmp_path / "plane.png"
    workspace.write_text(json.dumps(background))
    given = [str(workspace), "--signal", str(archive), "--labels", "msb,mn2,mn1"]
    told = CliRunner().invoke(command, [*given, "--select", PUBLISHED, "--table", "csv"])
    assert told.exit_code == 0, told.output
    header, row = (line.split(",") for line in told.output.splitlines()[:2])
    assert header[:4] == ["signal", "msb", "mn2", "mn1"]
    assert row[:4] == [PUBLISHED, "1300", "205", "60"]
    assert float(row[header.index("observed")]) == pytest.approx(2.01016, abs=5e-6)
    some = ["--select", "sbottom_1[34]00_[579]50_60"]
    told = CliRunner().invoke(command, [*given, *some, "--patchset", str(kept), "--hepdata", "ins1748602"])
    assert told.output == f"6 signals with the background's digests in {kept}\n"
    pyhf.PatchSet(json.loads(kept.read_text())).verify(background)
    of_set = [str(workspace), "--signal", str(kept), "--along", "msb,mn2", "--figure", str(drawn)]
    told = CliRunner().invoke(command, [*of_set, "--json"])
    assert told.exit_code == 0, told.output
    document = json.loads(told.output)
    assert document["labels"] == ["msb", "mn2", "mn1"]
    assert drawn.read_bytes().startswith(b"\x89PNG")
    told = CliRunner().invoke(command, [*given, "--along", "msb,mass"])
    assert "not one or two of the labels (msb, mn2, mn1)" in told.output

"""HistFactory XML with ROOT files, and the command that converts between all formats."""

import json
import sys
from pathlib import Path

import numpy as np
import pyhf
import pyhf.readxml
import pytest
import uproot
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
import hs3_cases
from random_workspaces import random_workspace

from inference.formats.convert import kind_of
from inference.formats.errors import InvalidDocument, NotExpressible
from inference.formats.histfactory_xml import read_xml, write_xml
from inference.formats.hs3_writer import to_hs3
from inference.likelihood.specification import specification
from inference.workspace import load_workspace
from skimflow.commands.convert import convert


@pytest.fixture(scope="module")
def sbottom(shared_data):
    """The published likelihood with a few of its systematics: ROOT files of many histograms are slow to write."""
    workspace = pyhf.Workspace(hs3_cases.sbottom(shared_data))
    names = [name for name, kind in workspace.modifiers if kind in {"histosys", "normsys"}]
    return json.loads(json.dumps(workspace.prune(modifiers=names[6:])))


def logpdf(workspace, seed):
    """pyhf's, where each name has moved by a number of its own; all bins by one, since XML renames them."""
    pyhf.set_backend("numpy")
    parsed = pyhf.Workspace(workspace)
    model = parsed.model()
    rng = np.random.default_rng(seed)
    point = np.asarray(model.config.suggested_init())
    for name in sorted(model.config.par_order):
        place = model.config.par_slice(name)
        if model.config.param_set(name).is_scalar:
            point[place] += rng.normal(0, 0.1)
        else:
            point[place] += np.where(model.config.param_set(name).suggested_fixed, 0, 0.03)
    with np.errstate(all="ignore"):
        return float(model.logpdf(point, parsed.data(model))[0])


@pytest.mark.parametrize("seed", range(6))
def test_generated_workspaces_survive_xml(seed, tmp_path):
    workspace = random_workspace(seed)
    for setting in workspace["measurements"][0]["config"]["parameters"]:
        setting |= {"inits": [1.0], "bounds": [[0.85, 1.15]]}  # all that XML can say of a luminosity
    assert write_xml(workspace, tmp_path / "x") == ()
    again, _ = read_xml(tmp_path / "x" / "FitConfig.xml")
    assert logpdf(again, seed) == pytest.approx(logpdf(workspace, seed), rel=1e-12, nan_ok=True)


def test_a_published_likelihood_survives_xml(sbottom, tmp_path):
    assert write_xml(sbottom, tmp_path) == ()
    again, remarks = read_xml(tmp_path / "FitConfig.xml")
    assert remarks == ()
    assert logpdf(again, 1) == pytest.approx(logpdf(sbottom, 1), rel=1e-12)
    # the files themselves, by others' eyes
    with uproot.open(tmp_path / "data.root") as file:
        [signal] = [each for each in sbottom["channels"][0]["samples"] if "sbottom" in each["name"].lower()]
        name = f"hist{sbottom['channels'][0]['name']}_{signal['name']}"
        assert file[name].values().tolist() == signal["data"]
    by_pyhf = pyhf.readxml.parse(tmp_path / "FitConfig.xml", tmp_path)
    pyhf.readxml.clear_filecache()
    assert by_pyhf == again
    assert str(tmp_path) not in (tmp_path / "FitConfig.xml").read_text()
    channel = next((tmp_path / "config").glob("*.xml")).read_text()
    assert '<StatErrorConfig RelErrorThreshold="0" ConstraintType="Gaussian" />' in channel


def small(modifiers, parameters=(), **more):
    return {
        "channels": [{"name": "SR", "samples": [{"name": "s", "data": [10.0, 20.0], "modifiers": modifiers}]}],
        "observations": [{"name": "SR", "data": [11.0, 21.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": list(parameters)}}],
        "version": "1.0.0",
        **more,
    }


MU = {"name": "mu", "type": "normfactor", "data": None}
TUNE = {"name": "tune", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}


def test_what_xml_loses_is_said(tmp_path):
    settings = [{"name": "mu", "bounds": [[-3, 5]], "inits": [2.0]}, {"name": "tune", "bounds": [[-2, 2]]}]
    workspace = small([MU, TUNE], settings)
    assert write_xml(workspace, tmp_path) == ("bounds of 'tune' are lost: they will be -5, 5",)
    again, _ = read_xml(tmp_path / "FitConfig.xml")
    made = {each.name: each for each in specification(again).parameters}
    assert (made["mu"].lower, made["mu"].upper, made["mu"].init) == ((-3.0,), (5.0,), (2.0,))


def test_a_luminosity_that_is_not_one_keeps_its_error(tmp_path):
    """HistFactory's error is relative, pyhf's absolute."""
    lumi = {"name": "lumi", "auxdata": [140.0], "sigmas": [2.8], "inits": [140.0], "bounds": [[126.0, 154.0]]}
    write_xml(small([MU, {"name": "lumi", "type": "lumi", "data": None}], [lumi]), tmp_path)
    again, _ = read_xml(tmp_path / "FitConfig.xml")
    [made] = [each for each in specification(again).parameters if each.name == "lumi"]
    assert made.widths == pytest.approx((2.8,), rel=1e-14)


@pytest.mark.parametrize(
    ("workspace", "words"),
    [
        (small([MU, TUNE], [{"name": "tune", "auxdata": [0.5]}]), "the constraint of 'tune' does not survive"),
        (small([MU], interpolation={"normsys": "code1"}), "no place for the workspace's interpolation"),
        (small([MU], observations=[]), "no observations"),
        (
            small([MU, *({"name": n, "type": "staterror", "data": [1.0, 1.0]} for n in "ab")]),
            "channel 'SR' has the staterrors a, b",
        ),
    ],
)
def test_what_xml_cannot_say(workspace, words, tmp_path):
    with pytest.raises(NotExpressible, match=words):
        write_xml(workspace, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_names_that_xml_gives_are_said(tmp_path):
    errors = {"name": "mine", "type": "staterror", "data": [1.0, 1.0]}
    becomes = "the staterror 'mine' of channel 'SR' becomes 'staterror_SR'"
    assert write_xml(small([MU, errors]), tmp_path / "x") == (becomes,)
    held = small([MU, errors], [{"name": "mine", "fixed": True}])
    assert write_xml(held, tmp_path / "y") == (becomes, "what is held of 'staterror_SR' are lost: they will be 0")


def test_where_pyhf_and_root_differ_is_said(tmp_path):
    errors = {"name": "staterror_SR", "type": "staterror", "data": [1.0, 1.0]}
    shape = {"name": "shape", "type": "shapesys", "data": [1.0, 1.0]}
    write_xml(small([MU, errors, shape]), tmp_path)
    channel = tmp_path / "config" / "FitConfig_SR.xml"
    text = channel.read_text().replace('RelErrorThreshold="0" ConstraintType="Gaussian"', 'RelErrorThreshold="0.05"')
    channel.write_text(text.replace('ConstraintType="Poisson"', 'ConstraintType="Gaussian"'))
    _, remarks = read_xml(tmp_path / "FitConfig.xml")
    assert [each.split(": ")[1].split(",")[0] for each in remarks] == [
        "ROOT constrains MC statistics by Poisson",
        "ROOT holds MC statistics below RelErrorThreshold",
        "shapesys 'shape' has a Poisson constraint here",
    ]


def test_what_is_wrong_with_xml_is_said(tmp_path):
    write_xml(small([MU]), tmp_path)
    entry = tmp_path / "FitConfig.xml"
    channel = tmp_path / "config" / "FitConfig_SR.xml"
    with pytest.raises(InvalidDocument, match="give the file whose root is <Combination>"):
        read_xml(channel)
    assert read_xml(entry, tmp_path)[0] == read_xml(entry)[0]
    (tmp_path / "data.root").rename(tmp_path / "other.root")
    with pytest.raises(InvalidDocument, match=r"FitConfig.xml: .*data.root"):
        read_xml(entry)
    channel.unlink()
    with pytest.raises(InvalidDocument, match=r"names config/FitConfig_SR\.xml, not all of them in"):
        read_xml(entry)
    entry.write_text("<Combination>")
    with pytest.raises(InvalidDocument, match="is no XML"):
        read_xml(entry)


CARD = """imax 1
jmax 1
kmax 1
bin SR
observation 3
bin SR SR
process signal background
process 0 1
rate 1.0 2.5
lumi lnN 0.97/1.02 -
"""


def test_what_a_file_holds_is_seen_from_its_content(tmp_path):
    path = tmp_path / "model"
    for content, kind in (
        (json.dumps(small([MU])), "pyhf"),
        (json.dumps(to_hs3(small([MU]))), "hs3"),
        ("<!DOCTYPE Combination>\n<Combination/>", "xml"),
        (CARD, "datacard"),
    ):
        path.write_text(content)
        assert kind_of(path) == kind
    for content, words in (
        ("hello", "is none of pyhf JSON, HS3, HistFactory XML.*; it begins 'hello'"),
        ('{"patches": []}', "is a PatchSet of pyhf: apply it"),
        ('{"a": 1}', "is JSON, but no model.*this one has a"),
        ("{", "is no JSON"),
        (b"\xff\xfe", "is no text"),
    ):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(InvalidDocument, match=words):
            kind_of(path)
    with pytest.raises(InvalidDocument, match="is a folder; give its top-level XML file"):
        kind_of(tmp_path)


def run(*arguments):
    done = CliRunner().invoke(convert, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_the_command_goes_round_all_formats(sbottom, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(sbottom))
    assert "a.json: pyhf JSON → " in run(tmp_path / "a.json", tmp_path / "b.json").output
    assert kind_of(tmp_path / "b.json") == "hs3"
    assert "HistFactory XML with ROOT files" in run(tmp_path / "b.json", tmp_path / "xml").output
    run(tmp_path / "xml" / "FitConfig.xml", tmp_path / "c.json")
    again = load_workspace(tmp_path / "c.json")
    assert logpdf(again, 2) == pytest.approx(logpdf(sbottom, 2), rel=1e-12)


def test_the_command_reads_datacards_and_says_what_others_do_not_know(tmp_path):
    (tmp_path / "card.txt").write_text(CARD)
    done = run(tmp_path / "card.txt", tmp_path / "w.json")
    assert (
        "note: interpolation (histosys: code4p, normsys: combine) stands under a key that pyhf does not" in done.stderr
    )
    assert specification(load_workspace(tmp_path / "w.json")).poi == "r"
    told = json.loads(run(tmp_path / "card.txt", tmp_path / "w.json", "--json").stdout)
    assert (told["from"], told["to"]) == ("datacard", "pyhf")
    assert any("interpolation" in note for note in told["notes"])
    with pytest.raises(NotExpressible, match="no name for the interpolation 'combine'"):
        run(tmp_path / "w.json", tmp_path / "h.json", "--to", "hs3")
    with pytest.raises(InvalidDocument, match="only HS3 has analyses"):
        run(tmp_path / "w.json", tmp_path / "h.json", "--analysis", "x")
    with pytest.raises(NotExpressible, match=r"write NAME.json, or a folder for XML"):
        run(tmp_path / "w.json", tmp_path / "h.txt")

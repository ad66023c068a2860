"""What a datacard may say: patterns of templates, several ways of writing the same, and clear refusals."""

import sys
from pathlib import Path

import hist
import numpy as np
import pytest
import uproot

sys.path.insert(0, str(Path(__file__).parent))
from combine_reference import Example

from inference.formats.datacards.build import read_datacard
from inference.formats.datacards.errors import DatacardError
from inference.formats.errors import InvalidDocument

COUNTING = """\
imax 2
jmax 1
kmax *
bin one two
observation 12 -1
bin one one two two
process s b s b
process 0 1 0 1
rate 2 10 3 20
lumi lnN 1.1 1.1 1.1 1.1
shape lnN - 0.9/1.2 - -
"""


def write(folder, text):
    path = folder / "card.txt"
    path.write_text(text)
    return path


def by_name(read):
    return {
        (channel["name"], sample["name"]): sample
        for channel in read.workspace["channels"]
        for sample in channel["samples"]
    }


def modifiers(sample):
    return {(each["name"], each["type"]): each["data"] for each in sample["modifiers"]}


def test_a_counting_card(tmp_path):
    read = read_datacard(write(tmp_path, COUNTING))
    samples = by_name(read)
    assert samples["two", "s"]["data"] == [3.0]
    assert modifiers(samples["one", "b"]) == {
        ("lumi", "normsys"): {"hi": 1.1, "lo": 1 / 1.1},
        ("shape", "normsys"): {"hi": 1.2, "lo": 0.9},
    }
    assert ("r", "normfactor") in modifiers(samples["one", "s"])
    assert read.workspace["observations"] == [{"name": "one", "data": [12.0]}, {"name": "two", "data": [20.0]}]
    assert read.notes == ("bin two has no data: its observation is the sum of the backgrounds (Asimov)",)
    assert read.workspace["measurements"][0]["config"] == {
        "poi": "r",
        "parameters": [{"name": "r", "inits": [1.0], "bounds": [[0.0, 20.0]]}],
    }
    assert read.workspace["interpolation"] == {"histosys": "code4p", "normsys": "combine"}


def histogram(values):
    made = hist.Hist(hist.axis.Regular(len(values), 0, 1), storage=hist.storage.Weight())
    made[...] = np.stack([values, np.asarray(values) / 10], axis=-1)
    return made


@pytest.fixture
def shapes(tmp_path):
    """Two files with templates; the general rule is overruled for one process, one bin of the card is FAKE."""
    with uproot.recreate(tmp_path / "a.root") as file:
        file["ch/data_obs"] = histogram([5.0, 6.0])
        file["ch/b"] = histogram([4.0, 6.0])
        file["ch/b_jesUp"] = histogram([4.4, 6.6])
        file["ch/b_jesDown"] = histogram([4.0, 5.0])
    with uproot.recreate(tmp_path / "signal_125.root") as file:
        file["s125"] = histogram([1.0, 3.0])
    return write(
        tmp_path,
        """\
imax *
jmax *
kmax *
shapes * * a.root $CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC
shapes s ch signal_$MASS.root s$MASS
shapes * counted FAKE
---------
bin ch counted
observation 11 7
---------
bin ch ch counted
process s b b   # names
process -1 2 2
rate -1 10 6
jes shape - 1 -
lumi lnN 1.02 1.02 1.02
both shape? 1.05 1.03 -
frozen[nofloat] lnN - 1.1 -
""",
    )


def test_templates_are_found_as_combine_finds_them(shapes):
    read = read_datacard(shapes, mass=125)
    samples = by_name(read)
    assert samples["ch", "s"]["data"] == [1.0, 3.0]
    assert samples["ch", "b"]["data"] == [4.0, 6.0]
    assert samples["counted", "b"]["data"] == [6.0]
    found = modifiers(samples["ch", "b"])
    assert found["jes", "normsys"] == pytest.approx({"hi": 1.1, "lo": 0.9})
    assert found["jes", "histosys"]["hi_data"] == pytest.approx([4.0, 6.0])
    assert found["jes", "histosys"]["lo_data"] == pytest.approx([40 / 9, 50 / 9])
    assert found["both", "normsys"] == {"hi": 1.03, "lo": 1 / 1.03}
    assert read.workspace["observations"] == [{"name": "ch", "data": [5.0, 6.0]}, {"name": "counted", "data": [7.0]}]
    assert {"name": "frozen", "fixed": True} in read.workspace["measurements"][0]["config"]["parameters"]


def test_the_other_mode_keeps_norm_and_shape_together(shapes):
    shapes.write_text(shapes.read_text() + "* autoMCStats 0 0 2\n")
    sample = by_name(read_datacard(shapes, mass=125))["ch", "b"]
    assert modifiers(sample)["jes", "histosys"]["hi_data"] == pytest.approx([4.4, 6.6])
    assert modifiers(sample)["jes", "normsys"] == {"hi": 1.0, "lo": 1.0}


def test_edits_and_wildcards(tmp_path):
    text = COUNTING + "nuisance edit drop b two lumi\nnuisance edit freeze sha.*\nfree rateParam * b 1 [0,3]\n"
    samples = by_name(read := read_datacard(write(tmp_path, text)))
    assert ("lumi", "normsys") not in modifiers(samples["two", "b"])
    assert ("lumi", "normsys") in modifiers(samples["one", "b"])
    assert {"name": "shape", "fixed": True} in read.workspace["measurements"][0]["config"]["parameters"]
    assert [("free", "normfactor") in modifiers(samples[cell, "b"]) for cell in ("one", "two")] == [True, True]


def test_bins_below_the_threshold_have_parameters_of_each_process(tmp_path):
    """By hand: background 100 ± 5 has 400 effective events, 4 ± 2 has 4, 1 ± 2 less than one."""
    values = {"s": ([1.0, 1.0, 0.0], [0.1, 0.1, 0.0]), "b": ([100.0, 4.0, 1.0], [5.0, 2.0, 2.0])}
    templates = {("ch", name): tuple(map(np.asarray, both)) for name, both in values.items()}
    templates["ch", "data_obs"] = (np.asarray([100.0, 4.0, 1.0]), np.zeros(3))
    example = Example({"s": 0, "b": 1}, templates, [], threshold=10)
    samples = by_name(read_datacard(example.write(tmp_path), statistics="staterror"))
    background, signal = modifiers(samples["ch", "b"]), modifiers(samples["ch", "s"])
    assert background["prop_binch", "staterror"] == pytest.approx([5.0, 0.0, 0.0])
    assert background["prop_binch_b", "shapesys"] == pytest.approx([0.0, 2.0, 0.0])  # τ = (4/2)²
    assert background["prop_binch_b_bin2", "histosys"]["hi_data"] == pytest.approx([100.0, 4.0, 3.0])
    # the signal has 100 effective events in the second bin: Gaussian
    assert signal["prop_binch_s_bin1", "histosys"]["lo_data"][1] == pytest.approx(0.9)
    assert signal["prop_binch", "staterror"] == pytest.approx([0.1, 0.0, 0.0])
    exact = modifiers(by_name(read_datacard(tmp_path / "card.txt"))["ch", "b"])
    assert exact["prop_binch_b_bin0", "histosys"]["lo_data"] == pytest.approx([95.0, 4.0, 1.0])
    assert exact.keys() - background.keys() == {("prop_binch_b_bin0", "histosys")}


def test_many_parameters_of_statistical_errors_are_told(tmp_path):
    values = {"s": np.full(300, 2.0), "b": np.full(300, 9.0), "data_obs": np.full(300, 10.0)}
    templates = {("ch", name): (each, np.sqrt(each) / 10) for name, each in values.items()}
    path = Example({"s": 0, "b": 1}, templates, [], threshold=10).write(tmp_path)
    assert read_datacard(path).notes == (
        "600 parameters are statistical errors: statistics='staterror' has one for each bin and fits faster",
    )
    assert read_datacard(path, statistics="staterror").notes == ()


REFUSALS = [
    ("lumi lnN 1.1 1.1 1.1 1.1", "lumi lnN 1.1 1.1", "line 10: 2 entries, but there are 4 columns"),
    ("lumi lnN 1.1", "lumi lnn 1.1", "line 10: no systematic of type 'lnn'; supported are lnN, lnU, gmN"),
    ("lumi lnN 1.1", "lumi shapeN 1.1", "line 10: shapeN is not supported: it morphs logarithms"),
    ("lumi lnN 1.1", "lumi lnN 1.x", "line 10: '1.x' is no number"),
    ("lumi lnN 1.1", "lumi lnN -1.1", "line 10: '-1.1' must be a positive number"),
    ("lumi lnN", "lumi gmN", "line 10: gmN is followed by the whole number"),
    ("lumi lnN 1.1 1.1", "lumi gmN 5 - 4.0", "line 10: 5 events times 4 are 20, but the rate of 'b' in 'one' is 10"),
    ("lumi lnN 1.1", "lumi shape 1", "line 10: 'lumi' changes the shape of bin 'one', which has none"),
    ("imax 2", "imax 3", "line 1: imax says 3, but there are 2"),
    ("jmax 1", "jmax 2", "line 2: jmax says 2, but there are 1"),
    ("observation 12 -1", "observation 12", "line 5: 1 observations of 2 bins"),
    ("bin one two", "bin one too", "bin 'two' has no observation; nearest: too"),
    ("rate 2 10 3 20", "rate 2 10 3", "line 9: 3 entries, but the line `bin` above has 4"),
    ("rate 2 10 3 20", "rate 2 10 3 -1", "process 'b' in bin 'two': a rate of -1 needs a template"),
    ("process 0 1 0 1", "process 1 2 1 2", "no process has a number ≤ 0"),
    ("process 0 1 0 1", "process 0 1 0 2", "line 8: process 'b' has several numbers"),
    ("shape lnN", "lumi lnN", "line 11: 'lumi' is there already"),
    ("shape lnN - 0.9/1.2", "f rateParam one b (@0*@1) x\n#", "line 11: @1 has no parameter"),
    ("shape lnN - 0.9/1.2", "f rateParam one b (2*@0) x\n#", "line 11: a formula uses 'x', which nothing defines"),
    ("shape lnN - 0.9/1.2", "f rateParam one b sin(@0) lumi\n#", "line 11: .*there is no function 'sin'"),
    ("shape lnN - 0.9/1.2", "f rateParam one b (@0) f\n#", "line 11: the formula of 'f' needs itself"),
    ("shape lnN - 0.9/1.2", "f rateParam one b w.root:w\n#", "line 11: w.root:w: functions from a RooFit workspace"),
    ("shape lnN - 0.9/1.2", "f rateParam one b 1 [3,1]\n#", r"line 11: the range \[3,1\] is empty"),
    ("shape lnN - 0.9/1.2", "f param 1 -0.1/+0.2\n#", "line 11: .*two widths is not supported"),
    ("shape lnN - 0.9/1.2", "nuisance edit rename a b c\n#", "line 11: nuisance edit rename is not supported"),
    (
        "shape lnN - 0.9/1.2",
        "nuisance edit freeze lumy\n#",
        "line 11: no nuisance above is named 'lumy'; nearest: lumi",
    ),
    ("shape lnN - 0.9/1.2", "onne autoMCStats 10\n#", "line 11: there is no bin 'onne'; nearest: one"),
    ("shape lnN - 0.9/1.2", "model discrete\n#", "line 11: discrete is not supported"),
    (COUNTING, "hello world", "line 1: 'hello' comes before the line `rate`"),
    (COUNTING, "imax 1", "there is no line `rate`: this is no datacard"),
]


@pytest.mark.parametrize(("good", "bad", "message"), REFUSALS)
def test_refusals_name_the_line(tmp_path, good, bad, message):
    assert good in COUNTING
    path = write(tmp_path, COUNTING.replace(good, bad, 1))
    with pytest.raises(DatacardError, match=message):
        read_datacard(path)


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("$CHANNEL/$PROCESS $CH", "$CHANNEL/$PROCES $CH", "line 4: .*has no histogram 'ch/\\$PROCES'"),
        ("signal_$MASS.root s$MASS", "signal_$MASS.root w:pdf", "line 5: w:pdf: functions and data sets"),
        ("signal_$MASS", "signel_$MASS", "line 5: cannot read .*signel_125.root"),
        ("rate -1 10 6", "rate -1 9 6", "the card says 9 events, the histogram has 10"),
        (
            "jes shape - 1 -",
            "jes shape 1 - -",
            "line 15: 'jes' needs templates of 's' in 'ch', but .*line 5 names none",
        ),
        ("jes shape - 1 -", "jep shape - 1 -", "line 4: .*no histogram 'ch/b_jepUp'; nearest: ch/b_jesUp"),
    ],
)
def test_refusals_of_templates(shapes, good, bad, message):
    assert good in shapes.read_text()
    shapes.write_text(shapes.read_text().replace(good, bad, 1))
    with pytest.raises(InvalidDocument, match=message):
        read_datacard(shapes, mass=125)


def test_a_missing_card(tmp_path):
    with pytest.raises(DatacardError, match=r"cannot read the datacard .*none\.txt: No such file"):
        read_datacard(tmp_path / "none.txt")

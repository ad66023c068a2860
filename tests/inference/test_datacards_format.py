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
from inference.formats.datacards.card import Statistics
from inference.formats.datacards.errors import DatacardError
from inference.formats.datacards.parse import parse_card
from inference.formats.errors import InvalidDocument
from inference.formats.hs3_reader import from_hs3
from inference.formats.hs3_writer import to_hs3
from inference.likelihood.model import Likelihood

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
        "parameters": [
            {"name": "r", "inits": [1.0], "bounds": [[0.0, 20.0]]},
            {"name": "lumi", "bounds": [[-7.0, 7.0]]},
            {"name": "shape", "bounds": [[-7.0, 7.0]]},
        ],
    }
    assert read.workspace["interpolation"] == {"histosys": "code4p", "normsys": "combine"}


def test_a_card_of_inverse_norms_is_hs3(tmp_path):
    """κ^θ is code 1, which HS3 has a name for; what comes back has the same −log L."""
    text = COUNTING.replace("shape lnN - 0.9/1.2 - -", "shape lnN - 0.8 - -")
    workspace = read_datacard(write(tmp_path, text)).workspace
    assert workspace["interpolation"]["normsys"] == "code1"
    one, other = Likelihood(workspace), Likelihood(from_hs3(to_hs3(workspace)))
    point = dict(zip(one.labels, one.init + 0.7, strict=True))
    rates = {"r": 1.7, "lumi": 0.7, "shape": 0.7}
    expected = [(2 * 1.7 + 10 * 0.8**0.7) * 1.1**0.7, (3 * 1.7 + 20) * 1.1**0.7]
    assert point == rates
    assert one.expected(np.asarray(list(point.values())))[:2] == pytest.approx(expected, rel=1e-13)
    values = [likelihood.nll(np.asarray([point[label] for label in likelihood.labels])) for likelihood in (one, other)]
    assert values[0] == pytest.approx(values[1], rel=1e-13)


def settings(read):
    return {each["name"]: each for each in read.workspace["measurements"][0]["config"]["parameters"]}


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
    assert settings(read)["frozen"] == {"name": "frozen", "bounds": [[-7.0, 7.0]]}
    assert settings(read)["jes"]["bounds"] == [[-4.0, 4.0]]
    assert read.notes == ("frozen is marked [nofloat], which Combine heeds in its toys alone: it floats",)


def test_the_other_mode_keeps_norm_and_shape_together(shapes):
    shapes.write_text(shapes.read_text() + "* autoMCStats 0 0 2\n")
    sample = by_name(read_datacard(shapes, mass=125))["ch", "b"]
    assert modifiers(sample)["jes", "histosys"]["hi_data"] == pytest.approx([4.4, 6.6])
    assert modifiers(sample)["jes", "normsys"] == {"hi": 1.0, "lo": 1.0}


def test_wildcards(tmp_path):
    """`*` alone makes a pattern, as in Combine; the last line of autoMCStats counts."""
    read = read_datacard(write(tmp_path, COUNTING + "free rateParam o* b 1 [0,3]\nnuisance edit freeze free\n"))
    samples = by_name(read)
    assert [("free", "normfactor") in modifiers(samples[cell, "b"]) for cell in ("one", "two")] == [True, False]
    assert settings(read)["free"] == {"name": "free", "inits": [1.0], "bounds": [[0.0, 3.0]], "fixed": True}
    text = COUNTING + "one autoMCStats 10\n* autoMCStats 20 1\nt*o autoMCStats 0 0 2\n"
    card = parse_card(write(tmp_path, text))
    assert card.statistics == {"one": Statistics(20, True, 1), "two": Statistics(0, False, 2)}


EDITED = [
    ("drop b two lumi", {"lumi": {("one", "s"): (1.1,), ("one", "b"): (1.1,), ("two", "s"): (1.1,)}}),
    ("drop .* o.e|two lumi", {"lumi": {}}),
    ("drop nothing * lumi", {"lumi": dict.fromkeys([(a, b) for a in ("one", "two") for b in "sb"], (1.1,))}),
    ("rename shape norm", {"norm": {("one", "b"): (0.9, 1.2)}}),
    ("rename b one lumi lumi_b", {"lumi_b": {("one", "b"): (1.1,)}}),
    ("add b * new lnN 0.8/1.2", {"new": {("one", "b"): (0.8, 1.2), ("two", "b"): (0.8, 1.2)}}),
    # logarithms in quadrature, 1.1 standing for 1/1.1 and 1.1
    ("add s one lumi lnN 1.2 addq", {"lumi": {("one", "s"): (np.exp(np.hypot(np.log(1.1), np.log(1.2))),)}}),
    ("add b two lumi lnN 1.5 overwrite", {"lumi": {("two", "b"): (1.5,)}}),
    (
        "merge b one lumi shape",
        {"lumi": {("one", "b"): (np.exp(-np.hypot(*np.log([1.1, 0.9]))), np.exp(np.hypot(*np.log([1.1, 1.2]))))}},
    ),
    ("split s one lumi l1 l2 1.03 1.04", {"l1": {("one", "s"): (1.03,)}, "l2": {("one", "s"): (1.04,)}}),
    ("changepdf lumi trG", {"lumi": {("two", "b"): (np.log(1.1),)}}),
    ("flip b one shape p2n", {"shape": {("one", "b"): (1 / 0.9, 1 / 1.2)}}),
    ("flip b one shape n2p", {"shape": {("one", "b"): (0.9, 1.2)}}),
]


@pytest.mark.parametrize(("line", "wanted"), EDITED, ids=[line for line, _ in EDITED])
def test_edits_change_what_stands_above(tmp_path, line, wanted):
    card = parse_card(write(tmp_path, COUNTING + f"nuisance edit {line}\n"))
    found = {each.name: each.sizes for each in card.nuisances}
    for name, sizes in wanted.items():
        assert sizes or found[name] == {}
        for cell, size in sizes.items():
            assert found[name][cell] == pytest.approx(size, rel=1e-14)
    if line.startswith("rename"):
        assert ("one", "b") not in found.get(line.split()[-2], {})
    if line.startswith("split"):
        assert ("one", "s") not in found["lumi"]
    if line.startswith("drop b"):
        assert ("two", "b") not in found["lumi"]


def test_a_renamed_shape_keeps_its_templates(shapes):
    shapes.write_text(shapes.read_text() + "nuisance edit rename b ch jes energy\n")
    samples = by_name(read_datacard(shapes, mass=125))
    assert modifiers(samples["ch", "b"])["energy", "normsys"] == pytest.approx({"hi": 1.1, "lo": 0.9})


def test_what_stands_before_the_rates_and_says_nothing_is_told(tmp_path):
    """The first line is combineCards.py's."""
    read = read_datacard(write(tmp_path, f"Combination of a.txt\nDate today\n{COUNTING}lonely\n"))
    assert [note.partition("line ")[2] for note in read.notes[:2]] == [
        "2: a line that begins 'Date' says nothing before `rate`; left out",
        "14: a line with nothing but 'lonely' is left out",
    ]


def test_processes_without_events_need_no_template(shapes):
    """Combine takes no process of rate 0 into the model; data may differ from the card by half a percent."""
    text = shapes.read_text().replace("rate -1 10 6", "rate -1 0 6").replace("jes shape - 1 -", "jes shape - - -")
    shapes.write_text(
        text.replace("$CHANNEL/$PROCESS ", "$CHANNEL/data_obs ").replace("observation 11", "observation 11.05")
    )
    assert set(by_name(read_datacard(shapes, mass=125))) == {("ch", "s"), ("counted", "b")}
    shapes.write_text(shapes.read_text().replace("observation 11.05", "observation 11.06"))
    with pytest.raises(DatacardError, match=r"the card says 11\.06 events, the histogram has 11"):
        read_datacard(shapes, mass=125)


def test_with_statistics_the_histogram_says_how_many_events(shapes):
    """A rate may be 1 % off; with autoMCStats Combine takes the template as it is, also of a gmN."""
    text = shapes.read_text().replace("rate -1 10 6", "rate -1 10.05 6")
    shapes.write_text(text)
    assert sum(by_name(read_datacard(shapes, mass=125))["ch", "b"]["data"]) == pytest.approx(10.05)
    shapes.write_text(text + "ch autoMCStats -1\n")
    assert sum(by_name(read_datacard(shapes, mass=125))["ch", "b"]["data"]) == pytest.approx(10)
    shapes.write_text(text + "side gmN 40 - 0.251 -\n")
    assert sum(by_name(read_datacard(shapes, mass=125))["ch", "b"]["data"]) == pytest.approx(10.04)
    shapes.write_text(text + "side gmN 40 - 0.251 -\nch autoMCStats -1\n")
    assert sum(by_name(read_datacard(shapes, mass=125))["ch", "b"]["data"]) == pytest.approx(10)


def one_process(folder, *lines, kind="shape", size="1", **templates):
    """Modifiers and contents of a background with a nuisance e."""
    with uproot.recreate(folder / "t.root") as file:
        for name, values in {"data_obs": [5.0, 6.0], "s": [1.0, 1.0], **templates}.items():
            file[name] = histogram(values)
    head = "shapes * * t.root $PROCESS $PROCESS_$SYSTEMATIC\nbin c\nobservation -1\nbin c c\nprocess s b\n"
    text = f"{head}process 0 1\nrate -1 -1\ne {kind} - {size}\n" + "".join(f"{line}\n" for line in lines)
    sample = by_name(read_datacard(write(folder, text)))["c", "b"]
    return sample["data"], modifiers(sample)


def test_a_norm_of_less_than_a_thousandth_is_left_out(tmp_path):
    up, down = [4.005, 6.004], [3.996, 5.995]  # 0.9 thousandths
    _, found = one_process(tmp_path, b=[4.0, 6.0], b_eUp=up, b_eDown=down)
    assert found["e", "normsys"] == {"hi": 1.0, "lo": 1.0}
    assert found["e", "histosys"]["hi_data"] == pytest.approx(np.asarray(up) / 1.0009)
    _, found = one_process(tmp_path, b=[4.0, 6.0], b_eUp=[4.007, 6.004], b_eDown=down)
    # 1.1 thousandths
    assert found["e", "normsys"] == pytest.approx({"hi": 1.0011, "lo": 0.9991})


def test_the_smooth_part_of_a_scaled_shape_ends_at_its_scale(tmp_path):
    """At scale 0.4 the templates are reached at ±2.5, and straight lines begin at ±1."""
    _, found = one_process(tmp_path, size="0.4", b=[4.0, 6.0], b_eUp=[5.0, 5.0], b_eDown=[3.0, 7.0])
    assert found["e", "histosys"]["hi_data"] == pytest.approx([4.4, 5.6])
    _, found = one_process(tmp_path, size="2", b=[4.0, 6.0], b_eUp=[5.0, 5.0], b_eDown=[3.0, 7.0])
    assert found["e*2", "histosys"]["hi_data"] == pytest.approx([5.0, 5.0])


def test_negative_contents_are_cropped_as_combine_does(tmp_path):
    """Without autoMCStats the rest makes up for them, with it it does not."""
    sides = {"b_eUp": [10.0, -1.0], "b_eDown": [10.0, -1.0]}
    assert one_process(tmp_path, b=[10.0, -1.0], **sides)[0] == pytest.approx([9.0, 0.0], abs=1e-7)
    assert one_process(tmp_path, "* autoMCStats -1", b=[10.0, -1.0], **sides)[0] == pytest.approx([10.0, 0.0], abs=1e-8)


def test_one_process_is_morphed_in_one_way(tmp_path):
    sides = {"b_eUp": [5.0, 5.0], "b_eDown": [3.0, 7.0], "b_fUp": [5.0, 5.0], "b_fDown": [3.0, 7.0]}
    with pytest.raises(DatacardError, match="'b' in 'c' has shape and shapeN: take one of them"):
        one_process(tmp_path, "f shapeN2 - 1", b=[4.0, 6.0], **sides)
    with pytest.raises(DatacardError, match="'e' has templates of process 'b' in bin 'c': give one size, not two"):
        one_process(tmp_path, kind="shape?", size="0.9/1.1", b=[4.0, 6.0], **sides)


def test_parameters_are_what_defines_them_first(tmp_path):
    text = COUNTING + (
        "f rateParam one b 1.5 [0,3]\nf rateParam two b 2 [0,9]\ng rateParam two b 1\ng param 1.2 0.1\n"
        "h rateParam one s (@0) k\nk extArg 0.5 [const]\nf flatParam\n7 lnN 1.1 - - -\nall group = lumi f g\n"
    )
    read = read_datacard(write(tmp_path, text))
    assert settings(read)["f"] == {"name": "f", "inits": [1.5], "bounds": [[0.0, 3.0]]}
    assert "line 13: f keeps the value and range of" in read.notes[-1]
    [formulas] = read.workspace["extensions"]
    constraint = {"mean": 1.2, "sigma": 0.1}
    assert formulas["parameters"] == [
        {"name": "g", "init": 1.2, "bounds": pytest.approx([0.8, 1.6]), "constraint": constraint},
        {"name": "k", "init": 0.5, "bounds": [-99.5, 100.5], "fixed": True},
    ]
    assert read.groups == {"all": ("lumi", "f", "g")}
    assert ("theta7", "normsys") in modifiers(by_name(read)["one", "s"])


def test_bins_below_the_threshold_have_parameters_of_each_process(tmp_path):
    """By hand: background 100 ± 5 has 400 effective events, 4 ± 2 has 4, 1 ± 2 less than one."""
    values = {"s": ([1.0, 1.0, 0.0], [0.1, 0.1, 0.0]), "b": ([100.0, 4.0, 1.0], [5.0, 2.0, 2.0])}
    templates = {("ch", name): tuple(map(np.asarray, both)) for name, both in values.items()}
    templates["ch", "data_obs"] = (np.asarray([100.0, 4.0, 1.0]), np.zeros(3))
    example = Example({"s": 0, "b": 1}, templates, [], threshold=10)
    read = read_datacard(example.write(tmp_path))
    samples = by_name(read)
    background, signal = modifiers(samples["ch", "b"]), modifiers(samples["ch", "s"])
    assert background["prop_binch_b", "shapesys"] == pytest.approx([0.0, 2.0, 0.0])  # τ = (4/2)²
    assert background["prop_binch_b_bin2", "histosys"]["hi_data"] == pytest.approx([100.0, 4.0, 3.0])
    # the signal has 100 effective events in the second bin: Gaussian
    assert signal["prop_binch_s_bin1", "histosys"]["lo_data"][1] == pytest.approx(0.9)
    assert len(background) == 2
    # one parameter for the first bin, around 0, times the error of all processes
    shared = modifiers(samples["ch", "autoMCStats"])
    assert shared == {("prop_binch", "staterror"): [1.0, 0.0, 0.0]}
    bounds = [[-7.0, 7.0]] * 3
    zeros = [0.0] * 3
    assert settings(read)["prop_binch"] == {"name": "prop_binch", "inits": zeros, "auxdata": zeros, "bounds": bounds}
    [errors] = read.workspace["extensions"]
    assert (errors["channel"], errors["sample"]) == ("ch", "autoMCStats")
    assert errors["errors"] == {"s": [pytest.approx(0.1), 0.0, 0.0], "b": [pytest.approx(5.0), 0.0, 0.0]}


REFUSALS = [
    ("lumi lnN 1.1 1.1 1.1 1.1", "lumi lnN 1.1 1.1", "line 10: 2 entries, but there are 4 columns"),
    ("lumi lnN 1.1", "lumi lnn 1.1", "line 10: no systematic of type 'lnn'; supported are lnN, lnU, gmN"),
    ("lumi lnN 1.1", "lumi shapeN 1.1", "line 10: 'lumi' changes the shape of bin 'one', which has none"),
    ("lumi lnN 1.1", "lumi lnN 1.x", "line 10: '1.x' is no number"),
    ("lumi lnN 1.1", "lumi lnN nan", "line 10: 'nan' is no finite number"),
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
    ("process 0 1 0 1", "process 0 1 0 -1", "line 8: process 'b' is a signal in some bins and none in others"),
    ("rate 2 10 3 20", "rate 0 0 3 20", "all processes in bin 'one' have a rate of 0"),
    ("bin one two", "shapes * * a.root b\nshapes * * c.root b\nbin one two", "line 5: shapes of process .* line 4"),
    ("shape lnN", "lumi lnN", "line 11: 'lumi' is there already"),
    ("shape lnN - 0.9/1.2", "f rateParam one b (@0*@1) x\n#", "line 11: @1 has no parameter"),
    ("shape lnN - 0.9/1.2", "f rateParam one b (2*@0) x\n#", "line 11: a formula uses 'x', which nothing defines"),
    ("shape lnN - 0.9/1.2", "f rateParam one b sin(@0) lumi\n#", "line 11: .*there is no function 'sin'"),
    ("shape lnN - 0.9/1.2", "f rateParam one b (@0) f\n#", "line 11: the formula of 'f' needs itself"),
    ("shape lnN - 0.9/1.2", "f rateParam one b w.root:w\n#", "line 11: w.root:w: functions from a RooFit workspace"),
    ("shape lnN - 0.9/1.2", "f rateParam one b 1 [3,1]\n#", r"line 11: the range \[3,1\] is empty"),
    ("shape lnN - 0.9/1.2", "f param 1 -0.1/+0.2\n#", "line 11: .*two widths is not supported"),
    ("shape lnN - 0.9/1.2", "f rateParam one b 7 [1,3]\n#", r"line 11: 7 is not within its range \[1,3\]"),
    ("shape lnN - 0.9/1.2", "f rateParam one c 1\n#", "line 11: there is no process 'c'; known: b, s"),
    ("shape lnN - 0.9/1.2", "f rateParam z* b 1\n#", r"line 11: no column matches bin z\* and process b"),
    ("shape lnN - 0.9/1.2", "g group += lumi\n#", "line 11: there is no group 'g' yet to add to"),
    ("shape lnN - 0.9/1.2", "lumi param 0 2\n#", "line 11: 'lumi' is a nuisance too, which has mean 0 and width 1"),
    ("shape lnN - 0.9/1.2", "nuisance edit rename a b c\n#", "line 11: the line is `nuisance edit rename"),
    ("shape lnN - 0.9/1.2", "nuisance edit remove a b c\n#", "line 11: there is no edit 'remove'; there are add"),
    (
        "shape lnN - 0.9/1.2",
        "nuisance edit drop b one lumy\n#",
        "line 11: no nuisance above fits 'lumy'; nearest: lumi",
    ),
    ("shape lnN - 0.9/1.2", "nuisance edit drop b (one lumi\n#", r"line 11: '\(one' is no regular expression"),
    ("shape lnN - 0.9/1.2", "nuisance edit freeze lumy\n#", "line 11: no parameter above fits 'lumy'; nearest: lumi"),
    ("shape lnN - 0.9/1.2", "nuisance edit add b one lumi lnN 1.2\n#", "line 11: 'lumi' acts on 'b' in 'one' already"),
    ("shape lnN - 0.9/1.2", "nuisance edit changepdf lumi shape\n#", "line 11: 'lumi' is lnN, which cannot become"),
    ("shape lnN - 0.9/1.2", "nuisance edit flip b one lumi\n#", "line 11: flip needs p2n, n2p, or both"),
    (
        "shape lnN - 0.9/1.2",
        "nuisance edit add b one lumi lnN 0.9 addq\n#",
        "line 11: effects of different signs cannot be added in quadrature",
    ),
    ("shape lnN - 0.9/1.2", "onne autoMCStats 10\n#", "line 11: there is no bin 'onne'; nearest: one"),
    ("shape lnN - 0.9/1.2", "model discrete\n#", "line 11: discrete is not supported"),
    (COUNTING, "hello world", "there is no line `rate`: this is no datacard"),
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

"""Damaged inputs: named with the file and what is wrong, never a wrong answer, and no output left behind."""

import pickle
import shutil

import numpy as np
import pytest
import uproot

from delivery.engine import TransformRequest, transform
from delivery.errors import DeliveryError, UnreadableFile, UnsupportedNode
from queries.named import load

AGC = load("queries.ttbar:agc_published_ml").text


@pytest.fixture
def damaged(shared_data, tmp_path):
    """A copy of a good file to be damaged."""
    shutil.copy(shared_data / "agc/processor-reference/events.root", tmp_path / "in.root")
    (tmp_path / "in.root").chmod(0o644)
    return tmp_path / "in.root"


def failure(path) -> DeliveryError:
    """The error of the AGC query, after a trip through pickle."""
    output = path.with_name("out.root")
    with pytest.raises(DeliveryError) as caught:
        transform(TransformRequest(AGC, str(path), output))
    assert not output.exists()
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == str(caught.value)
    assert str(path) in str(error)
    return error


@pytest.mark.parametrize("part", [0, 3, 50, 300, 100_000, -1])
def test_a_truncated_file(damaged, part):
    content = damaged.read_bytes()
    damaged.write_bytes(content[:part])
    error = failure(damaged)
    assert isinstance(error, UnreadableFile)
    words = {0: "empty", 3: "no ROOT file", 50: "no ROOT file"}.get(part, "truncated: it has")
    assert words in str(error)


def test_other_kinds_of_file(tmp_path):
    text = tmp_path / "in.root"
    text.write_text("This is no ROOT file. " * 10)
    assert "no ROOT file (it begins with b'This')" in str(failure(text))
    assert "it does not exist" in str(failure(tmp_path / "absent.root"))
    assert "it is a folder" in str(failure(tmp_path))


def test_a_flipped_byte_in_a_compressed_basket(damaged):
    with uproot.open(damaged) as file:
        branch = file["Events"]["Jet_pt"]
        place = int(branch.member("fBasketSeek")[2]) + int(branch.member("fBasketBytes")[2]) // 2
    content = bytearray(damaged.read_bytes())
    content[place] ^= 0xFF
    damaged.write_bytes(content)
    assert "basket 2 of branch Jet_pt is damaged" in str(failure(damaged))


def outcome(path):
    """Counts of the AGC query, or that it failed as it should; any other exception is the test's failure."""
    try:
        done = transform(TransformRequest(AGC, str(path), path.with_name("out.root")))
    except DeliveryError as error:
        return "an error that names the file" if str(path) in str(error) else str(error)
    return done.events_in, done.events_out, done.cutflow


@pytest.fixture(scope="module")
def good(shared_data, tmp_path_factory):
    """What the undamaged file gives."""
    file = shared_data / "agc/processor-reference/events.root"
    done = transform(TransformRequest(AGC, str(file), tmp_path_factory.mktemp("good") / "out"))
    return done.events_in, done.events_out, done.cutflow


@pytest.mark.parametrize("seed", range(30))
def test_a_flipped_byte_in_the_header_gives_an_error_or_the_right_answer(damaged, good, seed):
    with uproot.open(damaged) as file:
        key = file.key("Events")
        regions = [(0, 300), (key.fSeekKey, key.fSeekKey + 60), (key.fSeekKey + 60, key.fSeekKey + key.fNbytes)]
    rng = np.random.default_rng(seed)
    start, stop = regions[seed % 3]
    content = bytearray(damaged.read_bytes())
    content[rng.integers(start, stop)] ^= 1 << rng.integers(8)
    damaged.write_bytes(content)
    assert outcome(damaged) in (good, "an error that names the file")


def test_a_codegen_that_the_engine_does_not_run(damaged, tmp_path):
    request = TransformRequest("[]", str(damaged), tmp_path / "out", codegen="atlasr21")
    with pytest.raises(UnsupportedNode, match="'atlasr21' is not supported"):
        transform(request)

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from processing.errors import FilesetError
from processing.filesets import CROSS_SECTIONS_PB, LUMINOSITY_PB, load_fileset

# Files per sample → files and events: the AGC's table of benchmark points.
AGC_SIZES = {
    1: (9, 10_455_719),
    2: (18, 19_497_435),
    5: (43, 47_996_231),
    10: (79, 90_546_458),
    20: (140, 163_123_242),
    50: (255, 297_247_463),
    100: (395, 470_397_795),
    200: (595, 705_273_291),
    None: (787, 940_160_174),
}


@pytest.mark.parametrize("files_per_sample", AGC_SIZES)
def test_the_agc_file_list_gives_the_published_sizes(shared_data: Path, files_per_sample: int | None) -> None:
    fileset = load_fileset(shared_data / "agc/nanoaod_inputs.json", files_per_sample)
    files = [file for sample in fileset.samples for file in sample.files]
    assert (len(files), sum(file.nevts or 0 for file in files)) == AGC_SIZES[files_per_sample]


def test_the_agc_samples_and_numbers(shared_data: Path) -> None:
    fileset = load_fileset(shared_data / "agc/nanoaod_inputs.json", 1)
    assert [sample.name for sample in fileset.samples] == [
        "ttbar__nominal",
        "ttbar__scaledown",
        "ttbar__scaleup",
        "ttbar__ME_var",
        "ttbar__PS_var",
        "single_top_s_chan__nominal",
        "single_top_t_chan__nominal",
        "single_top_tW__nominal",
        "wjets__nominal",
    ]
    assert fileset["ttbar__ME_var"].cross_section == pytest.approx(729.84)
    assert LUMINOSITY_PB == 3378
    assert {process: round(value, 4) for process, value in CROSS_SECTIONS_PB.items()} == {
        "ttbar": 729.84,
        "single_top_s_chan": 3.2944,
        "single_top_t_chan": 234.7937,
        "single_top_tW": 75.842,
        "wjets": 15487.164,
    }
    first = fileset["ttbar__nominal"].files[0]
    assert first.path.startswith("https://xrootd-local.unl.edu:1094//store/user/AGC/nanoAOD/TT_")
    assert (first.nevts, first.tree, first.entries, first.digest) == (1_334_428, "Events", None, None)


def write(folder: Path, document: object) -> Path:
    path = folder / "fileset.json"
    path.write_text(json.dumps(document))
    return path


def test_relative_paths_start_from_the_file_or_the_given_folder(tmp_path: Path) -> None:
    path = write(tmp_path, {"ttbar": {"nominal": {"files": [{"path": "a/b.root", "nevts": 5, "tree": "servicex"}]}}})
    assert load_fileset(path)["ttbar__nominal"].files[0].path == str(tmp_path / "a/b.root")
    moved = load_fileset(path, base=Path("elsewhere"))["ttbar__nominal"].files[0]
    assert (moved.path, moved.tree) == (str(Path("elsewhere/a/b.root")), "servicex")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([1], "expected an object"),
        ({"ttbar": {"nominal": {"files": []}}}, r"ttbar/nominal: 'files' must be a list"),
        ({"ttbar": {"nominal": {"files": [{"nevts": 1}]}}}, r"ttbar/nominal/files\[0\]: 'path'"),
        ({"ttbar": {"nominal": {"files": [{"path": "x", "nevts": -1}]}}}, r"files\[0\]: 'nevts'"),
        ({"ttbar": {"nominal": {"files": [{"path": "x", "nevts": "many"}]}}}, r"files\[0\]: 'nevts'"),
        ({"zprime": {"nominal": {"files": [{"path": "x", "nevts": 1}]}}}, "zprime/nominal: no cross-section"),
    ],
)
def test_a_bad_fileset_is_named_with_file_and_key(tmp_path: Path, document: object, said: str) -> None:
    path = write(tmp_path, document)
    with pytest.raises(FilesetError, match=said) as caught:
        load_fileset(path)
    assert str(path) in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_is_not_json_or_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FilesetError, match="cannot read the fileset"):
        load_fileset(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(FilesetError, match="cannot read the fileset"):
        load_fileset(tmp_path / "bad.json")
    with pytest.raises(FilesetError, match="at least 1"):
        load_fileset(tmp_path / "bad.json", files_per_sample=0)


def test_an_unknown_sample_is_answered_with_the_known_ones(shared_data: Path) -> None:
    fileset = load_fileset(shared_data / "agc/nanoaod_inputs.json", 1)
    with pytest.raises(FilesetError, match="wjets__nominal"):
        fileset["wjet__nominal"]


def test_a_process_outside_the_agc_brings_its_cross_section(tmp_path: Path) -> None:
    path = write(tmp_path, {"zprime": {"nominal": {"cross_section": 1.5, "files": [{"path": "x.root"}]}}})
    sample = load_fileset(path).samples[0]
    assert (sample.cross_section, sample.files[0].nevts) == (1.5, None)


def totals(tmp_path: Path, total: int | None, *nevts: int | None) -> Path:
    files = [{"path": f"{i}.root"} | ({} if n is None else {"nevts": n}) for i, n in enumerate(nevts)]
    sample = {"files": files} | ({} if total is None else {"nevts_total": total})
    path = tmp_path / "fileset.json"
    path.write_text(json.dumps({"ttbar": {"nominal": sample}}))
    return path


@pytest.mark.parametrize(
    ("total", "nevts", "read"),
    [
        (30, (10, 20), [10, 20]),
        (99, (10, 20), [10, 20]),
        (30, (None,), [30]),
        (None, (10, None), [10, None]),
        (None, (None,), [None]),
    ],
)
def test_events_and_their_total(
    tmp_path: Path, total: int | None, nevts: tuple[int | None, ...], read: list[Any]
) -> None:
    (sample,) = load_fileset(totals(tmp_path, total, *nevts)).samples
    assert [file.nevts for file in sample.files] == read


@pytest.mark.parametrize(("total", "nevts"), [(30, (None, 20)), (30, (None, None)), (-1, (1,))])
def test_events_that_nobody_can_share_out_are_refused(tmp_path: Path, total: int, nevts: tuple[Any, ...]) -> None:
    with pytest.raises(FilesetError, match="nevts_total"):
        load_fileset(totals(tmp_path, total, *nevts))

"""Selections of codegen uproot-raw from file to file: output trees, missing trees, copied objects, laws."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot

from delivery.engine import TransformRequest, TransformResult, evaluate, transform
from delivery.engine.raw.request import BadSelection
from delivery.engine.raw.transform import evaluate_raw, explain_raw
from delivery.engine.writers import read_record
from delivery.errors import EmptyList, LengthMismatch, UnknownTree, UnwritableType
from delivery.requests import CutflowRow
from queries.named import load

sys.path.insert(0, str(Path(__file__).parent))
from raw_oracle import same, theirs

FORMATS = ["parquet", "root-file", "root-rntuple"]
CMS = "root/nanoAOD_2015_CMS_Open_Data_ttbar.root"


def run(file: Path, output: Path, selection: Any, **settings: Any) -> TransformResult:
    text = selection if isinstance(selection, str) else json.dumps(selection)
    return transform(TransformRequest(text, str(file), output, codegen="uproot-raw", **settings))


def read(path: Path, output_format: str, tree: str) -> Any:
    """What was written into a tree; of Parquet, the rows that say that they are of it."""
    if output_format == "parquet":
        rows = ak.from_parquet(path)
        return rows[rows["treename"] == tree][[name for name in rows.fields if name != "treename"]]
    with uproot.open(path) as file:
        rows = file[tree].arrays()
        counters = [name for name in rows.fields if f"n{name[1:]}" == name and name[1:] in rows.fields]
        return rows[[name for name in rows.fields if name not in counters]]


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("name", ["agc_published_raw", "agc_published_raw_ml"])
def test_the_agc_query_on_a_real_file(shared_data: Path, tmp_path: Path, name: str, output_format: str) -> None:
    query = load(f"queries.ttbar:{name}")
    assert query.codegen == "uproot-raw"
    (subquery,) = json.loads(query.text)
    result = run(shared_data / CMS, tmp_path / "out", query.text, format=output_format)
    expected = theirs(
        shared_data / CMS, "Events", expressions=None, cut=subquery["cut"], filter_name=subquery["filter_name"]
    )
    found = read(tmp_path / "out", output_format, "servicex")
    assert len(expected) == result.events_out == 1
    assert set(found.fields) == set(expected.fields)
    assert same(found[expected.fields], expected)
    assert result.events_in == 200
    assert result.cutflow == (CutflowRow(subquery["cut"], 1),)
    with uproot.open(shared_data / CMS) as file:
        weights = file["Events"]["genWeight"].array(library="np")
    assert result.sum_of_weights == pytest.approx(float(weights.astype(np.float64).sum()), rel=1e-12)
    record = read_record(tmp_path / "out")
    assert record is not None
    assert (record["codegen"], record["events_out"]) == ("uproot-raw", 1)


def test_branches_after_the_cut_are_read_only_where_events_pass(shared_data: Path, tmp_path: Path) -> None:
    none = run(shared_data / CMS, tmp_path / "a", [{"treename": "Events", "filter_name": "Jet_*", "cut": "nJet > 99"}])
    some = run(shared_data / CMS, tmp_path / "b", [{"treename": "Events", "filter_name": "Jet_*", "cut": "nJet > 3"}])
    assert none.events_out == 0
    assert none.bytes_read < some.bytes_read / 10


@pytest.mark.parametrize("output_format", FORMATS)
def test_no_event_passes(shared_data: Path, tmp_path: Path, output_format: str) -> None:
    selection = [{"treename": {"Events": "none"}, "expressions": ["Jet_pt", "nJet * 2"], "cut": "nJet > 99"}]
    result = run(shared_data / CMS, tmp_path / "out", selection, format=output_format)
    found = read(tmp_path / "out", output_format, "none")
    assert (result.events_out, len(found)) == (0, 0)
    assert found.fields[-2:] == ["Jet_pt", "nJet * 2"] or set(found.fields) == {"Jet_pt", "nJet * 2"}


@pytest.mark.parametrize("output_format", ["root-file", "root-rntuple"])
def test_trees_and_sub_queries(shared_data: Path, tmp_path: Path, output_format: str) -> None:
    file = shared_data / "root/nano_dy.root"
    selection = [
        {"treename": ["Events", "Runs", "LuminosityBlocks"], "filter_name": ["run", "nJet", "genEventSumw_"]},
        {"treename": {"Events": "jets"}, "expressions": ["Jet_pt[Jet_pt > 30]"], "cut": "nJet > 3"},
    ]
    result = run(file, tmp_path / "out", selection, format=output_format)
    jets = {"expressions": ["Jet_pt[Jet_pt > 30]"], "cut": "nJet > 3"}
    for tree, source, query in (
        ("Events", "Events", {"filter_name": selection[0]["filter_name"]}),
        ("Runs", "Runs", {"filter_name": selection[0]["filter_name"]}),
        ("jets", "Events", jets),
    ):
        expected = theirs(file, source, **query)
        found = read(tmp_path / "out", output_format, tree)
        assert set(expected.fields) <= set(found.fields)
        assert found[expected.fields].to_list() == expected.to_list()
    assert result.events_in == 41  # the events of each input tree once
    assert result.warnings == ("the tree 'LuminosityBlocks' is left out: the file has 'Events', 'Runs'",)
    assert [row.text for row in result.cutflow] == ["nJet > 3"]
    assert "Runs/genEventSumw_" in result.columns


def test_sub_queries_into_one_output_tree_follow_each_other(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "root/nano_dy.root"
    cuts = ["nJet > 5", "nJet < 2"]
    selection = [{"treename": {"Events": "both"}, "expressions": ["nJet", "Jet_pt"], "cut": cut} for cut in cuts]
    run(file, tmp_path / "out", selection)
    parts = [theirs(file, "Events", expressions=["nJet", "Jet_pt"], cut=cut) for cut in cuts]
    found = read(tmp_path / "out", "root-file", "both")
    assert found[["nJet", "Jet_pt"]].to_list() == [row for part in parts for row in part.to_list()]


def test_parquet_has_one_table_with_the_trees_names(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "root/nano_dy.root"
    selection = [{"treename": ["Events", "Runs"], "filter_name": "run"}]
    run(file, tmp_path / "out", selection, format="parquet")
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == ["run", "treename"]
    assert ak.from_parquet(tmp_path / "out")["treename"].to_list() == ["Events"] * 40 + ["Runs"]
    run(file, tmp_path / "one", [{"treename": "Events", "filter_name": "run"}], format="parquet")
    assert set(ak.from_parquet(tmp_path / "one")["treename"].to_list()) == {"Events"}


@pytest.mark.parametrize(
    ("selection", "output_format", "words"),
    [
        ([{"treename": ["Events", "Runs"]}], "parquet", "different columns"),
        (
            [{"treename": "Events", "expressions": ["nJet"]}, {"treename": "Events", "expressions": ["Jet_pt"]}],
            "root-file",
            "two sub-queries write different columns into the output tree 'Events'",
        ),
        ([{"treename": "Events", "expressions": ["max(Jet_pt)"]}], "root-file", ""),
    ],
)
def test_what_an_output_cannot_hold(
    shared_data: Path, tmp_path: Path, selection: Any, output_format: str, words: str
) -> None:
    with pytest.raises(UnwritableType) as caught:
        run(shared_data / "root/nano_dy.root", tmp_path / "out", selection, format=output_format)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_missing_trees(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / CMS
    subquery = {"treename": ["Runs", "Events"], "expressions": ["nJet"]}
    assert run(file, tmp_path / "out", [subquery]).events_out == 200
    with pytest.raises(UnknownTree) as caught:
        run(file, tmp_path / "refused", [{**subquery, "fail_on_missing_trees": True}])
    assert "'Runs'" in str(caught.value)


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("subquery", [{"treename": "Runs"}, {"treename": "Events", "filter_name": "no_such_*"}])
def test_nothing_to_deliver_is_a_warning(
    shared_data: Path, tmp_path: Path, subquery: dict[str, str], output_format: str
) -> None:
    result = run(shared_data / CMS, tmp_path / "out", [subquery], format=output_format)
    assert result.events_out == 0
    assert "is left out" in result.warnings[0]
    if output_format != "parquet":
        with uproot.open(tmp_path / "out") as file:
            assert file.keys(cycle=False) == ["skimflow"]


@pytest.fixture(scope="module")
def with_objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with histograms, in folders too, a text and a tree."""
    path = tmp_path_factory.mktemp("objects") / "objects.root"
    random = np.random.default_rng(3)
    with uproot.recreate(path) as file:
        file["cutflow_ee"] = np.histogram(random.normal(size=1000), bins=20)
        file["folder/cutflow_mm"] = np.histogram(random.normal(size=1000), bins=5)
        file["folder/plane"] = np.histogram2d(random.normal(size=1000), random.normal(size=1000), bins=(3, 4))
        file["metadata"] = "made for a test"
        file.mktree("cutflow_tree", {"x": "float64"}).extend({"x": random.normal(size=10)})
    return path


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ("metadata", ["metadata"]),
        ("cutflow_ee", ["cutflow_ee"]),
        ("cutflow*", ["cutflow_ee"]),
        (["folder/cutflow*", "metadata"], ["folder/cutflow_mm", "metadata"]),
        ("/.*cutflow.*/", ["cutflow_ee", "folder/cutflow_mm"]),
        ("/FOLDER/i", ["folder/cutflow_mm", "folder/plane"]),
    ],
)
@pytest.mark.parametrize("output_format", ["root-file", "root-rntuple"])
def test_objects_are_copied(
    with_objects: Path, tmp_path: Path, patterns: Any, names: list[str], output_format: str
) -> None:
    selection = [{"copy_histograms": patterns}, {"treename": "cutflow_tree"}]
    run(with_objects, tmp_path / "out", selection, format=output_format)
    with uproot.open(with_objects) as before, uproot.open(tmp_path / "out") as after:
        kinds = after.classnames(cycle=False)
        copied = [name for name, kind in kinds.items() if kind.startswith("TH") or name == "metadata"]
        assert sorted(copied) == sorted(names)
        for name in names:
            assert before[name].classname == after[name].classname
            if name == "metadata":
                assert str(after[name]) == "made for a test"
            else:
                assert np.array_equal(before[name].values(flow=True), after[name].values(flow=True))
                assert np.array_equal(before[name].variances(flow=True), after[name].variances(flow=True))
        assert len(after["cutflow_tree"]["x"].array()) == 10


def test_objects_that_cannot_be_copied(with_objects: Path, tmp_path: Path) -> None:
    with pytest.raises(UnwritableType) as caught:
        run(with_objects, tmp_path / "out", [{"copy_histograms": "cutflow_ee"}], format="parquet")
    assert "Parquet cannot hold" in str(caught.value)
    result = run(with_objects, tmp_path / "out", [{"copy_histograms": ["cutflow_tree", "no_such"]}])
    assert result.warnings == (
        "copy_histograms fits no object: 'cutflow_tree', 'no_such'",
        "the tree 'cutflow_tree' is not copied: name it in treename",
    )
    with pytest.raises(BadSelection, match="an output tree and of an object"):
        run(with_objects, tmp_path / "out", [{"treename": {"cutflow_tree": "metadata"}}, {"copy_histograms": "meta*"}])


@pytest.fixture(scope="module")
def many_baskets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "many.root"
    random = np.random.default_rng(11)
    with uproot.recreate(path) as file:
        types = {"x": np.dtype("float32"), "v": "var * float32", "w": "var * float64", "i": np.dtype("int32")}
        tree = file.mktree("Events", types)
        for size in (1, 2500, 1300, 4000, 7, 3000):
            counts = random.integers(0, 5, size)
            tree.extend(
                {
                    "x": random.normal(size=size).astype(np.float32),
                    "v": ak.unflatten(random.normal(size=counts.sum()).astype(np.float32), counts),
                    "w": ak.unflatten(random.normal(size=counts.sum()), counts),
                    "i": np.arange(size, dtype=np.int32),
                }
            )
    return path


SELECTIONS: list[Any] = [
    [{"treename": "Events", "cut": "(max(v) > 0.5) & (x > 0)"}],
    [{"treename": "Events", "expressions": ["v * 2", "w"], "cut": "v > 0"}],
    [{"treename": "Events", "expressions": ["sum(v)", "v[argsort(w)]"], "cut": "(num(v) > 1) & (x > 0) & any(w > 1)"}],
    [{"treename": "Events", "expressions": ["v[x > 0]", "x[x > 0]"]}],
    [{"treename": "Events", "expressions": ["x"]}, {"treename": "Events", "expressions": ["x"], "cut": "i == 3"}],
]


@pytest.mark.parametrize("selection", SELECTIONS, ids=json.dumps)
def test_chunks_and_threads_never_show(many_baskets: Path, tmp_path: Path, selection: Any) -> None:
    written = set()
    for number, (chunk_bytes, threads) in enumerate([(1 << 30, 1), (1, 1), (60_000, 1), (60_000, 4)]):
        output = tmp_path / f"{number}"
        run(many_baskets, output, selection, format="parquet", chunk_bytes=chunk_bytes, threads=threads)
        written.add(output.read_bytes())
    assert len(written) == 1
    rows = ak.from_parquet(tmp_path / "0")
    parts = [theirs(many_baskets, "Events", **{k: v for k, v in s.items() if k != "treename"}) for s in selection]
    assert same(rows[rows.fields[:-1]], ak.concatenate(parts))


def test_events_with_a_missing_cut_stay_as_missing_rows_but_not_in_strict_semantics(many_baskets: Path) -> None:
    text = json.dumps([{"treename": "Events", "expressions": ["x", "num(v)"], "cut": "max(v) > 0.5"}])
    found = evaluate(text, many_baskets, codegen="uproot-raw")
    expected = theirs(many_baskets, "Events", expressions=["x", "num(v)"], cut="max(v) > 0.5")
    assert same(found, expected)
    assert ak.any(ak.is_none(found["x"]))
    strict = evaluate_raw(text, [str(many_baskets)], semantics="strict")
    assert strict.to_list() == [row for row in expected.to_list() if row["x"] is not None]
    assert str(strict.type) == f'{len(strict)} * {{x: float32, "num(v)": int64}}'


def test_literals_out_of_range_and_missing_objects_in_strict_semantics(many_baskets: Path) -> None:
    expressions = ["i < 2147483648", "-2147483649 == i", "v[:, 1]"]
    text = json.dumps([{"treename": "Events", "expressions": expressions}])
    found = evaluate_raw(text, [str(many_baskets)], semantics="strict")
    assert ak.all(found[expressions[0]])
    assert not ak.any(found[expressions[1]])
    padded = theirs(many_baskets, "Events", expressions=["pad_none(v, 2)[:, 1]"])
    assert found["v[:, 1]"].to_list() == padded["pad_none(v, 2)[:, 1]"].to_list()


def test_lists_that_are_equally_long_by_accident(shared_data: Path, tmp_path: Path) -> None:
    selection = [{"treename": "Events", "expressions": ["Jet_pt[:, :1] * Muon_pt[:, :1]"], "cut": "(nJet>0)&(nMuon>0)"}]
    result = run(shared_data / CMS, tmp_path / "out", selection)
    (warning,) = result.warnings
    assert "Jet_pt, Muon_pt" in warning
    assert "by accident" in warning
    with pytest.raises(LengthMismatch):
        run(shared_data / CMS, tmp_path / "out", [{"treename": "Events", "expressions": ["Jet_pt * Muon_pt"]}])


def test_shorter_masks_are_taken_but_not_in_strict_semantics(shared_data: Path) -> None:
    text = json.dumps([{"treename": "Events", "expressions": ["Jet_pt[Muon_pt > 3]"]}])
    found = evaluate(text, shared_data / CMS, codegen="uproot-raw")
    assert same(found, theirs(shared_data / CMS, "Events", expressions=["Jet_pt[Muon_pt > 3]"]))
    with pytest.raises(LengthMismatch):
        evaluate_raw(text, [str(shared_data / CMS)], semantics="strict")


def test_an_empty_list_has_no_first_object(shared_data: Path, tmp_path: Path) -> None:
    with pytest.raises(EmptyList):
        run(shared_data / CMS, tmp_path / "out", [{"treename": "Events", "expressions": ["Jet_pt[:, 0]"]}])
    assert list(tmp_path.iterdir()) == []


def test_several_files_in_memory(shared_data: Path) -> None:
    files = [shared_data / "root/nano_dy.root", shared_data / CMS, shared_data / "root/nano_dimuon.root"]
    text = json.dumps([{"treename": "Events", "expressions": ["nJet", "Jet_pt"], "cut": "nJet > 2"}])
    found = evaluate(text, files, codegen="uproot-raw")
    parts = [theirs(file, "Events", expressions=["nJet", "Jet_pt"], cut="nJet > 2") for file in files]
    assert same(found, ak.concatenate(parts))
    with pytest.raises(UnknownTree):
        evaluate(json.dumps([{"treename": "Nope"}]), files, codegen="uproot-raw")


def test_the_spelling_of_the_json_does_not_change_the_output(many_baskets: Path, tmp_path: Path) -> None:
    spellings = [
        '[{"treename":"Events","filter_name":"x","cut":"x > 0"}]',
        '[\n  {"cut": "x > 0", "filter_name": ["x"], "treename": ["Events"], "aliases": null, "expressions": null}\n]',
    ]
    outputs = [tmp_path / str(number) for number in range(2)]
    for spelling, output in zip(spellings, outputs, strict=True):
        run(many_baskets, output, spelling)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_the_plan_tells_what_will_be_read(shared_data: Path, tmp_path: Path) -> None:
    selection = [
        {"treename": "Events", "expressions": ["Jet_pt * 2", "MET_pt"], "cut": "(nJet > 2) & any(Jet_pt > 40)"}
    ]
    request = TransformRequest(json.dumps(selection), str(shared_data / CMS), tmp_path / "out", codegen="uproot-raw")
    explained = explain_raw(request)
    columns = [[column.name for column in phase.columns] for phase in explained.phases]
    assert [phase.title for phase in explained.phases] == ["cut", "output"]
    assert columns == [["Jet_pt", "nJet"], ["MET_pt"]]
    assert explained.schema == (("Jet_pt * 2", "var * float32"), ("MET_pt", "float32"))
    assert transform(request).columns == tuple(sorted({name for phase in columns for name in phase}))
    assert explained.entries == 200


def test_an_alias_with_a_branchs_name_is_told(shared_data: Path, tmp_path: Path) -> None:
    selection = [{"treename": "Events", "expressions": ["nJet"], "aliases": {"nJet": "run", "other": "run"}}]
    result = run(shared_data / CMS, tmp_path / "out", selection)
    assert result.warnings == ("the alias 'nJet' is not used: a branch has this name",)


def test_a_selection_is_checked_without_the_engines_libraries() -> None:
    code = (
        "import sys; from delivery.engine.raw.request import parse_selection; "
        'parse_selection(\'[{"treename": "Events", "cut": "nJet > 2"}]\'); '
        "assert not {'numpy', 'awkward', 'uproot', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])

"""Real CMS events through every endpoint: the same histograms as of a plain coffea run over the same files."""

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import skimflow
from skimflow.errors import DeliveryFailed

# coffea gives photons mass and charge 0 and says so of files that have the branches; nobody reads them here.
pytestmark = pytest.mark.filterwarnings("ignore:Branch Photon_.* already exists:RuntimeWarning")

FILES = {"ttbar": "nanoAOD_2015_CMS_Open_Data_ttbar.root", "wjets": "nano_dy.root"}
EVENTS = {"ttbar": 200, "wjets": 40}

# The AGC selects none of these few events: this query and processor take many.
QUERY = """from queries.dataset import dataset
from queries.objects import zipped
from queries.ttbar import EVENT_COLUMNS, OBJECT_COLUMNS


def some():
    columns = [f"'{name}': e.{name}" for name in EVENT_COLUMNS]
    columns += [f"'{name}': {zipped(name, fields, 'e')}" for name, fields in OBJECT_COLUMNS.items()]
    return (
        dataset("Events")
        .Where("lambda e: e.Jet_pt.Where(lambda pt: pt > 40).Count() >= 1")
        .Select(f"lambda e: {{{', '.join(columns)}}}")
    )
"""
PROCESSOR = """import awkward as ak
import hist
from coffea.processor import ProcessorABC

from processing.chunks import ChunkResult


class Some(ProcessorABC):
    def process(self, events):
        filled = hist.Hist(
            hist.axis.StrCategory([], growth=True, name="variation"),
            hist.axis.Regular(20, 0, 400, name="observable"),
            storage=hist.storage.Weight(),
        )
        chosen = events[ak.any(events.Jet.pt > 40, axis=1)]
        filled.fill(variation="nominal", observable=ak.sum(chosen.Jet.pt, axis=1))
        filled.fill(variation="mass", observable=ak.sum((chosen.Jet + chosen.Jet).mass, axis=1))
        return ChunkResult(len(events), {"jets": {"chosen": len(chosen)}}, {"jets": filled})

    def postprocess(self, accumulator):
        return accumulator
"""


@pytest.fixture
def folder(tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline of the two real files, away from any configuration of the machine's user."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some_query.py").write_text(QUERY)
    (tmp_path / "some_processor.py").write_text(PROCESSOR)
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, {process: shared_data / "root" / name for process, name in FILES.items()})
    return tmp_path


def write(folder: Path, files: dict[str, Path], **sections: Any) -> Path:
    document = {
        process: {"nominal": {"nevts_total": 1000, "files": [{"path": str(path), "nevts": 1000}]}}
        for process, path in files.items()
    }
    (folder / "fileset.json").write_text(json.dumps(document))
    pipeline = {"name": "real", "samples": {"fileset": "fileset.json"}, "cluster": {"kind": "iterative"}, **sections}
    path = folder / "real.yml"
    path.write_text(yaml.safe_dump(pipeline))
    return path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The small ServiceX of the delivery tests."""
    spec = importlib.util.spec_from_file_location(
        "delivery_servers", Path(__file__).parents[1] / "delivery" / "conftest.py"
    )
    assert spec is not None
    assert spec.loader is not None
    servers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(servers)
    server = servers.ServiceXServer(tmp_path_factory.mktemp("objects"), servers.run_engine)
    yield server
    server.close()


def kept(folder: Path, stage: str) -> list[dict[str, Any]]:
    entries = [json.loads(path.read_text()) for path in (folder / ".skimflow" / "store").glob("entries/*/*.json")]
    return [one for one in entries if one["stage"] == stage]


def output(folder: Path, entry: dict[str, Any], name: str) -> Any:
    digest = entry["blobs"][name]["digest"]
    return json.loads((folder / ".skimflow" / "store" / "blobs" / digest[:2] / digest).read_text())


def run(folder: Path, endpoint: str, service: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Histograms and facts of the pipeline, delivered by `endpoint`."""
    document = yaml.safe_load((folder / "real.yml").read_text())
    document["delivery"] = {"endpoint": endpoint, **({"backend": service.url} if endpoint == "servicex" else {})}
    (folder / "real.yml").write_text(yaml.safe_dump(document))
    before = {one["key"] for one in kept(folder, "process")}
    skimflow.run(folder / "real.yml", skimflow.Options(until="process"))
    (entry,) = [one for one in kept(folder, "process") if one["key"] not in before]
    return output(folder, entry, "histograms.json"), output(folder, entry, "processing.json")


def direct(shared_data: Path, process: str, processor: Any) -> Any:
    """What coffea makes of the whole file at once."""
    from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

    class Schema(NanoAODSchema):
        warn_missing_crossrefs = False

    events = NanoEventsFactory.from_root(
        {str(shared_data / "root" / FILES[process]): "Events"},
        schemaclass=Schema,
        metadata={"process": process, "variation": "nominal", "dataset": f"{process}__nominal"},
    ).events()
    assert len(events) == EVENTS[process]
    return processor().process(events)


@pytest.mark.parametrize("endpoint", ["local", "raw", "servicex"])
def test_each_endpoint_gives_what_coffea_gives(folder, shared_data, service, endpoint):
    import some_processor

    from processing.filesets import CROSS_SECTIONS_PB, LUMINOSITY_PB

    write(
        folder, {process: shared_data / "root" / name for process, name in FILES.items()},
        query="some_query.py:some", processing={"processor": "some_processor:Some", "chunk_events": 70},
    )  # fmt: skip
    histograms, facts = run(folder, endpoint, service)
    for process in FILES:
        truth = direct(shared_data, process, some_processor.Some)
        assert facts["cutflow"][f"{process}__nominal"] == truth.cutflow
        weight = CROSS_SECTIONS_PB[process] * LUMINOSITY_PB / 1000
        for variation, name in (("nominal", f"jets_{process}"), ("mass", f"jets_{process}_mass")):
            expected = truth.histograms["jets"][variation, :]
            storage = histograms[name]["storage"]
            assert np.sum(expected.values(flow=True)) > 5
            np.testing.assert_allclose(storage["values"], expected.values(flow=True) * weight, rtol=1e-12)
            np.testing.assert_allclose(storage["variances"], expected.variances(flow=True) * weight**2, rtol=1e-12)


@pytest.mark.parametrize("endpoint", ["local", "raw", "servicex"])
def test_the_analysis_of_the_agc_runs_on_real_files(folder, shared_data, service, endpoint):
    from processing.ttbar import TtbarProcessor

    histograms, facts = run(folder, endpoint, service)
    for process in FILES:
        truth = direct(shared_data, process, TtbarProcessor)
        for region, histogram in truth.histograms.items():
            last = list(truth.cutflow[region])[-1]
            assert facts["cutflow"][f"{process}__nominal"][region][last] == truth.cutflow[region][last]
            for variation in histogram.axes["variation"]:
                name = f"{region}_{process}" + ("" if variation == "nominal" else f"_{variation}")
                found = np.asarray(histograms[name]["storage"]["values"])
                assert np.array_equal(found > 0, histogram[variation, :].values(flow=True) > 0)


def test_a_file_that_lacks_columns_fails_and_the_message_names_them_and_what_is_near(folder, shared_data):
    pipeline = write(folder, {"ttbar": shared_data / "root" / "nano_tt_v15.root"})
    with pytest.raises(DeliveryFailed) as caught:
        skimflow.run(pipeline)
    (failure,) = caught.value.failures
    for name in ("Jet_btagCSVV2", "Jet_qgl", "Jet_jetId"):
        assert name in failure.reason
    assert "Jet_btag" in failure.reason.replace("Jet_btagCSVV2", "")  # a discriminant that this file has
    assert os.fspath(shared_data) in str(caught.value)

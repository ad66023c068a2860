"""The official client 3.3.1, unmodified, against a running service: what it delivers is what uproot reads.

Every combination of codegen, format and delivery with every kind of dataset goes in one go, since the client looks for
news only every five seconds.
"""

import asyncio
import gc
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote
from zlib import adler32

import awkward as ak
import httpx
import numpy as np
import pytest
import uproot
import yaml
from servicex import ProgressBarFormat, dataset, query
from servicex.servicex_client import deliver_async

pytestmark = pytest.mark.filterwarnings(  # the client leaves its cache open
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

INPUTS = ("nano_dy.root", "nano_dimuon.root")
COLUMNS = ["MET_pt", "Jet_pt"]
FORMATS = ("parquet", "root-ttree", "root-rntuple")
DELIVERIES = ("LocalCache", "URLs")


def module(name: str, path: Path) -> ModuleType:
    """A module of another folder of the tests."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


TESTS = Path(__file__).parents[1]
serving = module("serving", TESTS / "service" / "serving.py")
remote_servers = module("remote_servers", TESTS / "delivery" / "remote_servers.py")
catalogues = module("catalogues", TESTS / "service" / "catalogues.py")


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Iterator[Path]:
    """The inputs, in a folder that an XRootD server without rights can read."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    (made / "served").mkdir()
    for name in INPUTS:
        shutil.copyfile(shared_data / "root" / name, made / "served" / name)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def xrootd(folder: Path) -> Iterator[Any]:
    (folder / "server").mkdir()
    server = remote_servers.XrootdServer(folder / "served", folder / "server")
    yield server
    server.close()


@pytest.fixture(scope="module")
def records(folder: Path, xrootd: Any) -> Iterator[Any]:
    """A portal as CERN Open Data's, whose record 1507 has its files on the XRootD server."""
    files = [
        {
            "uri": f"{xrootd.url}/{name}",
            "key": name,
            "size": len(content),
            "checksum": f"adler32:{adler32(content):08x}",
        }
        for name in INPUTS
        for content in [(folder / "served" / name).read_bytes()]
    ]
    with catalogues.catalogue(catalogues.portal({"/api/records/1507": {"metadata": {"files": files}}})) as started:
        yield started


@pytest.fixture(scope="module")
def service(folder: Path, records: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    inputs = {"roots": [str(folder / "served")], "schemes": ["root"], "hosts": ["127.0.0.1"]}
    codegens = ["uproot", "uproot-raw", "python"]
    settings = {"inputs": inputs, "codegens": codegens, "open_data_url": records.url}
    with serving.running_service(tmp_path_factory.mktemp("service"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def config(service: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration file, as the service gives it, with a cache that ends with the tests."""
    path: Path = tmp_path_factory.mktemp("config") / "servicex.yaml"
    content = yaml.safe_load(httpx.get(f"{service.url}/servicex.yaml").text)
    path.write_text(yaml.safe_dump({**content, "cache_path": str(path.parent / "cache")}))
    return path


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What the client left open is closed here, where that is known."""
    yield
    gc.collect()


def queries() -> dict[str, Any]:
    """The same columns of the same events, asked for in each language."""
    func_adl = query.FuncADL_Uproot().FromTree("Events")
    func_adl = func_adl.Where(lambda e: e.MET_pt > 20).Select(lambda e: {"MET_pt": e.MET_pt, "Jet_pt": e.Jet_pt})
    raw = query.UprootRaw([{"treename": "Events", "filter_name": COLUMNS, "cut": "MET_pt > 20"}])
    source = f"""
    def run_query(input_filenames):
        import uproot
        with uproot.open({{input_filenames: "Events"}}) as tree:
            events = tree.arrays({COLUMNS})
        return events[events.MET_pt > 20]
    """
    return {"uproot": func_adl, "uproot-raw": raw, "python": query.PythonFunction(source)}


@cache
def expected(folder: Path, name: str) -> ak.Array:
    """What uproot reads, once: opening a file of so many branches takes it long."""
    events = uproot.open(f"{folder / 'served' / name}:Events").arrays(COLUMNS)
    return events[events.MET_pt > 20]


def read(path: Path, output_format: str) -> ak.Array:
    if output_format == "parquet":
        return ak.from_parquet(path)
    with uproot.open(path) as file:
        (tree,) = {key.split(";")[0] for key in file.keys(recursive=False) if hasattr(file[key], "num_entries")}
        return file[tree].arrays(COLUMNS)


def check(folder: Path, delivered: Any, output_format: str, names: tuple[str, ...], scratch: Path) -> None:
    """Each input has one delivered file, which holds what uproot reads in the input."""
    assert delivered.valid(), delivered
    assert len(delivered) == len(names)
    for name in names:
        (place,) = [one for one in delivered if name in unquote(str(one))]
        path = Path(place)
        if str(place).startswith("http"):
            path = scratch / "downloaded"
            path.write_bytes(httpx.get(place).raise_for_status().content)
        found, right = read(path, output_format), expected(folder, name)
        assert len(found) == len(right) > 0
        np.testing.assert_array_equal(ak.to_numpy(found.MET_pt), ak.to_numpy(right.MET_pt))
        assert ak.to_list(found.Jet_pt) == ak.to_list(right.Jet_pt)


def samples(folder: Path, url: str) -> list[dict[str, Any]]:
    """A sample of each codegen on each kind of dataset."""
    kinds = {
        "list": {"Dataset": dataset.FileList([str(folder / "served" / name) for name in INPUTS])},
        "list of URLs": {"Dataset": dataset.FileList([f"{url}/{name}" for name in INPUTS])},
        "glob": {"Dataset": dataset.XRootD(f"{url}/nano_*.root")},
        "record": {"Dataset": dataset.CERNOpenData(1507)},
        "first": {"Dataset": dataset.XRootD(f"{url}/nano_*.root"), "NFiles": 1},
    }
    return [
        {"Name": f"{codegen} {kind}", "Query": asked, **given}
        for codegen, asked in queries().items()
        for kind, given in kinds.items()
        if kind != "first" or codegen == "uproot"  # how many files is asked before the codegen matters
    ]


@pytest.mark.parametrize("output", FORMATS)
def test_every_combination_delivers_the_columns(
    output: str, config: Path, folder: Path, xrootd: Any, tmp_path: Path
) -> None:
    async def deliver_all() -> list[dict[str, Any]]:
        return await asyncio.gather(
            *(
                deliver_async(
                    {"General": {"OutputFormat": output, "Delivery": delivery}, "Sample": samples(folder, xrootd.url)},
                    config_path=str(config),
                    progress_bar=ProgressBarFormat.none,
                    cache_dir=str(tmp_path / delivery),
                )
                for delivery in DELIVERIES
            )
        )

    for delivered in asyncio.run(deliver_all()):
        assert len(delivered) == 13
        for sample, files in delivered.items():
            names = ("nano_dimuon.root",) if sample.endswith("first") else INPUTS
            check(folder, files, output, names, tmp_path)


def test_a_partial_failure_is_not_delivered_as_a_whole(
    config: Path, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [str(folder / "served" / name) for name in (INPUTS[0], "missing.root")]
    asked = {"Name": "half", "Query": queries()["uproot"], "Dataset": dataset.FileList(files)}
    wrong = {"Name": "wrong", "Query": "(Slect x)", "Codegen": "uproot", "Dataset": dataset.FileList(files[:1])}

    async def both() -> list[dict[str, Any]]:
        options: dict[str, Any] = {"config_path": str(config), "progress_bar": ProgressBarFormat.none}
        return await asyncio.gather(
            deliver_async({"Sample": [asked]}, cache_dir=str(tmp_path / "a"), **options),
            deliver_async({"Sample": [wrong]}, cache_dir=str(tmp_path / "b"), **options),
        )

    half, malformed = asyncio.run(both())
    assert not half["half"].valid()
    assert not malformed["wrong"].valid()
    assert "nearest: Select" in repr(malformed["wrong"])


def test_a_yaml_file_and_several_endpoints(service: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "servicex.yaml").write_text(
        "api_endpoints:\n"
        "  - {name: nobody, endpoint: 'http://127.0.0.1:1'}\n"
        f"  - {{name: here, endpoint: '{service.url}/'}}\n"
        "default_endpoint: nobody\n"
    )
    (tmp_path / "spec.yaml").write_text(
        "General:\n"
        "  OutputFormat: parquet\n"
        f"  OutputDirectory: {tmp_path / 'out'}\n"
        "  OutFilesetName: fileset\n"
        "Sample:\n"
        "  - Name: adl\n"
        f"    Dataset: !FileList [{folder / 'served' / INPUTS[0]}]\n"
        "    Query: !FuncADL_Uproot |\n"
        "      FromTree('Events').Where(lambda e: e.MET_pt > 20)"
        ".Select(lambda e: {'MET_pt': e.MET_pt, 'Jet_pt': e.Jet_pt})\n"
    )
    delivered = asyncio.run(
        deliver_async(
            tmp_path / "spec.yaml",
            config_path=str(tmp_path / "servicex.yaml"),
            servicex_name="here",
            progress_bar=ProgressBarFormat.none,
            cache_dir=str(tmp_path / "cache"),
        )
    )
    check(folder, delivered["adl"], "parquet", INPUTS[:1], tmp_path)
    assert os.fspath(delivered["adl"][0]) in (tmp_path / "out" / "fileset.yaml").read_text()

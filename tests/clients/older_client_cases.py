"""Runs in the environment servicex-2.8: what its users write, all at once, since it looks for news every five seconds.

``python older_client_cases.py URL FILE...`` in a folder with a servicex.yaml; the outcome of every case goes to
standard output as JSON: what was delivered, or the error.
"""

import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import awkward as ak
import pyarrow.parquet as pq
import uproot
from func_adl_servicex import ServiceXSourceUpROOT
from servicex import ServiceXDataset
from servicex.cache import Cache

XROOTD, *FILES = sys.argv[1:]  # a server that has the files too, by their names
SECONDS = 150
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def dataset(files=None, backend="uproot", **options):
    return ServiceXDataset(files or FILES, backend_name=backend, status_callback_factory=None, **options)


def events(files=None, backend="uproot", tree="Events", **options):
    return ServiceXSourceUpROOT(dataset(files, backend, **options), tree)


def selected(source):
    query = source.Where(lambda e: e.MET_pt > 20)
    return query.Select(lambda e: {"MET_pt": e.MET_pt, "Jet_pt": e.Jet_pt})


def qastle():
    source = events()
    source.return_qastle = True
    return asyncio.run(selected(source).value_async())


QASTLE = qastle()


def columns(array):
    return {name: ak.to_list(array[name]) for name in ak.fields(array)}


def parquet(path):
    return columns(ak.from_arrow(pq.read_table(path)))


def root(path):
    with uproot.open(path) as file:
        key = file.keys()[0]
        return {"tree": key.split(";")[0], **columns(file[key].arrays())}


def computed(array):
    """Columns of ROOT files come as a collection of Dask."""
    return columns(array.compute() if hasattr(array, "compute") else array)


@case
async def value():
    return [parquet(path) for path in await selected(events()).value_async(title="older value")]


@case
async def value_in_the_cache():
    """Asked for twice: the second time from the files that are there."""
    first = await selected(events()).Where(lambda e: e.MET_pt > 21).value_async(title="older twice")
    Cache.reset_cache()  # the one in memory
    second = await selected(events()).Where(lambda e: e.MET_pt > 21).value_async(title="older twice")
    return [str(path) for path in first], [str(path) for path in second]


@case
async def awkward():
    return columns(await selected(events()).AsAwkwardArray().value_async())


@case
async def awkward_of_one_column():
    query = events().Select(lambda e: e.MET_pt)
    return ak.to_list(await query.AsAwkwardArray("met").value_async())


@case
async def pandas():
    query = events().Select(lambda e: {"met": e.MET_pt})
    return (await query.AsPandasDF(["met"]).value_async()).to_dict("list")


@case
async def parquet_files_of_named_columns():
    query = events().Select(lambda e: (e.MET_pt, e.Jet_pt))
    paths = await query.AsParquetFiles("unused.parquet", ["met", "jets"]).value_async()
    return [parquet(path) for path in paths]


@case
async def root_tree_of_named_columns():
    query = events(backend="trees").Select(lambda e: (e.MET_pt, e.Jet_pt))
    paths = await query.AsROOTTTree("unused.root", "mine", ["met", "jets"]).value_async()
    return [root(path) for path in paths]


@case
async def root_awkward():
    return computed(await selected(events(backend="trees")).AsAwkwardArray().value_async())


@case
async def get_data_rootfiles():
    return [root(path) for path in await dataset().get_data_rootfiles_async(QASTLE)]


@case
async def get_data_pandas_df():
    return (await dataset().get_data_pandas_df_async(QASTLE))["MET_pt"].to_list()


@case
async def get_data_parquet_stream():
    return {info.file: parquet(info.path) async for info in dataset().get_data_parquet_stream(QASTLE)}


@case
async def get_data_parquet_uri():
    infos = [info async for info in dataset().get_data_parquet_uri_stream(QASTLE)]
    assert all(info.url == f"s3://{info.bucket}/{info.file}" for info in infos)
    return sorted(info.file for info in infos)


@case
async def get_data_rootfiles_signed_urls():
    found = {}
    async for info in dataset().get_data_rootfiles_uri_stream(QASTLE, as_signed_url=True):
        assert urlsplit(info.url).query
        with urlopen(info.url) as answer:
            Path("signed.root").write_bytes(answer.read())
        found[info.file] = root("signed.root")
    return found


@case
async def a_pattern_of_files():
    pattern = "glob://" + FILES[0].replace("dimuon", "d*")
    return [parquet(path) for path in await selected(events(pattern)).value_async()]


@case
async def a_pattern_of_xrootd_files():
    return [parquet(path) for path in await selected(events(f"xrootd://{XROOTD}/nano_d*.root")).value_async()]


@case
async def a_list_of_xrootd_files():
    urls = [f"{XROOTD}/{Path(file).name}" for file in FILES]
    return [root(path) for path in await selected(events(urls, backend="trees")).value_async()]


@case
async def a_codegen_by_default():
    """An endpoint without a type: the client asks for codegen "default"."""
    return [parquet(path) for path in await selected(events(backend="untyped")).value_async()]


@case
async def a_wrong_query():
    return await dataset().get_data_parquet_async("(Slect x)")


@case
async def a_missing_branch():
    return await events(FILES[:1]).Select(lambda e: {"x": e.MET_p}).value_async()


@case
async def a_missing_file():
    return await selected(events([*FILES, FILES[0] + ".none"])).value_async()


@case
async def a_bad_dataset():
    return await selected(events("glob:///nowhere/*.root")).value_async()


@case
async def another_codegen():
    return await dataset(FILES[:1], codegen="atlasr21").get_data_parquet_async(QASTLE)


@case
async def a_canceled_request():
    """Its dataset is being looked up when it is canceled by somebody else."""
    silent = await asyncio.start_server(lambda *_: asyncio.sleep(SECONDS), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    try:
        return await selected(events(f"xrootd://root://127.0.0.1:{port}//x/*.root")).value_async(title="older canceled")
    finally:
        silent.close()


async def outcome(function):
    try:
        return {"delivered": await asyncio.wait_for(function(), SECONDS)}
    except Exception as error:  # noqa: BLE001 - an error is an outcome too
        return {"error": type(error).__name__, "message": str(error)}


async def main():
    outcomes = await asyncio.gather(*(outcome(function) for function in CASES.values()))
    json.dump(dict(zip(CASES, outcomes, strict=True)), sys.stdout, default=str)


asyncio.run(main())

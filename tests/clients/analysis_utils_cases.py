"""Runs in the environment analysis-utils: the structure of files, and deliveries as arrays.

``python analysis_utils_cases.py FILE FILE`` in a folder with a servicex.yaml; the outcomes go to standard output
as JSON.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import awkward as ak
import uproot
from servicex import dataset, deliver, query
from servicex_analysis_utils import ds_type_resolver, get_structure, to_awk

FILES = sys.argv[1:]
COLUMNS = ("MET_pt", "Jet_pt")


def columns(array):
    return {name: ak.to_list(array[name]) for name in COLUMNS}


def get(output_format, delivery="LocalCache", files=FILES):
    """A sample of both files, and one of the first alone."""
    selected = query.FuncADL_Uproot().FromTree("Events").Where(lambda e: e.MET_pt > 20)
    asked = selected.Select(lambda e: {"MET_pt": e.MET_pt, "Jet_pt": e.Jet_pt})
    samples = [
        {"Name": "both", "Dataset": dataset.FileList(files), "Query": asked},
        {"Name": "one", "Dataset": ds_type_resolver(files[:1]), "Query": asked},
    ]
    spec = {"General": {"OutputFormat": output_format, "Delivery": delivery}, "Sample": samples}
    return deliver(spec, cache_dir=str(Path("cache") / f"{output_format}-{delivery}"))


def arrays(output_format):
    return {sample: columns(array) for sample, array in to_awk(get(output_format)).items()}


def urls():
    """uproot reads them; to_awk writes the tree's name behind a URL's query, where uproot does not look for it."""
    delivered = get("root-ttree", "URLs")
    return {
        sample: columns(ak.concatenate([uproot.open({url: "servicex"}).arrays() for url in found]))
        for sample, found in delivered.items()
    }


def parquet():
    """to_awk takes a file for Parquet only if ".root" is nowhere in its name, which has the input's name in it.

    And it hands the paths on to awkward, which knows plain lists alone.
    """
    delivered = get("parquet", "LocalCache", [file.replace(".root", ".ntuple") for file in FILES])
    found = to_awk({sample: list(paths) for sample, paths in delivered.items()})
    return {sample: columns(array) for sample, array in found.items()}


def iterators():
    """Pieces of a given number of events."""
    found = to_awk(get("root-ttree"), tree_name="servicex", return_iterator=True, step_size=7)
    return {
        sample: [{name: ak.to_list(piece[name]) for name in COLUMNS} for piece in pieces]
        for sample, pieces in found.items()
    }


def structure():
    return get_structure({"all": dataset.FileList(FILES[:1])})


def structure_as_types():
    found = get_structure({"typed": dataset.FileList(FILES[1:])}, array_out=True)
    return {sample: str(array) for sample, array in found.items()}


def identifiers():
    names = ("user.x:y", "mc23_13p6TeV.1.x", "1507", "root://x.org//y/*")
    return {name: ds_type_resolver(name).did for name in names}


def command(*arguments):
    """The command takes names of Rucio."""
    run = subprocess.run(
        [Path(sys.executable).with_name("servicex-get-structure"), *arguments],
        check=False, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    return {"status": run.returncode, "output": run.stdout, "words": run.stdout + run.stderr}


def main():
    cases = {
        "parquet": parquet,
        "root-ttree": lambda: arrays("root-ttree"),
        "root-rntuple": lambda: arrays("root-rntuple"),
        "URLs": urls,
        "structure": structure,
        "structure_as_types": structure_as_types,
        "command": lambda: command("data:structure", "--filter-branch", "Jet_"),
        "command_for_nothing": lambda: command("data:nowhere"),
    }
    with ThreadPoolExecutor(len(cases)) as pool:
        futures = {name: pool.submit(function) for name, function in cases.items()}
        outcomes = {name: future.result() for name, future in futures.items()}
    json.dump({**outcomes, "iterators": iterators(), "identifiers": identifiers()}, sys.stdout)


main()

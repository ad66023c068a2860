"""What users build on, and what must stay out of the way."""

import subprocess
import sys

import skimflow


def test_the_python_interface_is_these_names():
    assert dir(skimflow) == ["Options", "Plan", "RunResult", "__version__", "check", "plan", "run"]
    assert all(callable(getattr(skimflow, name)) for name in skimflow.__all__)
    assert all(callable(getattr(skimflow, name)) for name in skimflow.__all__)  # a second look finds the same


SCRIPTS = ("delivery.service.migrations.env",)
"""Run by a library (alembic) that makes the surroundings that they need."""


def test_rooms_import_downwards_only():
    """Each room alone, with the rooms beside and above it taken away, still imports."""
    rooms = ("skimflow", "delivery", "processing", "inference", "queries", "artifacts")
    below = {"queries": (), "artifacts": (), **dict.fromkeys(rooms[1:4], ("queries", "artifacts"))}
    for room, allowed in below.items():
        code = (
            "import sys, pkgutil, importlib\n"
            f"for other in {sorted(set(rooms) - {room, *allowed})}:\n    sys.modules[other] = None\n"
            f"import {room}\n"
            f"for one in pkgutil.walk_packages({room}.__path__, '{room}.'):\n"
            f"    one.name in {SCRIPTS} or importlib.import_module(one.name)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{room}: {done.stderr}"


def test_working_out_keys_imports_nothing_slow():
    code = (
        "import sys, skimflow\n"
        "skimflow.run, skimflow.plan, skimflow.check\n"
        "print([n for n in ('coffea', 'pyhf', 'cabinetry', 'servicex', 'matplotlib', 'uproot', 'awkward', 'dask',"
        " 'numpy', 'scipy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

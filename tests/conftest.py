"""Fixtures that more than one room's tests use."""

import os
from importlib.metadata import version
from pathlib import Path

import pytest

# Small models are compiled by the hundred here and called a few times each: XLA need not make them fast.
FLAGS = ["--xla_backend_optimization_level=0"]
if version("jaxlib").startswith("0.10."):  # an unknown flag would end every process
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(FLAGS))

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real inputs beside the project; absent on a user's machine, required in CI."""
    if not SHARED_DATA.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"CI needs the real inputs in {SHARED_DATA}")
        pytest.skip(f"no real inputs in {SHARED_DATA}")
    return SHARED_DATA

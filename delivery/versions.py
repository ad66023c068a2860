"""Which software decides the bytes of a delivered file; from installed metadata, importing nothing of it."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

BYTES_DECIDED_BY = ("numpy", "awkward", "uproot", "pyarrow", "vector")
"""Libraries whose version may change what a delivered file holds."""

ENGINE = "skimflow"
"""The distribution that the engine is part of."""

ABSENT = "none"


def engine_versions() -> dict[str, str]:
    """Versions of the engine and of `BYTES_DECIDED_BY` in this process; ``none`` for what is not installed."""
    return {name: _version(name) for name in (ENGINE, *BYTES_DECIDED_BY)}


@cache
def _version(name: str) -> str:
    """Looked up once per process: what is installed over a running process is not what runs in it."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ABSENT

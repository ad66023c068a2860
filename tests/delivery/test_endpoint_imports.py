"""Working out keys must stay cheap: asking an endpoint who it is, or a file what it holds, loads nothing slow."""

import subprocess
import sys
from pathlib import Path

SLOW = ("awkward", "coffea", "dask", "distributed", "httpx", "pyarrow", "servicex", "tenacity", "uproot")


def test_identities_need_none_of_the_slow_libraries(tmp_path: Path) -> None:
    (tmp_path / ".servicex").write_text("api_endpoints: [{endpoint: 'http://localhost:1', name: here}]")
    (tmp_path / "a.root").write_bytes(b"abc")
    program = (
        "import sys\n"
        "from delivery.endpoint import open_endpoint\n"
        "from delivery.identity import identify\n"
        "identify('a.root')\n"
        "print([open_endpoint(kind).identity()['endpoint'] for kind in ('local', 'raw', 'servicex', 'here')])\n"
        f"print([name for name in {SLOW} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['engine', 'raw', 'servicex', 'servicex']", "[]"]

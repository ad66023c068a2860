"""What other programs said of what we write, kept with a digest of what they were shown.

``python tests/inference/record_peers.py`` asks them again.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "peers"
HOW = "ask again: python tests/inference/record_peers.py"


def answer(peer: str, name: str, shown: Any) -> Any:
    """The answer of a peer; fails where it was shown something else."""
    kept = json.loads((FOLDER / f"{peer}.json").read_text())
    assert name in kept, f"{peer} was never asked about {name!r}; {HOW}"
    assert kept[name]["shown"] == digest(shown), f"{peer} was shown another {name!r}; {HOW}"
    return kept[name]["answer"]


def keep(peer: str, answers: dict[str, tuple[Any, Any]]) -> Path:
    """Write a peer's answers: by name what it was shown and what it said."""
    path = FOLDER / f"{peer}.json"
    kept = {name: {"shown": digest(shown), "answer": said} for name, (shown, said) in answers.items()}
    path.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return path


def digest(shown: Any) -> str:
    """Of JSON; numbers to six digits, since the last ones may depend on the machine."""
    return hashlib.sha256(json.dumps(_rounded(shown), sort_keys=True).encode()).hexdigest()


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.5e}") + 0.0 if isinstance(value, float) else value

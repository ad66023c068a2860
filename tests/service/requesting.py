"""What tests ask of a service over HTTP: submit a request, wait for its end."""

import time
import uuid
from typing import Any

import httpx
import pytest

ENDED = ("Complete", "Fatal", "Canceled", "Bad Dataset")
MET = "(Select (call EventDataset 'f.root' 'Events') (lambda (list e) (dict (list 'met') (list (attr e 'MET_pt')))))"


def submitted(http: httpx.Client, body: dict[str, Any]) -> str:
    """The id of a request that must be taken."""
    answer = http.post("/servicex/transformation", json=body)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["request_id"]
    return str(uuid.UUID(answer.json()["request_id"]))


def ended(http: httpx.Client, request_id: str, seconds: float = 60.0) -> dict[str, Any]:
    """Its status when it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status: dict[str, Any] = http.get(f"/servicex/transformation/{request_id}").json()
        if status["status"] in ENDED:
            return status
        time.sleep(0.05)
    pytest.fail(f"request {request_id} did not end: {status}")

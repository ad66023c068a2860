"""A store that takes connections and answers nothing holds up what needs it, and nothing else."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

sys.path.insert(0, str(Path(__file__).parent))
from runner_service import Bench, small_file
from topology import free_ports, listens

from delivery.service import state


@pytest.fixture
def relay(monkeypatch):
    """The process between everybody and an S3 server; stopped, it still takes connections."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, far = server.get_host_and_port()
    (port,) = free_ports(1)
    process = subprocess.Popen([sys.executable, Path(__file__).with_name("relay.py"), str(port), str(far)])
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "service",
        "AWS_SECRET_ACCESS_KEY": "service-secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3", region_name="us-east-1", endpoint_url=f"http://{host}:{far}")
    s3.create_bucket(Bucket="results")
    while not listens(port):
        assert process.poll() is None
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()
    server.stop()


def test_a_silent_store_costs_neither_the_lease_nor_the_requests_that_need_no_store(tmp_path, relay):
    bench = Bench(tmp_path / "service", store="s3://results/here")
    try:
        known = small_file(tmp_path / "known.root")
        time.sleep(2.1)  # what was written just now is not remembered: it may be written again within a tick
        bench.end_of(bench.submit([known]))
        relay.send_signal(signal.SIGSTOP)
        waiting, canceled = bench.submit([known]), bench.submit([known])
        refused = bench.submit([tmp_path.parent.parent / "elsewhere.root"])
        assert bench.end_of(refused).status == "Fatal"
        bench.change(canceled, state.cancel)
        bench.until(lambda: bench.runner.health()["requests"] == 1)
        assert bench.runner.health()["leads"]
        assert bench.transform(waiting).status == "Running"
        relay.send_signal(signal.SIGCONT)
        assert bench.end_of(waiting).status == "Complete"
        assert bench.results(waiting)[0].reused
    finally:
        relay.send_signal(signal.SIGCONT)
        bench.close()

"""The pipeline file: what it accepts, and what it says of what it does not."""

import json
from pathlib import Path

import pytest
import yaml

from skimflow.errors import PipelineError
from skimflow.pipeline import Pipeline, json_schema, load_pipeline, packaged_pipeline, parse_pipeline

MINIMAL = "name: x\nsamples:\n  fileset: files.json\n"


def test_packaged_pipeline_is_valid() -> None:
    pipeline = load_pipeline(packaged_pipeline())
    assert pipeline.query == "queries.ttbar:selected"
    assert pipeline.samples.simulate is not None


def test_defaults() -> None:
    pipeline = parse_pipeline(MINIMAL)
    assert pipeline.delivery.endpoint == "local"
    assert pipeline.inference.results == ("fit", "ranking", "yields")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            MINIMAL + "delivery:\n  endpont: raw\n",
            5,
            ["delivery.endpont", "did you mean 'endpoint'", "backend"],
        ),
        (MINIMAL + "delivery:\n  endpoint: rawr\n", 5, ["'rawr'", "'local', 'servicex' or 'raw'"]),
        (MINIMAL + "delivery:\n  allow_missing: 100\n", 5, ["allow_missing", "less than 100"]),
        (MINIMAL + "inference:\n  results: [fit, rankin]\n", 5, ["'rankin'", "did you mean 'ranking'", "yields"]),
        (MINIMAL + "inference:\n  results: [fit, fit]\n", 5, ["two results are named 'fit'"]),
        (MINIMAL + "inference:\n  results:\n  - limit: {poy: mu}\n", 5, ["no setting 'poy'", "did you mean 'poi'"]),
        (MINIMAL + "inference:\n  results:\n  - {limit: {}, scan: {}}\n", 5, ["one kind of result"]),
        (MINIMAL + "processing:\n  chunk_events: 0\n", 5, ["chunk_events", "greater than 0"]),
        (MINIMAL + "cluster:\n  kind: address\n", 4, ["'address'"]),
        (MINIMAL + "name: y\n", 4, ["'name' is given twice"]),
        (MINIMAL + "inference:\n  results: []\n", 5, ["is empty"]),
        (MINIMAL + "inference:\n  results: fit\n", 5, ["list, as [fit]"]),
        (MINIMAL + "cluster:\n", 4, ["no value"]),
        ("name: x\n", 1, ["'samples' is missing"]),
        ("name: x\nsamples: {}\n", 2, ["either 'fileset' or 'simulate'"]),
        ("name: [x\n", 2, ["not YAML"]),
        ("- a\n- b\n", 1, ["skimflow init"]),
    ],
)
def test_error_names_line_and_what_is_allowed(text: str, line: int, words: list[str]) -> None:
    with pytest.raises(PipelineError) as caught:
        parse_pipeline(text, "mine.yml")
    assert f"mine.yml:{line}:" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(PipelineError) as caught:
        parse_pipeline(MINIMAL + "quary: a\nstores: b\n", "mine.yml")
    assert "'quary'" in str(caught.value)
    assert "'stores'" in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no-such"):
        load_pipeline(tmp_path / "no-such.yml")
    binary = tmp_path / "binary.yml"
    binary.write_bytes(b"\xff\xfe\x00root")
    with pytest.raises(PipelineError, match="not a text file"):
        load_pipeline(binary)


def test_schema_knows_every_key_of_the_packaged_pipeline() -> None:
    schema = json_schema()
    json.dumps(schema)
    document = yaml.safe_load(packaged_pipeline().read_text())
    assert set(document) <= set(schema["properties"])
    assert set(schema["properties"]) == set(Pipeline.model_fields)

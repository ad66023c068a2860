"""Why a result is made: the words for each change of a request."""

import pytest

from artifacts.keys import Request
from artifacts.store import Store
from skimflow.units import LIBRARIES, Record, StageSummary, Unit, explain, record_document, versions

PARTS = {
    "query": "q",
    "code": "c",
    "settings": {"tolerance": 0.1, "steps": 2},
    "versions": {"numpy": "2.4", "pyhf": "0.7.6"},
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"query": "other"}, "query changed"),
        ({"query": "other", "code": "other"}, "code changed; query changed"),
        ({"settings": {"tolerance": 0.2, "steps": 2}}, "tolerance 0.1 → 0.2"),
        ({"settings": {"tolerance": 0.1}}, "steps 2 → None"),
        ({"versions": {"numpy": "2.5", "pyhf": "0.7.6"}}, "numpy 2.4 → 2.5"),
        ({"model": {}}, "model file changed"),
        ({"unheard": 1}, "unheard changed"),
        ({}, "the form of the key changed"),
    ],
)
def test_a_change_is_said_in_words(change, words):
    assert explain(PARTS, {**PARTS, **change}) == words


def record(tmp_path, store, request):
    entry = store.put(request, {"result": b"1"}, {})
    unit = Unit("fit", "fit", request, entry)
    Record(tmp_path / "last.json").save(record_document([unit], {request.key: entry}))
    return Record(tmp_path / "last.json")


def test_a_record_knows_why(tmp_path):
    store, request = Store.open(tmp_path / "store"), Request("fit", 1, PARTS)
    kept = record(tmp_path, store, request)
    assert kept.look_up(store, "fit", "fit", request).hit
    assert kept.look_up(store, "fit", "fit", request, force=True).reason == "forced"
    changed = Request("fit", 1, {**PARTS, "query": "other"})
    assert kept.look_up(store, "fit", "fit", changed).reason == "query changed"
    assert kept.look_up(store, "fit", "fit", Request("fit", 2, PARTS)).reason == "the form of the key changed"
    assert kept.look_up(store, "fit", "ranking", changed).reason == "new"
    assert kept.look_up(store, "build", "workspace", changed).reason == "never computed"
    empty = Store.open(tmp_path / "empty")
    assert "gone from the store" in kept.look_up(empty, "fit", "fit", request).reason


def test_a_later_run_adds_to_the_record(tmp_path):
    store, request, other = Store.open(tmp_path / "store"), Request("fit", 1, PARTS), Request("build", 1, PARTS)
    record(tmp_path, store, request)
    Record(tmp_path / "last.json").save({"build/workspace": {"key": other.key, "parts": PARTS, "blobs": {}}})
    kept = Record(tmp_path / "last.json")
    assert kept.look_up(store, "fit", "fit", request).hit
    assert "gone from the store" in kept.look_up(store, "build", "workspace", other).reason


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"units": 3}'])
def test_a_damaged_record_is_no_record(tmp_path, text):
    (tmp_path / "last.json").write_text(text)
    store = Store.open(tmp_path / "store")
    assert (
        Record(tmp_path / "last.json").look_up(store, "fit", "fit", Request("fit", 1, PARTS)).reason == "never computed"
    )


def test_a_summary_adds_up(tmp_path):
    request = Request("fit", 1, PARTS)
    entry = Store.open(tmp_path).put(request, {}, {})
    misses = [Unit("fit", name, request, None, "new") for name in "ab"]
    summary = StageSummary("fit").count([*misses, Unit("fit", "c", request, entry)])
    assert (summary.hits, summary.ran, summary.reasons) == (1, 2, {"new": 2})


@pytest.mark.parametrize("stage", LIBRARIES)
def test_versions_are_those_that_are_installed(stage):
    import importlib.metadata

    assert versions(stage) == {name: importlib.metadata.version(name) for name in LIBRARIES[stage]}

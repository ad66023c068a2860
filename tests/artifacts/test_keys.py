import hashlib
import json
import pickle
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidRequest
from artifacts.keys import Request, canonical_json

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=12,
)
# Few values, so that two documents drawn apart are often the same one.
SMALL = st.recursive(
    st.sampled_from([None, True, False, 0, 1, -1, 0.0, -0.0, 1.0, "", "1", "a", "null"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)


def same(a: Any, b: Any) -> bool:
    """Equality of JSON documents: 1, 1.0 and true differ, as do 0.0 and -0.0; order in objects does not."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float):
        return struct.pack("<d", a) == struct.pack("<d", b)
    return bool(a == b)


def shuffled(value: Any) -> Any:
    """The same document with every object's names in the opposite order and every list a tuple."""
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(value)}
    if isinstance(value, list):
        return tuple(shuffled(item) for item in value)
    return value


@given(SMALL, SMALL)
def test_keys_are_equal_exactly_if_the_documents_are(a: Any, b: Any) -> None:
    assert (Request("s", 1, {"p": a}).key == Request("s", 1, {"p": b}).key) == same(a, b)


@given(DOCUMENTS)
def test_the_canonical_text_is_the_document_and_nothing_is_lost(document: Any) -> None:
    text = canonical_json(document)
    assert same(json.loads(text), document)
    assert canonical_json(shuffled(document)) == text


def test_the_key_is_the_sha256_of_the_text_that_stands_here() -> None:
    request = Request("deliver", 2, {"b": [1, 2.5, 1e300], "a": {"é": None, "x": True}, "tiny": 0.1 + 0.2})
    text = (
        '{"format":1,"parts":{"a":{"x":true,"é":null},"b":[1,2.5,1e+300],"tiny":0.30000000000000004},'
        '"stage":"deliver","version":2}'
    )
    assert request.document == text
    assert request.key == hashlib.sha256(text.encode("utf-8")).hexdigest()


def test_stage_and_version_are_part_of_the_key() -> None:
    keys = {Request(stage, version, {}).key for stage in ("fit", "build") for version in (1, 2)}
    assert len(keys) == 4


def test_changing_the_parts_afterwards_changes_no_key() -> None:
    parts = {"cuts": [25.0]}
    request = Request("process", 1, parts)
    before = request.key
    parts["cuts"].append(30.0)
    assert request.key == before
    assert "30.0" not in request.document


def test_requests_compare_by_their_document() -> None:
    assert Request("s", 1, {"a": (1,)}) == Request("s", 1, {"a": [1]})
    assert Request("s", 1, {"a": 1}) != Request("s", 1, {"a": 1.0})
    assert pickle.loads(pickle.dumps(Request("s", 1, {"a": 1}))).key == Request("s", 1, {"a": 1}).key


def circle() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"pt": [1.0, float("nan")]}, r"\$\.parts\.pt\[1\] is nan"),
        ({"pt": float("-inf")}, r"\$\.parts\.pt is -inf"),
        ({"a": {1: "x"}}, r"\$\.parts\.a has the key 1"),
        ({"a": {"b": {1, 2}}}, r"\$\.parts\.a\.b is a set"),
        ({"a": b"bytes"}, r"is a bytes"),
        ({"a": "\ud800"}, "not valid Unicode"),
        ({"a": circle()}, "contains itself"),
        ({"a": 10**5000}, "cannot be written as JSON"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_place(parts: Any, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        Request("s", 1, parts)

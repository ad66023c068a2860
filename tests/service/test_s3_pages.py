"""Listings in pages, ranges and conditions: laws that hold for every input."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.service.s3 import xml
from delivery.service.s3.errors import S3Error
from delivery.service.s3.listing import Asked, Listed, Page, asked, from_token, page, to_token
from delivery.service.s3.ranges import Version, is_unchanged, wanted_range

MADE = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC).replace(tzinfo=None)
NAMES = st.lists(st.text("ab/:é𝄞", min_size=1, max_size=6), unique=True, max_size=40)


def all_pages(names: list[str], prefix: str, delimiter: str, size: int) -> tuple[list[str], list[str], int]:
    found = [Listed(name, 1, "0" * 64, MADE) for name in sorted(names, key=str.encode)]
    objects: list[str] = []
    prefixes: list[str] = []
    after, pages = "", 0
    while True:
        got = page(found, Asked(2, prefix, delimiter, size, after))
        pages += 1
        assert len(got.objects) + len(got.prefixes) <= size
        objects += [listed.name for listed in got.objects]
        prefixes += got.prefixes
        if got.last is None:
            return objects, prefixes, pages
        assert got.last > after
        after = from_token(to_token(got.last))


@given(NAMES, st.text("ab/:é", max_size=2), st.sampled_from(["", "/", ":", "b"]), st.integers(1, 5))
def test_pages_together_are_the_whole(names: list[str], prefix: str, delimiter: str, size: int) -> None:
    objects, prefixes, pages = all_pages(names, prefix, delimiter, size)
    under = [name for name in names if name.startswith(prefix)]
    folded = {
        prefix + name.removeprefix(prefix).partition(delimiter)[0] + delimiter
        for name in under
        if delimiter and delimiter in name.removeprefix(prefix)
    }
    single = [name for name in under if not delimiter or delimiter not in name.removeprefix(prefix)]
    assert objects == sorted(single, key=str.encode)
    assert prefixes == sorted(folded, key=str.encode)
    assert pages == max(1, -(-(len(single) + len(folded)) // size))


@pytest.mark.parametrize(
    "query",
    [
        {"list-type": "3"},
        {"max-keys": "-1"},
        {"max-keys": "many"},
        {"max-keys": "\u0663"},
        {"encoding-type": "gzip"},
        {"list-type": "2", "continuation-token": "%%%"},
        {"list-type": "2", "continuation-token": ""},
        {"list-type": "2", "continuation-token": to_token("a") + "="},
    ],
)
def test_listings_that_cannot_be_asked_for(query: dict[str, str]) -> None:
    with pytest.raises(S3Error) as caught:
        asked(query)
    assert caught.value.code == "InvalidArgument"


def test_no_keys_at_all() -> None:
    assert page([Listed("a", 1, "0" * 64, MADE)], Asked(2, max_keys=0)) == Page((), (), None)
    assert asked({"list-type": "2", "max-keys": "5000"}).max_keys == 1000


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.booleans())
def test_any_name_makes_xml(name: str, encoded: bool) -> None:
    wanted = Asked(2, prefix=name, delimiter=name, encoded=encoded)
    text = xml.listing("b", wanted, Page((Listed(name, 1, "0" * 64, MADE),), (name,), name))
    root = ET.fromstring(text)
    assert root.findtext(f"{{{xml.NAMESPACE}}}Name") == "b"
    ET.fromstring(xml.error("NoSuchKey", name, name, "1"))


CONTENT = bytes(range(100))
VERSION = Version("ab" * 32, len(CONTENT), datetime(2026, 1, 2, 3, 4, 5, 678000, UTC))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-9", CONTENT[0:10]),
        ("bytes=90-", CONTENT[90:]),
        ("bytes=90-1000", CONTENT[90:]),
        ("bytes=-7", CONTENT[-7:]),
        ("bytes=-1000", CONTENT),
        ("bytes=99-99", CONTENT[99:]),
        ("bytes=9-3", None),
        ("bytes=0-1,5-6", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("items=0-9", None),
        ("", None),
    ],
)
def test_ranges(header: str, expected: bytes | None) -> None:
    found = wanted_range(VERSION, {"range": header})
    assert (None if found is None else CONTENT[slice(*found)]) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=9999999999999999999-"])
def test_ranges_outside(header: str) -> None:
    with pytest.raises(S3Error) as caught:
        wanted_range(VERSION, {"range": header})
    assert caught.value.headers["Content-Range"] == "bytes */100"


EARLIER, LATER = (
    (VERSION.modified + shift).strftime("%a, %d %b %Y %H:%M:%S GMT")
    for shift in (-timedelta(days=1), timedelta(days=1))
)


@pytest.mark.parametrize(
    ("headers", "unchanged"),
    [
        ({}, False),
        ({"if-none-match": VERSION.etag}, True),
        ({"if-none-match": f'"x", W/{VERSION.etag}'}, True),
        ({"if-none-match": "*"}, True),
        ({"if-none-match": '"x"'}, False),
        ({"if-none-match": '"x"', "if-modified-since": LATER}, False),
        ({"if-modified-since": LATER}, True),
        ({"if-modified-since": VERSION.last_modified}, True),
        ({"if-modified-since": EARLIER}, False),
        ({"if-modified-since": "yesterday"}, False),
        ({"if-match": VERSION.etag}, False),
        ({"if-match": VERSION.etag, "if-unmodified-since": EARLIER}, False),
        ({"if-unmodified-since": LATER}, False),
        ({"if-match": '"x"'}, None),
        ({"if-unmodified-since": EARLIER}, None),
    ],
)
def test_conditions(headers: dict[str, str], unchanged: bool | None) -> None:
    """RFC 9110, section 13.2.2; None: precondition failed."""
    if unchanged is None:
        with pytest.raises(S3Error) as caught:
            is_unchanged(VERSION, headers)
        assert caught.value.code == "PreconditionFailed"
    else:
        assert is_unchanged(VERSION, headers) is unchanged


def test_ranges_of_another_version() -> None:
    for condition, kept in ((VERSION.etag, True), (VERSION.last_modified, True), ('"x"', False), (EARLIER, False)):
        assert (wanted_range(VERSION, {"range": "bytes=0-1", "if-range": condition}) is not None) is kept

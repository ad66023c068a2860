"""Dataset identifiers as ServiceX writes them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.datasets import DatasetError, Identifier, parse


@pytest.mark.parametrize(
    ("did", "found"),
    [
        ("rucio://user.me:ds", Identifier("rucio", "user.me:ds")),
        ("user.me:ds?files=7", Identifier("rucio", "user.me:ds", 7)),
        ("rucio://data15:a.b/?files=2&get=available", Identifier("rucio", "data15:a.b", 2, "available")),
        ("cernopendata://1507?get=all", Identifier("cernopendata", "1507")),
        ("xrootd://root://host:1094//d/f?.root", Identifier("xrootd", "root://host:1094//d/f?.root")),
        ("xrootd://root://host//d/**/*.root?files=5", Identifier("xrootd", "root://host//d/**/*.root", 5)),
        ("glob:///data/run*/x[0-9].root", Identifier("glob", "/data/run*/x[0-9].root")),
    ],
)
def test_identifiers(did: str, found: Identifier) -> None:
    assert parse(did) == found


def test_the_dataset_of_an_identifier_is_all_of_it() -> None:
    assert parse("user.me:ds?files=7").dataset == "rucio://user.me:ds"
    assert parse("user.me:ds?files=7&get=available").dataset == "rucio://user.me:ds?get=available"
    assert parse(parse("user.me:ds?get=available").dataset) == Identifier("rucio", "user.me:ds", get="available")


@pytest.mark.parametrize(
    ("did", "says"),
    [
        ("rucoi://a:b", "did you mean rucio"),
        ("cernopendata://ttbar", "right is cernopendata://1507"),
        ("cernopendata://\u0661", "no number"),
        ("xrootd://host/d/*.root", "right is xrootd://root://host//folder"),
        ("rucio://no-scope", "right is rucio://scope:name"),
        ("glob://data/*.root", "no absolute path"),
        ("glob://", "names no dataset"),
        ("rucio://a:b?files=0", "files=0"),
        ("rucio://a:b?files=many", "such as [?]files=10"),
        ("rucio://a:b?get=some", "get=all or get=available"),
    ],
)
def test_what_is_no_identifier_says_what_would_be(did: str, says: str) -> None:
    with pytest.raises(DatasetError, match=says) as refused:
        parse(did)
    assert refused.value.lookup_status == "bad_name"


@given(st.text())
def test_any_text_is_read_or_refused(did: str) -> None:
    try:
        found = parse(did)
    except DatasetError:
        return
    assert parse(found.dataset) == replace(found, files=None)

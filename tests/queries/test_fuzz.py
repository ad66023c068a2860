"""Any text is a query or a syntax error with its place: in bounded time and memory, and without warnings."""

import sys
from pathlib import Path

import pytest

from queries.canonical import canonical, digest
from queries.errors import QueryError
from queries.parser import parse
from queries.printer import unparse

sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
from children import run_cases
from query_mutations import corpus

MANY = 100_000


def test_the_corpus_is_valid() -> None:
    assert len({digest(parse(text)) for text in corpus()}) > 50


def test_mutated_queries_are_queries_or_syntax_errors() -> None:
    report = run_cases("parsed", MANY, memory=1 << 27, seed=20261122)
    assert not report.bugs
    assert report.outcomes.total() == MANY
    assert min(report.outcomes["query"], report.outcomes["QuerySyntaxError"]) > MANY / 5
    assert report.peak < 1 << 26


E = "(call EventDataset)"

BOMBS = {
    "digits": f"(Where {E} (lambda (list e) (> e {'9' * 1_000_000})))",
    "fraction": f"(Where {E} (lambda (list e) (> e 0.{'1' * 1_000_000})))",
    "exponent": "1e" + "9" * 1_000_000,
    "string": "'" + "x" * 1_000_000,
    "backslashes": "'" + "\\" * 1_000_001 + "'",
    "open": "(" * 1_000_000,
    "close": ")" * 1_000_000,
    "spaces": " " * 1_000_000 + "(",
    "names": "(list " + "a " * 300_000,
    "deep": "(list " * 500_000,
    "nested and closed": "(list " * 199 + "1" + ")" * 199,
    "chained": f"(call Where {E} 'lambda e: {' < '.join('abcdefgh' * 2_000)}')",
    "chains in chains": f"(call Where {E} 'lambda e: {'(1 < ' * 60}e{' < 2)' * 60}')",
    "lambdas in strings": f"(call Where {E} 'lambda e: " + "e.Where(" * 90 + ")" * 90 + "')",
    "parentheses in strings": f"(call Where {E} 'lambda e: " + "(" * 5_000 + ")" * 5_000 + "')",
    "attributes in strings": f"(call Where {E} 'lambda e: e" + ".x" * 100_000 + "')",
    "signs in strings": f"(call Where {E} 'lambda e: " + "-" * 100_000 + "1')",
    "sums in strings": f"(call Where {E} 'lambda e: {'1 + ' * 100_000}1')",
    "powers in strings": f"(call Where {E} 'lambda e: 9**9**9**9**9')",
    "bytes in strings": f"(call Where {E} 'lambda e: b\"x\"')",
    "complex in strings": f"(call Where {E} 'lambda e: 1j')",
    "ellipsis in strings": f"(call Where {E} 'lambda e: ...')",
    "surrogates": "(attr e '\ud800')",
    "null": "(attr e '\0')",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_texts_made_to_exhaust(text: str) -> None:
    """Each is refused, or has a canonical text that is not much longer; a hang is ended by the suite's time limit."""
    try:
        written, limit = unparse(canonical(parse(text))), 10 * len(text)
    except QueryError as error:
        written, limit = str(error), 1000
    assert len(written) < limit

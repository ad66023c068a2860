"""How far our engine is from the peer: ``python tests/oracle/compare.py [-k PATTERN] [--brief] [-n 3] [--kind KIND]``.

PATTERN is looked for in group and query. Prints counts by group, then the first differences in full.
"""

import argparse
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import oracle_generate
import oracle_inputs
import oracle_queries
import oracle_verdict
from oracle_goldens import ENVIRONMENTS, goldens

HERE = Path(__file__).parent
SHARED_DATA = HERE.parents[2] / "shared" / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", dest="pattern", default="", help="a regular expression for group or query")
    parser.add_argument("--file", help="only queries on this input")
    parser.add_argument("--kind", choices=oracle_verdict.BAD, help="show only this kind")
    parser.add_argument("-n", type=int, default=2, help="differences to show of each kind in a group")
    parser.add_argument("--brief", action="store_true", help="counts only")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    wanted = [
        query
        for query in [*oracle_queries.hand_written(), *oracle_generate.generated()]
        if re.search(options.pattern, f"{query.group} {query.spelling}") and options.file in (None, query.file)
    ]
    recorded = [query for query in wanted if all(query.key in goldens(name) for name in ENVIRONMENTS)]
    if len(recorded) < len(wanted):
        sys.stdout.write(f"{len(wanted) - len(recorded)} queries have no golden yet; run record.py\n")
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        inputs = oracle_inputs.write_inputs(Path(folder))
        inputs |= {name: SHARED_DATA / path for name, path in oracle_inputs.SHARED.items()}
        verdicts = [oracle_verdict.verdict(query, inputs) for query in recorded]
    table(verdicts)
    sys.stdout.write(f"{len(verdicts)} queries in {time.perf_counter() - began:.1f} s\n")
    if not options.brief:
        details(verdicts, options.n, options.kind)


def table(verdicts: list[oracle_verdict.Verdict]) -> None:
    kinds = (*oracle_verdict.GOOD, *oracle_verdict.BAD)
    counts = Counter((verdict.query.group, verdict.kind) for verdict in verdicts)
    rows = list(dict.fromkeys(verdict.query.group for verdict in verdicts))
    sys.stdout.write(f"{'':26}" + "".join(f"{kind:>14}" for kind in kinds) + "\n")
    for group in rows:
        numbers = "".join(f"{counts[group, kind] or '.':>14}" for kind in kinds)
        sys.stdout.write(f"{group:26}{numbers}\n")
    total = Counter(verdict.kind for verdict in verdicts)
    sys.stdout.write(f"{'all':26}" + "".join(f"{total[kind]:>14}" for kind in kinds) + "\n")


def details(verdicts: list[oracle_verdict.Verdict], number: int, kind: str | None) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for verdict in verdicts:
        if verdict.kind in oracle_verdict.BAD and kind in (None, verdict.kind):
            seen[verdict.query.group, verdict.kind] += 1
            if seen[verdict.query.group, verdict.kind] <= number:
                sys.stdout.write(f"\n{verdict.explain()}\n")


if __name__ == "__main__":
    main()

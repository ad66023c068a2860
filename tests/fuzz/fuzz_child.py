"""The child in which random cases run: one line with the outcome of each, so that whoever reads them sees a crash.

Usage: fuzz_child.py TASK FIRST COUNT MEMORY ARGUMENTS, the arguments as JSON; `MEMORY` bytes beyond those in use when
the cases begin are allowed. The last line tells the most memory that was in use.
"""

import json
import resource
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from query_mutations import stream

Outcomes = Iterator[str]


def parsed(seed: int, count: int, first: int) -> Outcomes:
    """Each mutated text read: a syntax error, or a query whose canonical form is a fixed point."""
    from queries.canonical import canonical
    from queries.errors import QuerySyntaxError
    from queries.parser import parse
    from queries.printer import unparse

    for text in islice(stream(seed, count), first, None):
        try:
            node = canonical(parse(text))
            again = unparse(node)
            yield "query" if canonical(parse(again)) == node and len(again) < 100 * len(text) else f"BUG {again[:200]}"
        except QuerySyntaxError as error:
            yield "QuerySyntaxError" if 0 <= error.start <= len(text) and str(error) else f"BUG place of {text!r}"
        except Exception as error:  # noqa: BLE001 - whatever it is, the cases go on
            yield bug(error, text)


def evaluated(seed: int, count: int, first: int, file: str, semantics: str) -> Outcomes:
    """Each mutated text evaluated on a file: a typed error, or an answer."""
    from delivery.engine import evaluate
    from delivery.errors import DeliveryError, QueryFault, to_json
    from queries.errors import QuerySyntaxError

    for text in islice(stream(seed, count), first, None):
        try:
            evaluate(text, file, semantics=semantics)
            yield "answer"
        except (DeliveryError, QuerySyntaxError) as error:
            document = json.loads(json.dumps(to_json(error)))
            placed = document["span"] is not None or not isinstance(error, QueryFault)
            yield document["type"] if placed else f"BUG no place: {error} in {text!r}"
        except Exception as error:  # noqa: BLE001 - whatever it is, the cases go on
            yield bug(error, text)


def bug(error: Exception, case: object) -> str:
    """What an error says that no user should see."""
    places = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
    return f"BUG {error!r:.300} at {' '.join(places[-6:])} for {case!r:.1500}"


TASKS: dict[str, Callable[..., Outcomes]] = {"parsed": parsed, "evaluated": evaluated}


def say(line: str) -> None:
    """One line to whoever started us, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(task: str, first: int, memory: int, arguments: dict[str, object]) -> None:
    """Run the cases of a task from the first."""
    warnings.simplefilter("error")
    outcomes = TASKS[task](first=first, **arguments)
    limited = False
    for outcome in outcomes:
        say(outcome.replace("\n", " "))
        if not limited:  # the first case has imported everything
            limited = True
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
            base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    say(f"PEAK {1024 * (peak - base)}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))

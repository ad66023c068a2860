"""The child in which random cases run: one line with the outcome of each, so that whoever reads them sees a crash.

Usage: fuzz_child.py TASK FIRST COUNT MEMORY ARGUMENTS, the arguments as JSON; `MEMORY` bytes beyond those in use when
the cases begin are allowed. The last line tells the most memory that was in use.
"""

import json
import random
import resource
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from file_damage import damage, regions
from query_mutations import sound, stream

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
    """Each mutated text evaluated on a file, three of four being sound as texts: a typed error, or an answer."""
    from delivery.engine import evaluate
    from delivery.errors import DeliveryError, QueryFault, to_json
    from queries.errors import QuerySyntaxError

    texts, sounds = stream(seed, count), sound(seed, count)
    mixed = (next(sounds) if number % 4 else next(texts) for number in range(count))
    for text in islice(mixed, first, None):
        try:
            evaluate(text, file, semantics=semantics)
            yield "answer"
        except (DeliveryError, QuerySyntaxError) as error:
            document = json.loads(json.dumps(to_json(error)))
            placed = document["span"] is not None or not isinstance(error, QueryFault)
            yield document["type"] if placed else f"BUG no place: {error} in {text!r}"
        except Exception as error:  # noqa: BLE001 - whatever it is, the cases go on
            yield bug(error, text)


def bombs(texts: str, count: int, first: int, file: str, semantics: str) -> Outcomes:
    """Each text of a JSON file evaluated on a ROOT file."""
    from delivery.engine import evaluate
    from delivery.errors import DeliveryError
    from queries.errors import QuerySyntaxError

    for text in islice(json.loads(Path(texts).read_text()), first, None):
        try:
            evaluate(text, file, semantics=semantics)
            yield "answer"
        except (DeliveryError, QuerySyntaxError) as error:
            yield type(error).__name__
        except Exception as error:  # noqa: BLE001 - whatever it is, the cases go on
            yield bug(error, text[:500])


def damaged(
    seed: int, count: int, first: int, file: str, tree: str, queries: dict[str, list[str]], scratch: str
) -> Outcomes:
    """Each damaged copy of a file read by one of the queries (each with its columns), every fourth by `transform`.

    The outcome is a typed error that names the file, the right answer, or, where the format cannot tell the damage, a
    wrong one. Whatever happened, the good file is read rightly afterwards, and a failed transform leaves no output.
    """
    from delivery.errors import DeliveryError, UnknownBranch, UnknownTree, UnreadableFile, to_json

    good, path, out = Path(file), Path(scratch) / "damaged.root", Path(scratch) / "out.parquet"
    content = good.read_bytes()
    cases = [
        (text, [way(text, good, tree, out) for way in (by_evaluate, by_transform)], regions(good, tree, names))
        for text, names in queries.items()
    ]
    for number in range(first, count):
        rng = random.Random(f"{seed} {number}")
        text, truths, places = rng.choice(cases)
        way, truth = rng.choice([(by_evaluate, truths[0])] * 3 + [(by_transform, truths[1])])
        changed, done = damage(rng, content, places)
        path.write_bytes(changed)
        out.unlink(missing_ok=True)
        try:
            right = way(text, path, tree, out) == truth
            outcome = "right" if right else f"BUG a wrong answer: {done}" if done.checked else f"wrong: {done.part}"
        except DeliveryError as error:
            typed = isinstance(error, UnreadableFile | UnknownTree | UnknownBranch) or not done.checked
            named = path.name in str(error) and path.name in (to_json(error)["file"] or "") and not out.exists()
            outcome = type(error).__name__ if typed and named else f"BUG {error!r:.300} for {done}"
        except Exception as error:  # noqa: BLE001 - whatever it is, the cases go on
            outcome = bug(error, done)
        if number % 5 == 0 and by_evaluate(text, good, tree, out) != truths[0]:
            outcome = f"BUG the good file is read wrongly after {done}"
        yield outcome if outcome[:3] != "BUG" else f"{outcome} (case {number})"


def by_evaluate(text: str, path: Path, tree: str, _: Path) -> object:
    """The query's result: type and bytes."""
    import awkward as ak

    from delivery.engine import evaluate

    packed = ak.to_packed(evaluate(text, path, tree))
    form, length, buffers = ak.to_buffers(packed)
    return form.to_json(), length, {name: data.tobytes() for name, data in buffers.items()}


def by_transform(text: str, path: Path, tree: str, out: Path) -> object:
    """The query's result as a Parquet file, and the counts."""
    import pyarrow.parquet

    from delivery.engine import TransformRequest, transform

    done = transform(TransformRequest(text, str(path), out, tree, format="parquet"))
    return pyarrow.parquet.read_table(out).to_pydict(), done.events_in, done.events_out, done.cutflow


def bug(error: Exception, case: object) -> str:
    """What an error says that no user should see."""
    places = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
    return f"BUG {error!r:.300} at {' '.join(places[-6:])} for {case!r:.1500}"


TASKS: dict[str, Callable[..., Outcomes]] = {task.__name__: task for task in (parsed, evaluated, damaged, bombs)}


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

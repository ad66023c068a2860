"""Runs in one of the peer's environments: answers every query of a list, one JSON document a line.

``python oracle_peer.py JOBS`` where JOBS is a JSON file of ``{"id", "file", "tree", "text"}``; the answers go to
standard output in the same order.
"""

import json
import logging
import signal
import sys
import warnings
from pathlib import Path

import dask
import oracle_answers
from func_adl_uproot.translation import generate_function

SECONDS = 60


class TooSlow(BaseException):
    """The peer did not answer in time."""


def answer(text, file, tree):
    try:
        result = generate_function(text)(file, tree)
        document = oracle_answers.describe(result)
    except (Exception, TooSlow) as error:  # noqa: BLE001 - a failure is an answer too
        return failure(error)
    for name, function in (("parquet", oracle_answers.parquet_schema), ("root", oracle_answers.root_branches)):
        try:
            document[name] = function(result)
        except (Exception, TooSlow) as error:  # noqa: BLE001 - a failure is an answer too
            document[name] = failure(error)
    return document


def failure(error):
    lines = str(error).strip().splitlines() or [""]
    return {"error": type(error).__name__, "message": lines[0][:200]}


def too_slow(number, frame):
    raise TooSlow(f"no answer in {SECONDS} s")


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    dask.config.set(scheduler="synchronous")
    signal.signal(signal.SIGALRM, too_slow)
    out, sys.stdout = sys.stdout, sys.stderr
    for job in json.loads(Path(sys.argv[1]).read_text()):
        signal.alarm(SECONDS)
        document = answer(job["text"], job["file"], job["tree"])
        signal.alarm(0)
        out.write(json.dumps({"id": job["id"], **document}) + "\n")
        out.flush()


if __name__ == "__main__":
    main()

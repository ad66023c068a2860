"""The peer's side of a benchmark: run by the Python of an environment that holds func_adl_uproot and not this project.

Reads jobs as JSON on standard input, one object per line, and answers each with one line.
"""

import importlib
import json
import sys
import time
from typing import Any


def checks(array: Any) -> dict[str, Any]:
    """What two engines' results must share: rows, and the number and sum of the numbers in each column."""
    import awkward as ak

    columns = {name: array[name] for name in ak.fields(array)} or {"": array}
    found: dict[str, Any] = {}
    for name, column in columns.items():
        if ak.fields(column):
            found |= {f"{name}.{inner}": values for inner, values in checks(column)["columns"].items()}
            continue
        flat = ak.drop_none(ak.flatten(column, axis=None))
        found[name] = [len(flat), float(ak.sum(ak.values_astype(flat, "float64")))]
    return {"rows": len(array), "columns": found}


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Least CPU and wall seconds of text to result (and to Parquet, as ServiceX does, if `output` is given)."""
    import awkward as ak

    generate = importlib.import_module("func_adl_uproot.translation").generate_function
    took, result = [], None
    for _ in range(job["repeats"]):
        began = time.process_time(), time.perf_counter()
        result = generate(job["text"])(job["file"], job["tree"])
        if job["output"]:
            parquet = importlib.import_module("pyarrow.parquet")
            table = ak.to_arrow_table(result)
            with parquet.ParquetWriter(job["output"], table.schema) as writer:
                writer.write_table(table)
        took.append((time.process_time() - began[0], time.perf_counter() - began[1]))
    cpu, wall = (min(each) for each in zip(*took))  # noqa: B905 - also runs on the peer's Python
    return {"cpu": cpu, "wall": wall, "checks": checks(result)}


def main() -> None:
    """Answer every job."""
    for line in sys.stdin:
        try:
            answer = run(json.loads(line))
        except Exception as error:  # noqa: BLE001 - whatever the peer fails with is its answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

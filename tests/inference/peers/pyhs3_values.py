"""log L of HS3 documents as pyhs3 computes it: ``python pyhs3_values.py JOBS`` in an environment of its own.

JOBS is JSON: by name a document and points. The values go to standard output, by name. The graph that pyhs3 makes runs
in JAX as it stands: its optimisation would take longer than all points.
"""

import json
import os
import sys
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
import pyhs3
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.traversal import explicit_graph_inputs
from pytensor.link.jax.dispatch import jax_funcify

jax.config.update("jax_enable_x64", True)


def values(document, points):
    model = pyhs3.Workspace(**document).model(document["analyses"][0]["name"], progress=False)
    inputs = list(explicit_graph_inputs([model.log_prob]))
    function = jax_funcify(FunctionGraph(inputs, [model.log_prob], clone=True))
    return [float(np.asarray(function(*(np.float64(point[each.name]) for each in inputs))[0])) for point in points]


if __name__ == "__main__":
    jobs = json.loads(Path(sys.argv[1]).read_text())
    sys.stdout.write(json.dumps({name: values(job["document"], job["points"]) for name, job in jobs.items()}))

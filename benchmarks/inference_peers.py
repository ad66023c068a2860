"""pyhf and cabinetry as installed (NumPy, default minimisers): one task, in a process of its own.

python -m benchmarks.inference_peers PEER TASK MODEL|"BINS SHAPES"     # prints {"seconds": …, "value": …} or why not
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

FEW = 5  # toys that are thrown, and counted for all


def pyhf_fit(model: Any, data: Any) -> tuple[float, float]:
    """Maximum likelihood by SLSQP; twice −log L."""
    import pyhf

    _, value = pyhf.infer.mle.fit(data, model, return_fitted_val=True)
    return 1.0, float(value)


def pyhf_gradient(model: Any, data: Any) -> tuple[float, float]:
    """The gradient by differences, as SLSQP takes it."""
    import numpy as np
    from scipy.optimize import approx_fprime

    at = np.asarray(model.config.suggested_init())
    slope = approx_fprime(at, lambda point: -float(model.logpdf(point, data)[0]))
    return 1.0, float(slope[0])


def pyhf_limit(model: Any, data: Any) -> tuple[float, float]:
    """Observed and expected limits, by root finding."""
    import pyhf

    observed, _expected = pyhf.infer.intervals.upper_limits.upper_limit(data, model)
    return 1.0, float(observed)


def pyhf_toys(model: Any, data: Any) -> tuple[float, float]:
    """Toys of signal plus background and of background, each fitted freely and with the signal held."""
    import numpy as np
    import pyhf

    np.random.seed(1)  # noqa: NPY002 - pyhf draws from it
    best, poi = pyhf.infer.mle.fit(data, model), model.config.poi_index
    failures = 0
    for signal in (0.0, 1.0):
        point = np.asarray(best).copy()
        point[poi] = signal
        for toy in np.asarray(model.make_pdf(pyhf.tensorlib.astensor(point)).sample((FEW,))):
            for fit in (pyhf.infer.mle.fit, lambda seen, it: pyhf.infer.mle.fixed_poi_fit(1.0, seen, it)):
                try:
                    fit(toy, model)
                except pyhf.exceptions.FailedMinimization:
                    failures += 1
    return 1000 / FEW, float(failures)


def cabinetry_fit(model: Any, data: Any) -> tuple[float, float]:
    """Minuit with HESSE; twice −log L."""
    import cabinetry.fit

    return 1.0, float(cabinetry.fit.fit(model, data).best_twice_nll)


def cabinetry_ranking(model: Any, data: Any) -> tuple[float, float]:
    """Four refits for each nuisance parameter; the largest impact."""
    import cabinetry.fit
    import numpy as np

    found = cabinetry.fit.ranking(model, data)
    return 1.0, float(max(np.max(np.abs(found.postfit_up)), np.max(np.abs(found.postfit_down))))


def cabinetry_limit(model: Any, data: Any) -> tuple[float, float]:
    """Observed and expected limits."""
    import cabinetry.fit

    return 1.0, float(cabinetry.fit.limit(model, data).observed_limit)


PEERS: dict[str, dict[str, Callable[[Any, Any], tuple[float, float]]]] = {
    "pyhf": {"fit": pyhf_fit, "gradient": pyhf_gradient, "limit": pyhf_limit, "toys": pyhf_toys},
    "cabinetry": {
        "fit": cabinetry_fit,
        "ranking": cabinetry_ranking,
        "impacts": cabinetry_ranking,
        "limit": cabinetry_limit,
    },
}


def main() -> None:
    """One task; the model is read before the clock starts."""
    from benchmarks.inference_models import generated
    from benchmarks.inference_speed import MODELS
    from inference.reference import reference_model

    peer, task, name = sys.argv[1:]
    workspace = MODELS[name]() if name in MODELS else generated(*map(int, name.split()), backgrounds=5)
    model, data = reference_model(workspace)
    work = PEERS[peer][task]
    try:
        begin = time.perf_counter()
        times, value = work(model, data)
        seconds = time.perf_counter() - begin
        if seconds < 20:  # once more, warm
            begin = time.perf_counter()
            times, value = work(model, data)
            seconds = time.perf_counter() - begin
    except Exception as error:  # noqa: BLE001 - how a peer fails is the result
        print(json.dumps({"failed": f"{type(error).__name__}: {error}"[:120]}))
        return
    print(json.dumps({"seconds": times * seconds, "value": value}))


if __name__ == "__main__":
    main()

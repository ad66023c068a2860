"""Workspaces small enough to work out by hand."""


def counting(signal, background, *, observed=None, error=None, upper=10.0, lower=0.0):
    """One bin: mu · signal + background, and a Gaussian relative ``error`` of the background as a histosys."""
    modifiers = []
    if error is not None:
        shift = {"hi_data": [background * (1 + error)], "lo_data": [background * (1 - error)]}
        modifiers.append({"name": "alpha", "type": "histosys", "data": shift})
    samples = [
        {"name": "background", "data": [background], "modifiers": modifiers},
        {
            "name": "signal",
            "data": [signal],
            "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
        },
    ]
    mu = {"name": "mu", "bounds": [[lower, upper]]}
    return {
        "channels": [{"name": "bin", "samples": samples}],
        "observations": [{"name": "bin", "data": [background if observed is None else observed]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": [mu]}}],
        "version": "1.0.0",
    }


def with_every_constraint():
    """Two channels; normal and Poisson constraints, one gamma of zero error that is held, a luminosity."""
    shape = {"hi_data": [48.0, 63.0, 31.0], "lo_data": [53.0, 57.0, 29.0]}
    background = [
        {"name": "alpha", "type": "histosys", "data": shape},
        {"name": "norm", "type": "normsys", "data": {"hi": 1.1, "lo": 0.92}},
        {"name": "counted", "type": "shapesys", "data": [10.0, 12.0, 0.0]},
    ]
    signal = [
        {"name": "mu", "type": "normfactor", "data": None},
        {"name": "lumi", "type": "lumi", "data": None},
        {"name": "statistical", "type": "staterror", "data": [1.0, 2.0, 3.0]},
    ]
    control = [{"name": "norm", "type": "normsys", "data": {"hi": 1.2, "lo": 0.85}}]
    lumi = {"name": "lumi", "inits": [1.0], "bounds": [[0.5, 1.5]], "auxdata": [1.0], "sigmas": [0.03]}
    return {
        "channels": [
            {
                "name": "signal_region",
                "samples": [
                    {"name": "background", "data": [50.0, 60.0, 30.0], "modifiers": background},
                    {"name": "signal", "data": [5.0, 10.0, 20.0], "modifiers": signal},
                ],
            },
            {"name": "control_region", "samples": [{"name": "background", "data": [400.0], "modifiers": control}]},
        ],
        "observations": [
            {"name": "signal_region", "data": [57.0, 68.0, 55.0]},
            {"name": "control_region", "data": [390.0]},
        ],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": [lumi]}}],
        "version": "1.0.0",
    }

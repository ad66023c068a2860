"""A small workspace to combine."""

from typing import Any


def counting(channel: str = "SR", poi: str = "mu", lumi: float = 0.02, **more: Any) -> dict[str, Any]:
    """A channel of two bins with a signal, a background, a shape, MC statistics and the luminosity."""
    luminosity = {"name": "lumi", "type": "lumi", "data": None}
    shape = {"name": "jes", "type": "histosys", "data": {"hi_data": [52.0, 61.0], "lo_data": [47.0, 59.0]}}
    errors = {"name": f"staterror_{channel}", "type": "staterror", "data": [3.0, 2.0]}
    signal = {"name": "signal", "data": [5.0, 8.0], "modifiers": [{"name": poi, "type": "normfactor", "data": None}]}
    background = {"name": "background", "data": [50.0, 60.0], "modifiers": [luminosity, shape, errors]}
    setting = {"name": "lumi", "inits": [1.0], "auxdata": [1.0], "sigmas": [lumi], "bounds": [[0.5, 1.5]]}
    return {
        "channels": [{"name": channel, "samples": [signal, background]}],
        "observations": [{"name": channel, "data": [55.0, 66.0]}],
        "measurements": [{"name": "m", "config": {"poi": poi, "parameters": [setting]}}],
        "version": "1.0.0",
        **more,
    }

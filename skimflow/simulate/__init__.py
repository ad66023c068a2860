"""Demonstration data: NanoAOD-like files of the nine samples of the AGC ttbar analysis.

Importing this package imports nothing slow; numpy and uproot come in with the first file that is made.
"""

from skimflow.simulate.run import SimulationResult, simulate, up_to_date

__all__ = ["SimulationResult", "simulate", "up_to_date"]

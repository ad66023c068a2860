"""From a func_adl query to a fitted result; what did not change is not computed again.

The commands' words, as functions for notebooks:

    import skimflow

    skimflow.plan("analysis.yml").to_json()
    result = skimflow.run("analysis.yml")
    result.results["fit"]

`run(path, options, reporter)`, `plan(path, options)`, `check(path)` and `Options`; events for a demonstration come from
`skimflow.simulate.simulate(folder)`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skimflow.comparison import compare_delivery as check
    from skimflow.workflow import Options, Plan, RunResult, plan, run

__version__ = "0.1.0"

__all__ = ["Options", "Plan", "RunResult", "check", "plan", "run"]

_HOMES = {
    "Options": "skimflow.workflow:Options",
    "Plan": "skimflow.workflow:Plan",
    "RunResult": "skimflow.workflow:RunResult",
    "check": "skimflow.comparison:compare_delivery",
    "plan": "skimflow.workflow:plan",
    "run": "skimflow.workflow:run",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import skimflow` alone stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'skimflow' has no attribute {name!r}; it has {', '.join(__all__)}")
    import importlib

    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

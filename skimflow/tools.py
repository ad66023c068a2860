"""The tools of the inference stage that a pipeline may ask for under `inference.results`, besides fit, ranking, yields.

Each is a function of a likelihood, or of a workspace, with keyword settings, which is also a command. Where it is and
what draws it stands here as text, so that reading a pipeline imports none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes:
        title: of its part of the report.
        function, result, tables, figure: `module:name` of the computation, of the class of what it gives, of the
            function that makes tables of that, and of the one that draws it.
        settings: those that a pipeline's figure needs where nothing else is asked for.
        files: settings that name files, or workspaces of the pipeline: a path each, or paths by name.
        each: attribute of the result that holds what `figure` draws one by one; the result itself if empty.
        makes_workspace: the result has a `workspace`, which others may be computed of.
        hides_by_itself: in a blinded pipeline it is of the true data all the same, since it shows nothing of them.
    """

    title: str
    function: str
    result: str
    tables: str
    figure: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    each: str = ""
    makes_workspace: bool = False
    hides_by_itself: bool = False


TOOLS: Mapping[str, Tool] = {
    "impacts": Tool(
        "Impacts",
        "inference.ranking:impacts",
        "inference.impacts.results:Impacts",
        "inference.impacts.tables:impact_tables",
        "inference.impacts.figures:impacts",
    ),
    "intervals": Tool(
        "Profiled intervals",
        "inference.intervals.minos:intervals",
        "inference.intervals.minos:Intervals",
        "inference.intervals.tables:interval_table",
        "inference.intervals.figures:intervals",
    ),
    "scan": Tool(
        "Scan of the likelihood",
        "inference.intervals.scan:scan",
        "inference.intervals.scan:Scan",
        "inference.intervals.tables:scan_table",
        "inference.intervals.figures:scan",
    ),
    "scan-2d": Tool(
        "Scan of the likelihood in two parameters",
        "inference.intervals.scan:scan_plane",
        "inference.intervals.scan:PlaneScan",
        "inference.intervals.tables:plane_table",
        "inference.intervals.figures:plane",
    ),
    "contours": Tool(
        "Contours of the likelihood",
        "inference.intervals.contours:contours",
        "inference.intervals.contours:Contours",
        "inference.intervals.tables:contour_table",
        "inference.intervals.figures:contours",
    ),
    "limit": Tool(
        "Upper limit",
        "inference.hypotheses.limits:upper_limit",
        "inference.hypotheses.results:UpperLimit",
        "inference.hypotheses.tables:limit_table",
        "inference.hypotheses.figures:brazil",
        {"points": 41},
    ),
    "lower-limit": Tool(
        "Lower limit",
        "inference.hypotheses.lower:lower_limit",
        "inference.hypotheses.results:LowerLimit",
        "inference.hypotheses.tables:limit_table",
    ),
    "significance": Tool(
        "Discovery significance",
        "inference.hypotheses.discovery:significance",
        "inference.hypotheses.results:Significance",
        "inference.hypotheses.tables:significance_table",
        "inference.hypotheses.figures:discovery",
    ),
    "gof": Tool(
        "Goodness of fit",
        "inference.goodness.goodness:goodness",
        "inference.goodness.goodness:Goodness",
        "inference.goodness.tables:goodness_table",
        "inference.goodness.figures:toys",
    ),
    "pulls": Tool(
        "Pulls",
        "inference.impacts.pulls:pulls",
        "inference.impacts.pulls:Pulls",
        "inference.impacts.tables:pull_table",
        "inference.impacts.figures:pulls",
    ),
    "toys": Tool(
        "Toys",
        "inference.toys.study:toy_study",
        "inference.toys.study:ToyStudy",
        "inference.toys.tables:study_tables",
        "inference.toys.figures:study",
    ),
    "limit-by-toys": Tool(
        "Upper limit by toys",
        "inference.toys.limits:upper_limit_by_toys",
        "inference.toys.limits:ToyLimit",
        "inference.toys.tables:limit_table",
        "inference.toys.figures:limit",
    ),
    "significance-by-toys": Tool(
        "Discovery significance by toys",
        "inference.toys.discovery:significance_by_toys",
        "inference.toys.discovery:ToySignificance",
        "inference.toys.tables:significance_table",
        "inference.toys.figures:significance",
    ),
    "feldman-cousins": Tool(
        "Feldman-Cousins interval",
        "inference.toys.feldman_cousins:feldman_cousins",
        "inference.toys.feldman_cousins:FeldmanCousins",
        "inference.toys.tables:feldman_cousins_table",
        "inference.toys.figures:belt",
    ),
    "unfold": Tool(
        "Unfolded spectrum",
        "inference.extensions.unfolding:unfold",
        "inference.extensions.unfolding:Unfolding",
        "inference.extensions.tables:spectrum_table",
        "inference.extensions.figures:spectrum",
    ),
    "eft": Tool(
        "Wilson coefficients",
        "inference.extensions.wilson:eft",
        "inference.extensions.wilson:EftFit",
        "inference.extensions.tables:coefficient_table",
        "inference.extensions.figures:coefficients",
    ),
    "asimov": Tool(
        "Fit of Asimov data",
        "inference.expected:expected_fit",
        "inference.results:FitResult",
        "inference.tables:parameter_table",
        "inference.impacts.figures:fitted",
    ),
    "blind-fit": Tool(
        "Fit with a hidden offset",
        "inference.blinding:offset_fit",
        "inference.results:FitResult",
        "inference.tables:parameter_table",
        "inference.impacts.figures:fitted",
        hides_by_itself=True,
    ),
    "comparison": Tool(
        "Comparison",
        "inference.comparison.variants:compare_with",
        "inference.comparison.results:Comparison",
        "inference.comparison.tables:comparison_tables",
        "inference.comparison.figures:parameters",
        files=("other",),
    ),
    "reinterpretation": Tool(
        "Limits on new signals",
        "inference.reinterpretation.files:reinterpret_file",
        "inference.reinterpretation.results:Reinterpretation",
        "inference.reinterpretation.tables:signal_table",
        "inference.reinterpretation.figures:overview",
        files=("signals",),
    ),
    "smoothing": Tool(
        "Templates smoothed and pruned",
        "inference.smoothing.workspace:smooth_workspace",
        "inference.smoothing.workspace:Smoothed",
        "inference.smoothing.tables:changes_table",
        "inference.smoothing.figures:comparison",
        each="comparisons",
        makes_workspace=True,
    ),
    "combination": Tool(
        "Combination",
        "inference.combination.files:combine_with",
        "inference.combination.combine:Combination",
        "inference.combination.tables:correlation_table",
        "inference.combination.figures:correlation",
        files=("others", "correlation"),
        makes_workspace=True,
    ),
}
"""Kind of result -> tool."""

FIT = Tool(
    "Fit",
    "inference.fit:fit_likelihood",
    "inference.results:FitResult",
    "inference.tables:parameter_table",
    "inference.impacts.figures:fitted",
)
"""A fit of another workspace than the one that the pipeline's other results are of."""


def load(target: str) -> Any:
    """What `module:name` names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)

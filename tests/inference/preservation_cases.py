"""A submission and workflows with fixed numbers, as validators are shown them."""

from pathlib import Path
from typing import Any

import yaml

from inference.likelihood.certificate import Certificate
from inference.preservation import specifications
from inference.preservation.hepdata import (
    Bins,
    Figure,
    Record,
    Resource,
    correlation_table,
    region_tables,
    write_submission,
)
from inference.results import FitResult
from inference.tables import Table, parameter_table
from inference.yields import RegionYield, SampleYield, Yields

PRESERVED = specifications.Preserved(
    "A measurement", "my pipeline.yml", ("fileset.json", "my_query.py"), ("events",), "registry/skimflow:1.0"
)


BINS = Bins("$m_{bjj}$", "GeV", (100.0, 200.0, 400.0))


def fit_result() -> FitResult:
    certificate = Certificate(
        converged=True, gradient=1e-9, edm=1e-12, positive_definite=True, at_bound=(), iterations=5, reason=""
    )
    return FitResult(
        labels=("mu", "jes", "held"),
        bestfit=(1.1, -0.2, 1.0),
        uncertainties=(0.2, 0.9, 0.0),
        covariance=((0.04, 0.018, 0.0), (0.018, 0.81, 0.0), (0.0, 0.0, 0.0)),
        fixed=(False, False, True),
        nominal=(1.0, 0.0, 1.0),
        prefit=(None, 1.0, None),
        measured=(None, 0.0, None),
        poi="mu",
        twice_nll=12.5,
        goodness_of_fit=0.4,
        degrees_of_freedom=3,
        uncertainty="hessian",
        certificate=certificate,
    )


def yields() -> Yields:
    def sample(name: str, values: tuple[float, ...]) -> SampleYield:
        return SampleYield(name, values, tuple(0.1 * value for value in values), sum(values), 0.1 * sum(values))

    samples = (sample("signal", (1.0, 2.5)), sample("background ±", (10.0, 20.0)))
    region = RegionYield("SR-1", samples, sample("total prediction", (11.0, 22.5)), (12.0, 21.0))
    return Yields("post-fit", (region,))


def png() -> bytes:
    from matplotlib.figure import Figure as Canvas

    from inference.canvas import save

    canvas = Canvas(figsize=(2, 2))
    canvas.add_subplot().plot([0, 1], [0, 1])
    return save(canvas, "figure", ("png",))["figure.png"]


def records() -> list[Record]:
    fit = fit_result()
    columns = ("", "observed", "±", "expected", "±", "failed")
    limits = Table("Limits", columns, (("a", 1.2, 0.1, 1.1, 0.2, None), ("b", None, None, 2.0, 0.3, None)))
    return [
        Record(parameter_table(fit), "Best fit", {"best fit": "uncertainty"}, (Figure("pulls", png()),)),
        Record(correlation_table(fit), "Correlations", {}),
        Record(limits, "Upper limits", {}, (Figure("pulls", png()),)),
        *(Record(table, "Events in each bin", errors, (), BINS) for table, errors in region_tables(yields())),
    ]


def submission(folder: Path, workspace: bytes) -> tuple[Path, ...]:
    resource = Resource("workspace.json", workspace, "Full statistical model", "HistFactory")
    keywords = {"cmenergies": ["13000"], "phrases": ["Top", "Cross Section"]}
    return write_submission(folder, records(), [resource], comment="A measurement.", keywords=keywords)


def workflows(folder: Path) -> dict[str, Any]:
    """Write reana.yaml and its twin for RECAST; gives the documents by file."""
    documents = {
        "reana.yaml": specifications.reana(PRESERVED),
        "reana-recast.yaml": specifications.reana_of_recast(PRESERVED),
        "recast.yml": specifications.recast(PRESERVED, "somebody"),
        specifications.WORKFLOW: specifications.yadage_workflow(PRESERVED),
    }
    for name, document in documents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(specifications.to_yaml(document))
    assert {name: yaml.safe_load((folder / name).read_text()) for name in documents} == documents
    return documents


def shown(paths: tuple[Path, ...]) -> dict[str, Any]:
    """A submission as a validator sees it: documents, and names of what is no YAML."""
    return {path.name: list(yaml.safe_load_all(path.read_text())) if path.suffix == ".yaml" else None for path in paths}

"""Workflows of a pipeline for others to run: `reana.yaml` (REANA 0.9), and RECAST's with its Yadage workflow.

All names are relative to the folder that holds them. Each stage of a pipeline is a step of its own, so that what was
kept is seen and a failed step does not lose the ones before: the store lies in the workspace of the workflow.

Sources: REANA's specification schema; the schemas of yadage and packtivity; recast-atlas' templates.
"""

import re
import shlex
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]

STAGES = ("deliver", "process", "build", "fit", "report")
REPORT = "report"
SIGNAL = "signal.json"
WORKFLOW = "specs/workflow.yml"  # where RECAST looks for it


@dataclass(frozen=True, slots=True)
class Preserved:
    """A pipeline in a folder.

    Attributes:
        name: of the analysis, in words.
        pipeline: its file.
        files, directories: what it needs besides, relative to the folder.
        image: container that has skimflow.
    """

    name: str
    pipeline: str
    files: tuple[str, ...]
    directories: tuple[str, ...]
    image: str


def reana(preserved: Preserved) -> Document:
    """`reana.yaml`: one step for each stage of the pipeline."""
    return {
        "inputs": _inputs(preserved, {"pipeline": preserved.pipeline}),
        "workflow": {
            "type": "serial",
            "specification": {
                "steps": [
                    {
                        "name": stage,
                        "environment": preserved.image,
                        "commands": [f'skimflow run "${{pipeline}}" --until {stage} --report {REPORT} --quiet'],
                    }
                    for stage in STAGES
                ]
            },
        },
        "outputs": {"directories": [REPORT]},
    }


def reana_of_recast(preserved: Preserved) -> Document:
    """A specification that runs the Yadage workflow of RECAST on REANA."""
    inputs = _inputs(preserved, {"pipeline": preserved.pipeline, "signal": SIGNAL})
    inputs["files"] = [*inputs["files"], SIGNAL, WORKFLOW]
    return {
        "inputs": inputs,
        "workflow": {"type": "yadage", "file": WORKFLOW},
        "outputs": {"directories": ["reinterpret"]},
    }


def _inputs(preserved: Preserved, parameters: Document) -> Document:
    inputs: Document = {"files": [preserved.pipeline, *preserved.files], "parameters": parameters}
    if preserved.directories:
        inputs["directories"] = list(preserved.directories)
    return inputs


def recast(preserved: Preserved, author: str) -> Document:
    """`recast.yml`: what RECAST's catalogue knows of the analysis."""
    return {
        "name": f"skimflow/{_identifier(preserved.name)}",
        "metadata": {
            "author": author,
            "short_description": preserved.name,
            "input requirements": (
                "signal: what `skimflow reinterpret --signal` takes, such as named signals in JSON; "
                "dataopts: initdir: the absolute path of the folder of the pipeline"
            ),
        },
        "spec": {"workflow": "workflow.yml"},
        "example_inputs": {"default": {"initdata": {"pipeline": preserved.pipeline, "signal": SIGNAL}}},
        "results": [{"name": "upper limits on the signals", "relpath": "reinterpret/limits.json", "load_yaml": True}],
    }


def yadage_workflow(preserved: Preserved) -> Document:
    """`specs/workflow.yml`: the measurement from its events, then limits on a new signal in its workspace.

    The steps stand in the workflow itself: RECAST and REANA resolve references from different folders. The first step
    works in a copy of the inputs alone: their folder may be read-only, or hold the folders of the steps.
    """
    inputs = " ".join(map(shlex.quote, (preserved.pipeline, *preserved.files, *preserved.directories)))
    measurement = (
        f'mkdir {{analysis}} && (cd "$(dirname "{{pipeline}}")" && cp -r --parents {inputs} {{analysis}}) && '
        'skimflow run {analysis}/"$(basename "{pipeline}")" --report "$(dirname {workspace})" --quiet'
    )
    reinterpret = "skimflow reinterpret {workspace} --signal {signal} --output {limits}"
    of_signal = {"signal": _output("init", "signal"), "workspace": _output("measurement", "workspace")}
    return {
        "stages": [
            _stage(
                "measurement",
                ["init"],
                {
                    "pipeline": _output("init", "pipeline"),
                    "analysis": "{workdir}/analysis",
                    "workspace": "{workdir}/report/workspace.json",
                },
                _step(measurement, "workspace", preserved.image),
            ),
            _stage(
                "reinterpret",
                ["measurement", "init"],
                {**of_signal, "limits": "{workdir}/limits.json"},
                _step(reinterpret, "limits", preserved.image),
            ),
        ]
    }


def _output(step: str, name: str) -> Document:
    return {"step": step, "output": name} if step == "init" else {"stages": step, "output": name, "unwrap": True}


def _stage(name: str, dependencies: list[str], parameters: Document, step: Document) -> Document:
    scheduler = {"scheduler_type": "singlestep-stage", "parameters": parameters, "step": step}
    return {"name": name, "dependencies": dependencies, "scheduler": scheduler}


def _step(command: str, output: str, image: str) -> Document:
    name, _, tag = image.rpartition(":")
    return {
        "process": {"process_type": "string-interpolated-cmd", "cmd": command},
        "publisher": {"publisher_type": "frompar-pub", "outputmap": {output: output}},
        "environment": {
            "environment_type": "docker-encapsulated",
            "image": name or image,
            "imagetag": tag if name else "latest",
        },
    }


def to_yaml(document: Document) -> str:
    """Text for people: no references within it."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
            return True

    return yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=160)


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "analysis"

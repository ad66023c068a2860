"""The OpenAPI document is frozen, and the service does what it says, also with what nobody would send.

python tests/service/test_openapi.py    freezes the document anew
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from delivery.service.app import create_app
from delivery.service.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))
from serving import RunningService, running_service

FROZEN = Path(__file__).with_name("openapi.json")
PREFIXES = ("/servicex", "/multiple-codegen-list", "/token")


def document() -> str:
    return json.dumps(create_app(Settings()).openapi(), indent=1, sort_keys=True) + "\n"


def test_the_document_is_the_frozen_one() -> None:
    assert document() == FROZEN.read_text(), f"if the change is meant: python {Path(__file__).name}"


def test_every_answer_in_json_has_a_model() -> None:
    for path, operations in json.loads(document())["paths"].items():
        if not path.startswith(PREFIXES):
            continue
        for method, operation in operations.items():
            for content in operation["responses"]["200"].get("content", {}).items():
                if content[0] == "application/json":
                    assert content[1]["schema"], f"{method} {path}"


def operations() -> dict[str, Any]:
    """The protocol's operations by method and path."""
    schema = schemathesis.openapi.from_path(FROZEN).include(path_regex=f"^({'|'.join(PREFIXES)})")
    found = (result.ok() for result in schema.exclude(path_regex="/events$").get_all_operations())
    return {operation.label: operation for operation in found}


def takes_something(operation: Any) -> bool:
    """Whether a call of it can be malformed."""
    raw = operation.definition.raw
    schemas = [one["schema"] for one in raw.get("parameters", ())]
    return "requestBody" in raw or any(one.get("type") != "string" or "format" in one for one in schemas)


OPERATIONS = operations()
REFUSED_FOR_MEANING = {"POST /servicex/transformation": [positive_data_acceptance]}
"""No schema says what a query or a file's path must be; such a call may be refused although it has the right form."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("openapi")) as running:
        yield running


@pytest.mark.parametrize("label", OPERATIONS)
def test_what_the_document_allows_is_answered_as_it_says(service: RunningService, label: str) -> None:
    check(service, label, GenerationMode.POSITIVE)


@pytest.mark.parametrize("label", [label for label, one in OPERATIONS.items() if takes_something(one)])
def test_what_the_document_forbids_is_refused(service: RunningService, label: str) -> None:
    check(service, label, GenerationMode.NEGATIVE)


def check(service: RunningService, label: str, mode: GenerationMode) -> None:
    """Send so many generated calls; each answer must be of a status and form that the document has."""

    @seed(20260101)
    @settings(
        max_examples=20,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def calls(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=service.url, excluded_checks=REFUSED_FOR_MEANING.get(label, ()))

    calls()


if __name__ == "__main__":
    FROZEN.write_text(document())

"""The OpenAPI document is frozen, and the service does what it says, also with what nobody would send.

python tests/service/test_openapi.py    freezes the document anew
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

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


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("openapi")) as running:
        yield running


@pytest.fixture(scope="module")
def schema(service: RunningService) -> schemathesis.BaseSchema:
    config = SchemathesisConfig.from_dict({"seed": 20260101})
    loaded = schemathesis.openapi.from_url(f"{service.url}/openapi.json", config=config)
    return loaded.include(path_regex="^(/servicex|/multiple-codegen-list|/token)").exclude(path_regex="/events$")


lazy = schemathesis.pytest.from_fixture("schema")


@lazy.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_service_answers_as_its_document_says(case: schemathesis.Case) -> None:
    case.call_and_validate()


if __name__ == "__main__":
    FROZEN.write_text(document())

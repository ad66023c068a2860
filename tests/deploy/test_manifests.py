"""What facilities deploy, checked without a cluster: schemas of others, and what we promise of it."""

import json
import os
import re
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from delivery.service.metrics import lies_in
from delivery.service.settings import Settings, load

ROOT = Path(__file__).parents[2]
OVERLAYS = ("minimal", "production", "coffea-casa")
KUBERNETES = "1.33"
OPERATOR = Path(sys.prefix) / "schemas/dask_kubernetes/operator/deployment/helm/dask-kubernetes-operator/crds"
SECRETS = ("PASSWORD", "SECRET_KEY")


def rendered(overlay: str) -> list[dict[str, Any]]:
    """The manifests of an overlay, as kubectl makes them."""
    folder = ROOT / "k8s" / "overlays" / overlay
    made = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def pods(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specification of every pod in them."""
    found = []
    for one in manifests:
        if one["kind"] == "Deployment":
            found.append(one["spec"]["template"]["spec"])
        elif one["kind"] == "DaskCluster":
            found += [one["spec"][part]["spec"] for part in ("scheduler", "worker")]
    return found


def settings_of(manifests: list[dict[str, Any]]) -> dict[str, str]:
    """The SKIMFLOW_… variables of the service's pod that are no secrets."""
    (config,) = [one["data"] for one in manifests if one["kind"] == "ConfigMap"]
    (pod,) = [one["spec"]["template"]["spec"] for one in manifests if one["kind"] == "Deployment"]
    own = {each["name"]: each["value"] for each in pod["containers"][0]["env"] if "value" in each}
    return {name: value for name, value in (config | own).items() if name.startswith("SKIMFLOW_")}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_fit_kubernetes_schemas(overlay: str, tmp_path: Path) -> None:
    plain = [one for one in rendered(overlay) if not one["apiVersion"].startswith("kubernetes.dask.org")]
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(plain))
    command = [Path(sys.executable).with_name("kubernetes-validate"), "--strict", "-k", KUBERNETES, file]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "WARN" not in checked.stdout + checked.stderr


def test_dask_resources_fit_the_operators_definitions() -> None:
    own = [one for one in rendered("production") if one["apiVersion"] == "kubernetes.dask.org/v1"]
    assert {one["kind"] for one in own} == {"DaskCluster", "DaskAutoscaler"}
    for one in own:
        (definition,) = yaml.safe_load_all((OPERATOR / f"{one['kind'].lower()}.yaml").read_text())
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        jsonschema.validate(one["spec"], strict(schema["properties"]["spec"]))


def strict(schema: Any) -> Any:
    """The schema with no room for misspelt names, where it lists names at all."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: strict(each) for name, each in schema.items()}
    if inner.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    listed = isinstance(inner.get("properties"), dict) and "type" in inner
    if listed and "additionalProperties" not in inner and not inner.get("x-kubernetes-preserve-unknown-fields"):
        inner["additionalProperties"] = False
    return inner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_confined(overlay: str) -> None:
    manifests = rendered(overlay)
    for pod in pods(manifests):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
    assert not [one for one in manifests if one["kind"] == "Secret"]
    assert any(one["kind"] == "NetworkPolicy" for one in manifests)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_settings_are_ones_that_the_service_has(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings_of(rendered(overlay)).items():
        monkeypatch.setenv(name, value)
        field = name.removeprefix("SKIMFLOW_").lower().partition("__")[0]
        assert field in Settings.model_fields, name
    assert load(host="0.0.0.0").needs_sign_in


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_prometheus_pod_may_read_the_figures(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address is private; what comes to the ingress from elsewhere is told by a header."""
    manifests = rendered(overlay)
    (service,) = [one for one in manifests if one["kind"] == "Deployment"]
    assert service["spec"]["template"]["metadata"]["annotations"]["prometheus.io/path"] == "/metrics"
    monkeypatch.setenv("SKIMFLOW_METRICS_NETWORKS", settings_of(manifests)["SKIMFLOW_METRICS_NETWORKS"])
    networks = load().metrics_networks
    assert all(network.is_private for network in networks)
    for pod in ("10.244.1.7", "172.20.3.4", "192.168.77.1", "fd00::7"):
        assert lies_in(pod, networks)


def test_composes_prometheus_may_read_the_figures_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shares a network with the service that leads nowhere else, and meets the service there alone."""
    found = compose()
    service, prometheus = found["services"]["service"], found["services"]["prometheus"]
    (shared,) = set(service["networks"]) & set(prometheus["networks"])
    monitoring = found["networks"][shared]
    assert monitoring["internal"] is True
    assert [name for name, one in found["services"].items() if shared in one.get("networks", [])] == [
        "service",
        "prometheus",
    ]
    monkeypatch.setenv("SKIMFLOW_METRICS_NETWORKS", service["environment"]["SKIMFLOW_METRICS_NETWORKS"])
    (subnet,) = monitoring["ipam"]["config"]
    assert load().metrics_networks == (ip_network(subnet["subnet"]),)
    (job,) = yaml.safe_load(found["configs"]["prometheus"]["content"])["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["service:5000"]}]
    assert "metrics_path" not in job


def test_labels_select_the_pods_that_they_mean() -> None:
    """A policy or budget whose selector meets nothing protects nothing."""
    manifests = rendered("production")
    (service,) = [one for one in manifests if one["kind"] == "Deployment"]
    labels = service["spec"]["template"]["metadata"]["labels"]
    for one in manifests:
        if one["metadata"]["name"] == "skimflow" and one["kind"] in {"NetworkPolicy", "PodDisruptionBudget"}:
            selector = one["spec"].get("podSelector", one["spec"].get("selector"))["matchLabels"]
            assert selector.items() <= labels.items()
        if one["kind"] == "Service":
            assert one["spec"]["selector"].items() <= labels.items()


def test_compose_file_fits_the_specification() -> None:
    command = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, ROOT / "docker-compose.yml"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def compose() -> dict[str, Any]:
    """The compose file."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def test_compose_has_no_default_secrets() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    wanted = set(re.findall(r"\$\{(\w+):\?", text))
    assert {"POSTGRES_PASSWORD", "MINIO_ROOT_PASSWORD", "STORE_SECRET_KEY"} <= wanted
    for service in compose()["services"].values():
        for name, value in service.get("environment", {}).items():
            if name.endswith(SECRETS):
                assert value.startswith("${"), name
                assert ":?" in value, name


def test_compose_services_are_watched_and_not_root() -> None:
    ended = {"owner", "bucket"}  # they run once
    for name, service in compose()["services"].items():
        assert "healthcheck" in service, name
        assert service["healthcheck"].get("disable", False) == (name in ended), name
        if name != "owner":  # root, with nothing but the right to give a folder away
            assert service["user"] not in {"root", "0", "0:0"}, name
    assert compose()["services"]["owner"]["cap_drop"] == ["ALL"]
    assert compose()["services"]["owner"]["cap_add"] == ["CHOWN"]


def test_compose_depends_on_services_that_exist() -> None:
    services = compose()["services"]
    for name, service in services.items():
        for other, when in service.get("depends_on", {}).items():
            ended = when["condition"] == "service_completed_successfully"
            assert services[other]["healthcheck"].get("disable", False) == ended, f"{name} waits for {other}"


def test_commands_of_image_and_compose_are_the_projects() -> None:
    """Options of `skimflow serve` and Dask that are misspelt would show in a cluster only."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    serve = json.loads(re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)[-1])
    commands = [serve, compose()["services"]["scheduler"]["command"], compose()["services"]["worker"]["command"]]
    commands += [container.get("command", []) + container.get("args", []) for container in containers()]
    for command in commands:
        program = Path(sys.executable).with_name(command[0])
        words = [command[1]]
        said = subprocess.run([program, *words, "--help"], capture_output=True, text=True, check=True, env=plain())
        for option in [word for word in command if word.startswith("--")]:
            assert re.search(rf"(?m)(^|[\s,/]){re.escape(option)}\b", said.stdout), (option, words)


def containers() -> list[dict[str, Any]]:
    """All containers of production."""
    return [container for pod in pods(rendered("production")) for container in pod["containers"]]


def plain() -> dict[str, str]:
    """The environment, with lines long enough that no option is broken."""
    return {**os.environ, "COLUMNS": "300", "NO_COLOR": "1"}


def test_dockerfile_copies_all_that_the_wheel_is_made_of() -> None:
    packages = re.search(r"packages = \[(.*)\]", (ROOT / "pyproject.toml").read_text())
    assert packages is not None
    dockerfile, sent = (ROOT / "Dockerfile").read_text(), (ROOT / ".dockerignore").read_text().split()
    for package in re.findall(r'"(\w+)"', packages[1]):
        assert f"COPY {package} {package}\n" in dockerfile
        assert f"!{package}" in sent
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)

"""What deploys the image: valid by the schemas that Compose and Kubernetes publish, and true of the application."""

import copy
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from resource_server.settings import Settings
from tests.image import instructions
from tests.processes import DOCS, SAMPLE, run

COMPOSE = SAMPLE / "deploy" / "compose.yaml"
SERVICE = yaml.safe_load(COMPOSE.read_text())["services"]["api"]
KUBERNETES = SAMPLE / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
MANIFESTS: dict[str, Any] = {
    manifest["kind"]: manifest
    for manifest in (yaml.safe_load((KUBERNETES / name).read_text()) for name in KUSTOMIZATION["resources"])
}
SETTINGS = dict(line.split("=", 1) for line in re.findall(r"(?m)^\w+=.*", (KUBERNETES / "settings.env").read_text()))
IMAGE = dict(instructions((SAMPLE / "Dockerfile").read_text()))

NAME: str = MANIFESTS["Deployment"]["metadata"]["name"]
DEPLOYMENT = MANIFESTS["Deployment"]["spec"]
TEMPLATE = DEPLOYMENT["template"]
POD = TEMPLATE["spec"]
(CONTAINER,) = POD["containers"]


class Noted(Mapping[str, str]):
    """Variables, and the names of those that have been asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def unread(variables: Mapping[str, str]) -> set[str]:
    """Which of the variables the application takes no notice of."""
    noted = Noted(variables)
    Settings.from_environ(noted)
    return set(variables) - noted.asked


def validate(manifest: Mapping[str, Any]) -> None:
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("kind", MANIFESTS)
def test_manifest_is_valid_kubernetes(kind: str) -> None:
    validate(MANIFESTS[kind])


def without_selector(manifest: dict[str, Any]) -> None:
    del manifest["spec"]["selector"]


def misspelt(manifest: dict[str, Any]) -> None:
    manifest["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}


@pytest.mark.parametrize("change", [without_selector, misspelt])
def test_manifest_that_is_broken_is_not_valid(change: Callable[[dict[str, Any]], None]) -> None:
    manifest = copy.deepcopy(MANIFESTS["Deployment"])
    change(manifest)
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(manifest)


def compose_problems(path: Path) -> str:
    answer = run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)])
    return "" if answer.returncode == 0 else answer.stdout + answer.stderr


def test_compose_file_is_valid(tmp_path: Path) -> None:
    assert compose_problems(COMPOSE) == ""
    broken = tmp_path / "compose.yaml"
    broken.write_text(COMPOSE.read_text().replace("read_only: true", "read_only: [true]"))
    assert "read_only" in compose_problems(broken)


def test_kustomization_has_every_manifest_and_makes_what_they_refer_to() -> None:
    files = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(KUSTOMIZATION["resources"]) == files
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    assert CONTAINER["envFrom"] == [{"configMapRef": {"name": generated["name"]}}]
    assert generated["envs"] == ["settings.env"]
    (image,) = KUSTOMIZATION["images"]
    assert image["name"] == CONTAINER["image"]
    assert "newTag" not in image  # which somebody may push another image to
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", image["digest"])


def test_settings_are_ones_that_the_application_reads() -> None:
    assert unread(SETTINGS) == set()
    given = SERVICE["environment"]
    assert unread({name: SETTINGS.get(name, "") for name in given}) == set()
    assert unread({**SETTINGS, "AUTH0_DOMIAN": "tenant.example.com"}) == {"AUTH0_DOMIAN"}


OTHERS = {"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}
"""Variables that libraries read."""


def test_guide_names_settings_that_there_are_and_limits_as_they_are() -> None:
    guide = (DOCS / "deploy.md").read_text()
    named = set(re.findall(r"`([A-Z][A-Z\d]*_[A-Z_]+)[`=]", guide))
    assert {"TRUSTED_PROXIES", "MAX_REQUESTS", "SWAGGER_UI"} <= named
    assert unread(dict.fromkeys(named - OTHERS, "") | SETTINGS) == set()
    limits = dict(re.findall(r"(?m)^\| `([A-Z_]+)` \| .*?: ([^,|]+?)(?:,| \|)", guide))
    assert limits == {
        "MAX_BODY_BYTES": f"{Settings.max_body // 2**20} MiB",
        "MAX_REQUESTS": f"{Settings.max_requests}",
        "KEEP_ALIVE_SECONDS": f"{Settings.keep_alive_seconds} seconds",
        "TOKEN_CACHE": f"{Settings.token_cache_size}",
    }


def test_probes_ask_the_process_and_its_keys() -> None:
    for name, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert CONTAINER[name]["httpGet"] == {"path": path, "port": "http"}
    # The setting that the server reads is the port's number, whatever settings.env says.
    assert CONTAINER["env"] == [{"name": "PORT", "value": str(CONTAINER["ports"][0]["containerPort"])}]
    assert "PORT" not in SERVICE["environment"]
    assert "os.environ['PORT']" in IMAGE["healthcheck"]


def test_pod_calls_names_and_public_addresses_alone() -> None:
    names, issuer = MANIFESTS["NetworkPolicy"]["spec"]["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert [to["ipBlock"]["cidr"] for to in names["to"] if "podSelector" not in to] == ["169.254.20.10/32"]
    assert issuer["ports"] == [{"port": 443, "protocol": "TCP"}]
    blocks = [(ip_network(to["ipBlock"]["cidr"]), to["ipBlock"]["except"]) for to in issuer["to"]]
    for address in (
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.31.0.1",
        "192.168.0.1",
        "fd00:ec2::254",
    ):
        assert not any(
            ip_address(address) in block and not any(ip_address(address) in ip_network(out) for out in left_out)
            for block, left_out in blocks
        )


def test_pod_may_do_nothing_that_it_need_not() -> None:
    assert POD["automountServiceAccountToken"] is False
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    resources = {"cpu", "memory", "ephemeral-storage"}
    assert set(CONTAINER["resources"]["requests"]) == set(CONTAINER["resources"]["limits"]) == resources
    assert IMAGE["user"] == f"{POD['securityContext']['runAsUser']}:{POD['securityContext']['runAsGroup']}"


def test_compose_service_may_do_nothing_either() -> None:
    assert (SERVICE["read_only"], SERVICE["cap_drop"]) == (True, ["ALL"])
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]


def test_everything_is_about_the_same_pods_and_ports() -> None:
    labels = TEMPLATE["metadata"]["labels"].items()
    for selector in (
        DEPLOYMENT["selector"]["matchLabels"],
        MANIFESTS["Service"]["spec"]["selector"],
        MANIFESTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        MANIFESTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        POD["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels
        assert selector
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert ports == {"http": int(IMAGE["expose"]), "metrics": int(SETTINGS["METRICS_PORT"])}
    assert TEMPLATE["metadata"]["annotations"]["prometheus.io/port"] == SETTINGS["METRICS_PORT"]
    assert [port["targetPort"] for port in MANIFESTS["Service"]["spec"]["ports"]] == ["http"]
    allowed = [port["port"] for rule in MANIFESTS["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
    assert allowed == list(ports)
    assert [port.rpartition(":")[2] for port in SERVICE["ports"]] == [IMAGE["expose"]]


def test_rollout_and_drain_leave_pods_that_serve() -> None:
    assert DEPLOYMENT["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    autoscaler = MANIFESTS["HorizontalPodAutoscaler"]["spec"]
    assert autoscaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    assert "replicas" not in DEPLOYMENT  # each apply would undo what the autoscaler does
    assert autoscaler["minReplicas"] > MANIFESTS["PodDisruptionBudget"]["spec"]["maxUnavailable"]


def test_stop_waits_for_requests_in_flight() -> None:
    seconds = int(SETTINGS["SHUTDOWN_SECONDS"])
    delay = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["terminationGracePeriodSeconds"] > delay + seconds
    assert SERVICE["environment"]["SHUTDOWN_SECONDS"] == f"${{SHUTDOWN_SECONDS:-{seconds}}}"
    assert int(SERVICE["stop_grace_period"].removesuffix("s")) > seconds

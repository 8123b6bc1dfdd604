"""The Kubernetes manifests, against the published schema where it is installed, and against themselves."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.papers import DEPLOY, MANIFESTS, documents
from text2song.generation.endpoints import WAIT_LIMIT_SECONDS

RESOURCES = [(path.stem, document) for path in MANIFESTS for document in documents(path)]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {d["metadata"]["name"]: d for _, d in RESOURCES if d["kind"] == kind}


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("Deployment", "Job"):
        for name, document in of_kind(kind).items():
            yield name, document["spec"]["template"]


@pytest.mark.proof
@pytest.mark.parametrize(
    "document", [d for _, d in RESOURCES], ids=lambda d: f"{d['kind']} {d['metadata']['name']}"
)
def test_it_is_what_the_schema_allows(document: dict[str, Any]) -> None:
    schema = pytest.importorskip("kubernetes_validate", reason="`pip install kubernetes-validate` (100 MB)")
    schema.validate(document, "1.31", strict=True)


def test_all_of_them_are_applied() -> None:
    [kustomization] = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == sorted(path.name for path in MANIFESTS)
    kinds = {document["kind"] for _, document in RESOURCES}
    assert {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Job"} <= kinds


def test_selectors_find_their_pods() -> None:
    labels = {name: template["metadata"]["labels"] for name, template in pods()}
    for name in ("api", "worker"):
        deployment = of_kind("Deployment")[name]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels[name].items()
        budget = of_kind("PodDisruptionBudget")[name]
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels[name].items()
    service = of_kind("Service")["api"]["spec"]
    assert service["selector"].items() <= labels["api"].items()
    [container] = of_kind("Deployment")["api"]["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["ports"]} <= set(ports)
    backend = of_kind("Ingress")["studio"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend["name"] == "api"
    assert backend["port"]["name"] in {port["name"] for port in service["ports"]}


def test_the_longest_poll_has_its_answer_before_the_ingress_gives_up() -> None:
    annotations = of_kind("Ingress")["studio"]["metadata"]["annotations"]
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) > WAIT_LIMIT_SECONDS


def test_probes_come_by_a_name_that_the_api_answers_to() -> None:
    [api] = of_kind("Deployment")["api"]["spec"]["template"]["spec"]["containers"]
    paths = {}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = api[probe]["httpGet"]
        [host] = [header["value"] for header in asked["httpHeaders"] if header["name"] == "Host"]
        assert host in {e["name"]: e.get("value", "") for e in api["env"]}["TEXT2SONG_ALLOWED_HOSTS"].split(
            ","
        )
        paths[probe] = asked["path"]
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}


def test_pods_may_do_little() -> None:
    for _, template in pods():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            allowed = container["securityContext"]
            assert allowed["allowPrivilegeEscalation"] is False
            assert allowed["readOnlyRootFilesystem"] is True
            assert allowed["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
            homes = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert {"/tmp", "/var/lib/text2song"} <= set(homes)  # noqa: S108  # all that may be written
            assert set(homes.values()) == {volume["name"] for volume in spec["volumes"]}


def test_the_autoscaler_asks_for_a_number_that_there_is() -> None:
    scaler = of_kind("HorizontalPodAutoscaler")["worker"]["spec"]
    assert scaler["scaleTargetRef"]["name"] in of_kind("Deployment")
    assert "replicas" not in of_kind("Deployment")["worker"]["spec"]
    [metric] = scaler["metrics"]
    page = (DEPLOY.parent / "docs" / "how-to" / "monitoring.md").read_text()
    assert f"`{metric['external']['metric']['name']}`" in page


def test_a_worker_has_time_to_drain() -> None:
    drain = float(of_kind("ConfigMap")["text2song"]["data"]["TEXT2SONG_DRAIN_SECONDS"])
    assert (
        of_kind("Deployment")["worker"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > drain
    )

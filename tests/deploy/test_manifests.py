"""The manifests for Kubernetes: valid by published schemas, and consistent among themselves.

No Kubernetes is started: what only a cluster can show is listed as not tried in docs/deploy.md.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import ray

from heliostat.cluster.config import load_configuration
from tests.deploy.manifests import (
    FOLDER,
    clusters,
    documents,
    faults,
    pods,
    resources,
)

NAMES = [pytest.param(each, id=" ".join(key)) for key, each in resources().items()]
PODS = [pytest.param(each, id=name) for name, each in pods().items()]
ENVIRONMENT = resources()["configuration.yaml", "ConfigMap", "heliostat"]["data"]
HTTP_PORT = 8000
"""Serve's, in the pods."""


class TestSchemas:
    @pytest.mark.parametrize("resource", NAMES)
    def test_what_is_applied_is_valid(self, resource: Any) -> None:
        assert faults(resource) == []

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("spec", "rayClusterConfig", "enableInTreeAutoscaling"), "yes"),
            (("spec", "rayClusterConfig", "headGroupSpecs"), {}),
            (("spec", "rayClusterConfig", "headGroupSpec", "template", "spec", "volume"), []),
            (("spec", "rayClusterConfig", "workerGroupSpecs", 0, "minReplicas"), "2"),
            (("spec", "upgradeStrategy", "type"), "Rolling"),
            (("spec", "upgradeStrategy", "clusterUpgradeOptions"), {"stepSizePercent": 5}),
            (("spec", "rayClusterConfig", "managedBy"), "somebody"),
            (("spec", "rayClusterConfig", "gcsFaultToleranceOptions"), {}),
            (("spec", "rayClusterConfig", "tlsOptions"), {"enabled": True}),
            (("spec", "rayClusterConfig", "workerGroupSpecs", 0, "template", "spec", "containers",
              0, "lifecycle", "preStop", "exec", "command"), "heliostat"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_found(self, path: tuple[str | int, ...], value: Any) -> None:
        broken = copy.deepcopy(resources()["rayservice.yaml", "RayService", "heliostat"])
        at = broken
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        assert faults(broken) != []


class TestWhatTheOperatorRefuses:
    """What passes KubeRay's types, and its operator refuses all the same (`validation.go`)."""

    @pytest.mark.parametrize("cluster", clusters().values(), ids=clusters())
    def test_the_second_autoscaler_wants_pods_that_are_not_restarted(self, cluster: Any) -> None:
        assert cluster["autoscalerOptions"]["version"] == "v2"
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            spec = group["template"]["spec"]
            assert spec.get("restartPolicy", "Never") == "Never"
            names = {each["name"] for one in spec["containers"] for each in one.get("env", ())}
            assert "RAY_enable_autoscaler_v2" not in names | ENVIRONMENT.keys()

    @pytest.mark.parametrize("cluster", clusters().values(), ids=clusters())
    def test_resources_and_labels_of_a_group_are_said_once(self, cluster: Any) -> None:
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            said = group["rayStartParams"].keys()
            assert not (said & {"num-cpus", "num-gpus", "memory", "resources"}) or not group.get(
                "resources"
            )
            assert "labels" not in said

    @pytest.mark.parametrize("cluster", clusters().values(), ids=clusters())
    def test_a_token_wants_a_ray_that_knows_it(self, cluster: Any) -> None:
        assert cluster["authOptions"]["mode"] == "token"
        assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 52, 0)

    @pytest.mark.parametrize("cluster", clusters().values(), ids=clusters())
    def test_fault_tolerance_is_not_switched_on_by_a_variable(self, cluster: Any) -> None:
        assert "gcsFaultToleranceOptions" not in cluster
        names = {
            each["name"]
            for container in cluster["headGroupSpec"]["template"]["spec"]["containers"]
            for each in container.get("env", ())
        }
        assert not {"RAY_REDIS_ADDRESS", "REDIS_USERNAME", "REDIS_PASSWORD"} & (
            names | ENVIRONMENT.keys()
        )

    def test_a_cluster_of_a_service_has_no_strategy_of_its_own(self) -> None:
        service = resources()["rayservice.yaml", "RayService", "heliostat"]["spec"]
        assert "upgradeStrategy" not in service["rayClusterConfig"]
        assert "name" not in service["rayClusterConfig"]["headGroupSpec"].get("headService", {})

    def test_a_job_in_a_cluster_that_is_there_is_not_repeated(self) -> None:
        job = resources()["raycluster.yaml", "RayJob", "heliostat-up"]["spec"]
        assert job["clusterSelector"]
        assert job["submissionMode"] != "SidecarMode"
        assert not {"backoffLimit", "deletionStrategy"} & job.keys()
        assert not job.get("suspend")
        assert "ttlSecondsAfterFinished" not in job or job["shutdownAfterJobFinishes"]

    def test_names_make_names_of_services(self) -> None:
        """A DNS-1035 label, and short enough for what KubeRay makes of it."""
        for _, kind, name in resources():
            if kind in ("RayService", "RayCluster", "RayJob"):
                assert re.fullmatch(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?", name), name


class TestTogether:
    def test_kustomize_names_files_that_are_there_and_one_way_of_deploying(self) -> None:
        (listed,) = documents(FOLDER / "kustomization.yaml")
        assert all((FOLDER / name).is_file() for name in listed["resources"])
        assert len({"rayservice.yaml", "raycluster.yaml"} & set(listed["resources"])) == 1

    def test_both_ways_make_the_same_cluster(self) -> None:
        first, second = clusters().values()
        assert first == second

    @pytest.mark.parametrize("pod", PODS)
    def test_what_pods_name_is_defined(self, pod: Any) -> None:
        defined = {(kind, name) for _, kind, name in resources()}
        for volume in pod["spec"]["volumes"]:
            assert (
                "PersistentVolumeClaim",
                volume["persistentVolumeClaim"]["claimName"],
            ) in defined
        for container in pod["spec"]["containers"]:
            for source in container["envFrom"]:
                ((kind, reference),) = source.items()
                named = {"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind]
                assert (named, reference["name"]) in defined
        account = pod["spec"].get("serviceAccountName")
        assert account is None or ("ServiceAccount", account) in defined

    def test_every_selector_finds_pods(self) -> None:
        labels = [pod["metadata"]["labels"].items() for pod in pods().values()]
        for (_, kind, name), each in resources().items():
            spec = each.get("spec", {})
            selector = {
                "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
                "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
                "Service": lambda spec: spec["selector"],
            }.get(kind)
            if selector is not None:
                assert any(selector(spec).items() <= found for found in labels), name

    def test_the_configuration_is_one(self) -> None:
        environment = {
            name: value for name, value in ENVIRONMENT.items() if name.startswith("HELIOSTAT_")
        }
        secret = resources()["secret.example.yaml", "Secret", "heliostat"]["stringData"]
        found = load_configuration(environment=environment | secret)
        assert found.autoscaling
        assert found.hosts > 1
        assert found.journal is not None

    def test_the_heads_service_is_the_address(self) -> None:
        for _, kind, name in resources():
            if kind in ("RayService", "RayCluster"):
                assert ENVIRONMENT["HELIOSTAT_RAY_ADDRESS"] == f"{name}-head-svc:6379"

    def test_the_job_finds_the_cluster(self) -> None:
        job = resources()["raycluster.yaml", "RayJob", "heliostat-up"]
        name = job["spec"]["clusterSelector"]["ray.io/cluster"]
        assert ("raycluster.yaml", "RayCluster", name) in resources()


class TestPods:
    @pytest.mark.parametrize("pod", PODS)
    def test_no_variable_of_kubernetes_own_making_is_refused(self, pod: Any) -> None:
        """A service `heliostat-head-svc` would become HELIOSTAT_HEAD_SVC_PORT in each pod."""
        assert pod["spec"]["enableServiceLinks"] is False

    @pytest.mark.parametrize("pod", PODS)
    def test_nothing_runs_as_root_or_may_become_it(self, pod: Any) -> None:
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["securityContext"]["runAsUser"] != 0
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}

    @pytest.mark.parametrize("pod", PODS)
    def test_each_says_what_it_needs_and_mounts_the_data(self, pod: Any) -> None:
        for container in pod["spec"]["containers"]:
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
            paths = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert ENVIRONMENT["HELIOSTAT_DATA_DIR"] in paths
            assert "env" not in container or all(
                "value" not in each for each in container["env"]
            ), "values stand in configuration.yaml, for all pods"

    @pytest.mark.parametrize("cluster", clusters().values(), ids=clusters())
    def test_workers_drain_before_they_end(self, cluster: Any) -> None:
        for group in cluster["workerGroupSpecs"]:
            spec = group["template"]["spec"]
            (container,) = spec["containers"]
            command = container["lifecycle"]["preStop"]["exec"]["command"][-1]
            waited_s = int(re.search(r"--wait-ms (\d+)", command)[1]) / 1_000  # type: ignore[index]
            assert waited_s + 20 <= spec["terminationGracePeriodSeconds"]
            assert "POD_IP" in command
            assert "POD_IP" in {each["name"] for each in container["env"]}

    @pytest.mark.parametrize("cluster", clusters().values(), ids=clusters())
    def test_the_autoscaler_is_on_and_has_room(self, cluster: Any) -> None:
        assert cluster["enableInTreeAutoscaling"] is True
        for group in cluster["workerGroupSpecs"]:
            assert 1 < group["minReplicas"] <= group["replicas"] < group["maxReplicas"]

    @pytest.mark.parametrize("cluster", clusters().values(), ids=clusters())
    def test_rays_release_is_the_one_that_is_locked(self, cluster: Any) -> None:
        assert cluster["rayVersion"] == ray.__version__


class TestReach:
    """Whoever reaches the port may do everything: there is no security of our own yet."""

    def test_nothing_is_offered_outside_the_cluster(self) -> None:
        for _, kind, name in resources():
            assert kind != "Ingress", name
        for (_, kind, name), each in resources().items():
            if kind == "Service":
                assert each["spec"]["type"] == "ClusterIP", name
        for cluster in clusters().values():
            head = cluster["headGroupSpec"]
            assert head.get("serviceType", "ClusterIP") == "ClusterIP"
            assert not head.get("enableIngress", False)
            assert cluster["authOptions"] == {"mode": "token"}

    def test_every_pod_is_closed_but_to_those_named(self) -> None:
        policies = [each for (_, kind, _), each in resources().items() if kind == "NetworkPolicy"]
        for policy in policies:
            assert policy["spec"]["policyTypes"] == ["Ingress"]
            for rule in policy["spec"]["ingress"]:
                assert rule["from"], "a rule without `from` lets everybody in"
        for pod in pods().values():
            labels = pod["metadata"]["labels"].items()
            assert any(
                policy["spec"]["podSelector"]["matchLabels"].items() <= labels
                for policy in policies
            )

    def test_no_password_is_in_the_repository(self) -> None:
        secret = resources()["secret.example.yaml", "Secret", "heliostat"]["stringData"]
        assert ":PASSWORD@" in secret["HELIOSTAT_JOURNAL"]
        (listed,) = documents(FOLDER / "kustomization.yaml")
        assert "secret.example.yaml" not in listed["resources"]


class TestServe:
    def test_the_application_is_served_at_the_port_that_pods_open(self) -> None:
        service = resources()["rayservice.yaml", "RayService", "heliostat"]["spec"]
        config = _yaml(service["serveConfigV2"])
        assert config["http_options"]["port"] == HTTP_PORT
        for pod in pods().values():
            (container,) = pod["spec"]["containers"]
            assert {"name": "serve", "containerPort": HTTP_PORT} in container["ports"]

    def test_ray_accepts_the_configuration(self) -> None:
        from ray.serve.schema import ServeDeploySchema

        service = resources()["rayservice.yaml", "RayService", "heliostat"]["spec"]
        parsed = ServeDeploySchema.model_validate(_yaml(service["serveConfigV2"]))
        assert [each.name for each in parsed.applications] == ["heliostat"]
        assert parsed.applications[0].route_prefix == "/"

    def test_one_cluster_at_a_time(self) -> None:
        """Two would want the same shards."""
        service = resources()["rayservice.yaml", "RayService", "heliostat"]["spec"]
        assert service["upgradeStrategy"] == {"type": "None"}


def _yaml(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)

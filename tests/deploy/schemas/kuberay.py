"""What KubeRay's resources may hold, by `ray.io/v1` as of KubeRay 1.5.

The operator's own definitions are a megabyte each, nearly all of it Kubernetes' pods repeated. This
is the rest, written down from its Go types: each field that there is, its type and its allowed
values; where a pod begins, Kubernetes' schema goes on (`kubernetes.json`). As strict as that: a
field that is not known is an error, and so is one that came after 1.5 (listed in `README.md`). What
the operator refuses beyond its types (`validation.go`) is in `test_manifests.py`.
"""

from __future__ import annotations

from typing import Any, Final

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_BOOLEAN: Final = {"type": "boolean"}
_COUNT: Final = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_BY_NAME: Final = {"type": "object", "additionalProperties": _TEXT}


def _kubernetes(name: str) -> dict[str, Any]:
    return {"$ref": f"#/definitions/{name}"}


def _closed(required: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": list(required),
        "additionalProperties": False,
    }


def _one_of(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


_MANAGER: Final = _one_of("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue")

_CREDENTIAL: Final = _closed(value=_TEXT, valueFrom=_kubernetes("io.k8s.api.core.v1.EnvVarSource"))

_FAULT_TOLERANCE: Final = _closed(
    ("redisAddress",),
    redisAddress=_TEXT,
    redisUsername=_CREDENTIAL,
    redisPassword=_CREDENTIAL,
    externalStorageNamespace=_TEXT,
)


_AUTOSCALER: Final = _closed(
    version=_one_of("v1", "v2"),
    image=_TEXT,
    imagePullPolicy=_TEXT,
    command=_TEXTS,
    args=_TEXTS,
    env={"type": "array", "items": _kubernetes("io.k8s.api.core.v1.EnvVar")},
    envFrom={"type": "array", "items": _kubernetes("io.k8s.api.core.v1.EnvFromSource")},
    resources=_kubernetes("io.k8s.api.core.v1.ResourceRequirements"),
    securityContext=_kubernetes("io.k8s.api.core.v1.SecurityContext"),
    volumeMounts={"type": "array", "items": _kubernetes("io.k8s.api.core.v1.VolumeMount")},
    idleTimeoutSeconds=_COUNT,
    upscalingMode=_one_of("Default", "Aggressive", "Conservative"),
)

_HEAD: Final = _closed(
    ("template",),
    serviceType=_one_of("ClusterIP", "NodePort", "LoadBalancer"),
    headService=_kubernetes("io.k8s.api.core.v1.Service"),
    enableIngress=_BOOLEAN,
    rayStartParams=_BY_NAME,
    resources=_BY_NAME,
    labels=_BY_NAME,
    template=_kubernetes("io.k8s.api.core.v1.PodTemplateSpec"),
)

_WORKERS: Final = _closed(
    ("groupName", "minReplicas", "maxReplicas", "template"),
    groupName=_TEXT,
    replicas=_COUNT,
    minReplicas=_COUNT,
    maxReplicas=_COUNT,
    numOfHosts={"type": "integer", "minimum": 1},
    idleTimeoutSeconds=_COUNT,
    suspend=_BOOLEAN,
    rayStartParams=_BY_NAME,
    resources=_BY_NAME,
    labels=_BY_NAME,
    scaleStrategy=_closed(workersToDelete=_TEXTS),
    template=_kubernetes("io.k8s.api.core.v1.PodTemplateSpec"),
)

_CLUSTER: Final = _closed(
    ("headGroupSpec",),
    rayVersion=_TEXT,
    authOptions=_closed(mode=_one_of("disabled", "token")),
    enableInTreeAutoscaling=_BOOLEAN,
    autoscalerOptions=_AUTOSCALER,
    headServiceAnnotations=_BY_NAME,
    gcsFaultToleranceOptions=_FAULT_TOLERANCE,
    upgradeStrategy=_closed(type=_one_of("Recreate", "None")),
    managedBy=_MANAGER,
    suspend=_BOOLEAN,
    headGroupSpec=_HEAD,
    workerGroupSpecs={"type": "array", "items": _WORKERS},
)

_SERVICE: Final = _closed(
    ("rayClusterConfig",),
    serveConfigV2=_TEXT,
    rayClusterConfig=_CLUSTER,
    upgradeStrategy=_closed(
        type=_one_of("NewCluster", "NewClusterWithIncrementalUpgrade", "None"),
        clusterUpgradeOptions=_closed(
            ("stepSizePercent", "intervalSeconds", "gatewayClassName"),
            maxSurgePercent=_COUNT,
            stepSizePercent=_COUNT,
            intervalSeconds=_COUNT,
            gatewayClassName=_TEXT,
        ),
    ),
    serveService=_kubernetes("io.k8s.api.core.v1.Service"),
    excludeHeadPodFromServeSvc=_BOOLEAN,
    rayClusterDeletionDelaySeconds=_COUNT,
    deploymentUnhealthySecondThreshold=_COUNT,
    serviceUnhealthySecondThreshold=_COUNT,
)

_DELETED: Final = _one_of("DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone")

_DELETION: Final = _closed(
    onSuccess=_closed(policy=_DELETED),
    onFailure=_closed(policy=_DELETED),
    deletionRules={
        "type": "array",
        "minItems": 1,
        "items": _closed(
            ("policy", "condition"),
            policy=_DELETED,
            condition=_closed(
                jobStatus=_one_of("SUCCEEDED", "FAILED"),
                jobDeploymentStatus=_one_of("Failed"),
                ttlSeconds=_COUNT,
            ),
        ),
    },
)

_JOB: Final = _closed(
    entrypoint=_TEXT,
    entrypointNumCpus={"type": "number", "minimum": 0},
    entrypointNumGpus={"type": "number", "minimum": 0},
    entrypointResources=_TEXT,
    runtimeEnvYAML=_TEXT,
    jobId=_TEXT,
    metadata=_BY_NAME,
    submissionMode=_one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
    submitterPodTemplate=_kubernetes("io.k8s.api.core.v1.PodTemplateSpec"),
    submitterConfig=_closed(backoffLimit=_COUNT),
    clusterSelector=_BY_NAME,
    rayClusterSpec=_CLUSTER,
    activeDeadlineSeconds=_COUNT,
    backoffLimit=_COUNT,
    ttlSecondsAfterFinished=_COUNT,
    shutdownAfterJobFinishes=_BOOLEAN,
    deletionStrategy=_DELETION,
    managedBy=_MANAGER,
    suspend=_BOOLEAN,
)


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return _closed(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=_kubernetes("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"),
        spec=spec,
    )


KINDS: Final[dict[str, dict[str, Any]]] = {
    "RayCluster": _resource("RayCluster", _CLUSTER),
    "RayService": _resource("RayService", _SERVICE),
    "RayJob": _resource("RayJob", _JOB),
}

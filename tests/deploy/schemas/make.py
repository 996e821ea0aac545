"""Makes `kubernetes.json`: of Kubernetes' published API schemas those that our manifests need.

    pip install kubernetes-validate==1.37.0
    python tests/deploy/schemas/make.py

The package holds the OpenAPI definitions of the Kubernetes project (Apache-2.0) as JSON Schema, in
a strict form: a field that is not known is an error. They are 100 MB, of which this keeps what can
be reached from `KINDS`, without the descriptions.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

VERSION = "1.37.0"
KINDS = {
    "ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
    "PersistentVolumeClaim": "io.k8s.api.core.v1.PersistentVolumeClaim",
    "PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
    "Secret": "io.k8s.api.core.v1.Secret",
    "Service": "io.k8s.api.core.v1.Service",
    "ServiceAccount": "io.k8s.api.core.v1.ServiceAccount",
    # parts of what KubeRay defines
    "PodTemplateSpec": "io.k8s.api.core.v1.PodTemplateSpec",
    "ObjectMeta": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "ResourceRequirements": "io.k8s.api.core.v1.ResourceRequirements",
    "EnvVar": "io.k8s.api.core.v1.EnvVar",
    "EnvFromSource": "io.k8s.api.core.v1.EnvFromSource",
}
HERE = Path(__file__).parent


def main() -> None:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{VERSION}-local-strict"
    everything = json.loads((folder / "_definitions.json").read_text())["$defs"]
    kept: dict[str, Any] = {}
    wanted = sorted(KINDS.values())
    while wanted:
        name = wanted.pop()
        if name in kept:
            continue
        kept[name] = _bare(everything[name])
        wanted += sorted(_named(kept[name]))
    schema = {
        "$comment": f"Kubernetes {VERSION} API schemas, (c) The Kubernetes Authors, Apache-2.0; "
        "made by make.py, without descriptions",
        "kinds": KINDS,
        "definitions": dict(sorted(kept.items())),
    }
    (HERE / "kubernetes.json").write_text(json.dumps(schema, separators=(",", ":")) + "\n")


def _bare(value: Any, *, named: bool = False) -> Any:
    """Without descriptions; `named` where keys are names of fields, which may be called so."""
    if isinstance(value, list):
        return [_bare(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: "#/definitions/" + each.rpartition("/")[2]
        if key == "$ref" and not named
        else _bare(each, named=key == "properties" and not named)
        for key, each in value.items()
        if named or (key != "description" and not key.startswith("x-"))
    }


def _named(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_named, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(_named, value.values())) if value else set()
    if isinstance(value.get("$ref"), str):
        found.add(value["$ref"].rpartition("/")[2])
    return found


if __name__ == "__main__":
    main()

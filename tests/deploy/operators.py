"""The manifests by the definitions of KubeRay's operator itself, where somebody has brought them.

    helm show crds kuberay/kuberay-operator > crds.yaml
    python -m tests.deploy.operators crds.yaml

They are a megabyte each and are not kept here; the tests check by `schemas/kuberay.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.deploy.manifests import documents, faults_by, resources

VERSION = "v1"


def faults(resource: Any, definitions: Sequence[Any]) -> list[str]:
    """What the operator's definition of a resource's kind has against it."""
    for each in definitions:
        if each["spec"]["names"]["kind"] == resource["kind"]:
            (version,) = (one for one in each["spec"]["versions"] if one["name"] == VERSION)
            return faults_by(_pruning(version["schema"]["openAPIV3Schema"]), resource)
    return [f"kind: nothing defines {resource['kind']}"]


def _pruning(schema: Any) -> Any:
    """Kubernetes drops silently what a structural schema does not name; here it is an error."""
    if isinstance(schema, list):
        return [_pruning(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _pruning(each) for key, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        named = schema["properties"]
        open_ = {"apiVersion", "kind", "metadata"} <= set(named)
        if "additionalProperties" not in schema and not open_:
            found["additionalProperties"] = False
        if open_:
            found["properties"]["metadata"] = {"type": "object"}
    return found


def main(arguments: Sequence[str]) -> int:
    if not arguments:
        return 2
    definitions = [each for name in arguments for each in documents(Path(name)) if each]
    code = 0
    for key, resource in resources().items():
        if resource["apiVersion"] == "ray.io/v1":
            found = faults(resource, definitions)
            code = code or bool(found)
            print(*key, "is valid" if not found else "", *found, sep="\n  ")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The manifests as data, and what is wrong with one of them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from tests.deploy.schemas import kuberay

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FOLDER = DEPLOY / "kubernetes"
SCHEMAS = Path(__file__).parent / "schemas"


def documents(path: Path) -> list[Any]:
    return list(YAML(typ="safe", pure=True).load_all(path.read_text()))


@cache
def resources() -> dict[tuple[str, str, str], Any]:
    """Every resource that is written down, by file, kind and name."""
    found = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        for document in documents(path):
            if document["kind"] != "Kustomization":
                found[path.name, document["kind"], document["metadata"]["name"]] = document
    return found


def clusters() -> dict[str, Any]:
    """The Ray cluster of each file that has one."""
    return {
        name: each["spec"].get("rayClusterConfig", each["spec"])
        for (name, kind, _), each in resources().items()
        if kind in ("RayService", "RayCluster")
    }


def pods() -> dict[str, Any]:
    """The specification of each pod, by file and group."""
    found = {}
    for name, cluster in clusters().items():
        found[f"{name} head"] = cluster["headGroupSpec"]["template"]
        for group in cluster["workerGroupSpecs"]:
            found[f"{name} {group['groupName']}"] = group["template"]
    return found


def faults(resource: Any) -> list[str]:
    """What the schema of a resource's kind has against it; each with its place."""
    kind = resource["kind"]
    kubernetes = json.loads((SCHEMAS / "kubernetes.json").read_text())
    if kind in kuberay.KINDS:
        schema = kuberay.KINDS[kind]
    else:
        schema = {"$ref": f"#/definitions/{kubernetes['kinds'][kind]}"}
    return faults_by({**schema, "definitions": kubernetes["definitions"]}, resource)


def faults_by(schema: Any, resource: Any) -> list[str]:
    """What any schema has against a resource; each with its place."""
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in sorted(
            Draft7Validator(schema).iter_errors(resource), key=lambda e: str(e.path)
        )
    ]

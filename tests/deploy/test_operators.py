"""How manifests are checked by definitions that an operator brings along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.deploy import operators

LAMP: dict[str, Any] = {
    "spec": {
        "names": {"kind": "Lamp"},
        "versions": [
            {"name": "v1alpha1", "schema": {"openAPIV3Schema": {"type": "string"}}},
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "apiVersion": {"type": "string"},
                            "kind": {"type": "string"},
                            "metadata": {"type": "object", "properties": {}},
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "lumen": {"type": "integer"},
                                    "labels": {
                                        "type": "object",
                                        "additionalProperties": {"type": "string"},
                                    },
                                    "bulbs": {
                                        "type": "array",
                                        "items": {
                                            "type": "object",
                                            "properties": {"colour": {"type": "string"}},
                                        },
                                    },
                                },
                            },
                        },
                    }
                },
            },
        ],
    }
}


def lamp(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "a/v1", "kind": "Lamp", "metadata": {"name": "desk"}, "spec": spec}


def test_what_is_defined_is_valid() -> None:
    good = lamp(lumen=400, labels={"room": "den"}, bulbs=[{"colour": "warm"}])
    assert operators.faults(good, [LAMP]) == []


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"lumen": "400"}, "spec.lumen: "),
        ({"lumens": 400}, "spec: "),
        ({"bulbs": [{"color": "warm"}]}, "spec.bulbs.0: "),
        ({"labels": {"room": 1}}, "spec.labels.room: "),
    ],
)
def test_what_is_not_is_named_with_its_place(spec: Any, place: str) -> None:
    """Kubernetes itself would drop a field that is not known without a word."""
    (found,) = operators.faults(lamp(**spec), [LAMP])
    assert found.startswith(place)


def test_a_kind_that_nobody_defines_is_a_fault() -> None:
    other = lamp() | {"kind": "Chair"}
    assert operators.faults(other, [LAMP]) == ["kind: nothing defines Chair"]


def test_the_command_looks_at_every_resource_of_the_operators(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "crds.yaml"
    file.write_text("# no definition\n---\nspec: {names: {kind: Lamp}, versions: []}\n")
    assert operators.main([str(file)]) == 1
    told = capsys.readouterr().out
    assert told.count("kind: nothing defines") == told.count(".yaml") == 3
    assert operators.main([]) == 2

"""What is made ready in the client's process before a version is sent."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from heliostat.actors.client.registration import prepare
from heliostat.engine.authoring.bundle import functions_of
from heliostat.engine.errors import DefinitionError, InputError
from heliostat.engine.journal.blobs import FileBlobStore

FILE = """\
id: order
version: "3"
steps:
  - {id: charge, type: activity, activity: "registration_shop:charge", input: {total: 5}}
"""
MODULE = "import registration_tax\ndef charge(total: int) -> int:\n    return total\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "order.yaml").write_text(FILE)
    (tmp_path / "registration_shop.py").write_text(MODULE)
    (tmp_path / "registration_tax.py").write_text("RATE = 2\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_modules_beside_a_file_are_shipped(folder: Path) -> None:
    prepared = prepare(folder / "order.yaml")
    assert prepared.bundle
    blobs = FileBlobStore(folder / "blobs")
    version = prepared.stored(blobs)
    assert version.fixed.code is not None
    assert blobs.get(version.fixed.code) == prepared.bundle


def test_other_code_is_another_version(folder: Path) -> None:
    blobs = FileBlobStore(folder / "blobs")
    before = prepare(folder / "order.yaml").stored(blobs)
    again = prepare(str(folder / "order.yaml")).stored(blobs)
    (folder / "registration_tax.py").write_text("RATE = 3\n")
    after = prepare(folder / "order.yaml").stored(blobs)
    assert before.content_hash == again.content_hash != after.content_hash


def test_a_development_version_is_named_by_its_content(folder: Path) -> None:
    version = prepare(folder / "order.yaml", dev=True).stored(FileBlobStore(folder / "blobs"))
    name, plus, digest = version.version.partition("+")
    assert (name, plus, len(digest)) == ("3", "+", 10)


def test_functions_are_shipped_by_value() -> None:
    from ray import cloudpickle

    text = FILE.replace("registration_shop:charge", "charge")
    prepared = prepare(text, functions={"charge": _charge})
    (pickled,) = functions_of(prepared.bundle).values()
    assert cloudpickle.loads(pickled)(total=4) == 8
    assert b"_charge" in pickled
    assert __name__.encode() not in pickled.split(b"_charge")[0][:40]


def _charge(total: int) -> int:
    return 2 * total


def test_a_missing_function_is_told_with_its_place(folder: Path) -> None:
    (folder / "registration_shop.py").write_text("def change(total): ...\n")
    sys.modules.pop("registration_shop", None)
    with pytest.raises(DefinitionError, match=r"order\.yaml:4:.*no function `charge`"):
        prepare(folder / "order.yaml")


def test_a_namespace_is_the_callers_unless_the_definition_says_one() -> None:
    text = 'id: a\nversion: "1"\nsteps: [{id: s, type: decision}]\n'
    assert prepare(text, namespace="team").definition.namespace == "team"
    with pytest.raises(InputError, match="remove one of the two"):
        prepare("namespace: other\n" + text, namespace="team")
    assert prepare("namespace: other\n" + text).definition.namespace == "other"

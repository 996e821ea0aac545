"""The record of a deployment, and whose it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from heliostat.cluster import record as records
from heliostat.cluster.record import DeploymentRecord, RayRecord, read_record, write_record


def written(data_dir: Path, *, owned: bool) -> DeploymentRecord:
    data_dir.mkdir()
    record = DeploymentRecord(
        mode="background",
        deployment_id="d",
        generation=1,
        node_resource=None,
        code=".",
        ray=RayRecord(address="head:6379", owned=owned),
        started_at_ms=1,
    )
    write_record(data_dir, record)
    found = read_record(data_dir)
    assert found is not None
    assert msgspec.structs.replace(found, directory=None) == record
    return found


def elsewhere(data_dir: Path) -> str:
    """How another machine names the directory: its own number for the network's file system."""
    return f"ffff-{records._identity(data_dir).rpartition('-')[2]}"


@pytest.mark.parametrize("owned", [True, False])
def test_a_copy_of_the_directory_is_another_deployment(tmp_path: Path, owned: bool) -> None:
    written(tmp_path / "data", owned=owned)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    assert read_record(tmp_path / "copy") is None
    (tmp_path / "data").rename(tmp_path / "moved")
    assert read_record(tmp_path / "moved") is not None


def test_nodes_that_share_the_directory_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = written(tmp_path / "data", owned=False)
    named = elsewhere(tmp_path / "data")
    monkeypatch.setattr(records, "_identity", lambda _: named)
    assert read_record(tmp_path / "data") == found


def test_a_ray_of_this_machine_is_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "data", owned=True)
    named = elsewhere(tmp_path / "data")
    monkeypatch.setattr(records, "_identity", lambda _: named)
    assert read_record(tmp_path / "data") is None

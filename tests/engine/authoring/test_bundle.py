"""The same code gives the same bytes; what is no code of the definition stays out."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from heliostat.engine.authoring import bundle
from heliostat.engine.authoring.bundle import TooLarge, bundle_modules, functions_of


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"# {name}\n")


def names(data: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(data)).namelist()


def test_modules_and_packages_beside_the_definition_are_packed(tmp_path: Path) -> None:
    write(
        tmp_path,
        "etl.py",
        "helpers.py",
        "pack/__init__.py",
        "pack/deep/inner.py",
        "named/module.py",
        "folder/of_scripts.py",
        "flow.yaml",
        "pack/data.csv",
        ".hidden.py",
        ".git/hook.py",
        "__pycache__/etl.cpython-311.py",
        "venv/lib.py",
        "own/pyvenv.cfg",
        "own/__init__.py",
        "tests/__init__.py",
        "test_etl.py",
        "conftest.py",
    )
    packed = names(bundle_modules(tmp_path, ["etl", "named.module", "numpy"]))
    assert packed == [
        "etl.py",
        "helpers.py",
        "named/module.py",
        "pack/__init__.py",
        "pack/deep/inner.py",
    ]
    assert "tests/__init__.py" in names(bundle_modules(tmp_path, ["etl"], tests=True))


def test_nothing_is_packed_if_no_activity_lies_there(tmp_path: Path) -> None:
    write(tmp_path, "private.py")
    assert bundle_modules(tmp_path, ["numpy", "json"]) == b""
    assert bundle_modules(tmp_path, []) == b""


def test_same_content_gives_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write(tmp_path / folder, "b.py", "a.py", "pack/__init__.py")
    os.utime(tmp_path / "two" / "a.py", (1, 1))
    (tmp_path / "two" / "b.py").chmod(0o700)
    one = bundle_modules(tmp_path / "one", ["a"])
    assert one == bundle_modules(tmp_path / "two", ["a"])
    (tmp_path / "two" / "a.py").write_text("# changed\n")
    assert one != bundle_modules(tmp_path / "two", ["a"])


def test_python_imports_from_it(tmp_path: Path) -> None:
    write(tmp_path, "a.py")
    data = bundle_modules(tmp_path, ["a"])
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None


def test_functions_by_value_travel_along(tmp_path: Path) -> None:
    given = {"charge": b"pickled", "b": b"other"}
    assert functions_of(bundle_modules(tmp_path, [], functions=given)) == given


def test_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "BUNDLE_BYTES_MAX", 100)
    write(tmp_path, "small.py")
    (tmp_path / "large.py").write_text("#" * 101)
    with pytest.raises(TooLarge, match=r"has 112 bytes; 100 are shipped at most \(largest: large"):
        bundle_modules(tmp_path, ["small"])
    monkeypatch.setattr(bundle, "FILES_MAX", 1)
    with pytest.raises(TooLarge, match="more than 1 files"):
        bundle_modules(tmp_path, ["small"])

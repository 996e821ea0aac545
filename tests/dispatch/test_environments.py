"""Directories of runtime environments become archives that are named by what is in them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from heliostat.actors.environments import EnvironmentFault, resolved


@pytest.fixture
def code(tmp_path: Path) -> Path:
    root = tmp_path / "code"
    (root / "__pycache__").mkdir(parents=True)
    (root / "__pycache__" / "a.pyc").write_bytes(b"x")
    (root / "a.py").write_text("A = 1\n")
    return root


def names(uri: str) -> set[str]:
    with zipfile.ZipFile(urlsplit(uri).path) as archive:
        return set(archive.namelist())


def test_the_same_content_is_the_same_archive_and_other_content_another(
    code: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    first = resolved({"working_dir": str(code)}, made)["working_dir"]
    assert resolved({"working_dir": str(code)}, made)["working_dir"] == first
    (code / "a.py").write_text("A = 2\n")
    assert resolved({"working_dir": str(code)}, made)["working_dir"] != first
    assert len(list(made.iterdir())) == 2, "nothing unfinished is left behind"


def test_a_working_dir_holds_its_files_and_a_module_its_name(code: Path, tmp_path: Path) -> None:
    made = resolved({"working_dir": str(code), "py_modules": [str(code)]}, tmp_path / "made")
    assert names(made["working_dir"]) == {"content/", "content/a.py"}
    assert names(made["py_modules"][0]) == {"content/", "content/code/a.py"}


def test_what_is_no_directory_here_is_passed_on(tmp_path: Path) -> None:
    environment = {"pip": ["six"], "env_vars": {"A": "1"}, "working_dir": "s3://bucket/code.zip"}
    assert resolved(environment, tmp_path) == environment


@pytest.mark.parametrize(
    ("place", "told"), [("code", "absolute path"), ("/nowhere/at/all", "names no directory")]
)
def test_a_directory_that_nobody_finds_is_refused(place: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=told):
        resolved({"py_modules": [place]}, tmp_path)

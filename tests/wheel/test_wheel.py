"""What is shipped works: the wheel is built, installed into an empty environment and used there.

The environment is made from the runtime lock alone, so a dependency that only the development
environment has, or a file that only the checkout has, shows up here.
"""

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("actors", "api", "cluster", "engine", "verify")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command away from the checkout; its output is the failure's message."""
    done = subprocess.run(
        [sys.executable if part == "python" else str(part) for part in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a release builds it: by way of the source archive, so that both are whole."""
    out = tmp_path_factory.mktemp("wheel")
    run("python", "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the runtime lock and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    lock = ROOT / "requirements" / "runtime.txt"
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    install(python, "--require-hashes", "-r", lock, cwd=folder)
    return python


def install(python: Path, *arguments: str | Path, cwd: Path) -> None:
    """Install with uv, or with pip where uv cannot reach the index that pip is configured for."""
    try:
        run("python", "-m", "uv", "pip", "install", "--python", python, *arguments, cwd=cwd)
    except AssertionError:
        run("python", "-m", "pip", "--python", python, "install", *arguments, cwd=cwd)


def test_wheel_holds_every_source_below_heliostat_and_nothing_beside_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"heliostat", f"heliostat-{wheel.name.split('-')[1]}.dist-info"}
    sources = {
        f"heliostat/{file.relative_to(ROOT)}"
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert sources <= names, f"missing: {sorted(sources - names)}"


def test_installed_wheel_works_in_an_empty_environment(
    wheel: Path, empty_environment: Path, tmp_path: Path
) -> None:
    install(empty_environment, "--no-deps", wheel, cwd=tmp_path)
    smoke = shutil.copy(ROOT / "tests" / "wheel" / "smoke.py", tmp_path)
    # -I: neither the checkout nor the caller's environment variables may help.
    assert "works from" in run(empty_environment, "-I", smoke, cwd=tmp_path)
    help_text = run(empty_environment.parent / "heliostat", "--help", cwd=tmp_path)
    assert "Usage" in help_text

"""The command line in this process, and a door to work with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from heliostat.api.cli.app import main
from tests.client_http.conftest import Place
from tests.client_http.conftest import place as place

BOUND_S = 60.0


class Cli:
    """Runs commands."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.err = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What it wrote on stdout; where it failed, on stderr."""
        with pytest.raises(SystemExit) as exited:
            main(list(arguments))
        out, self.err = self._capsys.readouterr()
        assert exited.value.code == code, (exited.value.code, out, self.err)
        return self.err if code and not out else out

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--format", "json", code=code))


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """In an empty directory, with nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HELIOSTAT_")]:
        monkeypatch.delenv(name)
    return Cli(capsys)


@pytest.fixture
def there(place: Place, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> Place:
    """A deployment that commands reach over HTTP, by the environment."""
    monkeypatch.setenv("HELIOSTAT_SERVER", place.url)
    return place

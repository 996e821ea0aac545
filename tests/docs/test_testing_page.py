"""The page on testing: its examples are a test module that passes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.docs.running import DOCS


def test_its_examples_pass_as_they_stand_there(tmp_path: Path) -> None:
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", (DOCS / "testing.md").read_text())
    assert len(blocks) == 3  # the last one needs a Ray
    (tmp_path / "test_checkout.py").write_text("\n\n".join(blocks[:2]))
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *("-p", "no:schemathesis"),  # to load it takes most of the time
            str(tmp_path),
        ],
        capture_output=True, text=True, timeout=280, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "3 passed" in ran.stdout, ran.stdout + ran.stderr

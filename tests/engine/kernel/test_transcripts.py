"""Golden transcripts: definition, stimuli → events → commands. `--rewrite` writes them anew.

A change here is a change of what definitions mean or of what histories look like: read the diff.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.kernel.transcript import rewritten

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_answers_as_recorded(file: Path, rewrite: bool) -> None:
    recorded = file.read_text()
    now = rewritten(recorded)
    if rewrite:
        file.write_text(now)
    assert rewrite or now == recorded, f"if the new answers are right: pytest --rewrite {file}"


def test_every_construct_has_one() -> None:
    assert len(FILES) >= 40

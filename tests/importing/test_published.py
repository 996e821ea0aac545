"""Traces of the shapes that WfCommons publishes are imported, and come to their end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.importing.published import comes_through, main
from tests.importing.traces import BREAD, trace

WIDTH = 12

CHAIN = {f"chain_{n:08}": [f"chain_{n - 1:08}"] if n else [] for n in range(WIDTH)}

SPLIT = {
    "split_fasta_00000001": [],
    **{f"blastall_{n:08}": ["split_fasta_00000001"] for n in range(WIDTH)},
    "cat_blast": [f"blastall_{n:08}" for n in range(WIDTH)],
    "cat": [f"blastall_{n:08}" for n in range(WIDTH)],
}
"""One task's output goes to many, whose outputs go to two."""

MOSAIC = {
    **{f"mProject_ID{n:07}": [] for n in range(WIDTH)},
    **{
        f"mDiffFit_ID{n:07}": [f"mProject_ID{n:07}", f"mProject_ID{n + 1:07}"]
        for n in range(WIDTH - 1)
    },
    "mConcatFit": [f"mDiffFit_ID{n:07}" for n in range(WIDTH - 1)],
    "mBgModel": ["mConcatFit"],
    **{f"mBackground_ID{n:07}": [f"mProject_ID{n:07}", "mBgModel"] for n in range(WIDTH)},
    "mAdd": [f"mBackground_ID{n:07}" for n in range(WIDTH)],
}
"""Many beginnings, neighbours that are compared, and edges that pass over several layers."""


@pytest.mark.parametrize(
    "parents", [CHAIN, SPLIT, MOSAIC], ids=["a chain", "split and joined", "a mosaic"]
)
def test_every_task_becomes_a_step_and_all_of_them_end(
    parents: dict[str, list[str]], tmp_path: Path
) -> None:
    file = tmp_path / "trace.json"
    file.write_text(trace(parents))
    assert comes_through(file) == len(parents)


def test_files_that_somebody_brings_are_told_one_by_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([str(BREAD)]) == 0
    assert capsys.readouterr().out == f"     5 steps  {BREAD}\n"
    assert main([]) == 2

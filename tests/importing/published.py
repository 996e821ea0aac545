"""Whether traces that somebody has brought can be imported: every step, and run to the end.

    python -m tests.importing.published FILE…

WfCommons publishes such files. They are too large to lie here; `test_published.py` does the same
with traces of their shapes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from heliostat.api.importing.definition import definition_of
from heliostat.api.importing.wfformat import read_trace
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.simulator import simulate


def comes_through(file: Path) -> int:
    """How many steps became of a trace; each of its tasks is one, and all of them end."""
    read = read_trace(file)
    imported = definition_of(read, scale=0.01, resources=True)
    definition = parse_definition(imported.text)
    back = [imported.renamed.get(step.id, step.id) for step in definition.steps]
    assert back == [task.id for task in read.tasks], file.name
    ended = simulate(definition)
    assert (ended.status, ended.ended) == ("Completed", True), file.name
    return len(back)


def main(arguments: Sequence[str]) -> int:
    for argument in arguments:
        print(f"{comes_through(Path(argument)):6} steps  {argument}")
    return 0 if arguments else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

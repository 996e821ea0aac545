"""What runners are told of a step."""

from __future__ import annotations

from heliostat.actors.host.plans import hosted, item_reads
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.expressions import Read
from heliostat.engine.plan.compile import compile_plan

ROOT = ("steps", "each")


def test_what_is_read_of_a_list_is_read_of_its_items() -> None:
    reads = (
        Read(ROOT, "$[*].n", whole=False),
        Read(ROOT, "$[0].n", whole=True),
        Read(ROOT, "$[3]", whole=True),
        Read(ROOT, "$", whole=True),
        Read(ROOT, "$..n", whole=False),
    )
    assert item_reads(reads) == (
        Read(ROOT, "$.n", whole=False),
        Read(ROOT, "$", whole=True),
    )


def test_a_foreach_asks_its_runners_for_parts_of_items() -> None:
    definition = parse_definition(
        """
        id: d
        version: "1"
        steps:
          - {id: each, type: activity, activity: "m:f", foreach: "range(0, 3)", next: total}
          - {id: total, type: decision, output: '${ sum($.steps.each.output[*].n) }'}
        """,
        "d.yaml",
    )
    code = hosted(compile_plan(definition)).codes[0]
    assert code is not None
    assert [read.path for read in code.reads] == ["$.n"]

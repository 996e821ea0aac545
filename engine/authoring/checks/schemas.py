"""Are `input_schema` and `output_schema` JSON Schemas?"""

from __future__ import annotations

from ..diagnostics import Findings
from ..model import Definition
from ..schemas import faults


def check(definition: Definition, findings: Findings) -> bool:
    """Note the faults of both schemas; whether there are none."""
    sound = True
    for field in ("input_schema", "output_schema"):
        schema = getattr(definition, field)
        for path, message in () if schema is None else faults(schema):
            findings.add("HS020", (field, *path), message, "see JSON Schema, draft 2020-12")
            sound = False
    return sound

"""A definition as YAML text that reads back as the same definition."""

from __future__ import annotations

import io

from ruamel.yaml import YAML

from ..canonical import content
from ..model import Definition


def as_yaml(definition: Definition) -> str:
    """The definition's content as YAML 1.2."""
    writer = YAML(typ="safe", pure=True)
    writer.version = (1, 2)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 100
    text = io.StringIO()
    writer.dump(content(definition), text)
    lines = text.getvalue().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("%YAML", "---")))

"""The table of refused combinations in `docs/semantics.md` is the one that the checks use."""

from __future__ import annotations

import re

from heliostat.engine.authoring.checks.refused import REFUSED
from tests.docs.running import DOCS

PAGE = DOCS / "semantics.md"
_HEAD = "| combination | code | message | instead |\n| --- | --- | --- | --- |\n"


def table() -> str:
    """The table as the page must have it; names that a message fills in are in italics."""
    lines = []
    for entry in REFUSED.values():
        cure = "" if entry.cure is None else _filled(entry.cure)
        lines.append(f"| {entry.what} | {entry.code} | {_filled(entry.message)} | {cure} |\n")
    return _HEAD + "".join(lines)


def _filled(template: str) -> str:
    text = re.sub(r"(?<!\{)\{(\w+)\}(?!\})", r"‹\1›", template)
    return text.replace("{{", "{").replace("}}", "}").replace("|", "\\|")


def test_the_page_has_every_combination_with_its_message() -> None:
    assert table() in PAGE.read_text(), f"the page must have this table:\n\n{table()}"
